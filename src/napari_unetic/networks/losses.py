"""Losses under a weight map: what is not reviewed weighs nothing.

Each takes logits, targets between 0 and 1 and weights, and returns a scalar. One map is
a class against all else, by the sigmoid; several are classes of which each pixel has
one, by the softmax; `binary_cross_entropy` alone takes several maps that have nothing
to do with each other. Classes that are rare and borders that are thin get their due by
the weights alone (`napari_unetic.networks.weight_maps`): one way in for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

CONTACT_WEIGHT = 2.0
"""Of the contact map in the sum: most objects that are missed are merged ones, a third
less with it than with 1 (`docs/models/nuclei.md`, what mattered most)."""


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
    """
    foreground, contact, depth = (slice(k, k + 1) for k in range(3))
    difference = (torch.sigmoid(logits[:, depth]) - targets[:, depth]).abs()
    parts = (
        cross_entropy_and_dice(
            logits[:, foreground], targets[:, foreground], weights[:, foreground]
        ),
        binary_cross_entropy(
            logits[:, contact], targets[:, contact], weights[:, contact]
        ),
        _mean(difference, weights[:, depth]),
    )
    return LossParts(parts[0] + CONTACT_WEIGHT * parts[1] + parts[2], *parts)


def binary_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over all pixels and maps of the binary cross-entropy.

    Parameters
    ----------
    logits : Tensor of shape (B, M, ...)
        Before the sigmoid; each map by itself.
    targets : Tensor of shape (B, M, ...), between 0 and 1
        What the sigmoid should give.
    weights : Tensor of shape (B, M, ...) or (B, 1, ...), at least 0
        Weight of each pixel, in each map or in all.

    Returns
    -------
    Tensor
        A scalar, at least 0; 0 where nothing has weight.
    """
    entropy = functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none"
    )
    return _mean(entropy, weights)


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over all pixels of the cross-entropy between classes.

    Parameters
    ----------
    logits : Tensor of shape (B, M, ...)
        Before the softmax, a map for each class; with one map the binary cross-entropy
        of that class against all else.
    targets : Tensor of shape (B, M, ...), between 0 and 1
        How much of each class a pixel is; they sum to 1 over several maps.
    weights : Tensor of shape (B, 1, ...), at least 0
        Weight of each pixel.

    Returns
    -------
    Tensor
        A scalar, at least 0; 0 where nothing has weight.
    """
    if logits.shape[1] == 1:
        return binary_cross_entropy(logits, targets, weights)
    surprise = -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1, keepdim=True)
    return _mean(surprise, weights)


def soft_dice(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return one minus the soft Dice coefficient of the batch, mean over classes.

    Parameters
    ----------
    logits, targets, weights
        As `cross_entropy`.

    Returns
    -------
    Tensor
        A scalar between 0 and 1; 0 where nothing has weight.

    References
    ----------
    Milletari et al. 2016, V-Net, arXiv 1606.04797, section 3, with the weights inside
    the sums and without squares in the denominator.
    """
    return tversky(logits, targets, weights, missed=0.5, false=0.5)


def tversky(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    missed: float = 0.7,
    false: float = 0.3,
) -> Tensor:
    """Return one minus the Tversky index of the batch, mean over classes.

    Parameters
    ----------
    logits, targets, weights
        As `cross_entropy`.
    missed, false : float, at least 0
        What pixels of a class that are missed, and others that are taken for it, count.
        Half and half gives the soft Dice coefficient.

    Returns
    -------
    Tensor
        A scalar between 0 and 1; 0 where nothing has weight.

    References
    ----------
    Salehi, Erdogmus, Gholipour 2017, arXiv 1706.05721, section 2.2, whose beta is
    `missed` and whose alpha is `false`.
    """
    probability = _probability(logits)
    over = [axis for axis in range(logits.ndim) if axis != 1]
    hit = (weights * probability * targets).sum(dim=over)
    n_missed = (weights * (1 - probability) * targets).sum(dim=over)
    n_false = (weights * probability * (1 - targets)).sum(dim=over)
    # Half a pixel's worth on both sides: batches without objects are judged gently.
    index = (hit + 0.5) / (hit + missed * n_missed + false * n_false + 0.5)
    return 1 - index.mean()


def cross_entropy_and_dice(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of `cross_entropy` and `soft_dice`, whose parameters it has."""
    return cross_entropy(logits, targets, weights) + soft_dice(logits, targets, weights)


def focal(
    logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float = 2.0
) -> Tensor:
    """Return the mean focal loss: cross-entropy that leaves easy pixels alone.

    Parameters
    ----------
    logits, weights
        As `cross_entropy`.
    targets : Tensor of shape (B, M, ...), 0 or 1
        Which class a pixel is.
    gamma : float, at least 0
        How much less a pixel counts that is almost right; 0 gives the cross-entropy.

    Returns
    -------
    Tensor
        A scalar, at least 0; 0 where nothing has weight.

    References
    ----------
    Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv 1708.02002, section
    3.2, equation 4. The factor of equation 5 is a weight of classes like any other.
    """
    if logits.shape[1] == 1:
        # Of a class and all else, as two classes whose logits differ by as much.
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
        targets = torch.cat([1 - targets, targets], dim=1)
    log_right = (targets * torch.log_softmax(logits, dim=1)).sum(dim=1, keepdim=True)
    # The power of an exact zero has no gradient where gamma is below 1.
    wrong = (1 - log_right.exp()).clamp_min(torch.finfo(logits.dtype).tiny)
    return _mean(-(wrong**gamma) * log_right, weights)


def _probability(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean over all pixels and maps."""
    weights = weights.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)
