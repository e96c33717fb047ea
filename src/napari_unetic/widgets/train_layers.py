"""Which layers of the viewer are learnt from: labels, each with its image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from napari_unetic.widgets.choices import LIST_EVENTS, Choice, is_alive, is_measuring
from napari_unetic.widgets.controls import wrapped
from napari_unetic.widgets.finetune_compare import COMPARING
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.train_pairs import LayerPair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer

_ROWS = 3
"""So many are in sight; the list scrolls."""

_ROW_PX = 28


class LayerPairs(QTreeWidget):
    """A row for each Labels layer: whether it is learnt from, and its image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are followed.
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Other layers are learnt from."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._rows: list[tuple[Labels, QTreeWidgetItem, Choice]] = []
        self.setColumnCount(2)
        self.setHeaderLabels(["Labels", "Image"])
        self.setRootIsDecorated(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setFixedHeight((_ROWS + 1) * _ROW_PX)
        self.setToolTip(
            wrapped(
                "The layers to learn from: ticked labels, each with the image that "
                "they are of. Labels that a model made are not ticked at first: to "
                "learn from what nobody has looked at teaches nothing."
            )
        )
        header = self.header()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for name in LIST_EVENTS:
            # napari holds bound methods weakly: this keeps no closed dock alive.
            getattr(viewer.layers.events, name).connect(self.follow)
        self.itemChanged.connect(lambda item, column: self.changed.emit())
        self.follow()

    @property
    def pairs(self) -> tuple[LayerPair, ...]:
        """What is learnt from, the lowest layer first."""
        return tuple(
            LayerPair(choice.value, labels)
            for labels, item, choice in reversed(self._rows)
            if item.checkState(0) == Qt.CheckState.Checked and choice.value is not None
        )

    def tick(self, labels: Labels, ticked: bool) -> None:
        """Learn from a layer, or do not."""
        item = next(item for layer, item, _ in self._rows if layer is _itself(labels))
        item.setCheckState(0, _state(ticked))

    def follow(self, event: object = None) -> None:
        """Show the layers as they are now; what was chosen stays."""
        if not is_alive(self):
            return
        before = self.pairs
        known = {
            id(layer): (item.checkState(0), choice.value)
            for layer, item, choice in self._rows
        }
        layers = [_itself(layer) for layer in reversed(self._viewer.layers)]
        images = [layer for layer in layers if isinstance(layer, ImageLayer)]
        shown = [
            layer
            for layer in layers
            if isinstance(layer, Labels)
            and COMPARING not in layer.metadata
            and not is_measuring(layer)
        ]
        self.blockSignals(True)
        self.clear()
        self._rows = []
        for layer in shown:
            ticked, image = known.get(id(layer), (None, None))
            if image is None:
                # Labels may be there before their image is.
                ticked = None
            if image is None or image not in images:
                image = image_of(layer, images)
            if ticked is None:
                is_truth = METADATA_KEY not in layer.metadata
                ticked = _state(is_truth and image is not None)
            self._add(layer, ticked, image, images)
        self.blockSignals(False)
        if self.pairs != before:
            self.changed.emit()

    def _add(
        self,
        layer: Labels,
        ticked: Qt.CheckState,
        image: ImageLayer | None,
        images: Sequence[ImageLayer],
    ) -> None:
        item = QTreeWidgetItem([str(layer.name)])
        item.setToolTip(0, wrapped(str(layer.name)))
        item.setCheckState(0, ticked)
        self.addTopLevelItem(item)
        choice = Choice(self)
        choice.offer(images, [one.name for one in images], chosen=image)
        choice.changed.connect(self.changed)
        self.setItemWidget(item, 1, choice)
        self._rows.append((layer, item, choice))


def image_of(labels: Labels, images: Sequence[ImageLayer]) -> ImageLayer | None:
    """Return the image that labels are of, as far as names and sizes tell.

    Parameters
    ----------
    labels : napari.layers.Labels
    images : sequence of napari.layers.Image
        To choose from, the topmost first.

    Returns
    -------
    Image or None
        The one that the record of a result names, else one of the same rows and columns
        whose name the labels' begins with, else the topmost of that size.
    """
    source = labels.metadata.get(METADATA_KEY, {}).get("source")
    named = [image for image in images if image.name == source]
    alike = [image for image in images if _rows_of(image) == _rows_of(labels)]
    begun = [image for image in alike if labels.name.startswith(image.name)]
    begun.sort(key=lambda image: -len(image.name))
    return next(iter([*named, *begun, *alike]), None)


def _itself(layer: Any) -> Any:
    """Return a layer without what stands for it in a plugin, anew at each look."""
    return getattr(layer, "__wrapped__", layer)


def _rows_of(layer: ImageLayer | Labels) -> tuple[int, ...]:
    """Return rows and columns of the finest level of a layer."""
    data = layer.data[0] if layer.multiscale else layer.data
    shape = tuple(data.shape)
    return shape[-3:-1] if getattr(layer, "rgb", False) else shape[-2:]


def _state(ticked: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
