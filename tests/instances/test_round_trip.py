"""decode(targets(labels)) gives the labels back, on all masks of DSB2018."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_unetic.instances.decode import decode
from napari_unetic.instances.matching import overlap
from napari_unetic.instances.targets import make_targets
from napari_unetic.pairs.readers import read_pairs


def _best_iou(truth: np.ndarray, found: np.ndarray) -> dict[int, float]:
    """Best intersection over union of each true object with any found one."""
    pairs = overlap(truth, found)
    best = np.zeros(len(pairs.true_ids))
    np.maximum.at(best, pairs.true_index, pairs.shared / pairs.union)
    return dict(zip(pairs.true_ids.tolist(), best.tolist(), strict=True))


def _in_one_piece(labels: np.ndarray) -> set[int]:
    """Objects whose pixels hang together, corners included."""
    found = set()
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            _, n = ndimage.label(labels[box] == number, np.ones((3, 3)))
            if n == 1:
                found.add(number)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_mask_of_dsb2018_comes_back(
    data_folder: Path,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of 29,450 objects in one piece 99.5 % come back, with a mean IoU of .97."""
    n_objects, n_back, sum_iou, differing = 0, 0, 0.0, []
    for pair in read_pairs(data_folder / "dsb2018" / "stage1_train.zip"):
        truth = pair.labels()
        found = decode(make_targets(truth))
        best = _best_iou(truth, found)
        whole = _in_one_piece(truth)
        n_objects += len(whole)
        n_back += sum(best[number] >= 0.5 for number in whole)
        sum_iou += sum(best[number] for number in whole)
        if len(best) != found.max(initial=0):
            differing.append(f"{pair.id}: {len(best)} true, {found.max()} back")
    report = f"{len(differing)} images with another count:\n" + "\n".join(differing)
    record_property("differing", report)
    said = f"{n_back} of {n_objects} back, mean IoU {sum_iou / n_objects:.4f}; {report}"
    # Passed or not, the report names the images whose count differs.
    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert n_objects > 29_000
    assert n_back / n_objects >= 0.995, report
    assert sum_iou / n_objects >= 0.97, report
