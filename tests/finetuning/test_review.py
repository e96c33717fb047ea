"""The review queue: what is in it, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unetic.finetuning.review import Doubt, review_order, review_steps
from napari_unetic.instances.matching import match, overlap
from napari_unetic.model.registry import BUNDLED, load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment_steps
from napari_unetic.steps import drain

LABELS = np.zeros((20, 60), np.int32)
for NUMBER in range(1, 6):
    LABELS[4:12, 10 * NUMBER : 10 * NUMBER + 6] = NUMBER
SCORES = {1: 0.9, 2: 0.4, 3: 0.8, 4: 0.2, 5: 0.4}


def review(labels: Any, predicted: Any = None, **more: Any) -> list[Doubt]:
    """Return the queue."""
    before = labels if predicted is None else predicted
    return drain(review_steps(labels, before, more.pop("scores", SCORES), **more))


def numbers(doubts: list[Doubt]) -> list[int]:
    """Return the numbers in the queue, in its order."""
    return [doubt.number for doubt in doubts]


def test_the_least_sure_come_first() -> None:
    """Equal ones by their numbers."""
    doubts = review(LABELS)
    assert numbers(doubts) == [4, 2, 5, 3, 1]
    assert doubts[0] == Doubt((), 4, 0.2, (slice(4, 12), slice(40, 46)))


def test_objects_without_a_score_come_last() -> None:
    """Such as those whose row somebody has taken out of the table."""
    doubts = review(LABELS, scores={1: 0.9, 4: 0.2})
    assert numbers(doubts) == [4, 1, 2, 3, 5]
    assert np.isnan(doubts[-1].score)
    assert review_order(np.array([np.nan, 0.5])).tolist() == [1, 0]


def test_what_was_touched_or_accepted_is_not_in_it() -> None:
    """Object 1 was edited, 2 erased, 3 accepted, 9 added."""
    labels = np.where(LABELS == 2, 0, LABELS)
    labels[4, 16] = 1
    labels[15:18, 3:6] = 9
    assert numbers(review(labels, LABELS, accepted={(): [3]})) == [4, 5]


def test_an_object_of_several_planes_is_asked_for_once() -> None:
    """In the plane where it is largest; not at all once a plane of it was touched."""
    stack = np.stack([LABELS, LABELS, LABELS])
    stack[0, 4:6][stack[0, 4:6] == 1] = 0
    stack[2, 4:6][stack[2, 4:6] == 1] = 0
    doubts = review(stack)
    assert numbers(doubts) == [4, 2, 5, 3, 1]
    assert doubts[-1].plane == (1,)
    after = stack.copy()
    after[2, 13, 41] = 4
    assert numbers(review(after, stack, accepted={(0,): {2}})) == [5, 3, 1]


def test_huge_numbers_are_taken() -> None:
    """As scripts make them; no table of that length is made."""
    labels = np.where(LABELS > 0, LABELS.astype(np.int64) * 400_000_000, 0)
    doubts = review(labels, scores={400_000_000: 0.1})
    assert doubts[0].number == 400_000_000
    assert doubts[0].box == (slice(4, 12), slice(10, 16))
    assert len(doubts) == 5


@pytest.mark.slow
def test_wrong_objects_are_found_early(data_folder: Path) -> None:
    """Among the first tenth of the queues of real images they are thrice as frequent.

    All 67 validation images have 4.6 times as many (``benchmarks/review_order.py``).
    """
    if not (BUNDLED / "nuclei").is_dir():
        pytest.skip("the bundled model is not here")
    split = f"{data_folder / 'dsb2018' / 'stardist_split.json'}:val_of_train_seed42"
    pairs = read_pairs(data_folder / "dsb2018" / "stage1_train.zip", ids=split)
    model = load_model("nuclei")
    first: list[bool] = []
    every: list[bool] = []
    for pair in pairs[::4]:
        image, truth = pair.read()
        found = drain(segment_steps(image, model))
        both = overlap(truth, found.labels)
        is_right = set(both.pred_ids[match(both).pred_index].tolist())
        scores = dict(enumerate(found.scores.tolist(), start=1))
        queue = numbers(review(found.labels, scores=scores))
        is_wrong = [number not in is_right for number in queue]
        first += is_wrong[: -(-len(queue) // 10)]
        every += is_wrong
    assert np.mean(first) > 3 * np.mean(every) > 0
