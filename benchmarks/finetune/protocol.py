"""What the figures of fine-tuning are measured on, and how a run is scored.

Every run is a cell ``(task, way, n, seed)``. Its result is one line of a JSON-lines
file; a cell that is there is not run again, so a benchmark that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic import load_model, segment
from napari_unetic.errors import UneticError
from napari_unetic.finetuning import CollectedPair, collect_pairs, finetune
from napari_unetic.instances.counts import pool, score_image
from napari_unetic.pairs import Pair, read_pairs

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import machine, matrix_product

if TYPE_CHECKING:
    from napari_unetic.finetuning import Finetuned

BLOCKS = {
    "early": ("set01", "set02", "set04", "set05", "set06"),
    "middle": ("set08", "set09", "set11", "set12"),
    "late": ("set14", "set15", "set16"),
}
"""Phase-contrast images by set number: neighbours may come from one movie.

Figures are reported for training on the early block and scoring the two others. The
defaults were chosen by training on the middle block and scoring the early one.
"""

IDLE_STEP_SECONDS = 0.1
"""A step of 8 × 128² of the default network on one idle core with native bfloat16."""


def phase_contrast(data: Path, *blocks: str) -> list[Pair]:
    """Return the images of some blocks, in the order of their numbers."""
    pairs = {pair.id: pair for pair in read_pairs(data / "phase_contrast_cells")}
    return [pairs[one] for block in blocks for one in BLOCKS[block]]


def u2os(data: Path) -> list[Pair]:
    """Return the five images of large nuclei."""
    return list(read_pairs(data / "u2os_nuclei"))


def validation_images(data: Path) -> list[Pair]:
    """Return DSB2018's 67 validation images, which tell what is forgotten."""
    folder = data / "dsb2018"
    return list(
        read_pairs(
            folder / "stage1_train.zip",
            labels=folder / "corrected_labels.zip",
            ids=f"{folder / 'stardist_split.json'}:val_of_train_seed42",
        )
    )


def by_position(
    pair: Pair, n: int, source: Callable[[], NDArray[Any]]
) -> CollectedPair:
    """Return a pair as if its first objects had been corrected, row by row.

    Parameters
    ----------
    pair : Pair
        With all its true labels.
    n : int
        Objects, by the position of their first pixel.
    source : callable
        Returns what the old model predicts: what is not corrected stays as it is.
    """
    image, truth = pair.read()
    numbers, first = np.unique(truth, return_index=True)
    order = numbers[np.argsort(first)]
    chosen = order[order > 0][:n]
    mine = np.isin(truth, chosen)
    predicted = source().astype(np.int32)
    # A person corrects an object: whatever was predicted on it goes.
    gone = np.unique(predicted[mine])
    labels = np.where(np.isin(predicted, gone), 0, predicted)
    labels = np.where(mine, truth + labels.max() + 1, labels).astype(np.int32)
    (found,) = collect_pairs(
        image, labels, name=pair.id, predicted=predicted, reviewed="touched"
    )
    return found


def ap(
    model: Any, pairs: Iterable[Pair], diameter: float | None = None
) -> dict[str, float]:
    """Return pooled AP of a model on whole images."""
    rows = []
    for pair in pairs:
        image, truth = pair.read()
        found = segment(image, model, diameter=diameter, device="cpu")
        rows.append(score_image(truth, np.asarray(found)))
    total = pool(rows)
    return {
        "ap_50": round(total.ap[0], 4),
        "mean_ap_9": round(float(np.mean(total.ap[:9])), 4),
        "n_objects": total.n_true,
    }


def scratch_model(folder: Path, seed: int) -> Path:
    """Return a model of random weights that is otherwise like the bundled one."""
    import torch

    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.model.folder import save_model
    from napari_unetic.networks.build import build_network

    base = load_model("nuclei").description
    target = folder / f"scratch-{seed}"
    if not target.exists():
        torch.manual_seed(seed)
        network = build_network(base.network)
        description = base.model_copy(
            update={
                "name": "scratch",
                "training": None,
                "decoding": DecodeSpec(smallest_px=30),
            }
        )
        save_model(target, description, network.state_dict())
    return target


def tuned(
    model: Any,
    pairs: list[Any],
    folder: Path,
    arguments: argparse.Namespace,
    *,
    minutes: float,
    seed: int,
    **settings: Any,
) -> Finetuned:
    """Fine-tune within minutes, or the steps that idle cores would take in them."""
    budget: dict[str, Any] = {"minutes": minutes}
    if arguments.by_steps:
        size = settings.get("batch", 8) * settings.get("patch_px", 128) ** 2
        step = arguments.by_steps * size / (8 * 128**2)
        # Start, judging and tuning take about a tenth and ten seconds.
        budget = {"steps": round((0.9 * 60 * minutes - 10) / step)}
    shutil.rmtree(folder, ignore_errors=True)
    return finetune(
        model,
        pairs,
        folder,
        seed=seed,
        device="cpu",
        workers=arguments.workers,
        **budget,
        **settings,
    )


class Results:
    """Lines of a file, one a cell, written as they come."""

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            text = path.read_text(encoding="utf-8")
            self.rows = [json.loads(line) for line in text.splitlines()]

    def cell(self, work: Callable[[], dict[str, Any]], **key: Any) -> dict[str, Any]:
        """Return a cell's row, worked out if it is not there."""
        for row in self.rows:
            if all(row.get(name) == value for name, value in key.items()):
                return row
        began = time.perf_counter()
        try:
            found = work()
        except UneticError as error:
            found = {"error": str(error)}
        row = {**key, **found, "seconds": round(time.perf_counter() - began, 1)}
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        return row


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser that the scripts share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("data", type=Path, help="folder of the image sets")
    made.add_argument("out", type=Path, help="folder of runs and of results.jsonl")
    made.add_argument("--seeds", type=int, default=3)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--workers", type=int, default=1)
    made.add_argument(
        "--by-steps",
        nargs="?",
        type=float,
        const=IDLE_STEP_SECONDS,
        metavar="SECONDS",
        help="on a busy machine: the steps that two idle cores take, not minutes, if "
        "a step of 8 patches of 128² takes SECONDS",
    )
    return made


def start(arguments: argparse.Namespace) -> Results:
    """Make the folder, set the threads, and return the results so far."""
    import torch

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "results.jsonl"
    if not path.exists():
        line = json.dumps({"machine": machine(), "matrix_product": matrix_product()})
        path.write_text(line + "\n", encoding="utf-8")
    return Results(path)
