"""Every preset for planes after the same short training: `docs/networks.md`'s table.

Each network learns the objects of DSB2018's fluorescence images (training ids) from
random weights for ten minutes on two cores, as with ``unetic train --preset NAME
--minutes 10``, one process beside it making the patches. Thresholds are tuned on the 67
validation images, and what comes out there under the original masks is the figure. The
50 test ids are neither trained on nor scored.

    python benchmarks/family.py DATA --runs FOLDER --out docs/networks/family.json
    python benchmarks/family.py --page docs/networks/family.json docs/networks.md

Nothing else may run beside the first, for the minutes are minutes. Networks that are
done are kept in ``--out`` and left out the next time; one that was killed goes on with
the minutes that it has left. The second writes the table of the page.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from _common import machine, matrix_product, read_rows, write_json
from _pages import about, fill, number, table

from napari_unetic.evaluation import evaluate_steps
from napari_unetic.model.registry import load_model
from napari_unetic.networks.cost import cost
from napari_unetic.networks.presets import PRESETS
from napari_unetic.steps import drain
from napari_unetic.training import resume_steps, train_steps
from napari_unetic.training.run import Run
from napari_unetic.training.settings import train_settings

sys.path.append(str(Path(__file__).resolve().parent / "accuracy"))

from dsb import dsb_pairs, ids_of_kind, validation_ids

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model

MINUTES = 10.0
N_THREADS = 2
N_VALIDATIONS = 5
"""Less than usual: of the largest networks each takes longer than a minute."""

COUNTED = ("network", "parameters", "field", "GFLOP/Mpx")
TRAINED = ("AP .50", "AP mean", "steps")


def train(arguments: argparse.Namespace, name: str, folder: Path) -> None:
    """Train a network, go on with it, or leave it as it is if it is done."""
    if not folder.exists():
        validation = validation_ids(arguments.data)
        wanted = set(ids_of_kind(arguments.data, "fluorescence")) - set(validation)
        settings = train_settings(
            preset=name,
            minutes=arguments.minutes,
            validations=N_VALIDATIONS,
            seed=arguments.seed,
        )
        steps = train_steps(
            dsb_pairs(arguments.data, wanted, corrected=True),
            dsb_pairs(arguments.data, validation, corrected=True),
            folder,
            settings,
            device="cpu",
            workers=arguments.workers,
        )
    elif not Run.open(folder).is_finished:
        steps = resume_steps(folder, device="cpu", workers=arguments.workers)
    else:
        return
    drain(steps)


def score(data: Path, model: Model) -> dict[str, float]:
    """Return what a model scores on the validation images under original masks."""
    scores = drain(evaluate_steps(dsb_pairs(data, validation_ids(data)), model))
    ap = scores.pooled("ap")
    return {
        "ap_pooled_0.50": round(ap["0.50"], 4),
        "ap_pooled_0.75": round(ap["0.75"], 4),
        "mean_ap_pooled_9": round(scores.mean_ap_pooled_9, 4),
    }


def one(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Train and score a network."""
    folder = arguments.runs / f"{name}-{arguments.seed}"
    train(arguments, name, folder)
    model = load_model(folder)
    trained = model.description.training
    assert trained is not None
    return {
        "preset": name,
        "seed": arguments.seed,
        "minutes": round(trained.minutes, 2),
        "steps": trained.steps,
        "validation": score(arguments.data, model),
        "machine": machine(),
        "matrix_product": matrix_product(),
    }


def scored(row: dict[str, Any] | None) -> list[str]:
    """Return the figures of a network, dashes where it was not trained."""
    if row is None:
        return ["–"] * len(TRAINED)
    ap = row["validation"]
    figures = (ap["ap_pooled_0.50"], ap["mean_ap_pooled_9"])
    return [*map(number, figures), f"{row['steps']:,}"]


def page(results: Path, written: Path) -> None:
    """Write the table of the family into the page."""
    by_name = {row["preset"]: row for row in read_rows(results, "networks")}
    # Columns without a figure would only be in the way.
    trained = TRAINED if by_name else ()
    lines = []
    for name, preset in PRESETS.items():
        counted = cost(preset.spec)
        lines.append(
            [
                f"`{name}`",
                f"{counted.n_parameters:,}",
                " × ".join(map(str, counted.receptive_field_px)),
                f"{counted.gflop_per_megapixel:,.0f}",
                *(scored(by_name.get(name)) if trained else ()),
                preset.source,
            ]
        )
    found = [table((*COUNTED, *trained, "source"), lines)]
    if by_name:
        last = list(by_name.values())[-1]
        found.append(f"Trained on {about(last)}")
    text = fill(written.read_text("utf-8"), "family", "\n\n".join(found))
    written.write_text(text, encoding="utf-8")


def main() -> None:
    """Train what is missing, writing the results after each; or write the page."""
    planes = [name for name, one in PRESETS.items() if one.spec.dimensions == 2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder with dsb2018/")
    parser.add_argument("--runs", type=Path, help="folder for the trainings")
    parser.add_argument("--out", type=Path, help="JSON to write and to go on with")
    parser.add_argument("--only", nargs="+", choices=planes, help="some of the presets")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", type=Path, nargs=2, metavar=("JSON", "PAGE"))
    arguments = parser.parse_args()
    if arguments.page:
        page(*arguments.page)
        return
    if arguments.data is None or arguments.runs is None or arguments.out is None:
        parser.error("expected DATA, --runs and --out, or --page JSON PAGE")
    torch.set_num_threads(N_THREADS)
    for name in arguments.only or planes:
        done = read_rows(arguments.out, "networks")
        if (name, arguments.seed) in {(row["preset"], row["seed"]) for row in done}:
            continue
        done.append(one(arguments, name))
        print(json.dumps(done[-1]), flush=True)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.out, {"networks": done})


if __name__ == "__main__":
    main()
