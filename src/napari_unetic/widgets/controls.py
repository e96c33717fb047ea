"""The controls that the dock is made of, each with a plain-words tooltip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_unetic.settings import SegmentSettings

_STEPS = 100
_SNAP = 2
"""So near to its middle a slider is taken to stand in it."""


def title(name: str) -> str:
    """Return what a setting is called."""
    return SegmentSettings.model_fields[name].title or name


def tip(name: str, more: str = "") -> str:
    """Return what a setting does, with more about its control, for a tooltip."""
    text = SegmentSettings.model_fields[name].description or ""
    return f"{text} {more}".strip()


def wrapped(text: str) -> str:
    """Return a tooltip as rich text, which Qt folds into several lines."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
    return f"<qt>{escaped}</qt>" if text else ""


class Slider(QWidget):
    """A slider from 0 to 1 whose middle is where the model itself stands.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    changed = Signal()
    released = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.bar = QSlider(Qt.Orientation.Horizontal, self)
        self.bar.setRange(0, _STEPS)
        self.bar.setPageStep(5)
        self.bar.setValue(_STEPS // 2)
        self._value = 0.5
        self._figure = QLabel(self)
        self._figure.setAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.bar)
        layout.addWidget(self._figure)
        keep_wheel_for_scrolling(self.bar)
        self.bar.valueChanged.connect(self._moved)
        self.bar.sliderReleased.connect(self.released)
        self._moved(self.bar.value())

    @property
    def value(self) -> float:
        """Between 0 and 1; one that was set is kept, also between two steps."""
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        self._value = value
        self.bar.setValue(round(value * _STEPS))
        self._figure.setText(f"{value:.2f}")

    @property
    def held(self) -> bool:
        """Whether the mouse holds it."""
        return self.bar.isSliderDown()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Go back to the middle."""
        self.bar.setValue(_STEPS // 2)

    def _moved(self, position: int) -> None:
        middle = _STEPS // 2
        if self.held and 0 < abs(position - middle) <= _SNAP:
            self.bar.setValue(middle)
            return
        if position != round(self._value * _STEPS):
            self._value = position / _STEPS
        self._figure.setText(f"{self._value:.2f}")
        self.changed.emit()


class WholeNumber(QSpinBox):
    """A whole number that may be left to somebody else.

    Parameters
    ----------
    parent : QWidget
        The dock.
    automatic : str
        What it shows where nothing is asked for.
    lowest, highest, step : int
        Bounds of what can be asked for, and the step of the arrows.
    unit : str
        Written behind the number.
    """

    def __init__(
        self,
        parent: QWidget,
        automatic: str,
        *,
        lowest: int,
        highest: int,
        step: int = 1,
        unit: str = " px",
    ) -> None:
        super().__init__(parent)
        # The step below the lowest number stands for none.
        self.setRange(lowest - 1, highest)
        self.setSpecialValueText(automatic)
        self.setSingleStep(step)
        self.setSuffix(unit)
        self.setValue(lowest - 1)
        make_narrow(self)

    @property
    def number(self) -> int | None:
        """The number asked for, or None."""
        return None if self.value() == self.minimum() else self.value()

    @number.setter
    def number(self, number: int | None) -> None:
        self.setValue(self.minimum() if number is None else number)


class Decimal(QDoubleSpinBox):
    """A number that can be typed and need not be scrolled to.

    Parameters
    ----------
    parent : QWidget
        The dock.
    low, high, value, step : float
        Bounds, what it says at first, and the step of the arrows.
    decimals : int
    unit : str
        Written behind the number.
    """

    def __init__(
        self,
        parent: QWidget,
        low: float,
        high: float,
        value: float,
        *,
        step: float,
        decimals: int,
        unit: str = "",
    ) -> None:
        super().__init__(parent)
        self.setDecimals(decimals)
        self.setRange(low, high)
        self.setSingleStep(step)
        self.setSuffix(unit)
        self.setValue(value)
        make_narrow(self)


def explain(control: QWidget, tooltip: str) -> None:
    """Say what a control does when the mouse rests on it."""
    # A menu also tells what is chosen.
    describe = getattr(control, "describe", None)
    if describe is None:
        control.setToolTip(wrapped(tooltip))
    else:
        describe(tooltip)


class _WheelGuard(QObject):
    """Keeps the wheel from changing a control that the dock is scrolled over."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to the dock unless the control has been clicked."""
        is_wheel = event is not None and event.type() == QEvent.Type.Wheel
        if is_wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            assert event is not None
            event.ignore()
            return True
        return False


def keep_wheel_for_scrolling(control: QWidget) -> None:
    """Let the wheel change a control only after it has been clicked."""
    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    control.installEventFilter(_WheelGuard(control))


def text_label(parent: QWidget) -> QLabel:
    """Return a label for sentences that wraps and never widens the dock."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def mark(label: QLabel, *, bad: bool) -> None:
    """Tell what stands against something, or went wrong, from other sentences."""
    # A bar at the side shows in every theme, and without relying on colour.
    label.setStyleSheet(
        "border-left: 4px solid #e5484d; padding-left: 6px;" if bad else ""
    )


def connect(control: QWidget, slot: Callable[[], None]) -> None:
    """Call something when the value of a control has changed."""
    if hasattr(control, "changed"):
        control.changed.connect(slot)
    elif isinstance(control, QCheckBox):
        control.toggled.connect(lambda checked: slot())
    elif isinstance(control, QComboBox):
        control.currentTextChanged.connect(lambda text: slot())
    elif isinstance(control, QSpinBox):
        control.valueChanged.connect(lambda value: slot())


def make_narrow(box: QAbstractSpinBox, *, width: int = 50) -> None:
    """Let a box for a number be as narrow as the dock needs, and change when done.

    Parameters
    ----------
    box : QAbstractSpinBox
        The control.
    width : int
        Pixels that its number has at least.
    """
    box.setKeyboardTracking(False)
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.UpDownArrows)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    style = f"QAbstractSpinBox {{ padding: 1px 2px; min-width: {width}px; }}"
    box.setStyleSheet(style)
    keep_wheel_for_scrolling(box)
