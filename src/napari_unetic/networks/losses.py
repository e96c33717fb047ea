"""Losses under a weight map: what is not reviewed weighs nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

CONTACT_WEIGHT = 2.0
"""Of the contact map in the sum: most objects that are missed are merged ones."""


@dataclass(frozen=True, slots=True)
class LossParts:
    """The loss and what it is made of, each a scalar tensor."""

    total: Tensor
    foreground: Tensor
    contact: Tensor
    depth: Tensor


def instance_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> LossParts:
    """Return the loss of predicted maps against target maps.

    Foreground: binary cross-entropy plus soft Dice. Contact: binary cross-entropy
    against the slope. Depth: absolute difference.

    Parameters
    ----------
    logits : Tensor of shape (B, 3, Y, X)
        Before the sigmoid; foreground, contact, depth.
    targets : Tensor of shape (B, 3, Y, X), between 0 and 1
        From `napari_unetic.instances.targets.make_targets`.
    weights : Tensor of shape (B, 3, Y, X), at least 0
        Weight of each pixel in each map; 0 keeps it out of the loss and its gradient.

    Returns
    -------
    LossParts
        Each part is a weighted mean over pixels; 0 where nothing has weight.

    References
    ----------
    Dice: Milletari et al. 2016, V-Net, arXiv 1606.04797, section 3, with the weights
    inside the sums. Weight maps: Ronneberger et al. 2015, arXiv 1505.04597, section 3.
    """
    entropy = functional.binary_cross_entropy_with_logits(
        logits[:, :2], targets[:, :2], reduction="none"
    )
    difference = (torch.sigmoid(logits[:, 2]) - targets[:, 2]).abs()
    foreground = _mean(entropy[:, 0], weights[:, 0]) + _dice(
        torch.sigmoid(logits[:, 0]), targets[:, 0], weights[:, 0]
    )
    contact = _mean(entropy[:, 1], weights[:, 1])
    depth = _mean(difference, weights[:, 2])
    return LossParts(
        foreground + CONTACT_WEIGHT * contact + depth, foreground, contact, depth
    )


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over all pixels."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def _dice(probability: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """One minus the soft Dice coefficient of the batch."""
    shared = (weights * probability * target).sum()
    total = (weights * (probability + target)).sum()
    # One pixel's worth on both sides: batches without objects are judged gently.
    return 1 - (2 * shared + 1) / (total + 1)
