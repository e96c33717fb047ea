"""What the dock reports: how far it is, how it went, and what went wrong."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from napari.utils import progress as activity_bar
from qtpy.QtWidgets import (
    QApplication,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.controls import mark, text_label, wrapped
from napari_unetic.widgets.wording import (
    TimeLeft,
    failure_sentence,
    foldable,
    is_defect,
)

if TYPE_CHECKING:
    from napari_unetic.steps import Step

MOMENT = 0.5
"""Seconds; work that is done by then needs no bar, which would only flicker."""


class _Activity:
    """One of napari's activities, or none."""

    def __init__(self) -> None:
        self._bar: activity_bar | None = None

    def begin(self, what: str) -> None:
        """Show it, with no end in sight."""
        self.end()
        self._bar = activity_bar(total=0, desc=what)

    def step(self, done: int, total: int) -> None:
        """Show how far it is."""
        bar = self._bar
        if bar is None or not total:
            return
        if bar.total != total:
            bar.reset(total)
        if done > bar.n:
            bar.update(done - bar.n)

    def end(self) -> None:
        """Show it no more."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


class Report(QWidget):
    """Progress, a message, and the details of a defect; what is empty is hidden.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.progress = QProgressBar(self)
        self.message = text_label(self)
        self.details = QPushButton("Copy details", self)
        self.details.setToolTip(
            wrapped("Copies what a report of this defect should say.")
        )
        self._trace = ""
        self._time_left = TimeLeft()
        self._activity = _Activity()
        self._slow_since: float | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.progress, self.message, self.details):
            layout.addWidget(widget)
            widget.hide()
        self.details.clicked.connect(self._copy_details)
        # Napari shows its activities beyond the life of a dock.
        self.destroyed.connect(self._activity.end)

    def begin(self, what: str) -> None:
        """Show that work has begun, here and among napari's activities."""
        self.end()
        self._time_left = TimeLeft()
        self.progress.setRange(0, 0)
        self.progress.setFormat("")
        self.progress.show()
        self._activity.begin(what)

    def step(self, step: Step) -> None:
        """Show how far the work is, and the time left."""
        total, done = round(step.total), min(round(step.done), round(step.total))
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        text = f"{step.what.capitalize()} {step.done:,.0f} of {step.total:,.0f}"
        if total == 0:
            text = f"{step.what.capitalize()} …"
        elif done >= total:
            text = "Finishing …"
        left = self._time_left.text(step)
        self.progress.setFormat(f"{text}, {left}" if left else text)
        self._activity.step(done, total)

    def step_if_slow(self, step: Step) -> None:
        """Show how far some work is, if it is not done in a moment."""
        now = time.monotonic()
        if self._slow_since is None:
            self._slow_since = now
        if now - self._slow_since < MOMENT:
            return
        if not self.progress.isVisibleTo(self):
            self.begin(step.what.capitalize())
        self.step(step)

    def end(self) -> None:
        """Show that nothing is being done."""
        self._slow_since = None
        self.progress.hide()
        self._activity.end()

    def say(self, text: str) -> None:
        """Show a message instead of the one before; none if it is empty."""
        self.message.setText(foldable(text))
        self.message.setToolTip(wrapped(text))
        mark(self.message, bad=False)
        self.message.setVisible(bool(text))
        self.details.hide()

    def fail(self, error: Exception, trace: str = "") -> None:
        """Show what went wrong and what to do."""
        self.say(failure_sentence(error))
        mark(self.message, bad=True)
        self._trace = trace
        self.details.setVisible(is_defect(error) and bool(trace))

    def _copy_details(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self.message.text()}\n\n{self._trace}")
