"""Whether a person has changed the labels of a result, and which of its objects."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.instances.record import pack_labels, touched, unpack_labels
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.records import Record, find_record, record_of, with_accepted

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unetic.instances.record import Touched


class Moment:
    """The labels of a layer at one moment, with the record and the table of then.

    It stands for the labels in napari's history: to undo or redo, napari writes it
    into the layer's data, and the record and the table follow. Labels are kept packed,
    in a hundredth of the memory.

    Parameters
    ----------
    layer : napari.layers.Labels
        The layer as it is now.
    touched : bool
        Whether its labels are others than were predicted; if not, the prediction
        stands for them, and they are not looked at.
    """

    def __init__(self, layer: Labels, *, touched: bool) -> None:
        record = layer.metadata[METADATA_KEY]
        self.packed = pack_labels(layer.data) if touched else record["predicted"]
        self.touched = touched
        self.metadata = dict(layer.metadata)
        self.features = layer.features
        self._watch = watch(layer)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Unpack the labels, which napari does when it puts them back."""
        self._watch.put_back = self
        return np.asarray(unpack_labels(self.packed), dtype)


class Watch:
    """Listens to a layer, so that what has not been painted need not be compared.

    Parameters
    ----------
    layer : napari.layers.Labels
        The layer, which it does not keep alive.
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = weakref.ref(layer)
        self._touched: bool | None = None
        self._steps: tuple[int, ...] = ()
        self._n_changes = 0
        self._found: Record | None = None
        self._looked_for = False
        self.muted = False
        self.put_back: Moment | None = None
        # Napari holds bound methods weakly; `_WATCHES` holds this.
        for name in ("paint", "data", "metadata"):
            getattr(layer.events, name).connect(self._changed)
        layer.events.set_data.connect(self.settle)

    def touched(self) -> bool:
        """Whether the labels are others than were predicted."""
        if self.put_back is not None:
            return self.put_back.touched
        if self._touched is None or self._steps != self._n_steps():
            self.written(touched=not self._is_as_predicted())
        return bool(self._touched)

    def written(self, *, touched: bool) -> None:
        """Take note of what the labels are now."""
        self._touched, self._steps = touched, self._n_steps()

    def state(self) -> tuple[Any, ...]:
        """Return what is another whenever the labels are, as far as napari is asked."""
        layer = self._layer()
        data = None if layer is None else id(layer.data)
        return self.touched(), self._n_changes, self._n_steps(), data

    def record(self) -> Record | None:
        """Return what the layer was made with, without touching it.

        It is for any thread. A record that is not in the metadata is looked for once,
        which takes seconds where there are many of labels of that shape.
        """
        layer = self._layer()
        if layer is None:
            return None
        known: Record | None = layer.metadata.get(METADATA_KEY)
        if known is None and not layer.multiscale and not self._looked_for:
            self._found, self._looked_for = find_record(layer), True
        return self._found if known is None else known

    def replace_record(self, record: Record) -> None:
        """Put another record of the same labels into the layer.

        It is for the thread of the viewer alone.
        """
        layer = self._layer()
        if layer is None:
            return
        self.muted = True
        try:
            layer.metadata = {**layer.metadata, METADATA_KEY: record}
        finally:
            self.muted = False

    def _n_steps(self) -> tuple[int, ...]:
        """Return how many steps can be undone and redone; napari says no more of it."""
        layer = self._layer()
        names = ("_undo_history", "_redo_history")
        return tuple(len(getattr(layer, name, ())) for name in names)

    def _is_as_predicted(self) -> bool:
        layer = self._layer()
        record = None if layer is None else record_of(layer)
        if layer is None or record is None or "predicted" not in record:
            return False
        return np.array_equal(unpack_labels(record["predicted"]), layer.data)

    def _changed(self, event: object = None) -> None:
        self._n_changes += 1
        if not self.muted:
            self._touched = None

    def settle(self, event: object = None) -> None:
        """Put back the record and the table of labels that undo has put back.

        It is for the thread of the viewer alone; called when the layer is drawn.
        """
        moment, self.put_back = self.put_back, None
        layer = self._layer()
        if moment is None or layer is None:
            return
        now, then = layer.metadata.get(METADATA_KEY), moment.metadata[METADATA_KEY]
        self.muted = True
        try:
            # To accept an object is no step of the history, so undo leaves it alone.
            record = with_accepted(then, now)
            layer.metadata = {**moment.metadata, METADATA_KEY: record}
            layer.features = moment.features
        finally:
            self.muted = False
        self.written(touched=moment.touched)


_WATCHES: weakref.WeakKeyDictionary[Labels, Watch] = weakref.WeakKeyDictionary()


def watch(layer: Labels) -> Watch:
    """Return what listens to a layer; it begins to, if nothing did."""
    if layer not in _WATCHES:
        _WATCHES[layer] = Watch(layer)
    return _WATCHES[layer]


def is_touched(layer: Labels) -> bool:
    """Whether a person has changed the labels of a result.

    Parameters
    ----------
    layer : napari.layers.Labels
        Any layer of labels.

    Returns
    -------
    bool
        True, too, where nothing is known of a prediction.

    Notes
    -----
    Labels and prediction are compared when it is asked first and when the layer has
    been painted since (tens of milliseconds for four million pixels); else the answer
    is known. A script that writes into the data past napari is not noticed.
    """
    return watch(layer).touched()


def touched_objects(layer: Labels) -> Touched:
    """Tell the objects that a person has touched from those that were predicted.

    Parameters
    ----------
    layer : napari.layers.Labels
        A result, also one that was saved and opened again
        (`napari_unetic.widgets.records` says when it can be told).

    Returns
    -------
    Touched
        Numbers of objects untouched, edited, added and erased.

    Raises
    ------
    UneticError
        If nothing is known of a prediction, or the labels have another shape now.
    """
    record = record_of(layer)
    if record is None or "predicted" not in record:
        raise UneticError(
            f"Expected labels that were predicted, got {layer.name}, of which no "
            "record is found; all of its objects count as drawn by a person."
        )
    return touched(unpack_labels(record["predicted"]), np.asarray(layer.data))
