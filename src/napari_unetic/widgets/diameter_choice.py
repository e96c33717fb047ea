"""The control of the diameter: found out, the model's usual one, or a number."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_unetic.widgets.controls import keep_wheel_for_scrolling, wrapped

AUTO, USUAL = "auto", "usual"

_EXPLAINED = {
    AUTO: "Found out from a part of the image. Where the objects are far from the "
    "model’s in size, the image is brought to another size for it.",
    USUAL: "The one that the model was made for; the image keeps its size.",
}
_UNIT = "px"


class DiameterChoice(QComboBox):
    """A menu of ways to know the diameter, into which a number can be typed.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Another way or number is there, once it is typed to its end."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._exact: tuple[str, float] | None = None
        self._before: str | float = AUTO
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        for index, (name, text) in enumerate(_EXPLAINED.items()):
            self.addItem(name)
            self.setItemData(index, wrapped(text), Qt.ItemDataRole.ToolTipRole)
        self.setMinimumContentsLength(7)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        keep_wheel_for_scrolling(self)
        self.activated.connect(self._entered)
        line = self.lineEdit()
        assert line is not None
        line.editingFinished.connect(self._entered)

    @property
    def value(self) -> str | float:
        """``auto``, ``usual`` or pixels; what is none of these comes as it is typed."""
        text = self.currentText().strip()
        if self._exact is not None and text == self._exact[0]:
            return self._exact[1]
        typed = text.lower().removesuffix(_UNIT).strip()
        try:
            return float(typed.replace(",", "."))
        except ValueError:
            return typed or AUTO

    @value.setter
    def value(self, value: str | float) -> None:
        text = value if isinstance(value, str) else f"{value:.1f} {_UNIT}"
        self._exact = None if isinstance(value, str) else (text, value)
        self.setCurrentText(text)
        self._entered()

    def _entered(self, index: int = 0) -> None:
        if not self.currentText().strip():
            self.setCurrentText(AUTO)
        if self.value != self._before:
            self._before = self.value
            self.changed.emit()
