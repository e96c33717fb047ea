"""A picture of the result: the image, contrast-stretched, with coloured outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError

COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
"""Orange, sky blue, yellow, green, vermillion, purple, blue, as red, green, blue.

A palette for all kinds of colour vision: M. Okabe and K. Ito, *Color Universal Design*
(2002, https://jfly.uni-koeln.de/color/), without its black.
"""


def overlay(image: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw the outlines of objects on a contrast-stretched image.

    Parameters
    ----------
    image : ndarray of shape (Y, X) or (C, Y, X), integer or real
        One plane. Three channels are shown as red, green and blue, any other number
        as their mean.
    labels : ndarray of shape (Y, X), integer
        Label image; 0 is background.

    Returns
    -------
    ndarray of shape (Y, X, 3), uint8
        Grey or colour, outlines one pixel wide inside the objects. Objects that
        touch differ in colour, up to `COLOURS`' number of neighbours.

    Raises
    ------
    UneticError
        If the shapes do not fit.
    """
    if image.ndim not in (2, 3) or image.shape[-2:] != labels.shape:
        raise UneticError(
            f"Expected one plane of the labels' shape {labels.shape}, channels first, "
            f"got {image.shape}; take the plane that the labels belong to."
        )
    channels = [_stretch(c) for c in (image if image.ndim == 3 else image[np.newaxis])]
    if len(channels) != 3:
        channels = [np.mean(channels, axis=0)] * 3
    picture = np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8)
    edge = outlines(labels)
    palette = np.array(COLOURS, dtype=np.uint8)
    picture[edge] = palette[_colour_indices(labels)[edge]]
    return picture


def outlines(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the object pixels that have a neighbour of another label.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), integer
        Label image; 0 is background.

    Returns
    -------
    ndarray of shape (Y, X), bool
        Neighbours are the four that share a side; the image's edge is none.
    """
    edge = np.zeros(labels.shape, dtype=bool)
    for first, second in _neighbours(labels.shape):
        differ = labels[first] != labels[second]
        edge[first] |= differ
        edge[second] |= differ
    edge &= labels > 0
    return edge


def _neighbours(
    shape: tuple[int, ...],
) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Return two views of a (Y, X) array, one step apart, down and across."""
    whole = slice(None)
    return [
        ((slice(None, -1), whole), (slice(1, None), whole)),
        ((whole, slice(None, -1)), (whole, slice(1, None))),
    ]


def _stretch(channel: NDArray[Any]) -> NDArray[np.float64]:
    """Return a channel between 0 and 1, saturated at its percentiles 1 and 99.8."""
    values = np.nan_to_num(channel.astype(np.float64), posinf=np.nan, neginf=np.nan)
    low, high = np.percentile(values, (1, 99.8))
    scaled = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    stretched: NDArray[np.float64] = np.clip(scaled, 0, 1)
    return stretched


def _colour_indices(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return for each pixel the palette position of its object."""
    ids, positions = np.unique(labels, return_inverse=True)
    touching: dict[int, set[int]] = {}
    at = positions.reshape(labels.shape)
    for first, second in _neighbours(labels.shape):
        a, b = at[first], at[second]
        contact = (a != b) & (labels[first] > 0) & (labels[second] > 0)
        for i, j in np.unique(
            np.stack([a[contact], b[contact]], axis=-1), axis=0
        ).tolist():
            touching.setdefault(i, set()).add(j)
            touching.setdefault(j, set()).add(i)
    n = len(COLOURS)
    colours = np.arange(len(ids)) % n
    # Greedy, in the order of the labels: each takes the next colour no neighbour has.
    for i in sorted(touching):
        taken = {int(colours[j]) for j in touching[i] if j < i}
        free = [c for k in range(n) if (c := (i + k) % n) not in taken]
        colours[i] = free[0] if free else i % n
    chosen: NDArray[np.int64] = colours[at]
    return chosen
