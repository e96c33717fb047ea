"""Scores: hand-worked counts, extremes, and what must not change them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import IOU_THRESHOLDS, pool, score_image
from napari_unetic.instances.scores import Scores

RATIOS = ("ap", "precision", "recall", "f1", "mean_matched_iou", "pq")
EMPTY = np.zeros((4, 4), int)
ONE = np.pad(np.ones((2, 2), int), 1)

# Two rows of ten pixels. IoU: 1-1 is 8/10, 2-2 is 5/10; 3 is missed and 4 is extra.
TRUE = np.array([[1] * 10 + [0, 3], [2] * 10 + [0, 0]])
PRED = np.array([[1] * 8 + [0] * 4, [2] * 5 + [0] * 6 + [4]])


def test_counts_of_a_hand_worked_grid():
    """Two of three are found at .50, one up to .80, none above."""
    score = score_image(TRUE, PRED, name="grid")
    assert score.tp == (2, 1, 1, 1, 1, 1, 1, 0, 0, 0)
    assert score.fp == (1, 2, 2, 2, 2, 2, 2, 3, 3, 3)
    assert score.fn == score.fp
    assert score.sum_iou == pytest.approx((1.3, *(0.8,) * 6, 0, 0, 0))
    assert (score.n_true, score.n_pred, score.n_pixels) == (3, 3, 24)
    assert (score.pixel_tp, score.pixel_fp, score.pixel_fn) == (13, 1, 8)
    assert score.name == "grid"


def test_scores_of_a_hand_worked_grid():
    """Each ratio follows from the counts by its formula."""
    score = score_image(TRUE, PRED)
    assert score.ap[:2] == pytest.approx((2 / 4, 1 / 5))
    assert score.precision[0] == pytest.approx(2 / 3)
    assert score.recall[0] == pytest.approx(2 / 3)
    assert score.f1[:2] == pytest.approx((2 / 3, 1 / 3))
    assert score.mean_matched_iou[:2] == pytest.approx((0.65, 0.8))
    assert score.pq[:2] == pytest.approx((1.3 / 3, 0.8 / 3))
    assert score.ap[-1] == score.f1[-1] == score.pq[-1] == 0
    assert score.pixel_iou == pytest.approx(13 / 22)
    assert score.pixel_dice == pytest.approx(26 / 35)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(
    ("truth", "pred", "expected"),
    [
        pytest.param(EMPTY, EMPTY, 1, id="nothing to find, nothing found"),
        pytest.param(ONE, ONE, 1, id="perfect"),
        pytest.param(EMPTY, ONE, 0, id="all extra"),
        pytest.param(ONE, EMPTY, 0, id="all missed"),
        pytest.param(ONE, np.pad([[1]], (0, 3)), 0, id="elsewhere"),
    ],
)
def test_extremes(truth, pred, expected, ratio):
    """Perfect is 1 at every threshold, wrong is 0, and empty against empty is 1."""
    score = score_image(truth, pred)
    assert getattr(score, ratio) == (expected,) * 10
    assert score.pixel_iou == score.pixel_dice == expected


@pytest.mark.parametrize("seed", range(10))
def test_swapping_truth_and_prediction_swaps_precision_and_recall(seed):
    """AP, F1, PQ, IoU and Dice stay; extra and missed change places."""
    random = np.random.default_rng(seed)
    truth, pred = random.integers(0, 5, (2, 5, 5))
    pred = np.where(random.random((5, 5)) < 0.8, truth, pred)
    there, back = score_image(truth, pred), score_image(pred, truth)
    assert there.precision == back.recall
    assert there.fp == back.fn
    for ratio in ("ap", "f1", "mean_matched_iou", "pq"):
        assert getattr(there, ratio) == pytest.approx(getattr(back, ratio))
    assert there.pixel_iou == back.pixel_iou
    assert there.pixel_dice == back.pixel_dice


@pytest.mark.parametrize("seed", range(10))
def test_renumbering_and_shuffling_pixels_change_nothing(seed):
    """Scores know neither the numbers of objects nor where their pixels are."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 6, (6, 6))
    pred = np.where(random.random((6, 6)) < 0.8, truth, 0)
    expected = score_image(truth, pred)
    numbers = np.array([0, *random.permutation(50)[:5] + 1])
    order = random.permutation(36)
    again = score_image(truth.ravel()[order], numbers[pred].ravel()[order])
    assert again.tp == expected.tp
    assert again.sum_iou == pytest.approx(expected.sum_iou)
    assert replace(again, sum_iou=expected.sum_iou) == expected


def test_background_around_the_image_changes_nothing_but_its_size():
    """Padding adds pixels, not objects."""
    padded = score_image(np.pad(TRUE, 3), np.pad(PRED, 3))
    assert replace(padded, n_pixels=24) == score_image(TRUE, PRED)


def test_scores_fall_as_the_threshold_rises():
    """No score but the mean IoU of the matched rises with the threshold."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 9, (9, 9))
    score = score_image(truth, np.where(random.random((9, 9)) < 0.8, truth, 0))
    for ratio in ("ap", "f1", "pq", "precision", "recall"):
        values = getattr(score, ratio)
        assert list(values) == sorted(values, reverse=True)


def test_pixels_that_are_not_reviewed_count_for_nothing():
    """What is predicted or true outside the reviewed area leaves the score alone."""
    reviewed = np.zeros((4, 8), bool)
    reviewed[:, :4] = True
    truth, pred = np.pad(ONE, ((0, 0), (0, 4))), np.pad(ONE, ((0, 0), (0, 4)))
    expected = score_image(truth, pred, reviewed)
    assert (expected.tp[0], expected.fp[0], expected.fn[0]) == (1, 0, 0)
    pred[1:3, 6:] = 2
    truth[0, 5] = 3
    assert score_image(truth, pred, reviewed) == expected
    assert score_image(truth, pred, np.ones((4, 8))) == score_image(truth, pred)


def test_an_unmatched_object_mostly_outside_the_reviewed_area_is_no_error():
    """An object cut by the edge is judged where at least half of it is inside."""
    reviewed = np.array([[1, 1, 1, 1, 0, 0, 0, 0]])
    outside = np.array([[0, 0, 0, 2, 2, 2, 0, 0]])
    half = np.array([[0, 0, 2, 2, 2, 2, 0, 0]])
    nothing = np.zeros((1, 8), int)
    for pred, n in ((outside, 0), (half, 1)):
        assert score_image(nothing, pred, reviewed).fp == (n,) * 10
        assert score_image(pred, nothing, reviewed).fn == (n,) * 10
    assert score_image(outside, outside, reviewed).tp == (1,) * 10
    assert score_image(outside, outside, reviewed).ap == (1,) * 10


def test_a_reviewed_area_of_another_shape_is_refused():
    """The reviewed area has the shape of the labels."""
    with pytest.raises(UneticError, match=r"Expected reviewed area .* \(4, 4\)"):
        score_image(ONE, ONE, np.ones((2, 2)))


def test_pooled_counts_are_sums():
    """Adding up images adds up their counts, and no image gives none."""
    rows = [score_image(TRUE, PRED), score_image(ONE, EMPTY), score_image(ONE, ONE)]
    total = pool(rows)
    assert total.tp[:2] == (3, 2)
    assert total.fn[0] == 1 + 1 + 0
    assert total.n_true == 5
    assert total.pixel_tp == 13 + 0 + 4
    assert total.n_pixels == 24 + 16 + 16
    assert pool(rows[:1], "") == rows[0]
    assert pool([]).tp == (0,) * 10
    assert pool([]).ap == (1.0,) * 10


def test_pooled_and_per_image_differ_as_they_should():
    """Pooled is a ratio of sums, per image a mean of ratios."""
    scores = Scores((score_image(TRUE, PRED), score_image(ONE, ONE)))
    assert scores.pooled("ap")["0.50"] == pytest.approx(3 / 5)
    assert scores.per_image("ap")["0.50"] == pytest.approx((2 / 4 + 1) / 2)
    # AP of the grid is 1/2, then six times 1/5, then three times 0.
    assert scores.mean_ap_per_image_10 == pytest.approx(((0.5 + 6 * 0.2) / 10 + 1) / 2)
    # TP of both are 3, then six times 2, then 1; errors are 2, 4 and 6.
    assert scores.mean_ap_pooled_9 == pytest.approx((3 / 5 + 6 * 2 / 6 + 2 / 7) / 9)


def test_the_report_has_the_keys_that_are_promised():
    """JSON holds every promised key, thresholds as texts, and a row an image."""
    rows = (score_image(TRUE, PRED, name="a"), score_image(EMPTY, EMPTY, name="b"))
    scores = Scores(rows, seconds=(1e-5, 3e-5), threads=2, notices=("Read this.",))
    report = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert report["n_images"] == 2
    assert report["n_objects"] == 3
    assert report["threads"] == 2
    assert report["seconds_per_megapixel"] == pytest.approx(1.0)
    assert report["notices"] == ["Read this."]
    assert list(report["ap_pooled"]) == [f"{t:.2f}" for t in IOU_THRESHOLDS]
    for ratio in RATIOS:
        assert report[f"{ratio}_pooled"] == pytest.approx(scores.pooled(ratio))
        assert report[f"{ratio}_per_image"] == pytest.approx(scores.per_image(ratio))
    assert report["mean_ap_pooled_9"] == pytest.approx((0.5 + 6 * 0.2) / 9)
    assert report["mean_ap_per_image_10"] == pytest.approx((0.17 + 1) / 2)
    assert report["pixel_iou_pooled"] == pytest.approx(13 / 22)
    assert report["pixel_dice_per_image"] == pytest.approx((26 / 35 + 1) / 2)
    assert [row["name"] for row in report["images"]] == ["a", "b"]
    assert report["images"][0]["tp"]["0.50"] == 2
    assert report["images"][1]["seconds"] == pytest.approx(3e-5)


def test_a_report_without_timing_says_nothing_about_it():
    """Scores of label images alone have no seconds and no threads."""
    report = Scores((score_image(ONE, ONE),)).to_json()
    assert "seconds_per_megapixel" not in report
    assert "threads" not in report
    assert "seconds" not in report["images"][0]


def test_the_table_shows_every_threshold_and_the_totals():
    """A line for each threshold with aligned columns, then means, pixels and time."""
    scores = Scores((score_image(TRUE, PRED),), seconds=(2.4e-5,), threads=1)
    lines = scores.table().splitlines()
    assert lines[0] == "1 image, 3 true objects, 3 predicted"
    rows = [line for line in lines if line[:2] == "0."]
    assert [row[:4] for row in rows] == [f"{t:.2f}" for t in IOU_THRESHOLDS]
    assert rows[0].split() == (
        "0.50 0.500 0.667 0.667 0.667 0.650 0.433 | 0.500 0.667".split()
    )
    header = next(line for line in lines if "precision" in line)
    assert {len(line) for line in rows} == {len(header)}
    assert any(line.split() == ["threads", "1"] for line in lines)
    assert any("seconds per megapixel" in line and "1.000" in line for line in lines)


def test_no_image_is_refused():
    """There is no score of nothing."""
    with pytest.raises(UneticError, match="at least one image"):
        Scores(())
