"""Compare ways to find the cores of objects, on true and on predicted maps.

All share foreground threshold, growth, holes and smallest object; they differ in what
makes a core:

contact   foreground away from contacts (the way of the package)
depth     pixels deeper than a threshold, whatever the contacts
both      foreground away from contacts and deeper than a threshold
erosion   foreground eroded by one pixel (needs neither map)

For predicted maps each way gets the threshold that is best for it on the very images
that are scored, so the comparison favours none.

    python benchmarks/decoders.py DATA/dsb2018 --model nuclei --json FILE
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.instances.counts import score_image
from napari_unetic.instances.decode import fill_holes, grow, renumber
from napari_unetic.instances.scores import Scores
from napari_unetic.instances.targets import make_targets
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

Maps = NDArray[np.float32]
Mask = NDArray[np.bool_]
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def _contact(maps: Maps, foreground: Mask, threshold: float) -> Mask:
    return foreground & (maps[1] < threshold)


def _depth(maps: Maps, foreground: Mask, threshold: float) -> Mask:
    return foreground & (maps[2] > threshold)


def _both(maps: Maps, foreground: Mask, threshold: float) -> Mask:
    return foreground & (maps[1] < 0.5) & (maps[2] > threshold)


def _erosion(maps: Maps, foreground: Mask, threshold: float) -> Mask:
    return ndimage.binary_erosion(foreground, np.ones((3, 3)), border_value=1)


WAYS: dict[str, Callable[[Maps, Mask, float], Mask]] = {
    "contact": _contact,
    "depth": _depth,
    "both": _both,
    "erosion": _erosion,
}


def decode(
    maps: Maps, way: str, threshold: float, foreground: float, smallest: int
) -> NDArray[np.int32]:
    """Decode as the package does, with another way to find cores."""
    mask = maps[0] > foreground
    cores, n = ndimage.label(WAYS[way](maps, mask, threshold))
    labels = grow(cores.astype(np.int32), mask)
    left, _ = ndimage.label(mask & (labels == 0))
    labels = np.where(left > 0, left + n, labels).astype(np.int32)
    return renumber(fill_holes(labels, 100), smallest_px=smallest)


def _scored(
    found: Iterator[NDArray[np.int32]], truths: Sequence[NDArray[np.int32]]
) -> dict[str, float]:
    scores = Scores(
        tuple(score_image(t, f) for t, f in zip(truths, found, strict=True))
    )
    ap = scores.pooled("ap")
    return {
        "ap_0.50": round(ap["0.50"], 4),
        "ap_0.75": round(ap["0.75"], 4),
        "ap_0.90": round(ap["0.90"], 4),
        "mean_ap_pooled_9": round(scores.mean_ap_pooled_9, 4),
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder dsb2018")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = f"{arguments.data / 'stardist_split.json'}:val_of_train_seed42"
    pairs = read_pairs(arguments.data / "stage1_train.zip", ids=split)
    model = load_model(arguments.model)
    decoding = model.description.decoding
    truths, true_maps, maps = [], [], []
    for pair in pairs:
        image, truth = pair.read()
        truths.append(truth)
        true_maps.append(make_targets(truth))
        plan = plan_work(image, model.description, SegmentSettings())
        maps.append(drain(prepare(plan, model).maps_steps(())))
    table = []
    for way in WAYS:
        at = THRESHOLDS if way != "erosion" else (0.0,)
        row = {
            "cores": way,
            "true_maps": _scored(
                (decode(m, way, 0.5, 0.5, 0) for m in true_maps), truths
            ),
        }
        tried = {
            threshold: _scored(
                (
                    decode(m, way, threshold, decoding.foreground, decoding.smallest_px)
                    for m in maps
                ),
                truths,
            )
            for threshold in at
        }
        best = max(tried, key=lambda t: tried[t]["mean_ap_pooled_9"])
        row |= {"threshold": best, "predicted_maps": tried[best]}
        table.append(row)
        print(json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
