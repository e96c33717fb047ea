"""Class masks out of the files that people have: 0/1, 0/255, indices, objects.

The rule:

- With one class beside the background, every pixel that is not 0 shows it: masks of 0
  and 1, of 0 and 255, and label images, whose objects are all of that class. Masks of
  one object a file are laid over each other. An 8-bit image that has 255 and greys
  beside it is refused, since that is a mask with soft edges, or a picture.
- With several classes, a pixel's number is its class, from 0, the background, to the
  number of classes. Any other number is refused, and so are masks of one object a file,
  which say nothing of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError


def take_classes(
    array: NDArray[Any], n_classes: int, name: str = "mask"
) -> NDArray[np.int32]:
    """Return the class of each pixel of a mask, as the rule of this module says.

    Parameters
    ----------
    array : ndarray of shape (Y, X) or plane axes and (Y, X), integers
        The mask as it was read.
    n_classes : int
        Classes, the background included; at least 2.
    name : str
        For messages.

    Returns
    -------
    ndarray of the same shape, int32
        From 0 to ``n_classes - 1``.

    Raises
    ------
    UneticError
        If the numbers are not those of such a mask.
    """
    if n_classes == 2:
        if array.dtype == np.uint8:
            greys = np.flatnonzero(np.bincount(array.ravel(), minlength=256)[1:]) + 1
            if greys.size > 1 and greys[-1] == 255:
                raise UneticError(
                    f"Expected a mask of 0 and 1, of 0 and 255, or numbers of objects "
                    f"in {name}, got 255 and {greys.size - 1} greys beside it; "
                    "threshold it, or save numbers of objects with 16 bits."
                )
        return np.asarray(array != 0, np.int32)
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if low < 0 or high >= n_classes:
        wrong = low if low < 0 else high
        raise UneticError(
            f"Expected class indices from 0 (background) to {n_classes - 1} in {name}, "
            f"got {wrong}; number the classes so, or name as many classes as there are."
        )
    return np.ascontiguousarray(array, dtype=np.int32)


def join_masks(
    masks: Iterable[NDArray[Any]], n_classes: int, name: str = "masks"
) -> NDArray[np.int32]:
    """Return the class mask of masks of one object each: 1 where any has a pixel.

    Parameters
    ----------
    masks : iterable of ndarray of one shape
        One object each: the pixels that are not 0.
    n_classes : int
        Classes, the background included.
    name : str
        For messages.

    Raises
    ------
    UneticError
        If there are several classes, no mask, or masks of several shapes.
    """
    if n_classes > 2:
        raise UneticError(
            f"Expected a mask of class indices for {name}, got one mask an object, "
            "which says nothing of classes; save one mask an image."
        )
    joined: NDArray[np.int32] | None = None
    for mask in masks:
        found = (mask != 0).astype(np.int32)
        if joined is None:
            joined = found
        elif joined.shape != found.shape:
            raise UneticError(
                f"Expected masks of one shape for {name}, got {joined.shape} and "
                f"{found.shape}; remove or redo the one that differs."
            )
        else:
            np.maximum(joined, found, out=joined)
    if joined is None:
        raise UneticError(
            f"Expected at least one mask for {name}, got none; leave this image out."
        )
    return joined
