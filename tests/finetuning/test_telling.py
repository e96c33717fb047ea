"""What the log of a fine-tuning tells of its progress."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_unetic.finetuning.clock import Clock
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.telling import Teller


def _work(n: int) -> Steps[str]:
    yield Step(0, 0, "reading pairs")
    for k in range(n):
        yield Step(k + 1, n, "training", {"loss": float(k), "seconds_left": 9.0 - k})
    yield Step(0, 0, "judging")
    return "done"


def test_it_tells_when_the_work_changes_and_every_second(tmp_path: Path) -> None:
    """Losses are averaged from one record to the next."""
    log = RunLog(tmp_path)
    now = iter([0.0, 0.1, 0.2, 0.5, 1.2, 1.3])
    teller = Teller(log, now=lambda: next(now))
    teller.resumed(100, 0.0)
    assert drain(teller.relay(_work(4))) == "done"
    records = log.read()
    assert [(r["what"], r["step"], r["loss"]) for r in records] == [
        ("reading pairs", 100, None),
        ("training", 101, 0.0),
        ("training", 104, 2.0),
        ("judging", 104, None),
    ]
    assert [r["seconds_left"] for r in records] == [None, 9.0, 6.0, None]


def test_time_left_counts_what_earlier_processes_took(tmp_path: Path) -> None:
    """Of two minutes 50 seconds were spent before, 20 in this process."""
    log = RunLog(tmp_path)
    teller = Teller(log, 2.0, Clock(20.0))
    assert drain(teller.relay(_work(0))) == "done"
    teller.resumed(7, 50.0)
    assert drain(teller.relay(_work(0))) == "done"
    left = [r["seconds_left"] for r in log.read()]
    assert left[:2] == [None, None]
    assert left[2:] == pytest.approx([50, 50], abs=1)


def test_closing_it_closes_the_work(tmp_path: Path) -> None:
    """So that a lock is given back when a run is left."""
    closed = []

    def work() -> Steps[None]:
        try:
            yield Step(0, 0, "training", {"loss": 1.0})
        finally:
            closed.append(True)

    steps = Teller(RunLog(tmp_path)).relay(work())
    next(steps)
    steps.close()
    assert closed
