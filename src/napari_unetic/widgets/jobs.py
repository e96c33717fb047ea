"""Work in a thread, one piece at a time: start, stop, and the busy state."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.qt.threading import GeneratorWorker, create_worker
from qtpy.QtCore import QObject, QTimer

from napari_unetic.widgets.relay import Outcome, Work, failed, relay

if TYPE_CHECKING:
    from napari_unetic.steps import Step

# The event loop of napari waits for its threads when it ends, but a script can end
# without one: a thread that outlives its signals would then abort the process.
atexit.register(GeneratorWorker.await_workers)


def delay(parent: QObject, ms: int, work: Callable[[], object]) -> QTimer:
    """Return a timer that does some work once, so long after it was last started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(ms)
    timer.timeout.connect(work)
    return timer


class Job(QObject):
    """One piece of work at a time in a thread; its callbacks run in the GUI's.

    Parameters
    ----------
    parent : QObject
        The dock it belongs to. When the dock is destroyed, the work is stopped and
        nothing is called any more.
    on_step : callable
        Called with each step.
    on_end : callable
        Called once with the outcome, when the job is no longer running; a second time
        if it raises an exception, with that.
    """

    def __init__(
        self,
        parent: QObject,
        on_step: Callable[[Step], None],
        on_end: Callable[[Outcome], None],
    ) -> None:
        super().__init__(parent)
        self._on_step = on_step
        self._on_end = on_end
        self._worker: Any = None
        self._outcome = Outcome(stopped=True)
        self._stop = threading.Event()

    @property
    def running(self) -> bool:
        """Whether work has been started and has not ended."""
        return self._worker is not None

    def start(self, steps: Work) -> None:
        """Start some work; nothing else may be running.

        Parameters
        ----------
        steps : generator of Step
            The work. Its code runs in the thread from the first line on.
        """
        assert not self.running
        self._stop = threading.Event()
        # What remains if napari ends the worker, as it does when it closes.
        self._outcome = Outcome(stopped=True)
        self._worker = create_worker(relay, steps, self._stop)
        self._worker.yielded.connect(self._stepped)
        self._worker.returned.connect(self._returned)
        self._worker.finished.connect(self._finished)
        # The event alone: a method of the job would outlive the job's Qt half.
        self.destroyed.connect(self._stop.set)
        self._worker.start()

    def stop(self) -> None:
        """Ask the work to end after the current step."""
        self._stop.set()

    def _stepped(self, step: Step) -> None:
        if not self._stop.is_set():
            self._on_step(step)

    def _returned(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def _finished(self) -> None:
        self._worker = None
        outcome, self._outcome = self._outcome, Outcome(stopped=True)
        try:
            self._on_end(outcome)
        except Exception as error:
            # An exception in a Qt slot reaches nobody, and may end the process.
            self._on_end(failed(error))
