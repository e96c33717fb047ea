"""Menus of objects by name; those of layers follow the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Layer, Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_unetic.widgets.controls import keep_wheel_for_scrolling, wrapped

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QPaintEvent

    from napari_unetic.image.region import Region

LIST_EVENTS = ("inserted", "removed", "reordered", "renamed")

MEASURING = "napari_unetic_measuring"
"""Key in the metadata of a layer that is there only while something is measured."""


class Choice(QComboBox):
    """A menu of objects by name; long names do not widen the dock.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Another object, or none, has become the chosen one."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.about = ""
        self._objects: list[Any] = []
        keep_wheel_for_scrolling(self)
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

    @property
    def objects(self) -> tuple[Any, ...]:
        """What can be chosen."""
        return tuple(self._objects)

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
            self.changed.emit()

    def choose(self, wanted: Any) -> None:
        """Choose one of the objects offered, if it is among them."""
        index = _position(self._objects, wanted)
        if index >= 0:
            self.setCurrentIndex(index)

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

    def describe(self, about: str) -> None:
        """Say what is chosen here, when the mouse rests on it."""
        self.about = about
        self._show_tip()

    def _show_tip(self) -> None:
        chosen = self.itemData(self.currentIndex(), Qt.ItemDataRole.ToolTipRole) or ""
        self.setToolTip(wrapped("\n".join(filter(None, (self.about, chosen)))))

    def _chosen(self) -> None:
        self._show_tip()
        self.changed.emit()


def is_alive(widget: QObject) -> bool:
    """Return whether Qt still has something: events may outlive a closed window."""
    return bool(isalive(widget))  # type: ignore[no-untyped-call]


def is_measuring(layer: Layer) -> bool:
    """Whether a layer is there only while something is measured on the image."""
    return MEASURING in layer.metadata


def _position(objects: Sequence[Any], wanted: Any) -> int:
    """Return where an object is in a sequence, or -1."""
    return next((i for i, one in enumerate(objects) if one == wanted), -1)


class LayerChoice(Choice):
    """A menu of the layers of one kind that a viewer has, the topmost first.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QWidget
        The dock.
    kind : type
        Of the layers.
    """

    def __init__(self, viewer: Viewer, parent: QWidget, kind: type[Layer]) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._kind = kind
        for name in LIST_EVENTS:
            # napari holds bound methods weakly: this keeps no closed dock alive.
            getattr(viewer.layers.events, name).connect(self.follow)

    def follow(self, event: object = None) -> None:
        """Offer the layers as they are now."""
        if is_alive(self):
            layers = self.layers()
            active = self._viewer.layers.selection.active
            self.offer(layers, [layer.name for layer in layers], chosen=active)

    def layers(self) -> list[Layer]:
        """Return the layers to choose from."""
        layers = reversed(self._viewer.layers)
        return [layer for layer in layers if isinstance(layer, self._kind)]


class ImageChoice(LayerChoice):
    """A menu of the image layers of a viewer.

    Parameters
    ----------
    viewer, parent
        As `LayerChoice` has them.
    """

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(viewer, parent, ImageLayer)


class RegionChoice(LayerChoice):
    """A menu of parts of an image: all, what the window shows, layers of shapes.

    Parameters
    ----------
    viewer, parent
        As `LayerChoice` has them.
    """

    WHOLE = "whole image"
    VIEW = "current view"

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        self._fixed: Region | None = None
        self._followed: Shapes | None = None
        super().__init__(viewer, parent, Shapes)
        self.changed.connect(self._follow_shapes)
        self.follow()

    def follow(self, event: object = None) -> None:
        """Offer the layers of shapes as they are now."""
        if not is_alive(self):
            return
        shapes = [layer for layer in self.layers() if not is_measuring(layer)]
        objects: list[object] = [self.WHOLE, self.VIEW, *shapes]
        names = [self.WHOLE, self.VIEW, *(f"in “{layer.name}”" for layer in shapes)]
        if self._fixed is not None:
            objects.append(self._fixed)
            names.append("as in that result")
        self.offer(objects, names, chosen=self.WHOLE)

    def _follow_shapes(self) -> None:
        """Follow what is drawn in the chosen layer, and in no other."""
        before = self._followed
        chosen = self.value if isinstance(self.value, Shapes) else None
        if chosen is before:
            return
        if before is not None:
            before.events.data.disconnect(self._drawn)
        self._followed = chosen
        if self._followed is not None:
            self._followed.events.data.connect(self._drawn)

    def _drawn(self, event: object = None) -> None:
        if is_alive(self):
            self.changed.emit()

    def fix(self, region: Region | None) -> None:
        """Choose a region that no layer holds; None for the whole image."""
        self._fixed = region
        self.follow()
        self.choose(self.WHOLE if region is None else region)


class PlaneChoice(Choice):
    """A menu of planes: all, the one in view, or one by its number.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    ALL = "all"
    CURRENT = "current"

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.fix(None)

    def fix(self, plane: tuple[int, ...] | None) -> None:
        """Choose a plane by its number; None for all of them."""
        objects: list[object] = [self.ALL, self.CURRENT]
        names = [self.ALL, self.CURRENT]
        if plane is not None:
            objects.append(plane)
            names.append("number " + ", ".join(map(str, plane)))
        self.offer(objects, names)
        self.choose(self.ALL if plane is None else plane)
