"""What a dock that trains does: work in a thread, then a training in a process.

The dock says what is to be done and shows what came of it. In between there are one
button, which stops what runs, a bar with the time left, curves, and the window that may
be closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step
from napari_unetic.widgets.jobs import Job
from napari_unetic.widgets.run_closing import Closing
from napari_unetic.widgets.run_jobs import discard_steps
from napari_unetic.widgets.run_process import Ended, Machine, Training
from napari_unetic.widgets.run_words import progress_text
from napari_unetic.widgets.wording import shortened

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_unetic.training.run import Run
    from napari_unetic.widgets.relay import Outcome
    from napari_unetic.widgets.report import Report
    from napari_unetic.widgets.run_button import RunButton
    from napari_unetic.widgets.run_curves import RunView

NOT_BEGUN = "Stopped; nothing was begun."
STOPPED = "Stopped before its end. What was learnt is kept: go on with it at any time."
GOES_ON = (
    "“{}” is being trained in the background; open {} again to see what came of it."
)


@dataclass(frozen=True, slots=True)
class RunParts:
    """The parts of a dock that show a run.

    Parameters
    ----------
    button : RunButton
    report : Report
    view : RunView
    """

    button: RunButton
    report: Report
    view: RunView


class RunWork(QObject):
    """Work in a thread and trainings of one dock.

    Parameters
    ----------
    dock : QWidget
        The dock.
    parts : RunParts
        What shows it.
    title, doing : str
        What the dock is called, "Train", and does, "Training".
    figures : sequence of str
        Which scores of the log are shown; see `RunNews`.
    on_rest : callable
        Called when work in a thread has ended, before it is said what went wrong.
    on_finished : callable
        Called with the folder of a run that was trained to its end.
    on_unfinished : callable
        Called when a run has ended otherwise, after that was said.
    """

    def __init__(
        self,
        dock: QWidget,
        parts: RunParts,
        *,
        title: str,
        doing: str,
        figures: Sequence[str],
        on_rest: Callable[[], None],
        on_finished: Callable[[Any], None],
        on_unfinished: Callable[[], None],
    ) -> None:
        super().__init__(dock)
        self._button, self._report, self._view = parts.button, parts.report, parts.view
        self._title, self._doing = title, doing
        self._on_rest = on_rest
        self._on_finished, self._on_unfinished = on_finished, on_unfinished
        self._stop_asked = False
        self._began: float | None = None
        self._then: Callable[[Any], None] = _nothing
        self._job = Job(self, self._job_step, self._job_ended)
        self.training = Training(self, figures, self._show_news, self._training_ended)
        self.closing = Closing(dock, title, self.training, self._report.end)

    @property
    def in_thread(self) -> bool:
        """Whether something is done in a thread."""
        return self._job.running

    @property
    def running(self) -> bool:
        """Whether something is done in a thread, or a run is trained."""
        return self.training.running or self._job.running

    def stop(self) -> bool:
        """Ask what runs to end; return whether anything runs."""
        if self.training.running:
            self.training.stop()
        elif self._job.running:
            self._stop_asked = True
            self._job.stop()
        else:
            return False
        self._button.show_stopping()
        return True

    def begin(self, name: str) -> None:
        """Show that a run of a name is being made, from now on its time counts."""
        self._stop_asked = False
        self._began = time.monotonic()
        self._report.say("")
        self._report.begin(f"{self._doing} {shortened(name)}")

    def do(self, steps: Any, then: Callable[[Any], None]) -> None:
        """Do something in a thread, and then something with what it returned."""
        self._then = then
        if self._began is not None:
            self._button.show_running()
        else:
            self._button.setEnabled(False)
        self._job.start(steps)

    def train(self, run: Run, machine: Machine) -> None:
        """Start the process of a run, or follow one that trains it already.

        A run that was just made, and asked to stop meanwhile, is removed instead.
        """
        if self._began is not None and self._stop_asked:
            self._began = None
            self.do(discard_steps(run.folder), lambda nothing: self._not_begun())
            return
        spent = 0.0
        if self._began is None:
            self._report.begin(f"{self._doing} {shortened(run.plan.description.name)}")
        else:
            spent, self._began = time.monotonic() - self._began, None
        self._button.show_running()
        if run.trainer is None:
            self.training.start(run, machine, spent)
        else:
            self.training.watch(run)

    def leave(self) -> None:
        """Let go of everything, since the dock is closed; a training goes on."""
        run = self.training.run
        if run is not None:
            self.training.let_go()
            show_info(GOES_ON.format(run.plan.description.name, self._title))
        self._job.stop()
        self._report.end()

    # A training

    def _show_news(self) -> None:
        """Show what the run says of itself."""
        news, run = self.training.news, self.training.run
        if news is None or run is None:
            return
        self._view.show_news(news)
        settings = run.plan.settings
        left, total = news.seconds_left, 60 * (settings.minutes or 0)
        if left is not None and total:
            self._report.step(Step(max(0.0, total - left), total, "learning"))
        elif news.progress.get("total"):
            said = news.progress
            self._report.step(Step(said["done"], said["total"], said["what"]))
        self._report.progress.setFormat(progress_text(news.progress, left))
        if self.training.stopping:
            self._button.show_stopping()

    def _training_ended(self, ended: Ended) -> None:
        self._report.end()
        news = self.training.news
        if ended.how == "finished" and news is not None:
            self._on_finished(news.folder)
            return
        self._on_rest()
        if ended.how == "stopped":
            self._report.say(STOPPED)
        else:
            self._report.fail(UneticError(ended.reason))
        self._on_unfinished()

    # Work in a thread

    def _job_step(self, step: Step) -> None:
        # What is begun already has its bar; the rest needs none if it is quick.
        began = self._began is not None
        (self._report.step if began else self._report.step_if_slow)(step)

    def _job_ended(self, outcome: Outcome) -> None:
        then, self._then = self._then, _nothing
        if outcome.error is not None or outcome.stopped or self._began is None:
            self._began = None
            self._report.end()
        if outcome.error is not None:
            self._on_rest()
            self._report.fail(outcome.error, outcome.trace)
        elif outcome.stopped:
            self._on_rest()
            self._not_begun()
        else:
            then(outcome.value)
            self._on_rest()

    def _not_begun(self) -> None:
        self._report.say(NOT_BEGUN)


def _nothing(value: Any) -> None:
    """Do nothing with what some work returned."""
