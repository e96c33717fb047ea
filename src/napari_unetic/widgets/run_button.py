"""The one button of a dock, which runs and stops, and its key."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut  # type: ignore[attr-defined]
from qtpy.QtWidgets import QPushButton, QWidget

from napari_unetic.widgets.controls import wrapped

SHORTCUT = "Ctrl+Return"
"""Runs and stops; napari has no use for it."""


class RunButton(QPushButton):
    """Runs, and stops what runs; a double click is one click, and does not do both.

    Parameters
    ----------
    parent : QWidget
        The dock.
    verb : str
        What it is called while nothing runs.
    starts, stops : str
        What a click does then, and while something runs, as tooltips without the key.
    """

    def __init__(self, parent: QWidget, verb: str, starts: str, stops: str) -> None:
        super().__init__(verb, parent)
        self._verb = verb
        key = QKeySequence(SHORTCUT).toString(QKeySequence.SequenceFormat.NativeText)
        self._starts, self._stops = f"{starts} ({key}).", f"{stops} ({key})."
        self.show_ready("")

    def show_ready(self, problem: str) -> None:
        """Offer to run, unless something stands against it."""
        self.setText(self._verb)
        self.setEnabled(not problem)
        self.setToolTip(wrapped(problem or self._starts))

    def show_running(self) -> None:
        """Offer to stop."""
        self.setText("Stop")
        self.setEnabled(True)
        self.setToolTip(wrapped(self._stops))

    def show_stopping(self) -> None:
        """Tell that it was asked to stop."""
        self.setText("Stopping …")
        self.setEnabled(False)

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Take the second press of a double click for nothing."""
        event.accept()


def run_shortcut(dock: QWidget, keys: str = SHORTCUT) -> QShortcut:
    """Return a shortcut that works while the dock or something in it has the focus."""
    shortcut = QShortcut(QKeySequence(keys), dock)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.setAutoRepeat(False)
    return shortcut
