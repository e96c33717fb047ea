"""What of a result is in view, and how it is decoded before all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.live import same_numbers
from napari_unetic.widgets.places import current_plane, visible_window
from napari_unetic.widgets.touching import is_touched

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.widgets.results import SegmentedLayer


class View(NamedTuple):
    """What of a result the window shows.

    Parameters
    ----------
    window : tuple of int and slice
        Index of the layer's data.
    plane : tuple of int
        Of the image, along T and Z.
    rows, columns : slice
        Of the image, at the level that was segmented.
    swapped : bool
        Whether the layer has columns before rows.
    """

    window: tuple[Any, ...]
    plane: tuple[int, ...]
    rows: slice
    columns: slice
    swapped: bool


class Seen(NamedTuple):
    """What became of decoding a view.

    Parameters
    ----------
    result : SegmentedLayer
        Whose maps were decoded.
    settings : SegmentSettings
        With which thresholds.
    touched : bool
        Whether the layer's labels are not those that were predicted.
    view : View, optional
        Where to show the labels.
    labels : ndarray of int
        In shape and dtype of what is in view, with the numbers that objects had before.
    """

    result: SegmentedLayer
    settings: SegmentSettings
    touched: bool
    view: View | None = None
    labels: NDArray[np.integer] = np.zeros((0, 0), np.uint16)


def find_view(viewer: Viewer, result: SegmentedLayer, layer: Labels) -> View | None:
    """Return what of a result the window shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose window.
    result : SegmentedLayer
        With kept maps.
    layer : napari.layers.Labels
        That shows it.

    Returns
    -------
    View or None
        None where nothing of it is in view, or of the plane there are no maps.
    """
    letters = result.source.label_axes
    window = visible_window(viewer, layer, letters)
    maps, record = result.segmentation.maps, layer.metadata.get(METADATA_KEY)
    if window is None or maps is None or record is None:
        return None
    start = dict(zip(letters, record["layer"]["start"], strict=True))
    along = [letter for letter in "TZ" if letter in letters]
    at = dict(zip(along, current_plane(viewer, layer, letters), strict=True))
    plane = tuple(index + start[letter] for letter, index in at.items())
    if not maps.has(plane):
        return None
    rows, columns = window
    parts: dict[str, Any] = {**at, "C": 0, "Y": rows, "X": columns}
    return View(
        window=tuple(parts[letter] for letter in letters),
        plane=plane,
        rows=slice(rows.start + start["Y"], rows.stop + start["Y"]),
        columns=slice(columns.start + start["X"], columns.stop + start["X"]),
        swapped=letters.index("X") < letters.index("Y"),
    )


def view_steps(
    result: SegmentedLayer,
    layer: Labels,
    settings: SegmentSettings,
    view: View | None,
    touched: bool | None,
) -> Steps[Seen]:
    """Decode what is in view, unless the layer was edited since it was written.

    Parameters
    ----------
    result : SegmentedLayer
        With kept maps.
    layer : napari.layers.Labels
        That shows it.
    settings : SegmentSettings
        In pixels of level 0.
    view : View, optional
        What to decode.
    touched : bool, optional
        Whether the layer was edited; found out if None.

    Yields
    ------
    Step
        One, without figures.

    Returns
    -------
    Seen
    """
    from napari_unetic.predict import decode_window

    yield Step(0, 0, "decoding the view")
    if touched is None:
        touched = is_touched(layer)
    maps = result.segmentation.maps
    if touched or view is None or maps is None:
        return Seen(result, settings, touched)
    on_level = result.on_level(settings)
    labels = decode_window(maps, on_level, view.plane, view.rows, view.columns)
    before = np.asarray(layer.data[view.window])
    labels = labels.T if view.swapped else labels
    if result.classes:
        # Their numbers are what they are.
        return Seen(result, settings, touched, view, labels.astype(before.dtype))
    kept = same_numbers(labels, before)
    return Seen(result, settings, touched, view, kept)
