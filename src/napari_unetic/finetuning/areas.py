"""Areas: what lies near something."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask: TypeAlias = NDArray[np.bool_]


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
    if not mask.any():
        return near
    # A few objects in a large image: distances are worked out around them alone.
    box = bounds(mask, math.ceil(distance))
    near[box] = ndimage.distance_transform_edt(~mask[box]) <= distance
    return near


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
