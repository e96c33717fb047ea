"""How much memory a segmentation takes, and the tile that fits into what is free."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import psutil

from napari_unetic.image.tiles import covers

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

LARGEST_READ_PX = 1536**2
LARGEST_BANDED_PX = 2304**2
LARGEST_VOLUME_PX = 200**3
"""Larger tiles save little of the overlap (3072² would take a twentieth off at 8192²),
hold more memory, and answer Stop later; where all layers run over the whole tile they
are slower, too, since they leave the caches. In volumes the overlap is larger."""

SMALLEST_TILE_PX = 64
"""Below this nearly all that is computed is overlap."""

_FLOAT = 4
_BYTES = {"float32": _FLOAT, "bfloat16": 2}
_HELD = {"plain": 5, "residual": 6, "dense": 9}
"""Values a filter and pixel that a block of the decoder holds: what came up, the same
joined to the skip (twice as many), and what a convolution and its activation return;
the start of a shortcut; the outputs of a dense block and all of them joined."""

_SCRATCH = 1.25
"""What convolutions need for themselves, as a factor (1.0 to 1.4 measured)."""

FIXED_BYTES = 40_000_000
"""What the first image takes whatever its size: kernels, buffers (measured)."""

_BANDS_BYTES = 64_000_000
"""What the bands of a network take at most (measured)."""

_DECODE_BYTES = 30
"""Bytes a pixel that decoding takes besides the maps, at its peak (25 measured)."""


LARGEST_WHOLE_PX = 16_000_000
"""Planes of more pixels are decoded in bands; volumes are not, in which the margin of a
band would be as large as the band."""

BAND_PX = 5_000_000
"""Pixels of a band, less what it shares with its neighbours: of a plane 8192 pixels
wide it decodes an eighth more than its own rows."""


def is_decoded_whole(n_pixels: int, dimensions: int = 2) -> bool:
    """Whether a plane or a volume of so many pixels is decoded in one piece."""
    return dimensions == 3 or n_pixels <= LARGEST_WHOLE_PX


def free_on_host() -> int:
    """Return the bytes of memory that programs can take without swapping."""
    return int(psutil.virtual_memory().available)


def network_bytes(
    spec: NetworkSpec,
    n_pixels: int,
    *,
    is_banded: bool = False,
    precision: str = "float32",
) -> int:
    """Return about how many bytes the network takes while it runs.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    n_pixels : int
        Pixels of what it is given, overlap included.
    is_banded : bool
        Whether it runs band by band (`napari_unetic.networks.banded`): then only what
        levels pass on to each other is whole.
    precision : {"float32", "bfloat16"}
        Of what it computes.

    Returns
    -------
    int
        The largest sum of the tensors that are alive at a time and what convolutions
        need besides. Networks that pad nothing take up to half of it.
    """
    size = _BYTES[precision]
    if is_banded:
        return _banded_bytes(spec, n_pixels, size)
    held = _HELD[spec.block] + (spec.up == "nearest")
    if spec.kind == "unet++":
        # All nodes of a level wait for the last one, which takes them joined.
        held += 2 * spec.depth
    skips, peak, fewer = 0.0, 0.0, 2**spec.dimensions
    for level, width in enumerate(spec.widths):
        peak = max(peak, skips + held * width / fewer**level)
        skips += width / fewer**level
    values = spec.in_channels + peak / spec.stem**2
    return int(size * n_pixels * values * _SCRATCH)


def _banded_bytes(spec: NetworkSpec, n_pixels: int, size: int) -> int:
    """Return the bytes of skips, pooled skips, two levels' results, logits and maps."""
    skips = sum(width / 4**level for level, width in enumerate(spec.widths))
    whole = 1.5 * skips + spec.widths[min(1, spec.depth)] / 4
    values = spec.in_channels + whole / spec.stem**2 + spec.out_channels
    maps = _FLOAT * spec.out_channels
    return int(n_pixels * (size * values + maps)) + _BANDS_BYTES


def window_bytes(spec: NetworkSpec, n_pixels: int) -> int:
    """Return about how many bytes reading and normalising a window take."""
    return 4 * _FLOAT * spec.in_channels * n_pixels


def decode_bytes(n_pixels: int, dimensions: int = 2) -> int:
    """Return about how many bytes decoding a plane takes besides its maps."""
    if is_decoded_whole(n_pixels, dimensions):
        return _DECODE_BYTES * n_pixels
    return _DECODE_BYTES * 2 * BAND_PX


def largest_read(
    grid: tuple[int, ...], box: tuple[slice, ...], tile: int, spec: NetworkSpec
) -> int:
    """Return the pixels of the largest window that the network is given.

    Parameters
    ----------
    grid : tuple of int
        Shape of the whole plane or volume as the network sees it.
    box : tuple of slice
        The part of it that is computed.
    tile : int
        Pixels a side that are computed at a time.
    spec : NetworkSpec
        The network.
    """
    return math.prod(
        max(span.read_stop - span.read_start for span in spans)
        for spans in covers(grid, tile, spec.tile_rules, box)
    )


def fitting_tile(
    grid: tuple[int, ...],
    box: tuple[slice, ...],
    spec: NetworkSpec,
    free: int,
    wanted: int | None = None,
    *,
    is_banded: bool = False,
    precision: str = "float32",
) -> int:
    """Return the side of the tiles in which a plane is computed.

    Parameters
    ----------
    grid, box, spec
        As in `largest_read`.
    free : int
        Bytes that the network may take.
    wanted : int, optional
        The side asked for, whatever is free.
    is_banded, precision
        As for `network_bytes`.

    Returns
    -------
    int
        In pixels: the largest for which no window has more than `LARGEST_READ_PX`
        (`LARGEST_BANDED_PX`, `LARGEST_VOLUME_PX`) and the network takes no more than
        `free`, if there is one; all tiles of a plane are of about equal size. No larger
        than the box.
    """
    longest: int = max(
        part.stop - part.start // spec.stride * spec.stride for part in box
    )
    if wanted is not None:
        return _on_stride(min(wanted, longest), spec)
    largest = LARGEST_BANDED_PX if is_banded else LARGEST_READ_PX
    if spec.dimensions == 3:
        largest = LARGEST_VOLUME_PX
    cuts = max(1, longest // 2**12)
    while True:
        tile = _on_stride(max(SMALLEST_TILE_PX, -(-longest // cuts)), spec)
        n_pixels = largest_read(grid, box, tile, spec)
        n_bytes = network_bytes(
            spec, n_pixels, is_banded=is_banded, precision=precision
        )
        n_bytes += window_bytes(spec, n_pixels)
        is_fit = n_pixels <= largest and n_bytes <= free
        if is_fit or tile <= _on_stride(SMALLEST_TILE_PX, spec):
            return tile
        cuts += max(1, cuts // 4)


def _on_stride(tile: int, spec: NetworkSpec) -> int:
    """Return a side rounded up to what `napari_unetic.image.tiles.cover` takes."""
    return -(-tile // spec.stride) * spec.stride
