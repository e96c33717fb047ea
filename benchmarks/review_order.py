"""How early a review finds wrong objects, by the order in which it shows them.

On the objects that a model finds in the 67 validation images of DSB2018: the share of
wrong ones among the first 10 % and 25 % of each image's queue, pooled over the images,
beside the share among all, which is what a random order finds. Wrong is an object that
no true one is matched to at IoU .5; merged is one that holds the greater part of two or
more true ones.

    python benchmarks/review_order.py DATA/dsb2018 --model nuclei --json FILE
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_unetic.finetuning.review import review_order
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.measure import measure
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment_steps
from napari_unetic.steps import drain

PARTS = (0.1, 0.25)

Floats = NDArray[np.float64]


class Found(NamedTuple):
    """The objects of one image, each column of length N."""

    score: Floats
    area: Floats
    solidity: Floats
    is_wrong: NDArray[np.bool_]
    is_merged: NDArray[np.bool_]


def _oddity(area: Floats) -> Floats:
    """How far the size of each object is from the median of its image, in octaves."""
    return np.abs(np.log2(area / np.median(area)))


ORDERS: dict[str, Callable[[Found, np.random.Generator], NDArray[np.intp]]] = {
    "the package": lambda f, rng: review_order(f.score),
    "random": lambda f, rng: rng.permutation(len(f.score)),
    "score": lambda f, rng: np.argsort(f.score, kind="stable"),
    "size, odd ones first": lambda f, rng: np.argsort(-_oddity(f.area)),
    "solidity": lambda f, rng: np.argsort(f.solidity),
    "score x solidity": lambda f, rng: np.argsort(f.score * f.solidity),
    "score x solidity^2": lambda f, rng: np.argsort(f.score * f.solidity**2),
    "score - .1 x octaves of size": lambda f, rng: np.argsort(
        f.score - 0.1 * _oddity(f.area)
    ),
    "score - .2 x octaves of size": lambda f, rng: np.argsort(
        f.score - 0.2 * _oddity(f.area)
    ),
    "score x solidity - .1 x octaves": lambda f, rng: np.argsort(
        f.score * f.solidity - 0.1 * _oddity(f.area)
    ),
}


def found_objects(data: Path, model_name: str) -> Iterator[Found]:
    """Yield the objects that a model finds in each validation image."""
    split = f"{data / 'stardist_split.json'}:val_of_train_seed42"
    model = load_model(model_name)
    for pair in read_pairs(data / "stage1_train.zip", ids=split):
        image, truth = pair.read()
        result = drain(segment_steps(image, model))
        labels = result.labels
        if not labels.any():
            continue
        pairs = overlap(truth, labels)
        is_wrong = np.ones(result.n_objects, np.bool_)
        is_wrong[pairs.pred_ids[match(pairs, 0.5).pred_index] - 1] = False
        holds = 2 * pairs.shared > pairs.true_areas[pairs.true_index]
        n_held = np.bincount(
            pairs.pred_ids[pairs.pred_index[holds]] - 1, minlength=result.n_objects
        )
        table = measure(labels, shape=True)
        yield Found(
            score=result.scores.astype(np.float64),
            area=np.asarray(table["area"], np.float64),
            solidity=np.asarray(table["solidity"], np.float64),
            is_wrong=is_wrong,
            is_merged=n_held > 1,
        )


def row_of(name: str, images: list[Found], rounds: int) -> dict[str, object]:
    """Return how early an order finds what is wrong."""
    rng = np.random.default_rng(0)
    row: dict[str, object] = {"order": name}
    n_seen = dict.fromkeys(PARTS, 0)
    n_wrong = dict.fromkeys(PARTS, 0)
    n_merged = dict.fromkeys(PARTS, 0)
    for _ in range(rounds):
        for found in images:
            order = ORDERS[name](found, rng)
            for part in PARTS:
                first = order[: math.ceil(part * len(order))]
                n_seen[part] += len(first)
                n_wrong[part] += int(found.is_wrong[first].sum())
                n_merged[part] += int(found.is_merged[first].sum())
    for part in PARTS:
        all_wrong = rounds * sum(int(found.is_wrong.sum()) for found in images)
        row[f"wrong_among_first_{part}"] = round(n_wrong[part] / n_seen[part], 4)
        row[f"of_all_wrong_{part}"] = round(n_wrong[part] / all_wrong, 4)
        row[f"merged_among_first_{part}"] = round(n_merged[part] / n_seen[part], 4)
    return row


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder dsb2018")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    images = list(found_objects(arguments.data, arguments.model))
    n = sum(len(found.score) for found in images)
    n_wrong = sum(int(found.is_wrong.sum()) for found in images)
    n_merged = sum(int(found.is_merged.sum()) for found in images)
    head = {
        "model": arguments.model,
        "images": len(images),
        "objects": n,
        "wrong": n_wrong,
        "merged": n_merged,
        "share_wrong": round(n_wrong / n, 4),
    }
    table = [row_of(name, images, 20 if name == "random" else 1) for name in ORDERS]
    for row in [head, *table]:
        print(json.dumps(row), flush=True)
    if arguments.json:
        content = {"found": head, "orders": table}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
