"""Resampling by window: any part of the result alone, as cut from the whole.

Bilinear, by area where the result is smaller, with pixel centres at half pixels: what
``torch.nn.functional.interpolate(mode="bilinear", antialias=True)`` computes, to
rounding, for a window at any place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


def scaled_shape(shape: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Return a shape after scaling, at least one pixel along each axis."""
    return tuple(max(1, round(size * factor)) for size in shape)


def needed(old: int, new: int, part: slice) -> slice:
    """Return which pixels along an axis of `old` a part of `new` pixels is made of.

    Parameters
    ----------
    old, new : int
        Pixels along the whole axis before and after.
    part : slice
        With start and stop, in pixels after.

    Returns
    -------
    slice
        In pixels before: enough for `resample` and for `resample_labels`.
    """
    if old == new:
        return slice(part.start, part.stop)
    first, weights = _taps(old, new, slice(part.start, part.start + 1))
    start = int(first[0])
    first, weights = _taps(old, new, slice(part.stop - 1, part.stop))
    return slice(start, min(old, int(first[0]) + weights.shape[1]))


def resample(
    window: NDArray[np.float32],
    old: tuple[int, ...],
    new: tuple[int, ...],
    part: tuple[slice, ...] | None = None,
    origin: tuple[int, ...] | None = None,
) -> NDArray[np.float32]:
    """Return a part of a plane or a volume at another size.

    Parameters
    ----------
    window : ndarray of shape (C, Y, X) or (C, Z, Y, X), float32
        The whole, or what `needed` says of it.
    old, new : tuple of int
        Shape of the whole before and after.
    part : tuple of slice, optional
        What is wanted, with start and stop, in pixels after; all if None.
    origin : tuple of int, optional
        Where in the whole `window` begins; at its start if None.

    Returns
    -------
    ndarray of shape (C, ...), float32
        The same numbers whatever the part.
    """
    for axis, (a, b, along, start) in enumerate(_axes(old, new, part, origin), start=1):
        window = _along(window, axis, a, b, along, start)
    return window


def resample_labels(
    window: NDArray[Any],
    old: tuple[int, ...],
    new: tuple[int, ...],
    part: tuple[slice, ...] | None = None,
    origin: tuple[int, ...] | None = None,
) -> NDArray[Any]:
    """Return a part of a label image at another size, by nearest neighbour.

    Parameters
    ----------
    window : ndarray of shape (Y, X) or (Z, Y, X)
    old, new, part, origin
        As in `resample`.

    Returns
    -------
    ndarray of the part's shape, in the dtype of `window`
    """
    at = [
        _nearest(a, b, along) - start
        for a, b, along, start in _axes(old, new, part, origin)
    ]
    resampled: NDArray[Any] = window[np.ix_(*at)]
    return resampled


def _axes(
    old: tuple[int, ...],
    new: tuple[int, ...],
    part: tuple[slice, ...] | None,
    origin: tuple[int, ...] | None,
) -> Iterator[tuple[int, int, slice, int]]:
    """Yield for each axis its length before and after, the part and its origin."""
    parts = part or tuple(slice(0, size) for size in new)
    yield from zip(old, new, parts, origin or (0,) * len(new), strict=True)


def _nearest(old: int, new: int, part: slice) -> NDArray[np.intp]:
    return ((np.arange(part.start, part.stop) + 0.5) * (old / new)).astype(np.intp)


def _taps(
    old: int, new: int, part: slice
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the first pixel and the weights, one row a pixel of the result."""
    scale = old / new
    support = max(scale, 1.0)
    centre = (np.arange(part.start, part.stop) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.intp), 0)
    last = np.minimum((centre + support + 0.5).astype(np.intp), old)
    at = first[:, None] + np.arange(int((last - first).max()))
    distance = np.abs(at + 0.5 - centre[:, None]) / support
    weights = np.where(at < last[:, None], np.maximum(1 - distance, 0), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


def _along(
    window: NDArray[np.float32], axis: int, old: int, new: int, part: slice, origin: int
) -> NDArray[np.float32]:
    """Resample one axis of a window that begins at `origin` of it."""
    before = (slice(None),) * axis
    if old == new:
        return window[(*before, slice(part.start - origin, part.stop - origin))]
    first, weights = _taps(old, new, part)
    total: NDArray[np.float32] | None = None
    for k in range(weights.shape[1]):
        # Pixels beyond the end have weight 0; the last one stands in for them.
        at = first + k - origin
        term = np.take(window, at, axis=axis, mode="clip")
        term *= weights[:, k].reshape(-1, *(1,) * (window.ndim - axis - 1))
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total
