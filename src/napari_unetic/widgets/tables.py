"""The table of a layer of labels: one row of measurements an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.axes import canonical
from napari_unetic.errors import UneticError
from napari_unetic.instances.measure import measure_planes
from napari_unetic.settings import SegmentSettings, settings_from
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.widgets.layers import LayerSource, layer_source
from napari_unetic.widgets.levels import level_data
from napari_unetic.widgets.records import Record, record_of

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unetic.predict import Segmentation

Table = dict[str, "NDArray[Any]"]


def features_of(
    found: Segmentation, source: LayerSource, settings: SegmentSettings
) -> Table:
    """Measure the objects of a segmentation.

    Parameters
    ----------
    found : Segmentation
        Of the image of `source`.
    source : LayerSource
        The image layer; it is read by windows, where there are objects.
    settings : SegmentSettings
        What was segmented: the channel, and whether planes were linked.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        The columns of `napari_unetic.instances.measure.measure`, places in pixels of
        the image (of the level), and ``score``.
    """
    start = tuple(part.start for part in found.extent)
    is_planar = _is_planar(settings, found.provenance)
    table = _measured(found.labels, source, settings, start, is_planar=is_planar)
    return table | {"score": found.scores[table["index"] - 1]}


def _measured(
    labels: NDArray[Any],
    source: LayerSource,
    settings: SegmentSettings,
    start: Sequence[int],
    *,
    is_planar: bool,
    shape: bool = False,
) -> Table:
    """Measure labels of canonical axes that begin at a pixel of the image."""
    image = source.image()
    axes = image.plane_axes + "YX"
    channels = None
    if settings.channel is not None and "C" in image.axes:
        channels = (settings.channel,)

    def read(plane: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        window = image.read(
            tuple(i + first for i, first in zip(plane, start, strict=False)),
            channels,
            _moved(rows, start[-2]),
            _moved(columns, start[-1]),
        )
        return window[0] if len(window) == 1 else window

    table = measure_planes(
        labels,
        read,
        image.pixel_size,
        axes=axes,
        is_planar=is_planar,
        shape=shape,
    )
    return _shifted(table, dict(zip(axes, start, strict=True)), image.pixel_size.sizes)


def _is_planar(settings: SegmentSettings, made: Mapping[str, Any]) -> bool:
    """Whether each object lies in one plane: neither linked nor found in a volume."""
    return not settings.link and made.get("network_axes", "YX") == "YX"


def _moved(part: slice, start: int) -> slice:
    return slice(part.start + start, part.stop + start)


def _shifted(
    table: Table, start: Mapping[str, int], sizes: Mapping[str, float]
) -> Table:
    """Return a table with places in the image instead of in a part of it."""
    shifted = dict(table)
    for letter, first in start.items():
        for column in ("centroid", "bbox_min", "bbox_max"):
            shifted[f"{column}_{letter.lower()}"] += first
        if (name := f"centroid_{letter.lower()}_um") in shifted:
            shifted[name] += first * sizes[letter]
    return shifted


def shape_features_steps(
    layer: Labels, image_layer: ImageLayer
) -> Steps[tuple[Labels, Table]]:
    """Measure the objects that a layer holds now, their shape too.

    Parameters
    ----------
    layer : napari.layers.Labels
        A result, perhaps edited since, or other labels of the size of the image.
    image_layer : napari.layers.Image
        The image that it is of.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    tuple of Labels and dict
        The layer, and the features to give it: those that are measured, with
        ``eccentricity`` and ``solidity``; and the other columns that it has, such as
        ``score``, for the objects that have a row.

    Raises
    ------
    UneticError
        If the labels do not fit the image.
    """
    yield Step(0, 0, "measuring")
    record = record_of(layer) or {}
    settings = settings_from(record) if record else SegmentSettings()
    source, start = _image_of(layer, image_layer, settings, record)
    labels = _canonical(np.asarray(layer.data), source.label_axes)
    origin = dict(zip(source.label_axes, start, strict=True))
    axes = [letter for letter in canonical(source.label_axes) if letter != "C"]
    table = _measured(
        labels,
        source,
        settings,
        [origin[letter] for letter in axes],
        is_planar=_is_planar(settings, record),
        shape=True,
    )
    return layer, table | _others(layer, table)


def add_shape_features(layer: Labels, image_layer: ImageLayer) -> None:
    """Measure the objects of a layer again, with ``eccentricity`` and ``solidity``.

    The parameters and errors are those of `shape_features_steps`; the features of the
    layer are replaced.
    """
    _, features = drain(shape_features_steps(layer, image_layer))
    layer.features = features


def _image_of(
    layer: Labels, image_layer: ImageLayer, settings: SegmentSettings, record: Record
) -> tuple[LayerSource, Sequence[int]]:
    """Return the image at the level that labels are of, and where they begin in it."""
    shape = tuple(int(size) for size in layer.data.shape)
    n_levels = len(image_layer.data) if image_layer.multiscale else 1
    for level in [record["level"]] if "level" in record else range(n_levels):
        if level >= n_levels or layer.multiscale:
            break
        source = layer_source(image_layer, settings.axes, level)
        place = record.get("layer", {})
        sizes = source.sizes | {"C": 1}
        start = place.get("start", [0] * len(shape))
        if place.get("axes", source.label_axes) != source.label_axes:
            continue
        if len(shape) != len(source.label_axes):
            continue
        room = [
            sizes[letter] - first
            for letter, first in zip(source.label_axes, start, strict=True)
        ]
        is_whole = "layer" not in record
        if tuple(room) == shape or (
            not is_whole and all(n <= m for n, m in zip(shape, room, strict=True))
        ):
            return source, start
    raise UneticError(
        f"Expected labels of the size of {image_layer.name} "
        f"({tuple(level_data(image_layer).shape)}), got {layer.name} of shape {shape}; "
        "choose the image that they are of."
    )


def _canonical(labels: NDArray[Any], axes: str) -> NDArray[Any]:
    """Return labels as planes along T and Z, then Y and X; a view."""
    if "C" in axes:
        labels = labels.take(0, axis=axes.index("C"))
        axes = axes.replace("C", "")
    return labels.transpose([axes.index(letter) for letter in canonical(axes)])


def _others(layer: Labels, table: Table) -> Table:
    """Return the columns of a layer that a table lacks, row by row of the table."""
    known = layer.features
    if "index" not in known:
        return {}
    rows = known.set_index("index").reindex(table["index"])
    return {str(name): rows[name].to_numpy() for name in rows if str(name) not in table}
