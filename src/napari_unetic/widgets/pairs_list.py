"""The pairs that have been collected, in a list: look at one, or leave it out."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.controls import wrapped
from napari_unetic.widgets.layers import layer_source
from napari_unetic.widgets.looking import WHOLE, look_at
from napari_unetic.widgets.places import letters_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer
    from qtpy.QtGui import QKeyEvent

    from napari_unetic.finetuning.collected import CollectedPair

_ROWS = 5
"""So many are in sight; the list scrolls."""


class PairsList(QWidget):
    """The pairs to learn from, one row a plane.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QWidget, optional
        The dock.
    """

    changed = Signal()
    """There are other pairs now."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pairs: list[CollectedPair] = []
        self._sources: dict[str, weakref.ref[Layer]] = {}
        self._make_controls()
        self._show()

    def _make_controls(self) -> None:
        self.list = _Rows(self)
        self.list.setColumnCount(2)
        self.list.setHeaderLabels(["Image", "Objects"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setToolTip(
            wrapped(
                "The planes to learn from. Return or a double click shows one, Delete "
                "leaves the selected ones out."
            )
        )
        header = self.list.header()
        assert header is not None
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        row = self.fontMetrics().height() + 8
        self.list.setFixedHeight((_ROWS + 1) * row)
        self.jump = QPushButton("Show", self)
        self.jump.setToolTip(
            wrapped(
                "Show this plane: in its own layer where that is still open, else as "
                "new layers."
            )
        )
        self.remove = QPushButton("Remove", self)
        self.remove.setToolTip(
            wrapped("Leave the selected planes out of what is learnt from.")
        )
        buttons = QHBoxLayout()
        buttons.addWidget(self.jump)
        buttons.addWidget(self.remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self.jump.clicked.connect(self.show_selected)
        self.remove.clicked.connect(self.remove_selected)
        self.list.itemActivated.connect(self._activated)
        self.list.itemSelectionChanged.connect(self._enable)
        self.list.deleted.connect(self.remove_selected)

    @property
    def pairs(self) -> list[CollectedPair]:
        """The pairs, in the order in which their planes were first put here."""
        return list(self._pairs)

    def put(self, pairs: list[CollectedPair]) -> None:
        """Add pairs; those of a plane that is here already take its place.

        Parameters
        ----------
        pairs : list of CollectedPair
            Planes are told by their pixels, whatever they are called.
        """
        for pair in pairs:
            digest = pair.image_hash()
            if (layer := self._layer_named(pair.source)) is not None:
                self._sources[digest] = weakref.ref(layer)
        new = {pair.image_hash(): pair for pair in pairs}
        self._pairs = [new.pop(p.image_hash(), p) for p in self._pairs]
        self._pairs += new.values()
        self._show()
        self.changed.emit()

    def remove_selected(self) -> None:
        """Leave the selected pairs out."""
        rows = self._selected()
        if not rows:
            return
        self._pairs = [p for k, p in enumerate(self._pairs) if k not in rows]
        known = {pair.image_hash() for pair in self._pairs}
        self._sources = {d: layer for d, layer in self._sources.items() if d in known}
        self._show()
        if self._pairs:
            row = min(rows[0], len(self._pairs) - 1)
            self.list.setCurrentItem(self.list.topLevelItem(row))
        self.changed.emit()

    def show_selected(self) -> None:
        """Show the first of the selected pairs in the viewer."""
        rows = self._selected()
        if not rows:
            return
        pair = self._pairs[rows[0]]
        reference = self._sources.get(pair.image_hash())
        layer = None if reference is None else reference()
        if layer is None or layer not in self._viewer.layers:
            self._open(pair)
        else:
            self._jump(layer, pair)

    def _jump(self, layer: Any, pair: CollectedPair) -> None:
        """Go to the plane of a pair in the layer that it was taken from."""
        if not layer.visible:  # Else napari draws all of it anew.
            layer.visible = True
        self._viewer.layers.selection.active = layer
        low = [-0.5] * layer.ndim
        shape = layer.data[0].shape if layer.multiscale else layer.data.shape
        high = [size - 0.5 for size in shape[: layer.ndim]]
        letters = letters_of(layer, layer_source(layer).axes)
        plane = dict(zip((a for a in "TZ" if a in letters), pair.plane, strict=False))
        for k, letter in enumerate(letters):
            if letter in plane:
                low[k] = high[k] = float(plane[letter])
        look_at(self._viewer, layer, low, high, shares=WHOLE)

    def _open(self, pair: CollectedPair) -> None:
        """Open the image of a pair, what was reviewed of it, and its labels."""
        rgb, name = pair.image.rgb, pair.id
        data: Any = pair.image.data
        if rgb:
            data = data.transpose(1, 2, 0)
        sizes = pair.image.pixel_size.sizes
        place: dict[str, Any] = {}
        if {"Y", "X"} <= set(sizes):
            unit = pair.image.pixel_size.unit
            place = {"scale": (sizes["Y"], sizes["X"]), "units": (unit, unit)}
        if "C" in pair.image.axes and not rgb:
            self._viewer.add_image(data, name=name, channel_axis=0, **place)
        else:
            self._viewer.add_image(data, name=name, rgb=rgb, **place)
        if pair.reviewed is not None:
            self._viewer.add_labels(
                pair.reviewed.astype("uint8"),
                name=f"{name} reviewed",
                opacity=0.2,
                **place,
            )
        labels = self._viewer.add_labels(pair.labels, name=f"{name} labels", **place)
        low, high = [-0.5, -0.5], [size - 0.5 for size in pair.labels.shape]
        look_at(self._viewer, labels, low, high, shares=WHOLE)

    def _activated(self, item: QTreeWidgetItem) -> None:
        self.show_selected()

    def _selected(self) -> list[int]:
        rows = [self.list.indexOfTopLevelItem(i) for i in self.list.selectedItems()]
        return sorted(rows)

    def _layer_named(self, name: str) -> Layer | None:
        for layer in self._viewer.layers:
            if isinstance(layer, ImageLayer) and layer.name == name:
                found: Layer = getattr(layer, "__wrapped__", layer)
                return found
        return None

    def _show(self) -> None:
        """Show the pairs as they are now."""
        self.list.clear()
        items = []
        for pair in self._pairs:
            item = QTreeWidgetItem([pair.id, f"{pair.n_objects:,}"])
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight)
            item.setToolTip(0, wrapped(_about(pair)))
            items.append(item)
        self.list.addTopLevelItems(items)
        self._enable()

    def _enable(self) -> None:
        n_selected = len(self.list.selectedItems())
        self.jump.setEnabled(n_selected == 1)
        self.remove.setEnabled(n_selected > 0)


class _Rows(QTreeWidget):
    """Rows that tell when somebody wants to delete some of them."""

    deleted = Signal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Take the keys that delete; all others are Qt's."""
        keys = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
        if event is not None and event.key() in keys:
            self.deleted.emit()
        else:
            super().keyPressEvent(event)


def _about(pair: CollectedPair) -> str:
    """Say in a line what a pair holds."""
    rows, columns = pair.labels.shape
    where = "everywhere" if pair.reviewed is None else "in a part"
    return (
        f"{pair.id}: {pair.n_objects:,} reviewed objects in {rows:,} × {columns:,} "
        f"pixels, reviewed {where}"
    )
