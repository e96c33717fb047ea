"""Bringing a place in a layer into the middle of the view."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from napari.viewer import Viewer


class Shares(NamedTuple):
    """How much of the window's smaller side something takes up.

    Parameters
    ----------
    best : float
        If the zoom changes.
    least, most : float
        Between these the zoom stays as it is.
    """

    best: float
    least: float
    most: float


OBJECT = Shares(1 / 8, 1 / 24, 1 / 3)
"""For an object among its neighbours."""

WHOLE = Shares(0.9, 0.4, 1.0)
"""For an image."""


def look_at(
    viewer: Viewer,
    layer: Layer,
    low: Sequence[float],
    high: Sequence[float],
    *,
    shares: Shares = OBJECT,
) -> None:
    """Show the plane and the place of a box in a layer.

    The zoom stays as it is where the box is neither too small nor too large for it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose view it is; this is for its thread alone.
    layer : napari.layers.Layer
        In the viewer.
    low, high : sequence of float
        The corners of the box, in the layer's data, one entry a dimension.
    shares : Shares
        How much of the window it shall take up.
    """
    corners = np.array([low, high], np.float64)
    middle = np.asarray(layer.data_to_world(corners.mean(axis=0)), np.float64)
    dims = viewer.dims
    missing = dims.ndim - layer.ndim
    across = [axis for axis in dims.not_displayed if axis >= missing]
    if across:
        dims.set_point(across, [float(middle[axis - missing]) for axis in across])
    shown = [axis - missing for axis in dims.displayed if axis >= missing]
    if len(shown) != len(dims.displayed):
        return
    camera = viewer.scene.camera
    centre = [float(middle[axis]) for axis in shown]
    camera.center = (*(0.0,) * (3 - len(centre)), *centre)
    size = _size(layer, corners, shown)
    window = min(viewer.canvas.size)
    if size > 0 and not shares.least <= size * camera.zoom / window <= shares.most:
        camera.zoom = shares.best * window / size


def shown_bounds(
    viewer: Viewer,
    layer: Layer,
    low: Sequence[float],
    high: Sequence[float],
    margin: float = 1.0,
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the corners of a box in the two dimensions of a layer that are shown.

    Parameters
    ----------
    viewer, layer, low, high
        As for `look_at`.
    margin : float
        In pixels of the layer, added on each side.

    Returns
    -------
    tuple of tuple of float, or None
        None where the view is in 3-D, or another plane is shown.
    """
    dims = viewer.dims
    missing = dims.ndim - layer.ndim
    shown = [axis - missing for axis in dims.displayed]
    if len(shown) != 2 or min(shown) < 0:
        return None
    at = np.rint(np.asarray(layer.world_to_data(dims.point), np.float64))
    for axis in range(layer.ndim):
        if axis not in shown and not low[axis] <= at[axis] <= high[axis]:
            return None
    (y0, x0), (y1, x1) = ([float(end[axis]) for axis in shown] for end in (low, high))
    return (y0 - margin, x0 - margin), (y1 + margin, x1 + margin)


def _size(
    layer: Layer,
    corners: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    shown: list[int],
) -> float:
    """Return the longest side of a box in the world, of the dimensions shown."""
    first = np.asarray(layer.data_to_world(corners[0]), np.float64)
    longest = 0.0
    for axis in range(layer.ndim):
        other = corners[0].copy()
        other[axis] = corners[1, axis]
        side = np.asarray(layer.data_to_world(other), np.float64) - first
        longest = max(longest, float(np.linalg.norm(side[shown])))
    return longest
