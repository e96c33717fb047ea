"""Which decoding comes next while a slider moves, and what is shown meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.settings import SegmentSettings
from napari_unetic.widgets.live import GATHER, REST, Latest, Preview, same_numbers


def at(sensitivity: float) -> SegmentSettings:
    return SegmentSettings(sensitivity=sensitivity)


@pytest.fixture
def latest() -> Latest:
    return Latest(at(0.5))


def test_nothing_to_do(latest: Latest) -> None:
    """Nothing is due, nor will be, while nobody moves anything."""
    assert not latest.view_due(9) and not latest.whole_due(9)
    assert latest.wait(9) is None and not latest.pending
    assert not latest.change(at(0.5), 9)
    assert latest.wait(9) is None


def test_view_first(latest: Latest) -> None:
    """The view is due a moment after the change, all the rest when the slider rests."""
    assert latest.change(at(0.6), 10)
    assert not latest.view_due(10) and latest.wait(10) == pytest.approx(GATHER)
    assert latest.view_due(10 + GATHER) and not latest.whole_due(10 + GATHER)
    latest.viewed(at(0.6), 10.1)
    assert not latest.view_due(10.1) and not latest.whole_due(10.1)
    assert latest.wait(10.1) == pytest.approx(REST - 0.1)
    assert latest.whole_due(10 + REST)
    latest.finished(at(0.6))
    assert not latest.pending and latest.wait(20) is None


def test_never_lags(latest: Latest) -> None:
    """However many changes there are, the next decoding is of the latest alone."""
    decoded, now, busy_until = [], 0.0, 0.0
    for move in range(100):  # a change every 10 ms, a decoding takes 80 ms
        now = move / 100
        latest.change(at(0.5 + (move + 1) / 1000), now)
        if now >= busy_until and latest.view_due(now):
            decoded.append((now, latest.wanted.sensitivity))
            latest.viewed(latest.wanted, now)
            busy_until = now + 0.08
        assert not latest.whole_due(now)
    assert 8 <= len(decoded) <= 13
    for when, sensitivity in decoded:
        assert sensitivity == pytest.approx(0.5 + (round(when * 100) + 1) / 1000)
    latest.viewed(latest.wanted, now)
    assert latest.whole_due(now + REST)


def test_a_stream_of_changes_does_not_put_off_the_view(latest: Latest) -> None:
    """Changes are gathered from the first one on, so that the view keeps following."""
    for move in range(10):
        latest.change(at(0.6 + move / 100), move * GATHER / 5)
    assert latest.view_due(GATHER)


def test_held(latest: Latest) -> None:
    """While a slider is held, the rest waits, however long that takes."""
    latest.held = True
    latest.change(at(0.6), 0)
    latest.viewed(at(0.6), 0.1)
    assert not latest.whole_due(60) and latest.wait(60) is None
    latest.held = False
    assert latest.whole_due(60) and latest.wait(60) == 0


def test_change_during_the_whole(latest: Latest) -> None:
    """A change that comes while everything is decoded is decoded after it."""
    latest.change(at(0.6), 0)
    latest.viewed(at(0.6), 0.1)
    assert latest.whole_due(1)
    latest.change(at(0.7), 1.1)
    latest.finished(at(0.6))
    assert latest.pending and latest.view_due(1.2)


def test_back_again(latest: Latest) -> None:
    """Moved back to where it was, nothing is pending any more."""
    latest.change(at(0.6), 0)
    latest.viewed(at(0.6), 0.1)
    latest.change(at(0.5), 0.2)
    assert not latest.pending
    latest.give_up()
    assert latest.wait(9) is None


def test_give_up(latest: Latest) -> None:
    """After a failure nothing is tried again until the next change."""
    latest.change(at(0.6), 0)
    latest.give_up()
    assert latest.wait(1) is None and not latest.view_due(9)
    assert latest.change(at(0.6), 2)


def test_preview_is_taken_back() -> None:
    """What was covered comes back, also under several windows that overlap."""
    data = np.arange(48, dtype=np.uint16).reshape(6, 8)
    before = data.copy()
    preview = Preview(data)
    preview.show((slice(0, 4), slice(0, 4)), np.full((4, 4), 7, np.uint16))
    preview.show((slice(2, 6), slice(2, 8)), np.full((4, 6), 9, np.uint16))
    preview.show((slice(0, 4), slice(0, 4)), np.full((4, 4), 3, np.uint16))
    assert data[5, 7] == 9 and (data[:4, :4] == 3).all()
    preview.take_back()
    np.testing.assert_array_equal(data, before)


def test_preview_leaves_alone_what_changed_since() -> None:
    """Pixels that somebody else has written stay when the rest is taken back."""
    data = np.ones((3, 4), np.uint8)
    preview = Preview(data)
    preview.show((slice(0, 2), slice(None)), np.full((2, 4), 2, np.uint8))
    preview.show((slice(0, 2), slice(None)), np.full((2, 4), 3, np.uint8))
    data[0, 0] = 9
    preview.take_back()
    assert data[0, 0] == 9 and (data.ravel()[1:] == 1).all()


def test_same_numbers() -> None:
    """Objects keep the number of the one they share most with, each number once."""
    before = np.array([[5, 5, 5, 0, 3, 3], [5, 5, 5, 0, 3, 3]])
    labels = np.array([[1, 1, 2, 0, 3, 3], [1, 1, 2, 0, 0, 4]])
    assert same_numbers(labels, before).tolist() == [
        [5, 5, 7, 0, 3, 3],
        [5, 5, 7, 0, 0, 9],
    ]


def test_same_numbers_of_one_split_in_two() -> None:
    """Of two halves one keeps the number, the other gets a new one."""
    before = np.ones((2, 4), np.int32)
    halves = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    found = same_numbers(halves, before)
    assert sorted(np.unique(found)) == [1, 3]


@pytest.mark.parametrize("before", [0, 4])
def test_same_numbers_of_nothing(before: int) -> None:
    """Where nothing was or is, nothing breaks."""
    labels = np.zeros((2, 3), np.int32)
    assert same_numbers(labels, np.full((2, 3), before)).max() == 0


def test_same_numbers_beyond_the_type() -> None:
    """A number that the layer cannot hold is shown as background, not as another."""
    before = np.full((1, 4), 254, np.uint8)
    before[0, 0] = 0
    found = same_numbers(np.array([[1, 2, 3, 4]]), before)
    assert found.dtype == np.uint8 and found.tolist() == [[255, 254, 0, 0]]


def test_same_numbers_keep_the_objects() -> None:
    """Renumbering joins no objects and splits none."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 9, (40, 40))
    before = generator.integers(0, 5, (40, 40))
    found = same_numbers(labels, before)
    pairs = {(int(a), int(b)) for a, b in zip(labels.flat, found.flat, strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
