"""A form made of a settings model: its fields in sections that unfold.

Each section is built when it is first unfolded, or when one of its values is asked for:
a window that nobody looks at costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_unetic.widgets.folding import Fold, Form
from napari_unetic.widgets.settings_entries import LEFT_OUT, Entry, entry_for

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Unset = Mapping[str, str]
"""Field to the word for a value that is left out."""


LONG = 20
"""Letters of a title that is broken into lines."""


class FieldsFold(Fold):
    """A section of fields of one settings model.

    Parameters
    ----------
    parent : QWidget
        The form.
    name, tooltip : str
        Of the section.
    fields : mapping of str to FieldInfo
        To show, by name, in this order.
    unset : mapping of str to str
        What a field says where it is left out, if not the usual word.
    """

    changed = Signal()
    """A value has changed."""

    def __init__(
        self,
        parent: QWidget,
        name: str,
        tooltip: str,
        fields: Mapping[str, FieldInfo],
        unset: Unset,
    ) -> None:
        super().__init__(parent, name, tooltip)
        self.fields = dict(fields)
        self._unset = unset
        self._entries: dict[str, Entry] = {}
        self._at_first: dict[str, Any] = {}
        self.header.toggled.connect(self._unfold)

    @property
    def entries(self) -> dict[str, Entry]:
        """The controls by field; they are made where they are not there yet."""
        if not self._entries:
            self._build()
        return self._entries

    def values(self) -> dict[str, Any]:
        """Return the values that differ from the defaults."""
        said = {name: entry.read() for name, entry in self._entries.items()}
        return {k: v for k, v in said.items() if v != self._at_first[k]}

    def _unfold(self, unfolded: bool) -> None:
        if unfolded and not self._entries:
            self._build()

    def _build(self) -> None:
        form = Form(self.content)
        form.setContentsMargins(16, 2, 0, 6)
        for name, field in self.fields.items():
            entry = entry_for(
                field,
                self.content,
                unit=" px" if name.endswith("_px") else "",
                left_out=self._unset.get(name, LEFT_OUT),
            )
            self._entries[name] = entry
            self._at_first[name] = entry.read()
            title, about = field.title or name, field.description or field.title or ""
            if isinstance(entry.control, QCheckBox):
                entry.control.setText(title)
                form.check(entry.control, about)
            else:
                form.row(title, entry.control, about)
                label = form.labelForField(entry.control)
                if isinstance(label, QLabel):
                    label.setWordWrap(len(title) > LONG)
            entry.on_change(self.changed.emit)


class SettingsForm(QWidget):
    """All fields of a settings model, but for some, in sections.

    Parameters
    ----------
    model : type of pydantic.BaseModel
        The settings. A field that is a model itself becomes a section of its own.
    groups : mapping of str to sequence of str
        Sections and the fields that belong there; what no section names comes last, so
        that a new field is never missing.
    without : collection of str
        Fields that are shown elsewhere, or have no meaning here.
    unset : mapping of str to str
        What a field says where it is left out, if not the usual word.
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """A value has changed."""

    def __init__(
        self,
        model: type[BaseModel],
        groups: Mapping[str, Sequence[str]],
        without: Sequence[str],
        unset: Unset,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.folds: dict[str, FieldsFold] = {}
        self._nested: dict[str, FieldsFold] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for title, fields in grouped(model, groups, without).items():
            told = ", ".join((f.title or n).lower() for n, f in fields.items())
            fold = FieldsFold(
                self, title, told[:1].upper() + told[1:] + ".", fields, unset
            )
            self.folds[title] = fold
        for name, field in _models(model, without).items():
            kind = field.annotation
            assert isinstance(kind, type) and issubclass(kind, BaseModel)
            about, inner = field.description or "", kind.model_fields
            fold = FieldsFold(self, field.title or name, about, inner, unset)
            self.folds[field.title or name] = self._nested[name] = fold
        for fold in self.folds.values():
            layout.addWidget(fold)
            fold.changed.connect(self.changed)

    def values(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, by field."""
        values: dict[str, Any] = {}
        for fold in self.folds.values():
            if fold not in self._nested.values():
                values |= fold.values()
        nested = {name: fold.values() for name, fold in self._nested.items()}
        return values | {name: said for name, said in nested.items() if said}

    def write(self, name: str, value: Any) -> None:
        """Let the control of a field say a value; ``outer.inner`` for a nested one."""
        outer, _, inner = name.rpartition(".")
        folds = [self._nested[outer]] if outer else self.folds.values()
        fold = next(f for f in folds if inner in f.fields)
        fold.entries[inner].write(value)


def grouped(
    model: type[BaseModel], groups: Mapping[str, Sequence[str]], without: Sequence[str]
) -> dict[str, dict[str, FieldInfo]]:
    """Return the fields of a model by section; those of none are in the last one."""
    nested = _models(model, without)
    fields = {
        name: field
        for name, field in model.model_fields.items()
        if name not in without and name not in nested
    }
    named = [name for names in groups.values() for name in names]
    found = {
        title: {name: fields[name] for name in names if name in fields}
        for title, names in groups.items()
    }
    last = list(groups)[-1]
    found[last] |= {n: f for n, f in fields.items() if n not in named}
    return {title: some for title, some in found.items() if some}


def _models(model: type[BaseModel], without: Sequence[str]) -> dict[str, FieldInfo]:
    """Return the fields of a model that are models themselves."""
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in without
        and isinstance(field.annotation, type)
        and issubclass(field.annotation, BaseModel)
    }
