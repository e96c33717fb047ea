"""Budget, learning rate and validations follow from where a training stands."""

from __future__ import annotations

import pytest

from napari_unetic.training.schedule import Moment, Replay, Schedule
from napari_unetic.training.settings import train_settings

STEPS = Schedule(train_settings(steps=1000, learning_rate=0.01, warm_up=0.1), 1000)
MINUTES = Schedule(train_settings(minutes=10), None)


def test_the_rate_rises_then_falls() -> None:
    """Linear to the highest at the end of the warm-up, a hundredth at the end."""
    rates = [STEPS.learning_rate(Moment(step=k)) for k in (0, 50, 100, 550, 1000)]
    assert rates == pytest.approx([0.0001, 0.005, 0.01, 0.00505, 0.0001])


def test_minutes_end_on_time_and_not_before() -> None:
    """The share of the time that is spent decides, however many steps."""
    assert not MINUTES.is_done(Moment(step=10**6, seconds=599))
    assert MINUTES.is_done(Moment(step=1, seconds=600))
    assert MINUTES.seconds_left(Moment(seconds=450)) == 150


def test_the_time_left_follows_the_pace() -> None:
    """With a budget of steps: a quarter done in 10 s leaves 30 s."""
    assert STEPS.seconds_left(Moment(step=250, seconds=10)) == pytest.approx(30)


def test_validations_are_spread_evenly() -> None:
    """Twenty in a training of steps, the last at the end."""
    due, n = [], 0
    for step in range(1, 1001):
        at = Moment(step=step, n_due=n)
        if STEPS.is_validation_due(at):
            due.append(step)
            n = STEPS.n_due(at)
    assert due == list(range(50, 1001, 50)) and len(due) == 20


def test_slow_validations_become_rarer_with_a_budget_of_time() -> None:
    """One that took 6 s waits until 60 s of training have gone by."""
    early = Moment(seconds=50, validated_seconds=0, validation_took=6)
    assert not MINUTES.is_validation_due(early)
    late = Moment(seconds=61, validated_seconds=0, validation_took=6)
    assert MINUTES.is_validation_due(late)
    assert MINUTES.is_validation_due(Moment(seconds=600, validation_took=999))


def test_a_replay_repeats_what_was() -> None:
    """Rates and validations come from the log."""
    rates, validations = {0: 0.1, 1: 0.2, 2: 0.3}, frozenset({2, 3})
    replay = Replay(MINUTES.settings, 3, rates=rates, validations=validations)
    assert [replay.learning_rate(Moment(step=k)) for k in range(3)] == [0.1, 0.2, 0.3]
    due = [replay.is_validation_due(Moment(step=k)) for k in (1, 2, 3)]
    assert due == [False, True, True]
    assert replay.is_done(Moment(step=3)) and not replay.is_done(Moment(step=2))


def test_time_beside_the_training_is_part_of_the_budget() -> None:
    """Ten minutes less 60 s before and 60 s kept for the end leave eight."""
    schedule = Schedule(MINUTES.settings, None, reserve=60)
    at = Moment(seconds=240, overhead=60)
    assert schedule.progress(at) == pytest.approx(0.5)
    assert schedule.seconds_left(at) == pytest.approx(300)
    # However late it is, it ends, and not before a step.
    late = Moment(seconds=0, overhead=9999)
    assert not schedule.is_done(late)
    assert schedule.is_done(Moment(seconds=6, overhead=9999))
