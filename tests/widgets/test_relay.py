"""The relay passes steps on and always says how the work ended."""

from __future__ import annotations

import threading

import pytest

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.widgets.relay import relay


class Work:
    """Three steps, then a result or an error; notes where it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.closed_in: threading.Thread | None = None

    def steps(self) -> Steps[str]:
        try:
            for done in range(1, 4):
                yield Step(done, 3, "tile")
            if self.error is not None:
                raise self.error
            return "labels"
        finally:
            self.closed_in = threading.current_thread()


def test_whole() -> None:
    """Work that ends by itself gives all its steps and its result."""
    seen: list[float] = []
    outcome = drain(
        relay(Work().steps(), threading.Event()), lambda step: seen.append(step.done)
    )
    assert seen == [1, 2, 3]
    assert outcome.value == "labels"
    assert outcome.error is None and not outcome.stopped


@pytest.mark.parametrize("error", [RuntimeError, UneticError, MemoryError])
def test_error(error: type[Exception]) -> None:
    """An error is returned, a RuntimeError as well, with its trace but no frames."""
    outcome = drain(relay(Work(error("broken")).steps(), threading.Event()))
    assert isinstance(outcome.error, error)
    assert outcome.error.__traceback__ is None
    assert "broken" in outcome.trace and "in steps" in outcome.trace
    assert not outcome.stopped


def test_stop() -> None:
    """Stopped work ends with the current step and is closed by the relay's thread."""
    work, stop = Work(), threading.Event()
    steps = relay(work.steps(), stop)
    next(steps)
    stop.set()
    outcome = drain(steps)
    assert outcome.stopped and outcome.value is None
    assert work.closed_in is threading.current_thread()


def test_stop_before_the_start() -> None:
    """Work that is stopped before it starts does nothing."""
    stop = threading.Event()
    stop.set()
    assert drain(relay(Work().steps(), stop)).stopped
