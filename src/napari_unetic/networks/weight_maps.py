"""How much each pixel counts in a loss: classes that are rare, borders that are thin.

Maps of weights are multiplied with each other and with the reviewed area, which is 1
where labels can be trusted and 0 elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.errors import UneticError

_NEGLIGIBLE = 1e-3


def class_weights(
    classes: NDArray[np.integer], by_class: Sequence[float]
) -> NDArray[np.float32]:
    """Return a map of the weight of each pixel's class.

    Parameters
    ----------
    classes : ndarray of any shape, integers from 0
        Class of each pixel.
    by_class : sequence of float, at least 0
        Weight of each class, the background first.

    Returns
    -------
    ndarray of the shape of `classes`, float32

    Raises
    ------
    UneticError
        If a weight is negative or not finite, or a class has none.
    """
    table = np.asarray(by_class, np.float32)
    if table.size == 0 or not np.isfinite(table).all() or (table < 0).any():
        raise UneticError(
            "Expected a weight of 0 or more for each class, got "
            f"{', '.join(str(value) for value in by_class) or 'none'}; correct it."
        )
    low, high = classes.min(initial=0), classes.max(initial=0)
    if low < 0 or high >= table.size:
        raise UneticError(
            f"Expected classes from 0 to {table.size - 1}, as many as weights, got "
            f"{low} to {high}; give a weight for each class."
        )
    weights: NDArray[np.float32] = table[classes]
    return weights


def border_weights(
    labels: NDArray[np.integer], *, height: float = 10.0, width_px: float = 5.0
) -> NDArray[np.float32]:
    """Return a map that is 1, and more in the background between two objects.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X), integers
        A number for each object, 0 for the background.
    height : float, at least 0
        What comes on top of the 1 in a gap of no width.
    width_px : float, above 0
        How far gaps may be for that to fall to .61 of it: the standard deviation, in
        pixels, of the sum of the distances to the two nearest objects.

    Returns
    -------
    ndarray of the shape of `labels`, float32
        Where only one object or none is near, 1. Less than a thousandth on top is left
        out.

    References
    ----------
    Ronneberger et al. 2015, arXiv 1505.04597, section 3, equation 2, whose w0 is
    `height` and whose sigma is `width_px`; the weights of classes are apart
    (`class_weights`).
    """
    nearest = np.full(labels.shape, np.inf, np.float32)
    second = nearest.copy()
    ratio = max(height / _NEGLIGIBLE, 1.0)
    margin = math.ceil(width_px * math.sqrt(2 * math.log(ratio)))
    for number, found in enumerate(ndimage.find_objects(labels), start=1):
        if found is None:
            continue
        window = tuple(
            slice(max(0, part.start - margin), part.stop + margin) for part in found
        )
        distance = ndimage.distance_transform_edt(labels[window] != number)
        distance = distance.astype(np.float32)
        near, far = nearest[window], second[window]
        np.minimum(far, np.maximum(near, distance), out=far)
        np.minimum(near, distance, out=near)
    on_top = height * np.exp(-((nearest + second) ** 2) / (2 * width_px**2))
    on_top[(labels != 0) | (on_top < _NEGLIGIBLE)] = 0
    weights: NDArray[np.float32] = (1 + on_top).astype(np.float32)
    return weights
