"""A control for a field of a settings model, chosen by its type and bounds."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QLocale
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QDoubleSpinBox,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_unetic.widgets.choices import Choice
from napari_unetic.widgets.controls import (
    WholeNumber,
    connect,
    make_narrow,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

LEFT_OUT = "usual"
"""What a control says where nothing is asked for, unless it is told another word."""

_LARGEST = 2**31 - 1
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """A control and how its value is read and written.

    Parameters
    ----------
    control : QWidget
    read : callable
        Returns the value; None where nothing is asked for.
    write : callable
        Shows a value.
    """

    control: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], None]

    def on_change(self, slot: Callable[[], None]) -> None:
        """Call something whenever the value has changed."""
        if isinstance(self.control, QLineEdit):
            self.control.textChanged.connect(lambda text: slot())
        else:
            connect(self.control, slot)


class Real(QDoubleSpinBox):
    """A number that is shown as short as it is, .002 and 10 alike.

    Parameters
    ----------
    parent : QWidget
        The form.
    low, high : float
        Bounds.
    """

    def __init__(self, parent: QWidget, low: float, high: float) -> None:
        super().__init__(parent)
        # What `textFromValue` returns has to be read back, wherever a person lives.
        self.setLocale(QLocale.c())
        self.setDecimals(_DECIMALS)
        self.setRange(low, high)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        make_narrow(self)

    def textFromValue(self, value: float) -> str:
        """Return a number without the zeros at its end."""
        return f"{value:.{_DECIMALS}g}"


def entry_for(
    field: FieldInfo,
    parent: QWidget,
    *,
    unit: str = "",
    left_out: str = LEFT_OUT,
) -> Entry:
    """Return a control for a field, which shows its default.

    Parameters
    ----------
    field : pydantic.fields.FieldInfo
        Of type bool, int, float, str, a `Literal`, each or None, or a tuple that can be
        written as texts between commas.
    parent : QWidget
        The form.
    unit : str
        Written behind a number.
    left_out : str
        What it says where nothing is asked for.

    Raises
    ------
    TypeError
        If the type is none of these.
    """
    kind, may_lack = _unwrapped(field.annotation)
    if typing.get_origin(kind) is Literal:
        choices = [(value, str(value)) for value in typing.get_args(kind)]
        usual = [(None, left_out)] if may_lack else []
        entry = _menu([*usual, *choices], parent)
    elif kind is bool:
        box = QCheckBox(parent)
        entry = Entry(box, box.isChecked, box.setChecked)
    elif kind is int and may_lack:
        entry = _number_or_none(field, parent, unit, left_out)
    elif kind is int:
        entry = _whole_number(field, parent, unit)
    elif kind is float and not may_lack:
        low, high = bounds(field)
        real = Real(parent, low, high)
        real.setSuffix(unit)
        entry = Entry(real, real.value, real.setValue)
    elif kind is str or typing.get_origin(kind) is tuple:
        entry = _line(parent, as_list=kind is not str)
    else:
        raise TypeError(f"no control for a field of type {field.annotation}")
    if field.default is not None:
        entry.write(field.default)
    return entry


def bounds(field: FieldInfo) -> tuple[float, float]:
    """Return the least and the largest value of a field, those excluded among them."""
    low, high = -float(_LARGEST), float(_LARGEST)
    for rule in field.metadata:
        low = max(low, *(getattr(rule, name, low) for name in ("ge", "gt")))
        high = min(high, *(getattr(rule, name, high) for name in ("le", "lt")))
    return low, high


def _unwrapped(annotation: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was among it."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = [p for p in typing.get_args(annotation) if p is not types.NoneType]
        if len(parts) == 1:
            return parts[0], True
    return annotation, False


def _menu(choices: Sequence[tuple[Any, str]], parent: QWidget) -> Entry:
    menu = Choice(parent)
    values, names = zip(*choices, strict=True)
    menu.offer(values, names)
    return Entry(menu, lambda: menu.value, menu.choose)


def _number_or_none(
    field: FieldInfo, parent: QWidget, unit: str, left_out: str
) -> Entry:
    low, high = (round(bound) for bound in bounds(field))
    box = WholeNumber(parent, left_out, lowest=low, highest=high, unit=unit)

    def write(value: int | None) -> None:
        box.number = value

    return Entry(box, lambda: box.number, write)


def _whole_number(field: FieldInfo, parent: QWidget, unit: str) -> Entry:
    low, high = bounds(field)
    box = QSpinBox(parent)
    box.setSuffix(unit)
    box.setRange(round(low), round(high))
    make_narrow(box)
    return Entry(box, box.value, box.setValue)


def _line(parent: QWidget, *, as_list: bool) -> Entry:
    line = QLineEdit(parent)

    def read() -> Any:
        text = line.text().strip()
        if not as_list:
            return text
        return tuple(part.strip() for part in text.split(",")) if text else ()

    def write(value: Any) -> None:
        line.setText(", ".join(map(str, value)) if as_list else str(value))

    return Entry(line, read, write)
