"""Write a result into a layer that is there: one step to undo, nothing lost."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer

from napari_unetic.errors import UneticError
from napari_unetic.widgets.layers import METADATA_KEY, PLACEMENT
from napari_unetic.widgets.merging import Content, merge
from napari_unetic.widgets.records import record_of, with_accepted
from napari_unetic.widgets.touching import Moment, watch

if TYPE_CHECKING:
    from napari_unetic.widgets.results import SegmentedLayer


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an update will write, found out before; `prepare_update` returns it.

    Parameters
    ----------
    content : Content
        What the layer is to hold.
    state : tuple
        Of the layer, that the content was made for.
    """

    content: Content
    state: tuple[Any, ...]


def prepare_update(layer: Labels, result: SegmentedLayer) -> Prepared:
    """Find out what an update will write, so that `update_layer` only has to write it.

    For a thread that does the work, where the result is of a part of a large image.

    Parameters
    ----------
    layer : napari.layers.Labels
        An earlier result of the same image. It is only read.
    result : SegmentedLayer
        What will be written.

    Returns
    -------
    Prepared
        Of no use any more, and of no harm, once the layer has been changed.

    Raises
    ------
    UneticError
        If the layer is another image's or covers another part.
    """
    _check_same_place(layer, result)
    touched = watch(layer).touched()
    state = watch(layer).state()
    record = layer.metadata[METADATA_KEY]
    predicted = record["predicted"] if touched else None
    return Prepared(merge(layer.data, layer.features, predicted, result), state)


def update_layer(
    layer: Labels,
    result: SegmentedLayer,
    layers: Container[Layer] | None = None,
    prepared: Prepared | None = None,
) -> Labels:
    """Write a result into a layer of labels, as one step that can be undone.

    Parameters
    ----------
    layer : napari.layers.Labels
        An earlier result of the same image.
    result : SegmentedLayer
        What to write. Of an image that was segmented in part, a plane or a region,
        the objects replace those that lie there with at least half their area; the
        others stay, with their numbers, and the new ones get numbers above theirs.
    layers : container of layers, optional
        Of the viewer, to notice that the layer is not there any more.
    prepared : Prepared, optional
        From `prepare_update`; else it is found out here, which takes a tenth of a
        second for a part of an image of ten million pixels.

    Returns
    -------
    napari.layers.Labels
        The layer; or a new one, in no viewer yet, with what it would have held, where
        its data type cannot count the objects. Then the layer is as it was.

    Raises
    ------
    UneticError
        If the layer is gone, locked, not editable, multiscale, not in memory, or of
        another image; the sentence says what to do.

    Notes
    -----
    Labels, table and record change together, and napari's undo and redo take them back
    and forth together.
    """
    check_writable(layer, layers)
    watching = watch(layer)
    watching.settle()
    if prepared is None or prepared.state != watching.state():
        prepared = prepare_update(layer, result)
    content, touched = prepared.content, watching.touched()
    if content.highest > np.iinfo(layer.data.dtype).max:
        return _new_layer(layer, content)
    before = Moment(layer, touched=touched)
    watching.muted = True
    try:
        layer.data[...] = content.labels
        layer.features = content.features
        record = with_accepted(content.record, layer.metadata.get(METADATA_KEY))
        layer.metadata = {**layer.metadata, METADATA_KEY: record}
        _into_history(layer, before, Moment(layer, touched=content.touched))
        layer.refresh()
    finally:
        watching.muted = False
    watching.written(touched=content.touched)
    return layer


def check_writable(layer: Labels, layers: Container[Layer] | None = None) -> None:
    """Refuse a layer that a result cannot be written into.

    Parameters
    ----------
    layer : napari.layers.Labels
        The layer.
    layers : container of layers, optional
        Of the viewer.

    Raises
    ------
    UneticError
        If the layer is gone, locked, not editable, multiscale or not in memory.
    """
    if layers is not None and layer not in layers:
        state, remedy = "is not in the viewer any more", "write to a new layer"
    elif layer.multiscale:
        state, remedy = "has several levels", "write to a new layer"
    elif layer.locked:
        state, remedy = "is locked", "unlock it, or write to a new layer"
    elif not layer.editable:
        state, remedy = "is not editable", "make it editable, or write to a new layer"
    elif not (isinstance(layer.data, np.ndarray) and layer.data.flags.writeable):
        state, remedy = "is not in memory", "write to a new layer"
    else:
        return
    raise UneticError(
        f"Expected a layer of labels that can be changed, got {layer.name}, which "
        f"{state}; {remedy}."
    )


def _check_same_place(layer: Labels, result: SegmentedLayer) -> None:
    """Refuse a layer whose pixels are others than those of a result."""
    old, new = record_of(layer) or {}, result.layer.metadata[METADATA_KEY]
    same = all(old.get(key) == new.get(key) for key in ("layer", "level"))
    if not same or layer.data.shape != result.layer.data.shape:
        raise UneticError(
            f"Expected an earlier result of {result.source.name}, got {layer.name}, "
            "which is another image's or covers another part; write to a new layer."
        )
    if old.get("classes") != new.get("classes"):
        raise UneticError(
            f"Expected an earlier result of the same kind, got {layer.name}, whose "
            "numbers stand for something else (objects, or other classes); write to a "
            "new layer."
        )


def _new_layer(layer: Labels, content: Content) -> Labels:
    """Return a layer in the place of another, with a data type that suffices."""
    state = layer.as_layer_data_tuple()[1]
    placement = {key: state[key] for key in PLACEMENT}
    new = Labels(
        content.labels,
        name=layer.name,
        features=content.features,
        metadata={METADATA_KEY: content.record},
        **placement,
    )
    watch(new).written(touched=content.touched)
    return new


def _into_history(layer: Labels, before: Moment, after: Moment) -> None:
    """Let napari's undo write one moment into the data, and its redo the other."""
    everything = (slice(None),) * layer.data.ndim
    # There is no public way that does not keep an index of every changed pixel, and
    # takes a tenth of a second for a million of them.
    layer._save_history((everything, before, after))
