"""One row of measurements an object, in pixels and, where known, in physical units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.instances.tally import (
    Pixels,
    ReadWindow,
    Tally,
    added,
    nothing,
    tally_plane,
)

Table: TypeAlias = dict[str, NDArray[Any]]


def measure(
    labels: NDArray[Any],
    image: NDArray[Any] | None = None,
    pixel_size: PixelSize | None = None,
    *,
    axes: str | None = None,
    is_planar: bool = False,
    shape: bool = False,
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
    shape : bool
        Whether to add ``eccentricity`` and ``solidity``.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        Columns of one row an object, ascending by ``index``, its label:

        - ``area`` (``volume`` of objects over several Z), in pixels;
        - ``centroid_<axis>``, in pixels from the centre of the first;
        - ``bbox_min_<axis>``, ``bbox_max_<axis>``: half-open, in pixels;
        - ``equivalent_diameter``: of the circle (ball) of the same size, in pixels;
        - on demand ``eccentricity`` of the ellipse with the same second moments, 0 of
          a circle to 1 of a line, and ``solidity``, the share of the pixels of its
          convex hull that the object fills;
        - ``mean_intensity``, ``min_intensity``, ``max_intensity``, with ``_c<n>``
          appended where there is a channel axis;
        - with a pixel size: size, centroid and diameter again, the unit appended to
          the name (``area_um2``, ``centroid_y_um``, ``equivalent_diameter_um``).

    Raises
    ------
    UneticError
        If the labels are not integers from 0 up or a shape does not fit.

    Notes
    -----
    An object of several planes is one row. Its size is the mean over the frames (T)
    that it is in; its eccentricity and solidity are those of its sections, averaged
    over their pixels; all else is over all its pixels.
    """
    if image is None:
        return measure_planes(
            labels, None, pixel_size, axes=axes, is_planar=is_planar, shape=shape
        )
    has_channels = image.shape != labels.shape
    if has_channels and (
        image.ndim != labels.ndim + 1
        or image.shape[:-3] + image.shape[-2:] != labels.shape
    ):
        raise UneticError(
            f"Expected an image of the labels' shape {labels.shape}, channels before Y "
            f"and X if any, got {image.shape}; measure labels on the image they came "
            "from."
        )

    def read(plane: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        at: tuple[Any, ...] = (*plane, ..., rows, columns)
        window: NDArray[Any] = image[at]
        return window

    return measure_planes(
        labels, read, pixel_size, axes=axes, is_planar=is_planar, shape=shape
    )


def measure_planes(
    labels: NDArray[Any],
    read: ReadWindow | None = None,
    pixel_size: PixelSize | None = None,
    *,
    axes: str | None = None,
    is_planar: bool = False,
    shape: bool = False,
) -> Table:
    """Measure every object on an image that is read window by window.

    The other parameters, columns and errors are those of `measure`.

    Parameters
    ----------
    labels : ndarray of shape ([T, ][Z, ]Y, X), integer
        Label image; 0 is background. It may be lazy: of it too one window is taken at
        a time.
    read : callable, optional
        ``read(plane, rows, columns)`` returns the pixels of a window, of shape (Y, X)
        or (C, Y, X): `plane` is an index along the axes before Y and X, the others are
        slices. Called at most once for a pixel, in ascending order, for windows of
        whole rows that hold objects, and first for the window of one pixel that tells
        channels and dtype.
    pixel_size, axes, is_planar, shape
        As in `measure`.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        The columns of `measure`.
    """
    letters = check_axes(axes or "TZYX"[-max(labels.ndim, 2) :], labels.ndim).lower()
    if not letters.endswith("yx"):
        raise UneticError(
            f"Expected labels with Y and X last, got axes {letters.upper()}; transpose "
            "them first."
        )
    pixels = None
    if read is not None and 0 not in labels.shape:
        pixels = Pixels.probed(read, labels.ndim - 2)
    total = nothing(letters, pixels, shape=shape)
    total.sums["n_frames"] = np.zeros(0)
    for frame in _frames(labels.shape[:-2], letters):
        planes = [tally_plane(labels, at, letters, pixels, shape=shape) for at in frame]
        tally = added([nothing(letters, pixels, shape=shape), *planes])
        # Once a frame, however many planes of it an object is in.
        tally.sums["n_frames"] = np.ones(len(tally.ids))
        total = added([total, tally])
    return _table(total, letters, pixels, pixel_size, is_planar)


def _frames(shape: tuple[int, ...], letters: str) -> Iterator[list[tuple[int, ...]]]:
    """Yield the planes of each frame, or all planes where there is no time."""
    planes = list(np.ndindex(shape))
    if "t" not in letters:
        yield planes
        return
    axis = letters.index("t")
    for index in range(shape[axis]):
        yield [plane for plane in planes if plane[axis] == index]


def _table(
    total: Tally,
    letters: str,
    pixels: Pixels | None,
    pixel_size: PixelSize | None,
    is_planar: bool,
) -> Table:
    """Return the columns that follow from what was added up."""
    n_pixels, n_frames = total.sums["size"], total.sums["n_frames"]
    is_solid = "z" in letters and not is_planar
    size = n_pixels.astype(np.int64) if (n_frames == 1).all() else n_pixels / n_frames
    table: Table = {"index": total.ids, "volume" if is_solid else "area": size}
    for letter in letters:
        table[f"centroid_{letter}"] = total.sums[letter] / n_pixels
        table[f"bbox_min_{letter}"] = total.lows[letter]
        table[f"bbox_max_{letter}"] = total.highs[letter] + 1
    table["equivalent_diameter"] = _diameter(size, is_solid)
    for name in ("eccentricity", "solidity"):
        if name in total.sums:
            table[name] = total.sums[name] / n_pixels
    for suffix in pixels.suffixes if pixels is not None else ():
        name = "intensity" + suffix
        table["mean_" + name] = total.sums[name] / n_pixels
        table["min_" + name] = total.lows[name]
        table["max_" + name] = total.highs[name]
    if pixel_size is not None:
        table |= _physical(table, letters, pixel_size, is_solid)
    return table


def _diameter(size: NDArray[Any], is_ball: bool) -> NDArray[np.float64]:
    diameter: NDArray[np.float64] = (
        np.cbrt(6 * size / np.pi) if is_ball else np.sqrt(4 * size / np.pi)
    )
    return diameter


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
