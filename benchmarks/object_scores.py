"""Compare scores of how sure the network is of each object.

A good score ranks objects that are there above those that are not. On predicted
objects of the 67 validation images: AUC of each candidate at IoU .5 and .7 (an object
is true if it is matched to a true one), and the mean of the AUC within images.

    python benchmarks/object_scores.py DATA/dsb2018 --model nuclei --json FILE
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from napari_unetic.instances.decode import decode, grow
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.objects import score_objects
from napari_unetic.instances.targets import make_targets
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

Labels = NDArray[np.int32]
Maps = NDArray[np.float32]
Values = NDArray[np.float64]


def _mean(labels: Labels, values: NDArray[np.floating]) -> Values:
    size = np.bincount(labels.ravel())
    return (np.bincount(labels.ravel(), values.ravel()) / size)[1:]


def _greatest(labels: Labels, values: NDArray[np.floating]) -> Values:
    greatest = np.zeros(labels.max() + 1)
    np.maximum.at(greatest, labels.ravel(), values.ravel())
    return greatest[1:]


def _edge(labels: Labels) -> Labels:
    """Return the labels on pixels with a neighbour of another label only."""
    padded = np.pad(labels, 1, mode="edge")
    inner = np.ones(labels.shape, bool)
    for neighbour in (
        padded[:-2, 1:-1],
        padded[2:, 1:-1],
        padded[1:-1, :-2],
        padded[1:-1, 2:],
    ):
        inner &= neighbour == labels
    return np.where(inner, 0, labels).astype(np.int32)


def _ring(labels: Labels, width: int) -> Labels:
    """Return the labels of background up to `width` pixels from each object."""
    grown = labels
    for _ in range(width):
        wide = np.pad(grown, 1)
        near = np.zeros(labels.shape, bool)
        for rows in (slice(None, -2), slice(1, -1), slice(2, None)):
            for columns in (slice(None, -2), slice(1, -1), slice(2, None)):
                near |= wide[rows, columns] > 0
        grown = grow(grown, near)
    return np.where(labels > 0, 0, grown).astype(np.int32)


def _sums(labels: Labels, values: NDArray[np.floating], n: int) -> Values:
    return np.bincount(labels.ravel(), values.ravel(), minlength=n + 1)[1 : n + 1]


def _foreground(labels: Labels, maps: Maps) -> Values:
    return _mean(labels, maps[0])


def _core(labels: Labels, maps: Maps) -> Values:
    return _mean(labels, maps[0] * (1 - maps[1]))


def _deepest(labels: Labels, maps: Maps) -> Values:
    return _greatest(labels, maps[2])


def _contrast(labels: Labels, maps: Maps) -> Values:
    """Foreground inside less that of background up to 2 pixels around."""
    ring, n = _ring(labels, 2), int(labels.max())
    outside = _sums(ring, maps[0], n) / np.maximum(
        _sums(ring, np.ones_like(ring), n), 1
    )
    return _mean(labels, maps[0]) - outside


def _expected_iou(labels: Labels, maps: Maps) -> Values:
    """Foreground inside over pixels inside and foreground up to 3 pixels around."""
    n = int(labels.max())
    inside = _sums(labels, maps[0], n)
    size = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    return inside / (size + _sums(_ring(labels, 3), maps[0], n))


def _outline(labels: Labels, maps: Maps) -> Values:
    """1 less the foreground's uncertainty on the outline."""
    return _mean(_edge(labels), np.abs(2 * maps[0] - 1))


def _depth_error(labels: Labels, maps: Maps) -> Values:
    """1 less the mean difference of the depth map from that of the object itself."""
    return 1 - _mean(labels, np.abs(make_targets(labels)[2] - maps[2]))


CANDIDATES: dict[str, Callable[[Labels, Maps], Values]] = {
    "score_objects (the package)": lambda labels, maps: score_objects(
        labels, maps
    ).astype(float),
    "mean foreground": _foreground,
    "certainty, mean of |2p - 1|": lambda labels, maps: _mean(
        labels, np.abs(2 * maps[0] - 1)
    ),
    "1 - mean contact": lambda labels, maps: 1 - _mean(labels, maps[1]),
    "mean of foreground, not contact": _core,
    "mean depth": lambda labels, maps: _mean(labels, maps[2]),
    "greatest depth": _deepest,
    "contrast to 2 pixels around": _contrast,
    "expected IoU": _expected_iou,
    "certainty of the outline": _outline,
    "agreement with depth": _depth_error,
    "foreground x greatest depth": lambda labels, maps: (
        _foreground(labels, maps) * _deepest(labels, maps)
    ),
    "foreground x not contact x deepest": lambda labels, maps: (
        _core(labels, maps) * _deepest(labels, maps)
    ),
    "contrast x greatest depth": lambda labels, maps: (
        _contrast(labels, maps) * _deepest(labels, maps)
    ),
    "contrast x not contact x deepest": lambda labels, maps: (
        _contrast(labels, maps) * _core(labels, maps) * _deepest(labels, maps)
    ),
    "contrast x not contact x agreement": lambda labels, maps: (
        _contrast(labels, maps) * _core(labels, maps) * _depth_error(labels, maps)
    ),
    "expected IoU x greatest depth": lambda labels, maps: (
        _expected_iou(labels, maps) * _deepest(labels, maps)
    ),
    "expected IoU x agreement": lambda labels, maps: (
        _expected_iou(labels, maps) * _depth_error(labels, maps)
    ),
    "size": lambda labels, maps: np.bincount(labels.ravel())[1:].astype(float),
}


def auc(values: Values, is_true: NDArray[np.bool_]) -> float:
    """Return the chance that a true object has a higher value than a false one."""
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    if not (n_true and n_false):
        return float("nan")
    ranks = rankdata(values)[is_true].sum() - n_true * (n_true + 1) / 2
    return float(ranks / (n_true * n_false))


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder dsb2018")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = f"{arguments.data / 'stardist_split.json'}:val_of_train_seed42"
    model = load_model(arguments.model)
    images = []
    for pair in read_pairs(arguments.data / "stage1_train.zip", ids=split):
        image, truth = pair.read()
        plan = plan_work(image, model.description, SegmentSettings())
        maps = drain(prepare(plan, model).maps_steps(()))
        labels = decode(maps, model.description.decoding)
        if not labels.any():
            continue
        pairs = overlap(truth, labels)
        hits = {}
        for threshold in (0.5, 0.7):
            hits[threshold] = np.zeros(labels.max(), bool)
            hits[threshold][match(pairs, threshold).pred_index] = True
        images.append((labels, maps, hits))
    table = []
    for name, candidate in CANDIDATES.items():
        values = [candidate(labels, maps) for labels, maps, _ in images]
        row: dict[str, object] = {"score": name}
        for threshold in (0.5, 0.7):
            are_true = [hit[threshold] for _, _, hit in images]
            each = [auc(v, h) for v, h in zip(values, are_true, strict=True)]
            row[f"auc_{threshold}"] = round(
                auc(np.concatenate(values), np.concatenate(are_true)), 4
            )
            row[f"auc_within_{threshold}"] = round(float(np.nanmean(each)), 4)
            row[f"n_false_{threshold}"] = int((~np.concatenate(are_true)).sum())
        every = np.concatenate(values)
        row |= {
            "n": len(every),
            "p1": round(float(np.percentile(every, 1)), 3),
            "median": round(float(np.median(every)), 3),
            "p99": round(float(np.percentile(every, 99)), 3),
        }
        table.append(row)
        print(json.dumps(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
