"""Resampling by window: any part of the result alone, as cut from the whole.

Bilinear, by area where the result is smaller, with pixel centres at half pixels: what
``torch.nn.functional.interpolate(mode="bilinear", antialias=True)`` computes, to
rounding, for a window at any place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def scaled_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return rows and columns after scaling, at least one each."""
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


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
    old: tuple[int, int],
    new: tuple[int, int],
    part: tuple[slice, slice] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> NDArray[np.float32]:
    """Return a part of a plane at another size.

    Parameters
    ----------
    window : ndarray of shape (C, Y, X), float32
        The plane, or what `needed` says of it.
    old, new : tuple of int
        Rows and columns of the whole plane before and after.
    part : tuple of slice, optional
        Rows and columns wanted, with start and stop, in pixels after; all if None.
    origin : tuple of int
        Row and column of the plane at which `window` begins.

    Returns
    -------
    ndarray of shape (C, rows, columns), float32
        The same numbers whatever the part.
    """
    rows, columns = part or (slice(0, new[0]), slice(0, new[1]))
    if old == new:
        top, left = origin
        return window[
            :,
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]
    narrowed = _along(window, 1, old[0], new[0], rows, origin[0])
    return _along(narrowed, 2, old[1], new[1], columns, origin[1])


def resample_labels(
    window: NDArray[Any],
    old: tuple[int, int],
    new: tuple[int, int],
    part: tuple[slice, slice] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> NDArray[Any]:
    """Return a part of a label image at another size, by nearest neighbour.

    Parameters
    ----------
    window : ndarray of shape (Y, X)
    old, new, part, origin
        As in `resample`.

    Returns
    -------
    ndarray of shape (rows, columns), in the dtype of `window`
    """
    parts = part or (slice(0, new[0]), slice(0, new[1]))
    rows, columns = (_nearest(old[k], new[k], parts[k]) - origin[k] for k in range(2))
    resampled: NDArray[Any] = window[rows[:, None], columns]
    return resampled


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
    """Resample one axis of a (C, Y, X) window that begins at `origin` of it."""
    if old == new:
        cut = slice(part.start - origin, part.stop - origin)
        return window[:, cut] if axis == 1 else window[:, :, cut]
    first, weights = _taps(old, new, part)
    total: NDArray[np.float32] | None = None
    for k in range(weights.shape[1]):
        # Pixels beyond the end have weight 0; the last one stands in for them.
        at = first + k - origin
        term = np.take(window, at, axis=axis, mode="clip")
        term *= weights[:, k, None] if axis == 1 else weights[:, k]
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total
