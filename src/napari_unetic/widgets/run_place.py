"""Where a new model is: its name, its folder, and a line of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.controls import text_label, wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.training.runs import UserRun


class ModelPlace(QWidget):
    """Names the model of a run and its folder, with buttons for both.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._state: UserRun | None = None
        self.where = text_label(self)
        self.show_folder = QPushButton("Show in folder", self)
        self.copy_python = QPushButton("Copy as Python", self)
        self.show_folder.setToolTip(
            wrapped("Opens the folder of the run: its model, log and curves.")
        )
        self.copy_python.setToolTip(
            wrapped("Copies a line that segments an image with the new model.")
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.where)
        beside = QHBoxLayout()
        beside.addWidget(self.show_folder)
        beside.addWidget(self.copy_python)
        layout.addLayout(beside)
        self.show_folder.clicked.connect(self._show_folder)
        self.copy_python.clicked.connect(self._copy_python)

    def show_state(self, state: UserRun) -> None:
        """Name the model of a run."""
        self._state = state
        self.where.setText(_breakable(f"{state.name}: {state.run.folder}"))
        self.where.setToolTip(wrapped(str(state.run.folder)))

    def _show_folder(self) -> None:
        if self._state is not None:
            open_folder(self._state.run.folder)

    def _copy_python(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None and self._state is not None:
            clipboard.setText(python_line(self._state))


def python_line(state: UserRun) -> str:
    """Return a line of Python that segments an image with the model of a run."""
    model = state.model if state.decision == "used" else str(state.run.folder)
    return (
        "from napari_unetic import segment; "
        f"labels = segment(image, {model!r})  # image: an array"
    )


def open_folder(folder: Path) -> Any:
    """Show a folder in the desktop's own program for files."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def _breakable(path: str) -> str:
    """Let Qt fold a path at its separators: a space of no width after each."""
    return path.replace("/", "/\u200b").replace("\\", "\\\u200b")
