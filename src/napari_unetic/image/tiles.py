"""Integer geometry of tiles: which pixels are read, computed and written.

No pixel is touched here. Whole means the image in one tile; the rules below make
tiles agree with it. At the image's own edge the network pads as it did in training;
only edges inside the image get a halo of real pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TileRule:
    """What a network asks of the tiles it is given, in pixels.

    Parameters
    ----------
    stride : int
        Tile starts are multiples of it.
    halo : int
        Real pixels read beyond a tile's edge inside the image: at least the network's
        reach, a multiple of `stride`.
    context : int
        Pixels a side that the output is smaller than the input (valid convolutions);
        beyond the image's edge they are reflected.
    remainder : int
        Output sizes are ``remainder`` modulo ``stride``.
    """

    stride: int
    halo: int
    context: int
    remainder: int

    def __post_init__(self) -> None:
        assert self.stride >= 1 and self.halo % self.stride == 0
        assert 0 <= self.remainder < self.stride
        assert self.halo == 0 or self.context == 0


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis.

    ``[start, stop)`` is written; ``[read_start, read_stop)`` is what the network gets,
    reflected where it leaves the image; ``offset`` is where the written part begins in
    the network's output::

        read_start      start          stop       read_stop
            |   halo      |    written   |   halo     |
            |<-- offset ->|
    """

    start: int
    stop: int
    read_start: int
    read_stop: int
    offset: int


def cover(
    size: int, tile: int, rule: TileRule, part: slice | None = None
) -> list[Span]:
    """Cut one axis into spans that write each pixel exactly once.

    Parameters
    ----------
    size : int
        Pixels along the axis, at least 1.
    tile : int
        Pixels a tile should write; rounded up to a multiple of the stride.
    rule : TileRule
        What the network asks for.
    part : slice, optional
        Where pixels are wanted, with start and stop; the whole axis if None.

    Returns
    -------
    list of Span
        In order.
    """
    step = -(-tile // rule.stride) * rule.stride
    first, end = (0, size) if part is None else (part.start, part.stop)
    spans = []
    # Poolings meet the same pixels in every part of an image only on one grid.
    for on_grid in range(first - first % rule.stride, end, step):
        start, stop = max(first, on_grid), min(on_grid + step, end)
        if rule.context:
            n = stop - on_grid
            n += (rule.remainder - n) % rule.stride
            read = on_grid - rule.context, on_grid + n + rule.context
            offset = start - on_grid
        else:
            low = max(0, on_grid - rule.halo)
            high = min(stop + rule.halo, -(-size // rule.stride) * rule.stride)
            # What the network gets ends on the grid, where the image goes on or not.
            high = -(-high // rule.stride) * rule.stride
            read, offset = (low, high), start - low
        spans.append(Span(start, stop, *read, offset))
    return spans


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a plane or a volume: a span along each of its axes, X last."""

    spans: tuple[Span, ...]

    @property
    def window(self) -> tuple[int, ...]:
        """Shape of what the network gets."""
        return tuple(span.read_stop - span.read_start for span in self.spans)

    @property
    def write(self) -> tuple[slice, ...]:
        """Where the result goes in the plane."""
        return tuple(slice(span.start, span.stop) for span in self.spans)

    @property
    def crop(self) -> tuple[slice, ...]:
        """Which part of the network's output that is."""
        return tuple(slice(s.offset, s.offset + s.stop - s.start) for s in self.spans)


def tiles(
    shape: tuple[int, ...],
    tile: int,
    rules: tuple[TileRule, ...],
    part: tuple[slice, ...] | None = None,
) -> Iterator[Tile]:
    """Yield the tiles of a plane or a volume, or of a part of it, the last axis first.

    Parameters
    ----------
    shape : tuple of int
        Pixels along each axis.
    tile : int
        Pixels a side that a tile should write.
    rules : tuple of TileRule
        What the network asks for along each axis.
    part : tuple of slice, optional
        Where pixels are wanted, with start and stop; everywhere if None.
    """
    for spans in product(*covers(shape, tile, rules, part)):
        yield Tile(spans)


def covers(
    shape: tuple[int, ...],
    tile: int,
    rules: tuple[TileRule, ...],
    part: tuple[slice, ...] | None = None,
) -> list[list[Span]]:
    """Cut each axis as `cover` does; the parameters are those of `tiles`."""
    parts = part or (None,) * len(shape)
    return [
        cover(size, tile, rule, along)
        for size, rule, along in zip(shape, rules, parts, strict=True)
    ]


def reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the indices of ``[start, stop)`` reflected into ``[0, size)``.

    The edge pixel is not repeated, as with ``numpy.pad(mode="reflect")``; any distance
    from the image is allowed, and an axis of one pixel repeats it.

    Examples
    --------
    >>> reflected(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    return reflect(np.arange(start, stop), size)


def reflect(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return any indices reflected into ``[0, size)``; see `reflected`."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    index = np.abs(index) % period
    return np.minimum(index, period - index)
