"""A U-Net run band by band: the same numbers, with what it works on still in cache.

Run layer by layer, a network on a large image writes and reads hundreds of megabytes
for each convolution, most of them in memory that the system has to hand out anew. Here
each block runs on bands of rows, together with all that follows within its level, and
only what other levels need is kept whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from napari_unetic.networks.blocks import max_pool
from napari_unetic.networks.unet import BlockEncoder, UNet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unetic.networks.network import Network
    from napari_unetic.networks.spec import NetworkSpec

BAND_BYTES = 4_000_000
"""About how much a convolution of a band writes (2 to 8 million are alike)."""

SMALLEST_BAND = 16
"""Rows; of smaller bands too much is overlap."""


def can_be_banded(spec: NetworkSpec) -> bool:
    """Whether `run_banded` can run a network.

    Attention gates look at coarser levels with a reach of their own, and networks
    without padding shrink from block to block.
    """
    return (
        spec.kind == "unet"
        and spec.dimensions == 2
        and spec.encoder == "blocks"
        and spec.padding == "same"
        and spec.skip != "attention"
        and spec.depth > 0
    )


def run_banded(network: Network, x: Tensor) -> Tensor:
    """Return the logits of a network, as calling it does.

    Parameters
    ----------
    network : Network
        In evaluation mode; `can_be_banded` says which.
    x : Tensor of shape (B, C, Y, X)
        Of a size that the network takes.

    Returns
    -------
    Tensor of shape (B, M, Y, X)
        In the type of the network.

    Notes
    -----
    A band is read with as many rows of its neighbours as its block has convolutions,
    and what their zero padding has reached is cut off; at the edge of the image it
    belongs there. So nothing differs from the whole but the order of rounding.
    """
    assert isinstance(network, UNet) and isinstance(network.encoder, BlockEncoder)
    spec = network.spec
    skips: list[Tensor] = []
    for level, block in enumerate(network.encoder):
        scale = spec.stem if level == 0 else 1
        rows, columns = x.shape[2] // scale, x.shape[3] // scale
        skip, pooled = None, None
        for inner, outer in _bands(rows, columns, level, spec, x):
            part = x[:, :, outer.start * scale : outer.stop * scale]
            if scale > 1:
                part = functional.pixel_unshuffle(part, scale)
            made = _inside(block(part), inner, outer)
            if skip is None or pooled is None:
                skip = _new(made, rows, columns)
                pooled = _new(made, rows // 2, columns // 2)
            skip[:, :, inner] = made
            pooled[:, :, inner.start // 2 : inner.stop // 2] = max_pool(made)
        assert skip is not None and pooled is not None
        skips.append(skip)
        x = pooled
    x = _bottom(network, x)
    for k, level in enumerate(reversed(range(spec.depth))):
        skip = skips.pop()
        result = None
        for inner, outer in _bands(skip.shape[2], skip.shape[3], level, spec, x):
            coarse = x[:, :, outer.start // 2 : outer.stop // 2]
            joined = network.joined(skip[:, :, outer], network.up[k](coarse))
            made = _inside(network.decoder[k](joined), inner, outer)
            scale = 1
            if level == 0:
                made, scale = network.maps_of(made), spec.stem
            if result is None:
                columns = skip.shape[3] * scale
                result = _new(made, skip.shape[2] * scale, columns)
            result[:, :, inner.start * scale : inner.stop * scale] = made
        assert result is not None
        x = result
    return x


def _bottom(network: UNet, x: Tensor) -> Tensor:
    """Run the coarsest level."""
    spec, result = network.spec, None
    for inner, outer in _bands(x.shape[2], x.shape[3], spec.depth, spec, x):
        made = _inside(network.bottom(x[:, :, outer]), inner, outer)
        if result is None:
            result = _new(made, *x.shape[2:])
        result[:, :, inner] = made
    assert result is not None
    return result


def _bands(
    rows: int, columns: int, level: int, spec: NetworkSpec, like: Tensor
) -> Iterator[tuple[slice, slice]]:
    """Yield the rows of a band and those that it is computed from, all even."""
    a_row = columns * spec.widths[level] * like.element_size() * like.shape[0]
    halo = spec.convolutions_at(level)
    halo += halo % 2
    band = max(SMALLEST_BAND, BAND_BYTES // a_row // 2 * 2)
    for start in range(0, rows, band):
        stop = min(start + band, rows)
        yield (
            slice(start, stop),
            slice(max(0, start - halo), min(rows, stop + halo)),
        )


def _inside(made: Tensor, inner: slice, outer: slice) -> Tensor:
    return made[:, :, inner.start - outer.start : inner.stop - outer.start]


def _new(like: Tensor, rows: int, columns: int) -> Tensor:
    """Return an empty tensor of as many channels."""
    shape = *like.shape[:2], rows, columns
    return torch.empty(
        shape,
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )
