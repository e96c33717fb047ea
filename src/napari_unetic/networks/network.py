"""What all networks of the family share: stem, head, start of the weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_unetic.networks.blocks import convolution

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec


class Network(nn.Module):
    """A network as its description says; see `napari_unetic.networks.build`.

    Parameters
    ----------
    spec : NetworkSpec
        The description.

    Notes
    -----
    The input must have the size that ``spec.tile_rules`` ask for: multiples of the
    stride with padding ``same``. The output is logits; what they mean is the business
    of the target kind.

    References
    ----------
    Shi et al.: Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network. CVPR 2016, arXiv 1609.05158, section 3.2
    (the pixel shuffle, here undone in the stem and applied at the output).
    """

    head: nn.Module

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.spec = spec

    @property
    def _n_in(self) -> int:
        """Channels after the stem."""
        return self.spec.in_channels * self.spec.stem**2

    def _make_head(self, n_in: int, kernel: int = 1) -> nn.Module:
        """Return the convolution that makes the maps."""
        n_out = self.spec.out_channels * self.spec.stem**2
        return convolution(n_in, n_out, self.spec, kernel=kernel)

    def _initialise(self) -> None:
        """He-normal weights (He 2015, arXiv 1502.01852, section 2.2), zero biases."""
        for module in self.modules():
            if isinstance(module, _WEIGHTED) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @abstractmethod
    def body(self, x: Tensor) -> Tensor:
        """Return what the head makes the maps of."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of all maps.

        Parameters
        ----------
        x : Tensor of shape (B, C, Y, X) or (B, C, Z, Y, X), float32

        Returns
        -------
        Tensor of shape (B, M, Y', X') or (B, M, Z', Y', X')
            As large as `x` with padding ``same``, else smaller by twice the context.
        """
        if self.spec.stem > 1:
            x = _by_planes(functional.pixel_unshuffle, x, self.spec.stem)
        return self.maps_of(self.body(x))

    def maps_of(self, x: Tensor) -> Tensor:
        """Return the logits that the head makes of what `body` returns."""
        x = self.head(x)
        if self.spec.stem > 1:
            x = _by_planes(functional.pixel_shuffle, x, self.spec.stem)
        return x


def _by_planes(change: Callable[[Tensor, int], Tensor], x: Tensor, by: int) -> Tensor:
    """Trade resolution for channels, or back, in each plane: Z stays as it is."""
    if x.ndim == 4:
        return change(x, by)  # (B, 4C, Y/2, X/2)
    planes = change(x.transpose(1, 2).flatten(0, 1), by)  # (BZ, 4C, Y/2, X/2)
    return planes.reshape(x.shape[0], -1, *planes.shape[1:]).transpose(1, 2)


def memory_format(dimensions: int) -> torch.memory_format:
    """Return the order of values in memory in which convolutions run fastest."""
    return torch.channels_last if dimensions == 2 else torch.channels_last_3d


_WEIGHTED = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d


def n_parameters(network: nn.Module) -> int:
    """Return the number of trainable values: weights and biases."""
    return sum(p.numel() for p in network.parameters())
