"""One row of measurements an object, in pixels and, where known, in physical units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize, check_axes
from napari_unetic.errors import UneticError

Table = dict[str, NDArray[Any]]


def measure(
    labels: NDArray[Any],
    image: NDArray[Any] | None = None,
    pixel_size: PixelSize | None = None,
    *,
    axes: str | None = None,
    is_planar: bool = False,
) -> Table:
    """Measure every object of a label image.

    Parameters
    ----------
    labels : ndarray of shape ([T, ][Z, ]Y, X), integer
        Label image; 0 is background.
    image : ndarray of the same shape, or with channels ([T, ][Z, ]C, Y, X), optional
        Intensities to measure, in any real dtype.
    pixel_size : PixelSize, optional
        Adds columns in its unit where it knows the axes.
    axes : str, optional
        One letter a dimension of `labels`; ``YX``, ``ZYX`` or ``TZYX`` if None.
    is_planar : bool
        Whether each object lies in one plane, so that it has an area also where there
        is Z.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        Columns of one row an object, ascending by ``index``, its label:

        - ``area`` (``volume`` of objects over several Z), in pixels;
        - ``centroid_<axis>``, in pixels from the centre of the first;
        - ``bbox_min_<axis>``, ``bbox_max_<axis>``: half-open, in pixels;
        - ``equivalent_diameter``: of the circle (ball) of the same size, in pixels;
        - ``mean_intensity``, ``min_intensity``, ``max_intensity``, with ``_c<n>``
          appended where there is a channel axis;
        - with a pixel size: size, centroid and diameter again, the unit appended to
          the name (``area_um2``, ``centroid_y_um``, ``equivalent_diameter_um``).

    Raises
    ------
    UneticError
        If the labels are not integers or a shape does not fit.
    """
    if labels.dtype.kind not in "bui":
        raise UneticError(
            f"Expected labels of whole numbers, got dtype {labels.dtype}; "
            "convert them to integers first."
        )
    letters = check_axes(axes or "TZYX"[-max(labels.ndim, 2) :], labels.ndim).lower()
    where = np.flatnonzero(labels)
    ids, groups = _groups(labels.ravel()[where])
    n = len(ids)
    size = np.bincount(groups, minlength=n)
    is_solid = "z" in letters and not is_planar
    size_name = "volume" if is_solid else "area"
    table: Table = {"index": ids, size_name: size}
    for letter, at in zip(letters, np.unravel_index(where, labels.shape), strict=True):
        table[f"centroid_{letter}"] = np.bincount(groups, at, minlength=n) / size
        low, high = _extremes(groups, at, n)
        table[f"bbox_min_{letter}"], table[f"bbox_max_{letter}"] = low, high + 1
    table["equivalent_diameter"] = _diameter(size, is_solid)
    if image is not None:
        for suffix, channel in _channels(image, labels.shape):
            values = channel.ravel()[where]
            low, high = _extremes(groups, values, n)
            table[f"mean_intensity{suffix}"] = (
                np.bincount(groups, values, minlength=n) / size
            )
            table[f"min_intensity{suffix}"], table[f"max_intensity{suffix}"] = low, high
    if pixel_size is not None:
        table |= _physical(table, letters, pixel_size, is_solid)
    return table


def _groups(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels, ascending, and each value's position among them."""
    if values.size and int(values.min()) < 0:
        raise UneticError(
            f"Expected labels from 0 up, got {values.min()}; "
            "set pixels without an object to 0."
        )
    if values.size == 0 or int(values.max()) > 4 * values.size + 65_536:
        ids, groups = np.unique(values, return_inverse=True)
        return ids.astype(np.int64), groups.astype(np.int64)
    # Counting is far cheaper than sorting where the labels are not sparse.
    used = np.bincount(values) > 0
    return np.flatnonzero(used), (np.cumsum(used) - 1)[values]


def _extremes(
    groups: NDArray[np.int64], values: NDArray[Any], n: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the greatest value of each group; none is empty."""
    start = np.zeros(n, dtype=values.dtype)
    start[groups] = values
    low, high = start.copy(), start
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return low, high


def _diameter(size: NDArray[Any], is_ball: bool) -> NDArray[np.float64]:
    diameter: NDArray[np.float64] = (
        np.cbrt(6 * size / np.pi) if is_ball else np.sqrt(4 * size / np.pi)
    )
    return diameter


def _channels(
    image: NDArray[Any], shape: tuple[int, ...]
) -> list[tuple[str, NDArray[Any]]]:
    """Return each channel with the suffix of its columns."""
    if image.dtype.kind not in "buif":
        raise UneticError(
            f"Expected an image of integers or real numbers, got dtype {image.dtype}; "
            "convert it first."
        )
    if image.shape == shape:
        return [("", image)]
    if image.ndim == len(shape) + 1 and image.shape[:-3] + image.shape[-2:] == shape:
        return [(f"_c{c}", image[..., c, :, :]) for c in range(image.shape[-3])]
    raise UneticError(
        f"Expected an image of the labels' shape {shape}, channels before Y and X if "
        f"any, got {image.shape}; measure labels on the image they came from."
    )


def _physical(
    table: Table, letters: str, pixel_size: PixelSize, is_solid: bool
) -> Table:
    """Return the columns that can be told in the pixel size's unit."""
    if pixel_size.unit == "pixel":
        return {}
    unit = pixel_size.unit.replace("µ", "u").replace("μ", "u")
    sizes = {a.lower(): size for a, size in pixel_size.sizes.items()}
    columns: Table = {}
    for letter in letters:
        if letter in sizes and letter != "t":
            columns[f"centroid_{letter}_{unit}"] = (
                table[f"centroid_{letter}"] * sizes[letter]
            )
    space = "zyx" if is_solid else "yx"
    if all(letter in sizes for letter in space):
        name = "volume" if is_solid else "area"
        size = table[name] * np.prod([sizes[letter] for letter in space])
        columns[f"{name}_{unit}{len(space)}"] = size
        columns[f"equivalent_diameter_{unit}"] = _diameter(size, is_solid)
    return columns
