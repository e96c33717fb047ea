"""Menus that follow the viewer: of its image layers, and of the models there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QPaintEvent

LIST_EVENTS = ("inserted", "removed", "reordered", "renamed")


class Choice(QComboBox):
    """A menu of objects by name; long names do not widen the dock.

    Parameters
    ----------
    parent : QWidget
        The dock.
    on_change : callable
        Called when another object, or none, has become the chosen one.
    """

    def __init__(self, parent: QWidget, on_change: Callable[[], None]) -> None:
        super().__init__(parent)
        self._objects: list[Any] = []
        self._on_change = on_change
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        view = self.view()
        if view is not None:
            view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentIndexChanged.connect(self._chosen)

    @property
    def value(self) -> Any:
        """The chosen object, or None."""
        index = self.currentIndex()
        return self._objects[index] if 0 <= index < len(self._objects) else None

    def offer(
        self, objects: Sequence[Any], names: Sequence[str], chosen: Any = None
    ) -> None:
        """Offer other objects; the chosen one stays so while it is among them.

        Parameters
        ----------
        objects : sequence
            What can be chosen.
        names : sequence of str
            What the menu shows.
        chosen : object, optional
            Chosen where the one chosen so far is not offered any more.
        """
        before = self.value
        wanted = before if _position(objects, before) >= 0 else chosen
        self.blockSignals(True)
        self.clear()
        self._objects = list(objects)
        self.addItems(list(names))
        for index, name in enumerate(names):
            self.setItemData(index, name, Qt.ItemDataRole.ToolTipRole)
        self.setCurrentIndex(max(_position(objects, wanted), min(0, len(names) - 1)))
        self.blockSignals(False)
        self._show_tip()
        if self.value != before:
            self._on_change()

    def explain(self, index: int, text: str) -> None:
        """Say more about one of the objects when the mouse rests on it."""
        if text:
            name = self.itemText(index)
            self.setItemData(index, f"{name}: {text}", Qt.ItemDataRole.ToolTipRole)
            self._show_tip()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the chosen name with its middle left out where it is too long."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        style = self.style()
        assert style is not None
        field = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        option.currentText = self.fontMetrics().elidedText(
            self.currentText(), Qt.TextElideMode.ElideMiddle, field.width() - 4
        )
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _show_tip(self) -> None:
        tip = self.itemData(self.currentIndex(), Qt.ItemDataRole.ToolTipRole)
        self.setToolTip(tip or "")

    def _chosen(self) -> None:
        self._show_tip()
        self._on_change()


def is_alive(widget: QWidget) -> bool:
    """Return whether Qt still has the widget: events may outlive a closed window."""
    return bool(isalive(widget))  # type: ignore[no-untyped-call]


def _position(objects: Sequence[Any], wanted: Any) -> int:
    """Return where an object is in a sequence, or -1."""
    return next((i for i, one in enumerate(objects) if one == wanted), -1)


class ImageChoice(Choice):
    """A menu of the image layers of a viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QWidget
        The dock.
    on_change : callable
        Called when another layer, or none, has become the chosen one.
    """

    def __init__(
        self, viewer: Viewer, parent: QWidget, on_change: Callable[[], None]
    ) -> None:
        super().__init__(parent, on_change)
        self._viewer = viewer
        for name in LIST_EVENTS:
            # napari holds bound methods weakly: this keeps no closed dock alive.
            getattr(viewer.layers.events, name).connect(self.follow)

    def follow(self, event: object = None) -> None:
        """Offer the image layers as they are now, the topmost first."""
        if not is_alive(self):
            return
        layers = self._viewer.layers
        images = [layer for layer in reversed(layers) if isinstance(layer, ImageLayer)]
        active = layers.selection.active
        self.offer(images, [layer.name for layer in images], chosen=active)
