"""The U-Net: one class for any depth, width, block, encoder, skip and padding.

References
----------
Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
Segmentation. MICCAI 2015, arXiv 1505.04597, section 2 and figure 1.
Çiçek et al.: 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation.
MICCAI 2016, arXiv 1606.06650, section 2 and figure 2.
Chaurasia, Culurciello: LinkNet. VCIP 2017, arXiv 1707.03718, section 3 (skips that are
added).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unetic.networks.blocks import AttentionGate, Up, block_at, max_pool
from napari_unetic.networks.network import Network
from napari_unetic.networks.resnet import ResNetEncoder

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec


class BlockEncoder(nn.ModuleList):
    """A block and a pooling for each level above the bottom.

    Parameters
    ----------
    n_in : int
        Channels in.
    spec : NetworkSpec
        The network.
    """

    def __init__(self, n_in: int, spec: NetworkSpec):
        super().__init__()
        for level, rate in zip(range(spec.depth), _rates(spec), strict=False):
            self.append(block_at(level, n_in, spec, rate, is_before_pooling=True))
            n_in = spec.widths[level]

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what each level passes on to the decoder, and the last pooled."""
        skips: list[Tensor] = []
        for block in self:
            x = block(x)
            skips.append(x)
            x = max_pool(x)
        return skips, x


class UNet(Network):
    """A U-Net as its description says.

    Parameters
    ----------
    spec : NetworkSpec
        The description, of kind ``unet``.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        assert spec.kind == "unet"
        rates = _rates(spec)
        self.encoder: BlockEncoder | ResNetEncoder
        self.bottom: nn.Module
        if spec.encoder == "blocks":
            self.encoder = BlockEncoder(self._n_in, spec)
            n_in = spec.widths[-2] if spec.depth else self._n_in
            self.bottom = block_at(
                spec.depth, n_in, spec, rates[spec.depth], is_before_pooling=True
            )
            skips = list(spec.widths[:-1])
        else:
            # Its last stage is the bottom already.
            self.encoder, self.bottom = ResNetEncoder(spec), nn.Identity()
            skips = self.encoder.n_skips
        self.up, self.gates = nn.ModuleList(), nn.ModuleList()
        self.decoder = nn.ModuleList()
        n_in = spec.widths[-1]
        for k, level in enumerate(reversed(range(spec.depth)), start=spec.depth + 1):
            up = Up(n_in, spec.widths[level], spec)
            self.up.append(up)
            if spec.skip == "attention":
                self.gates.append(AttentionGate(skips[level], n_in, spec))
            n_joined = up.n_out + skips[level] * (spec.skip != "add")
            self.decoder.append(block_at(level, n_joined, spec, rates[k]))
            n_in = spec.widths[level]
        self.head = self._make_head(n_in, kernel=1 if spec.encoder == "blocks" else 3)
        self._initialise()

    def body(self, x: Tensor) -> Tensor:
        """Return what the head makes the maps of."""
        skips, x = self.encoder(x)
        x = self.bottom(x)
        for k, (up, block) in enumerate(zip(self.up, self.decoder, strict=True)):
            skip = skips.pop() if skips else None
            if self.gates:
                skip = self.gates[k](skip, x)
            x = block(self.joined(skip, up(x)))
        return x

    def joined(self, skip: Tensor | None, x: Tensor) -> Tensor:
        """Return a skip and what came up together, as a decoder block takes them."""
        if skip is None:
            return x
        skip = _centre(skip, x)
        return skip + x if self.spec.skip == "add" else torch.cat([skip, x], dim=1)


def _rates(spec: NetworkSpec) -> tuple[float, ...]:
    """Dropout of each block: encoder, bottom, decoder from the bottom up."""
    return spec.dropout or (0.0,) * (2 * spec.depth + 1)


def _centre(skip: Tensor, like: Tensor) -> Tensor:
    """Cut the middle of a skip to the size of what came up (valid padding only)."""
    if skip.shape[2:] == like.shape[2:]:
        return skip
    for axis in range(2, skip.ndim):
        n = like.shape[axis]
        skip = skip.narrow(axis, (skip.shape[axis] - n) // 2, n)
    return skip
