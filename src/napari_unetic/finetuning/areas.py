"""Areas: what lies near something."""

from __future__ import annotations

import math
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask: TypeAlias = NDArray[np.bool_]

_TILE_PX: Final = 256
_PART: Final = 2**19
"""Pixels at a time, since NumPy keeps the window waiting for all of some operations."""

LOOK_UP_MAX: Final = 2**24
"""Numbers up to this are looked up in a table; scripts make labels of any number."""


def within(mask: Mask, distance: float) -> Mask:
    """Return the pixels within a distance of those of a mask, these included.

    Parameters
    ----------
    mask : ndarray of shape (Y, X), bool
    distance : float
        In pixels, from centre to centre.

    Returns
    -------
    ndarray of the same shape, bool
    """
    near = np.zeros_like(mask)
    halo = math.ceil(distance)
    side = max(_TILE_PX, 4 * halo)
    # Tile by tile: distances take 30 times the memory of the mask, and most of a large
    # image is far from the few objects that are asked about.
    for y, x in np.ndindex(-(-mask.shape[0] // side), -(-mask.shape[1] // side)):
        inner = slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side)
        outer = tuple(
            slice(max(part.start - halo, 0), part.stop + halo) for part in inner
        )
        around = mask[outer]
        if not around.any():
            continue
        box = bounds(around, halo)
        found = np.zeros_like(around)
        found[box] = ndimage.distance_transform_edt(~around[box]) <= distance
        at = [part.start - wide.start for part, wide in zip(inner, outer, strict=True)]
        near[inner] = found[at[0] : at[0] + side, at[1] : at[1] + side]
    return near


def members(labels: NDArray[Any], ids: NDArray[np.integer[Any]]) -> Mask:
    """Return the pixels of some objects.

    Parameters
    ----------
    labels : ndarray of any shape, integer
        From 0 up.
    ids : ndarray of shape (n,), integer
        Numbers of the objects; those that no pixel has are ignored.

    Returns
    -------
    ndarray of the same shape, bool
    """
    if not len(ids):
        return np.zeros(labels.shape, np.bool_)
    highest = int(labels.max(initial=0))
    if highest > LOOK_UP_MAX:
        return np.isin(labels, ids)
    wanted = np.zeros(highest + 1, np.bool_)
    wanted[ids[ids <= highest]] = True
    flat, found = labels.ravel(), np.empty(labels.size, np.bool_)
    for first in range(0, flat.size, _PART):
        part = slice(first, first + _PART)
        found[part] = wanted[flat[part]]
    return found.reshape(labels.shape)


def sizes_of(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the objects, and how many pixels each has.

    Parameters
    ----------
    labels : ndarray of any shape, integer
        From 0 up; 0 is background.

    Returns
    -------
    ids, sizes : ndarray of shape (n,), int64
        Ascending by number.
    """
    highest = int(labels.max(initial=0))
    if highest <= LOOK_UP_MAX:
        flat, sizes = labels.ravel(), np.zeros(highest + 1, np.int64)
        for first in range(0, flat.size, _PART):
            sizes += np.bincount(flat[first : first + _PART], minlength=sizes.size)
        sizes[0] = 0
        ids = np.flatnonzero(sizes)
        return ids, sizes[ids]
    ids, sizes = np.unique(labels[labels != 0], return_counts=True)
    return ids.astype(np.int64), sizes


def renumbered(
    labels: NDArray[Any], ids: NDArray[np.integer[Any]]
) -> NDArray[np.int32]:
    """Return labels with other numbers.

    Parameters
    ----------
    labels : ndarray of any shape, integer
        0 is background.
    ids : ndarray of shape (n,), integer
        All of its numbers but 0, ascending.

    Returns
    -------
    ndarray of the same shape, int32
        1 for the first of `ids`, and so on.
    """
    highest = int(labels.max(initial=0))
    if highest > LOOK_UP_MAX:
        return np.searchsorted(ids, labels, side="right").astype(np.int32)
    numbers = np.zeros(highest + 1, np.int32)
    numbers[ids] = np.arange(1, len(ids) + 1)
    found: NDArray[np.int32] = numbers[labels]
    return found


def bounds(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the box around the pixels of a mask, with a margin, in its shape.

    Parameters
    ----------
    mask : ndarray of shape (Y, X), bool
        Not empty.
    margin : int
        Pixels more on each side, as far as the mask goes.

    Returns
    -------
    tuple of slice
        Rows and columns.
    """
    box = []
    for axis in range(2):
        at = np.flatnonzero(mask.any(axis=1 - axis))
        start, stop = int(at[0]) - margin, int(at[-1]) + 1 + margin
        box.append(slice(max(start, 0), min(stop, mask.shape[axis])))
    return box[0], box[1]
