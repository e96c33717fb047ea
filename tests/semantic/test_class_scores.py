"""IoU and Dice of classes against counts by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.semantic.scores import (
    ClassScores,
    pool_classes,
    score_classes,
)

TRUTH = np.array([[0, 0, 1, 1], [2, 2, 1, 0]])
PRED = np.array([[0, 1, 1, 1], [2, 0, 0, 0]])


def test_counts_by_hand() -> None:
    """Class 0: 2 right, 2 false, 1 missed; class 1: 2, 1, 1; class 2: 1, 0, 1."""
    found = score_classes(TRUTH, PRED, 3)
    assert (found.tp, found.fp, found.fn) == ((2, 2, 1), (2, 1, 0), (1, 1, 1))
    assert found.iou == pytest.approx((2 / 5, 2 / 4, 1 / 2))
    assert found.dice == pytest.approx((4 / 7, 4 / 6, 2 / 3))
    assert found.mean_iou == pytest.approx(1 / 2)


def test_a_class_that_neither_has_scores_1() -> None:
    """There was nothing to find, and nothing was found."""
    found = score_classes(TRUTH, TRUTH, 4)
    assert found.iou == found.dice == (1, 1, 1, 1)


def test_pixels_that_are_not_reviewed_count_for_nothing() -> None:
    """Only the last two columns of the first row are looked at."""
    reviewed = np.array([[0, 0, 1, 1], [0, 0, 0, 0]])
    found = score_classes(TRUTH, PRED, 3, reviewed)
    assert (found.tp, found.fp, found.fn) == ((0, 2, 0), (0, 0, 0), (0, 0, 0))


def test_pooled_and_per_image_differ() -> None:
    """Pooled is the ratio of sums, per image the mean of ratios."""
    large = score_classes(np.ones((10, 10), int), np.ones((10, 10), int), 2, name="l")
    small = score_classes(np.array([[1, 1]]), np.array([[0, 1]]), 2, name="s")
    scores = ClassScores((large, small), ("background", "cell"))
    assert scores.pooled("iou")["cell"] == pytest.approx(101 / 102)
    assert scores.per_image("iou")["cell"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores.mean_iou == pool_classes([large, small]).mean_iou


def test_the_report_names_classes() -> None:
    """As JSON and as a table, with the time where it was taken."""
    row = score_classes(TRUTH, PRED, 3, name="a")
    scores = ClassScores((row,), ("background", "cell", "edge"), seconds=(2.0,))
    written = json.loads(json.dumps(scores.to_json()))
    assert written["images"][0]["iou"]["cell"] == pytest.approx(0.5)
    assert written["mean_iou_pooled"] == pytest.approx(0.5)
    assert written["seconds_per_megapixel"] == pytest.approx(2e6 / 8)
    lines = scores.table().splitlines()
    assert any(line.split()[:3] == ["cell", "0.500", "0.667"] for line in lines)


def test_what_cannot_be_compared_is_refused() -> None:
    """Other shapes, numbers without a class, no image at all."""
    with pytest.raises(UneticError, match="of shape"):
        score_classes(TRUTH, PRED[:1], 3)
    with pytest.raises(UneticError, match="from 0 to 1, got 0 to 2"):
        score_classes(TRUTH, PRED, 2)
    with pytest.raises(UneticError, match="at least one image"):
        ClassScores((), ("background", "cell"))
