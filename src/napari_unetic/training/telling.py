"""Tell whoever reads the log how far a training is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from napari_unetic.steps import Step, Steps
    from napari_unetic.training.runlog import RunLog

Result = TypeVar("Result")

EVERY_SECONDS: Final = 1.0


class HasSeconds(Protocol):
    """Tells how long something has taken."""

    @property
    def seconds(self) -> float:
        """Seconds so far."""


class Teller:
    """Writes a ``progress`` record whenever the work changes, and every second.

    A record holds ``step``, the optimiser's steps so far; ``what`` is being done;
    ``done`` of ``total``; ``loss``, the mean since the last record, or None; and
    ``seconds_left`` until the end, or None where that is not known.

    Parameters
    ----------
    log : RunLog
        Where to.
    minutes : float, optional
        A budget that holds for all there is to do, reading and judging included; else
        the steps themselves say how long they take.
    clock : HasSeconds, optional
        The time that this process has spent, for such a budget.
    now : callable
        Returns seconds; for tests.
    """

    def __init__(
        self,
        log: RunLog,
        minutes: float | None = None,
        clock: HasSeconds | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_steps = 0
        self.seconds_before: float | None = None
        self._log = log
        self._clock = clock
        self._minutes = minutes
        self._now = now
        self._what = ""
        self._told = 0.0
        self._losses: list[float] = []

    def resumed(self, n_steps: int, seconds: float) -> None:
        """Take note of the steps and the seconds that earlier processes took."""
        self.n_steps, self.seconds_before = n_steps, seconds

    def relay(self, steps: Steps[Result]) -> Steps[Result]:
        """Pass steps on, and tell of them."""
        try:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                self._take(step)
                yield step
        finally:
            steps.close()

    def _take(self, step: Step) -> None:
        if step.what == "training":
            self.n_steps += 1
            self._losses.append(step.values["loss"])
        now = self._now()
        if step.what == self._what and now - self._told < EVERY_SECONDS:
            return
        self._what, self._told = step.what, now
        losses, self._losses = self._losses, []
        self._log.write(
            "progress",
            step=self.n_steps,
            what=step.what,
            done=round(step.done, 2),
            total=round(step.total, 2),
            loss=round(sum(losses) / len(losses), 5) if losses else None,
            seconds_left=self._seconds_left(step),
        )

    def _seconds_left(self, step: Step) -> float | None:
        if self._minutes is None or self._clock is None:
            left = step.values.get("seconds_left")
            return None if left is None else round(left, 1)
        if self.seconds_before is None:
            return None
        spent = self.seconds_before + self._clock.seconds
        return round(max(0.0, 60 * self._minutes - spent), 1)
