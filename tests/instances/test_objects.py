"""Scores of objects, and labels without some objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.objects import (
    check_labels,
    drop,
    score_objects,
)

LABELS = np.array(
    [
        [1, 1, 0, 0, 2],
        [0, 0, 0, 0, 0],
        [0, 0, 4, 0, 0],
        [0, 0, 4, 0, 0],
        [0, 0, 0, 0, 0],
    ]
)


def maps_of(foreground: np.ndarray, contact: float = 0.0) -> np.ndarray:
    """Return maps with one contact everywhere."""
    return np.stack([foreground, np.full_like(foreground, contact), foreground]).astype(
        np.float32
    )


def test_a_score_is_the_mean_certainty() -> None:
    """Foreground of .5 or less counts 0, of 1 counts 1, and contact takes its share."""
    foreground = np.full(LABELS.shape, 0.9)
    foreground[0, :2] = 1.0, 0.3
    foreground[0, 4] = 0.75
    expected = [(1.0 + 0.0) / 2, 0.5, 0.0, 0.8]

    scores = score_objects(LABELS, maps_of(foreground))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected)
    scores = score_objects(LABELS, maps_of(foreground, contact=0.25))
    assert scores == pytest.approx(0.75 * np.array(expected))


def test_scores_reach_from_0_to_1() -> None:
    """No maps between 0 and 1 lead out of 0 to 1."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 30, (40, 50))
    scores = score_objects(labels, random.random((3, 40, 50), np.float32))
    assert scores.shape == (29,)
    assert 0 < scores.min() < scores.max() < 1


def test_no_objects_have_no_scores() -> None:
    """Background alone gives an empty array."""
    empty = np.zeros((3, 4), np.uint16)
    assert score_objects(empty, np.ones((3, 3, 4), np.float32)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32])
def test_dropping_keeps_the_rest(dtype: type) -> None:
    """What is not dropped keeps number and dtype, and the labels given stay."""
    labels = LABELS.astype(dtype)
    before = labels.copy()
    kept = drop(labels, np.array([1, 4, 77]))
    assert kept.dtype == dtype
    np.testing.assert_array_equal(kept, np.where(LABELS == 2, 2, 0))
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(drop(labels, np.zeros(0, np.int64)), before)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros((2, 2)), "Expected labels of whole numbers, got dtype float64"),
        (np.array([[0, -3]]), "Expected labels from 0 up, got -3"),
    ],
)
def test_what_are_no_labels_is_refused(labels: np.ndarray, sentence: str) -> None:
    """Real and negative numbers are refused in a sentence."""
    with pytest.raises(UneticError, match=sentence):
        check_labels(labels)


@pytest.mark.slow
def test_scores_rank_true_objects_above_false_ones(data_folder: Path) -> None:
    """On 20 validation images the AUC at IoU .5 is above .8, and above size's."""
    from scipy.stats import mannwhitneyu

    from napari_unetic.instances.decode import decode
    from napari_unetic.instances.matching import match, overlap
    from napari_unetic.maps import plan_work, prepare
    from napari_unetic.model.registry import load_model
    from napari_unetic.pairs.readers import read_pairs
    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import drain

    folder = data_folder / "dsb2018"
    model = load_model("nuclei")
    scores, sizes, hits = [], [], []
    split = f"{folder / 'stardist_split.json'}:val_of_train_seed42"
    for pair in read_pairs(folder / "stage1_train.zip", ids=split)[:20]:
        image, truth = pair.read()
        plan = plan_work(image, model.description, SegmentSettings())
        maps = drain(prepare(plan, model).maps_steps(()))
        labels = decode(maps, model.description.decoding)
        is_hit = np.zeros(int(labels.max()), bool)
        is_hit[match(overlap(truth, labels)).pred_index] = True
        scores.append(score_objects(labels, maps))
        sizes.append(np.bincount(labels.ravel())[1:])
        hits.append(is_hit)
    hit = np.concatenate(hits)
    assert (~hit).sum() > 20

    def auc(values: list[np.ndarray]) -> float:
        joined = np.concatenate(values)
        u = mannwhitneyu(joined[hit], joined[~hit]).statistic
        return float(u / (hit.sum() * (~hit).sum()))

    assert auc(scores) > max(0.8, auc(sizes))
