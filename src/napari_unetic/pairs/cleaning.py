"""Labels without what nobody drew on purpose, by rules that look at labels alone.

A *click* is an object that is exactly one stamp of a round brush, 5 × 5 pixels without
the corners: in the masks of the Data Science Bowl 2018 there are some 260 of
this one shape, most of them on background or on another object's rim, where the
annotator touched the picture and drew nothing. A *stray* is a piece of an object that
touches its largest piece nowhere, not even at a corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

CLICK = np.array(
    [
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
    ],
    dtype=np.bool_,
)
"""The brush."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Labels with what was taken out of them.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), integer
        In the dtype they came in; what is left keeps its numbers.
    clicks : tuple of int
        Objects that were taken out.
    strays : tuple of int
        Objects that lost a piece.
    """

    labels: NDArray[np.integer]
    clicks: tuple[int, ...]
    strays: tuple[int, ...]


def clean_labels(labels: NDArray[np.integer]) -> Cleaned:
    """Take clicks and strays out of a label image.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X), integer
        0 is background. Volumes have no clicks.

    Returns
    -------
    Cleaned
        The labels are a copy.
    """
    kept = labels.copy()
    clicks, strays = [], []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        if mask.shape == CLICK.shape and bool((mask == CLICK).all()):
            kept[box][mask] = 0
            clicks.append(number)
            continue
        stray = _without_largest(mask)
        if stray.any():
            kept[box][stray] = 0
            strays.append(number)
    return Cleaned(kept, tuple(clicks), tuple(strays))


def _without_largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pieces of a mask but its largest; of equal ones the first stays."""
    pieces, n = ndimage.label(mask, np.ones((3,) * mask.ndim, np.bool_))
    if n == 1:
        return np.zeros_like(mask)
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    rest: NDArray[np.bool_] = mask & (pieces != largest)
    return rest
