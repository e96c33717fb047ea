"""A network for another number of channels, from the one there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_unetic.networks.build import build_network

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.networks.spec import NetworkSpec


def adapt_channels(
    weights: dict[str, Tensor], spec: NetworkSpec, n_channels: int
) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """Return a description and weights that take another number of channels.

    Parameters
    ----------
    weights : dict of str to Tensor
        State of the network of `spec`.
    spec : NetworkSpec
        What there is.
    n_channels : int
        What the images have.

    Returns
    -------
    NetworkSpec, dict of str to Tensor
        Each new channel gets the sum of the old kernels divided by the new number, so
        that the mean of the channels is seen as an image of one channel was.
    """
    adapted = spec.model_copy(update={"in_channels": n_channels})
    with torch.device("meta"):
        wanted = build_network(adapted).state_dict()
    result = {}
    for name, old in weights.items():
        shape = wanted[name].shape
        if old.shape == shape:
            result[name] = old
            continue
        # The stem makes several inputs of each channel, side by side.
        each = (old.shape[0], spec.in_channels, -1, *old.shape[2:])
        kernels = old.reshape(each).sum(1, keepdim=True)
        repeated = kernels.expand(-1, n_channels, *kernels.shape[2:]) / n_channels
        result[name] = repeated.flatten(1, 2).contiguous()
        assert result[name].shape == shape
    return adapted, result
