"""Overlaps and assignments: hand-worked grids, and a twin that tries everything."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.matching import match, overlap

# Shares with the truths below: 1 with 7: 3 of 5; 2 with 8: 2 of 3; 2 with 7: 1 of 6.
TRUE = np.array(
    [
        [1, 1, 1, 0, 0],
        [1, 0, 2, 2, 2],
        [0, 0, 0, 0, 0],
    ]
)
PRED = np.array(
    [
        [7, 7, 7, 0, 0],
        [0, 0, 7, 8, 8],
        [0, 0, 0, 0, 9],
    ]
)


def matched(truth, pred, threshold=0.5):
    """The matched pairs of ids."""
    pairs = overlap(np.asarray(truth), np.asarray(pred))
    found = match(pairs, threshold)
    ids = pairs.true_ids[found.true_index], pairs.pred_ids[found.pred_index]
    return sorted(zip(*(i.tolist() for i in ids), strict=True))


def twin(truth, pred, threshold):
    """The most matches and the highest total IoU with them, by trying everything."""
    candidates = []
    for t, p in product(np.unique(truth[truth > 0]), np.unique(pred[pred > 0])):
        both = int(((truth == t) & (pred == p)).sum())
        either = int(((truth == t) | (pred == p)).sum())
        if Fraction(both, either) >= Fraction(str(threshold)):
            candidates.append((t, p, Fraction(both, either)))

    def best(at, used):
        if at == len(candidates):
            return 0, Fraction(0)
        t, p, iou = candidates[at]
        result = best(at + 1, used)
        if ("t", t) not in used and ("p", p) not in used:
            n, total = best(at + 1, used | {("t", t), ("p", p)})
            result = max(result, (n + 1, total + iou))
        return result

    return best(0, frozenset())


def test_overlap_of_a_hand_worked_grid():
    """Ids, areas and shared pixels are those counted by hand, without background."""
    pairs = overlap(TRUE, PRED)
    assert pairs.true_ids.tolist() == [1, 2]
    assert pairs.true_areas.tolist() == [4, 3]
    assert pairs.pred_ids.tolist() == [7, 8, 9]
    assert pairs.pred_areas.tolist() == [4, 2, 1]
    rows = zip(
        pairs.true_index, pairs.pred_index, pairs.shared, pairs.union, strict=True
    )
    assert [tuple(map(int, row)) for row in rows] == [
        (0, 0, 3, 5),
        (1, 0, 1, 6),
        (1, 1, 2, 3),
    ]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.5, [(1, 7), (2, 8)]), (0.6, [(1, 7), (2, 8)]), (0.65, [(2, 8)]), (0.7, [])],
)
def test_matches_of_a_hand_worked_grid(threshold, expected):
    """IoU 3/5 and 2/3 match up to their own value and no further."""
    assert matched(TRUE, PRED, threshold) == expected


@pytest.mark.parametrize("percent", range(5, 101, 5))
def test_a_pair_exactly_at_the_threshold_matches(percent):
    """With `percent` of 100 pixels shared, the threshold percent / 100 is reached."""
    truth = np.ones((10, 10), int)
    pred = (np.arange(100) < percent).astype(int).reshape(10, 10)
    assert matched(truth, pred, percent / 100) == [(1, 1)]
    if percent < 100:
        assert matched(truth, pred, percent / 100 + 0.001) == []


def test_exact_halves_match_only_once():
    """Two halves both have IoU .5 with the whole, and one of them is matched."""
    whole, halves = np.array([[1, 1, 1, 1]]), np.array([[3, 3, 4, 4]])
    assert len(matched(whole, halves)) == 1
    assert len(matched(halves, whole)) == 1
    assert matched(whole, halves, 0.51) == []


def test_as_many_as_possible_are_matched_not_the_best_pair_first():
    """At a low threshold the best pair gives way where that makes two matches."""
    truth = np.array([[1, 1, 1, 1, 1, 1, 2, 2, 0, 0]])
    pred = np.array([[5, 6, 6, 6, 6, 6, 6, 6, 0, 0]])
    # IoU: 1-6 is 5/8, the best; 1-5 is 1/6; 2-6 is 2/7.
    assert matched(truth, pred, 0.1) == [(1, 5), (2, 6)]
    assert matched(truth, pred, 0.5) == [(1, 6)]


@pytest.mark.parametrize("seed", range(60))
def test_the_number_of_matches_and_their_iou_are_the_best_possible(seed):
    """Small random label images agree with the twin at low and high thresholds."""
    random = np.random.default_rng(seed)
    shape = [(1, 12), (4, 4), (2, 3, 3)][seed % 3]
    truth, pred = random.integers(0, 5, (2, *shape))
    if seed % 2:
        pred = np.where(random.random(shape) < 0.7, truth, pred)
    pairs = overlap(truth, pred)
    for threshold in (0.05, 0.1, 0.2, 1 / 4, 0.4, 0.5, 0.55, 0.7, 0.95, 1.0):
        found = match(pairs, threshold)
        n, total = twin(truth, pred, threshold)
        assert len(found.iou) == n
        assert found.iou.sum() == pytest.approx(float(total))
        assert len(set(found.true_index.tolist())) == n
        assert len(set(found.pred_index.tolist())) == n


@pytest.mark.parametrize("seed", range(20))
def test_halves_by_chance_agree_with_the_twin(seed):
    """Objects cut at random, often in exact halves, agree with the twin at .5."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(1, 6), 4).reshape(5, 4)
    pred = truth * 2 + (np.arange(4) >= random.integers(1, 4, 5)[:, np.newaxis])
    for a, b in ((truth, pred), (pred, truth)):
        assert len(match(overlap(a, b)).iou) == twin(a, b, 0.5)[0]


@pytest.mark.parametrize("seed", range(5))
def test_renumbering_changes_nothing_but_the_ids(seed):
    """Other numbers, however large or sparse, give the same pairs of objects."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 6, (8, 8))
    pred = np.where(random.random((8, 8)) < 0.8, truth, random.integers(0, 6, (8, 8)))
    numbers = np.array([0, *random.choice(2**32 - 1, 5, replace=False) + 1], np.uint32)
    renumbered = numbers[pred]
    expected = [(t, int(numbers[p])) for t, p in matched(truth, pred)]
    assert matched(truth, renumbered) == sorted(expected)


def test_any_integer_type_and_memory_order_will_do():
    """Boolean, unsigned and transposed arrays are label images too."""
    assert matched(TRUE > 0, (TRUE > 0).astype(np.uint8)) == [(1, 1)]
    assert matched(TRUE.astype(np.uint16).T, PRED.astype(np.int64).T) == [
        (1, 7),
        (2, 8),
    ]
    assert matched(np.asfortranarray(TRUE), PRED) == [(1, 7), (2, 8)]


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 4)])
def test_images_without_objects_have_no_overlap(shape):
    """Nothing against nothing is no pair, whatever the size."""
    assert matched(np.zeros(shape, int), np.zeros(shape, int)) == []
    assert matched(np.zeros(shape, int), np.ones(shape, int)) == []


def test_a_large_grid_is_matched_whole():
    """10,000 objects moved by a pixel all find their partner (0.1 s when written)."""
    cell = np.pad(np.ones((7, 7), int), ((0, 1), (0, 1)))
    truth = np.kron(np.arange(1, 10_001).reshape(100, 100), cell)
    found = matched(truth, np.roll(truth, 1, axis=0), 0.75)
    assert found == [(i, i) for i in range(1, 10_001)]


@pytest.mark.parametrize(
    ("truth", "pred", "sentence"),
    [
        (
            [[1, 0]],
            [[1], [0]],
            r"Expected predicted labels of .* \(1, 2\), got \(2, 1\)",
        ),
        ([[1.5, 0]], [[1, 0]], "Expected true labels of whole numbers, got .* float64"),
        ([[1, 0]], [[-1, 0]], "Expected predicted labels from 0 up, got -1"),
    ],
)
def test_bad_labels_are_refused_in_a_sentence(truth, pred, sentence):
    """Shapes that differ, fractions and negative numbers are refused."""
    with pytest.raises(UneticError, match=sentence):
        overlap(np.array(truth), np.array(pred))


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_bad_thresholds_are_refused(threshold):
    """A threshold is above 0 and up to 1."""
    with pytest.raises(UneticError, match="above 0 and up to 1"):
        match(overlap(TRUE, PRED), threshold)
