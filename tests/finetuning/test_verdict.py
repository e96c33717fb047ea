"""The verdict: who counts, and what it takes to be kept."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.finetuning.verdict import Tally, judge, tally


def _squares(*tops: int) -> np.ndarray:
    labels = np.zeros((20, 100), np.int32)
    for k, left in enumerate(tops, start=1):
        labels[5:15, left : left + 10] = k
    return labels


TRUTH = _squares(0, 20, 40)
AREA = np.zeros(TRUTH.shape, bool)
AREA[:, 18:52] = True


def test_only_held_out_objects_and_what_lies_in_their_area_count() -> None:
    """Five predictions: one hit, one matched to another, two extra, one elsewhere."""
    predicted = _squares(0, 20, 70, 32)
    predicted[0:4, 44:50] = 5
    found = tally(TRUTH, predicted, np.array([2, 3]), AREA)
    assert found.hits[:, 0].tolist() == [True, False]
    # 32 to 42 covers two pixels of object 3 and the gap; it is nearer to 3 than to 2.
    assert found.extras[:, 0].tolist() == [0, 2]
    figures = found.figures
    assert (figures.found, figures.missed, figures.extra) == (1, 1, 2)
    assert figures.ap_50 == pytest.approx(1 / 4)


def test_a_prediction_on_a_learnt_object_is_no_error() -> None:
    """However bad it is, it is not judged."""
    predicted = _squares(20, 40)
    predicted[5:15, 0:3] = 9
    found = tally(TRUTH, predicted, np.array([2, 3]), AREA)
    assert found.figures.ap_50 == 1.0


def _tally(hits: list[int], extras: list[int] | None = None) -> Tally:
    n = len(hits)
    return Tally(
        np.repeat(np.array(hits, bool)[:, None], 10, axis=1).reshape(n, 10),
        np.repeat(np.array(extras or [0] * n)[:, None], 10, axis=1).reshape(n, 10),
    )


def test_better_is_kept() -> None:
    """The sentence tells AP, number and what follows."""
    verdict = judge(_tally([1, 0, 0, 0, 1, 0]), _tally([1, 1, 1, 1, 1, 0]))
    assert verdict.verdict == "kept" and verdict.share_better > 0.95
    assert verdict.sentence == "AP 0.33 → 0.83 on 6 held-out objects: kept"


@pytest.mark.parametrize(
    "new",
    [[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0], [0] * 6],
    ids=["worse", "one for one", "the same", "nothing"],
)
def test_not_better_keeps_the_old(new: list[int]) -> None:
    """Also where as many are found, but others."""
    verdict = judge(_tally([1, 1, 1, 0, 0, 0]), _tally(new))
    assert verdict.verdict == "not better"
    assert verdict.sentence.endswith("held-out objects: not better, old model kept")


def test_extra_predictions_are_held_against_it() -> None:
    """Two more found, but many that are no objects."""
    new = _tally([1, 1, 1, 1, 1, 0], [2, 2, 2, 2, 2, 2])
    assert judge(_tally([1, 1, 1, 0, 0, 0]), new).verdict == "not better"


def test_outlines_decide_where_all_are_found() -> None:
    """The same AP at .50, and better outlines: kept."""
    old, new = _tally([1] * 8), _tally([1] * 8)
    old.hits[:, 4:] = False
    assert judge(old, new).verdict == "kept"


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_objects_tell_nothing(n: int) -> None:
    """Under five, however clear it looks."""
    verdict = judge(_tally([0] * n), _tally([1] * n))
    assert verdict.verdict == "too few to tell"
    assert verdict.sentence.endswith("too few to tell")
