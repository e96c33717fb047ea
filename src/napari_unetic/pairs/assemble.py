"""Label images out of what data sets have: one mask an object, or a binary mask.

The rule, for every kind of source:

- An object is what its data set calls one, so an object in several pieces stays one
  label. Only a binary mask, which names no objects, is taken apart into its connected
  pieces (pixels that touch at an edge or a corner).
- Where masks overlap, the pixel goes to the smaller object (at equal area to the one
  whose file name comes later), so an object that lies inside another does not
  disappear.
- A mask without pixels, or one whose every pixel goes to smaller objects, is no object;
  it is counted in a notice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_unetic.errors import UneticError

_LARGEST = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class Annotation:
    """A label image and what had to be decided to get it.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or plane axes and (Y, X), int32
        Number of the object at each pixel, 0 where there is none.
    notices : tuple of str
        Sentences the user should read.
    """

    labels: NDArray[np.int32]
    notices: tuple[str, ...] = ()


def assemble_masks(masks: Iterable[NDArray[Any]], name: str = "masks") -> Annotation:
    """Return the label image of masks that hold one object each.

    Parameters
    ----------
    masks : iterable of ndarray of shape (Y, X)
        One object each: the pixels that are not 0.
    name : str
        For messages.

    Returns
    -------
    Annotation
        Objects numbered from 1 in the order of the masks that are not empty; overlaps
        as the rule of this module says.

    Raises
    ------
    UneticError
        If the masks differ in shape or there are none.
    """
    shape: tuple[int, ...] | None = None
    objects: list[NDArray[np.intp]] = []
    n_empty = 0
    for mask in masks:
        shape = shape or mask.shape
        if mask.shape != shape:
            raise UneticError(
                f"Expected masks of one shape for {name}, got {shape} and "
                f"{mask.shape}; remove or redo the one that differs."
            )
        # Booleans first: numpy finds their non-zero ones several times faster.
        pixels = np.flatnonzero(mask != 0)
        if pixels.size:
            objects.append(pixels)
        else:
            n_empty += 1
    if shape is None:
        raise UneticError(
            f"Expected at least one mask for {name}, got none; leave this image out."
        )
    labels = np.zeros(shape, np.int32)
    flat = labels.reshape(-1)
    largest_first = sorted(range(len(objects)), key=lambda i: (-objects[i].size, i))
    for i in largest_first:
        flat[objects[i]] = i + 1
    n_hidden = sum(
        not (flat[pixels] == number).any() for number, pixels in enumerate(objects, 1)
    )
    notices = []
    if n_empty:
        notices.append(f"{name}: masks left out because they are empty: {n_empty}.")
    if n_hidden:
        notices.append(
            f"{name}: masks left out because smaller ones cover them: {n_hidden}."
        )
    return Annotation(labels, tuple(notices))


def take_labels(array: NDArray[Any], name: str = "labels") -> Annotation:
    """Return the objects of a label image or of a binary mask.

    Parameters
    ----------
    array : ndarray of shape (Y, X) or plane axes and (Y, X), integer
        Numbers of objects, 0 where there is none. It is a binary mask if its only
        other number is 1 or the largest of its type (255, 65535).
    name : str
        For messages.

    Returns
    -------
    Annotation
        The numbers as they are (renumbered only if they do not fit int32); of a binary
        mask in several pieces, the pieces, with a notice.
    """
    if is_binary(array):
        structure = np.ones((3,) * array.ndim, bool)
        pieces, n_pieces = scipy.ndimage.label(array, structure, output=np.int32)
        if n_pieces > 1:
            return Annotation(
                pieces,
                (
                    f"{name}: a binary mask, so its {n_pieces} connected pieces are "
                    "taken as the objects.",
                ),
            )
        return Annotation(pieces)
    if array.size and int(array.max()) > _LARGEST:
        numbers, array = np.unique(array, return_inverse=True)
        array = array + (0 if numbers[0] == 0 else 1)
    return Annotation(np.ascontiguousarray(array, dtype=np.int32))


def is_binary(array: NDArray[Any]) -> bool:
    """Whether an array's only number besides 0 is 1 or the largest of its type."""
    top = int(array.max()) if array.size else 0
    largest = {1, 255, 0xFFFF, int(np.iinfo(array.dtype).max)}
    return top in largest and bool(((array == 0) | (array == top)).all())
