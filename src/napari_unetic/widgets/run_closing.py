"""Closing the window while a model is trained: stop it, or let it go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal
from weakref import ReferenceType, ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.wording import shortened

if TYPE_CHECKING:
    from napari_unetic.widgets.run_process import Training

QUESTION = "“{}” is still being trained."
QUESTION_MORE = (
    "It can go on in the background. Either way nothing is lost: open {} again, and it "
    "offers to go on or shows what came of it."
)


class Closing(QObject):
    """Listens to the window of a dock, and asks before it is closed.

    Parameters
    ----------
    dock : QWidget
        The dock.
    title : str
        What the dock is called.
    training : Training
        What may be running.
    on_left : callable
        Called when the training has been left to itself.
    """

    def __init__(
        self,
        dock: QWidget,
        title: str,
        training: Training,
        on_left: Callable[[], None],
    ) -> None:
        super().__init__(dock)
        self._title = title
        self._on_left = on_left
        self._dock = dock
        self._training = training
        # Weakly, so that no dock keeps a closed window.
        self._listened: ReferenceType[QMainWindow] | None = None

    @property
    def window(self) -> QMainWindow | None:
        """The window that is listened to, while it is there."""
        return None if self._listened is None else self._listened()

    def listen(self) -> None:
        """Listen to the window that the dock is in now."""
        window, before = main_window_of(self._dock), self.window
        if window is before:
            return
        if before is not None and is_alive(before):
            before.removeEventFilter(self)
        self._listened = None if window is None else ref(window)
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the window open where a person would rather wait."""
        closing = event is not None and event.type() == QEvent.Type.Close
        if closing and watched is self.window and self._training.running:
            assert event is not None
            answer = self._ask() if _is_shown(self.window) else "go on"
            if answer == "stay":
                event.ignore()
                return True
            if answer == "stop":
                self._training.halt()
            self._training.let_go()
            self._on_left()
        return super().eventFilter(watched, event)

    def _ask(self) -> Literal["go on", "stop", "stay"]:
        run = self._training.run
        assert run is not None
        box = QMessageBox(self._dock)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self._title)
        box.setText(QUESTION.format(shortened(run.plan.description.name)))
        box.setInformativeText(QUESTION_MORE.format(self._title))
        go_on = box.addButton(
            "Go on in the background", QMessageBox.ButtonRole.AcceptRole
        )
        stop = box.addButton("Stop", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton("Do not close", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(go_on)
        box.exec()
        answer = box.clickedButton()
        box.deleteLater()
        return "go on" if answer is go_on else "stop" if answer is stop else "stay"


def _is_shown(window: QMainWindow | None) -> bool:
    """Whether somebody is there to answer: a script closes what is inside first."""
    inside = None if window is None else window.centralWidget()
    children = [] if inside is None else inside.findChildren(QWidget)
    return any(child.isVisible() for child in children)


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """Return the main window that a widget is docked in, also where it floats."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QMainWindow):
        above = above.parentWidget()
    return above
