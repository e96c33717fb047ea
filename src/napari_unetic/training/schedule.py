"""When a training ends and validates and how fast it learns, by where it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unetic.training.settings import TrainSettings

_VALIDATION_SHARE = 0.1
# With a budget of time validation may take this share of it at most.


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a training stands.

    Parameters
    ----------
    step : int
        Steps done.
    seconds : float
        Time trained, interruptions not counted.
    validated_seconds : float
        Time at the end of the last validation.
    validation_took : float
        Seconds that the last validation took.
    n_due : int
        How many validations were due by the last one.
    overhead : float
        Seconds of the budget that went by beside the training.
    """

    step: int = 0
    seconds: float = 0.0
    validated_seconds: float = 0.0
    validation_took: float = 0.0
    n_due: int = 0
    overhead: float = 0.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The budget of a training and what follows from it.

    Parameters
    ----------
    settings : TrainSettings
        Learning rate and warm-up.
    total_steps : int, optional
        The budget in steps; None for a budget of time.
    reserve : float
        Seconds of a budget of time that are kept for what comes after the last step.
    """

    settings: TrainSettings
    total_steps: int | None
    reserve: float = 0.0

    def progress(self, at: Moment) -> float:
        """Return the share of the budget that is spent."""
        if self.total_steps is not None:
            return at.step / self.total_steps
        return at.seconds / self.available(at)

    def available(self, at: Moment) -> float:
        """Return the seconds of a budget of time that the training itself may take."""
        assert self.settings.minutes is not None
        left = 60 * self.settings.minutes - self.reserve - at.overhead
        # Never nothing: however late it is, a step or two are taken.
        return max(left, 0.01 * 60 * self.settings.minutes)

    def is_done(self, at: Moment) -> bool:
        """Whether the budget is spent."""
        return self.progress(at) >= 1

    def seconds_left(self, at: Moment) -> float:
        """Return the time left; by the pace so far with a budget of steps."""
        if self.total_steps is None:
            return max(0.0, self.available(at) + self.reserve - at.seconds)
        return at.seconds * (self.total_steps / max(at.step, 1) - 1)

    def learning_rate(self, at: Moment) -> float:
        """Return the rate of the next step.

        Linear warm-up, then half a cosine down to a hundredth (Loshchilov and Hutter
        2017, arXiv 1608.03983, section 3, without restarts), or no change any more.
        """
        settings, progress = self.settings, self.progress(at)
        if progress < settings.warm_up:
            share = max(progress / settings.warm_up, 0.01)
        elif settings.schedule == "constant":
            share = 1.0
        else:
            rest = (progress - settings.warm_up) / (1 - settings.warm_up)
            share = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(rest, 1)))
        return settings.learning_rate * share

    def n_due(self, at: Moment) -> int:
        """Return how many validations are due by now."""
        return int(self.progress(at) * self.settings.validations + 1e-9)

    def is_validation_due(self, at: Moment) -> bool:
        """Whether to validate now; at the end always."""
        if self.is_done(at):
            return True
        if self.n_due(at) <= at.n_due:
            return False
        if self.total_steps is not None:
            # Steps are repeatable and must not depend on the clock.
            return True
        since = at.seconds - at.validated_seconds
        return since >= at.validation_took / _VALIDATION_SHARE


@dataclass(frozen=True, slots=True)
class Replay(Schedule):
    """The schedule of a training that was, step by step.

    Parameters
    ----------
    settings, total_steps
        As `Schedule`; the steps it took.
    rates : mapping of int to float
        Learning rate of each step, counted from 0.
    validations : frozenset of int
        Steps after which it validated.
    """

    rates: Mapping[int, float] = field(default_factory=dict)
    validations: frozenset[int] = frozenset()

    def learning_rate(self, at: Moment) -> float:
        """Return the rate that the step had."""
        return self.rates[at.step]

    def is_validation_due(self, at: Moment) -> bool:
        """Whether it validated here."""
        return at.step in self.validations
