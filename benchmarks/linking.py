"""Compare rules that link the objects of neighbouring planes or frames.

True labels are cut plane by plane and renumbered at random, then linked again. Sets:
the real volumes of DATA, every second to fourth plane of them, and generated stacks and
time series. "missing" drops a share of the sections first, as a segmentation does.
For each rule and set:

found     share of the true links between neighbours that were made
true      share of the links made that are true
ap        AP at IoU .5 of the linked volumes against the truth

    python benchmarks/linking.py DATA --json FILE
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_unetic.instances.counts import pool, score_image
from napari_unetic.instances.link import link_planes
from napari_unetic.samples import nuclei_stack, nuclei_timelapse

Labels = NDArray[Any]

RULES: dict[str, dict[str, Any]] = {
    **{f"IoU {iou}": {"share": 0.0, "iou": iou} for iou in (0.05, 0.1, 0.25, 0.5)},
    **{f"share {share}": {"share": share} for share in (0.1, 0.25, 0.5, 0.6, 0.7, 0.8)},
    "share 0.1, no bridge": {"share": 0.1, "bridge_iou": None},
    "share 0.6, no bridge": {"share": 0.6, "bridge_iou": None},
}


def volumes(data: Path) -> Iterator[tuple[str, list[Labels]]]:
    """Yield sets of true volumes, planes or frames first."""
    real = {
        name: tifffile.imread(next((data / folder / "labels").glob("*.tif")))
        for name, folder in {
            "ovule": "ovule_nuclei_3d",
            "embryo": "mouse_embryo_3d",
            "yeast": "yeast_timelapse",
        }.items()
    }
    for name, truth in real.items():
        yield name, [truth]
    for every in (2, 3, 4):
        yield f"ovule, each {every}", [real["ovule"][::every]]
    yield "generated stacks", [nuclei_stack(seed=seed)[1] for seed in range(4)]
    for speed in (2.5, 5.0, 9.0):
        yield (
            f"generated frames, {speed:g} pixels a frame",
            [
                nuclei_timelapse((12, 256, 256), seed, speed=speed)[1]
                for seed in range(3)
            ],
        )


def renumbered(truth: Labels, missing: float, random: np.random.Generator) -> Labels:
    """Return the volume with new numbers in each plane, and some sections dropped."""
    out = np.zeros(truth.shape, np.int64)
    for plane, section in zip(out, truth, strict=True):
        ids = np.unique(section)
        kept = ids[(ids > 0) & (random.random(len(ids)) >= missing)]
        table = np.zeros(int(truth.max()) + 1, np.int64)
        table[kept] = 1 + random.permutation(len(kept))
        plane[:] = table[section]
    return out


def links(labels: Labels, truth: Labels) -> set[tuple[int, int, int]]:
    """Return (plane, true number there, true number in the next) of one number."""
    found = set()
    sections = []
    for plane, section in zip(labels, truth, strict=True):
        inside = (plane > 0) & (section > 0)
        sections.append(
            dict(zip(plane[inside].tolist(), section[inside].tolist(), strict=True))
        )
    for index, (here, there) in enumerate(pairwise(sections)):
        found |= {(index, here[n], there[n]) for n in here.keys() & there.keys()}
    return found


def evaluate(truths: list[Labels], missing: float, rule: dict[str, Any]) -> Any:
    """Return the figures of one rule on one set."""
    random = np.random.default_rng(0)
    n_found = n_made = n_true = 0
    scores = []
    for truth in truths:
        cut = renumbered(truth, missing, random)
        linked = link_planes(cut, **rule)
        there = links(np.where(cut > 0, truth, 0), truth)
        made = links(linked, truth)
        n_found += len(there & made)
        n_true += len(there)
        n_made += len(made)
        scores.append(score_image(truth, linked))
    return {
        "found": n_found / n_true,
        "true": n_found / max(n_made, 1),
        "ap": pool(scores).ap[0],
        "n_links": n_true,
    }


def main() -> None:
    """Run from the shell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the real volumes")
    parser.add_argument("--json", type=Path, help="file to write")
    arguments = parser.parse_args()
    rows = []
    for name, truths in volumes(arguments.data):
        for missing in (0.0, 0.05):
            print(f"{name}, {missing:.0%} missing")
            for rule, keywords in RULES.items():
                row = evaluate(truths, missing, keywords)
                rows.append({"set": name, "missing": missing, "rule": rule, **row})
                print(
                    f"  {rule:22} found {row['found']:.4f}  true {row['true']:.4f}"
                    f"  AP {row['ap']:.3f}  of {row['n_links']} links"
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
