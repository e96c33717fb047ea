"""Where on an image: what the view shows, what shapes enclose, which plane is seen.

Napari layers and viewers in, pixels of an image layer out (level 0 of a multiscale
one); no Qt. The letters of an image are those of its layer's dimensions: the colours of
a colour layer are no dimension.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer, Shapes
    from napari.viewer import Viewer

AREAS = ("rectangle", "ellipse", "polygon")
"""The kinds of shapes that enclose something."""

_ELLIPSE_VERTICES = 64


def letters_of(layer: ImageLayer, axes: str) -> str:
    """Return the letters of a layer's dimensions, out of those of its data."""
    return axes[: layer.ndim]


def view_region(viewer: Viewer, layer: ImageLayer, letters: str) -> Region | None:
    """Return the part of an image that the window shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose view it is.
    layer : napari.layers.Image
        The image.
    letters : str
        One a dimension of the layer.

    Returns
    -------
    Region or None
        A box, or the turned rectangle that the window is on a turned image. None
        where the window shows the whole image.

    Raises
    ------
    UneticError
        If the view is in 3-D, from the side, or beside the image.
    """
    corners = _view_corners(viewer, layer, letters)
    rows, columns = _sizes_yx(layer, letters)
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.array([rows, columns])
    # A pixel reaches half a pixel beyond its centre.
    first = np.maximum(np.floor(low + 0.5), 0)
    last = np.minimum(np.ceil(high + 0.5), size)
    if (first >= last).any():
        raise UneticError(
            f"Expected a view that shows {layer.name}, got one beside it; move the "
            "view, or choose another region."
        )
    if _is_upright(corners):
        if (first == 0).all() and (last == size).all():
            return None
        return Region.box(*map(int, first), *map(int, last))
    return Region((_vertices(corners),))


def shapes_region(shapes: Shapes, layer: ImageLayer, letters: str) -> Region:
    """Return the part of an image that a layer of shapes encloses.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        Rectangles, ellipses and polygons; lines enclose nothing.
    layer : napari.layers.Image
        The image.
    letters : str
        One a dimension of the image layer.

    Returns
    -------
    Region
        One polygon a shape.

    Raises
    ------
    UneticError
        If nothing is enclosed.
    """
    polygons = [
        _vertices(to_image(shapes, outline, layer, letters))
        for outline in outlines(shapes)
    ]
    return Region(tuple(polygons))


def outlines(shapes: Shapes) -> list[NDArray[np.float64]]:
    """Return the outlines of what a layer of shapes encloses.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        Rectangles, ellipses and polygons; lines enclose nothing.

    Returns
    -------
    list of ndarray of shape (N, dimensions of the layer), float
        Vertices in the layer's own coordinates, one or more outlines.

    Raises
    ------
    UneticError
        If nothing is enclosed.
    """
    found = []
    for vertices, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind in AREAS:
            outline = np.asarray(vertices, np.float64)
            found.append(_ellipse(outline) if kind == "ellipse" else outline)
    if not found:
        raise UneticError(
            f"Expected a rectangle, ellipse or polygon in {shapes.name}, got none; "
            "draw one around the objects."
        )
    return found


def current_plane(viewer: Viewer, layer: ImageLayer, letters: str) -> tuple[int, ...]:
    """Return the plane of an image that the sliders of the viewer stand at.

    Returns
    -------
    tuple of int
        Index along those of T and Z that there are, in this order.
    """
    at = np.asarray(layer.world_to_data(viewer.dims.point))
    index = {}
    for position, letter in enumerate(letters):
        if letter in "TZ":
            last = _shape(layer)[position] - 1
            index[letter] = min(max(math.floor(at[position] + 0.5), 0), last)
    return tuple(index[letter] for letter in "TZ" if letter in index)


def length_on_image(line: Shapes, layer: ImageLayer, letters: str) -> float:
    """Return how long the last line of a layer of shapes is on an image, in pixels."""
    ends = to_image(line, np.asarray(line.data[-1], np.float64), layer, letters)
    return float(np.hypot(*(ends[-1] - ends[0])))


def to_image(
    other: Layer, points: NDArray[np.float64], layer: ImageLayer, letters: str
) -> NDArray[np.float64]:
    """Bring points of one layer to rows and columns of an image layer.

    Parameters
    ----------
    other : napari.layers.Layer
        The layer that the points are in.
    points : ndarray of shape (N, dimensions of `other`), float
        In its data's coordinates.
    layer : napari.layers.Image
        The image.
    letters : str
        One a dimension of the image layer.

    Returns
    -------
    ndarray of shape (N, 2), float
        Rows and columns, whatever order the image has them in.
    """
    found = [layer.world_to_data(other.data_to_world(point)) for point in points]
    return np.asarray(found, np.float64)[:, [letters.index("Y"), letters.index("X")]]


def visible_window(
    viewer: Viewer, layer: Layer, letters: str
) -> tuple[slice, slice] | None:
    """Return the rows and columns of a layer that the window shows.

    Returns
    -------
    tuple of slice, or None
        None where the view shows nothing of it, is in 3-D or from the side.
    """
    try:
        corners = _view_corners(viewer, layer, letters)
    except UneticError:
        return None
    sizes = _sizes_yx(layer, letters)
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) + 1
    rows, columns = (
        slice(int(max(start, 0)), int(min(stop, size)))
        for start, stop, size in zip(low, high, sizes, strict=True)
    )
    is_empty = rows.start >= rows.stop or columns.start >= columns.stop
    return None if is_empty else (rows, columns)


def _view_corners(viewer: Viewer, layer: Layer, letters: str) -> NDArray[np.float64]:
    """Return the corners of the window in rows and columns of a layer, (4, 2)."""
    dims = viewer.dims
    rows_and_columns = [letters.index("Y"), letters.index("X")]
    offset = dims.ndim - layer.ndim
    shown = {axis - offset for axis in dims.displayed}
    if dims.ndisplay != 2 or shown != set(rows_and_columns):
        raise UneticError(
            "Expected a view of rows and columns in 2-D, got another one; switch the "
            "viewer to 2-D, or choose another region."
        )
    camera = viewer.scene.camera
    half = np.asarray(viewer.canvas.size, np.float64) / (2 * camera.zoom)
    centre = np.asarray(camera.center, np.float64)[-2:]
    corners = []
    for side in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        point = np.asarray(dims.point, np.float64)
        point[list(dims.displayed)] = centre + side * half
        corners.append(layer.world_to_data(point))
    return np.asarray(corners, np.float64)[:, rows_and_columns]


def _is_upright(corners: NDArray[np.float64]) -> bool:
    """Whether the sides of a rectangle run along rows and columns."""
    sides = np.abs(np.diff(corners, axis=0))
    return bool((sides.min(axis=1) < 0.01).all())


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the outline of the ellipse that touches the four sides of a box."""
    centre = corners.mean(axis=0)
    across, down = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_VERTICES, endpoint=False)[:, np.newaxis]
    outline: NDArray[np.float64]
    outline = centre + across * np.cos(angle) + down * np.sin(angle)
    return outline


def _vertices(points: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return points as a region has them, to a hundredth of a pixel."""
    return tuple((round(float(y), 2), round(float(x), 2)) for y, x in points)


def _sizes_yx(layer: Layer, letters: str) -> tuple[int, int]:
    shape = _shape(layer)
    return shape[letters.index("Y")], shape[letters.index("X")]


def _shape(layer: Layer) -> tuple[int, ...]:
    """Return the shape of a layer's data, at level 0."""
    data: Any = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return tuple(int(size) for size in data.shape)
