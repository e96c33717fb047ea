"""Which shape of network: accuracy on validation images against seconds a megapixel.

Each shape is trained from random weights on the fluorescence images of DSB2018's
training ids, for as many steps as a given number of minutes allows on one idle core of
the machine; so what else runs on the machine changes how long it takes, not what comes
out. Thresholds are tuned on the validation images, as for the shipped model. Speed is
that of the folded network alone, best of five, one thread, 1024 × 1024, on the same
machine in the same run; the matrix product beside it says how fast that machine is.

Shapes that are done are kept in OUT and left out the next time; one that was killed
goes on. The 50 test ids are neither trained on nor scored.

    python benchmarks/shapes.py DATA/dsb2018 --runs FOLDER --out shapes.json
    python benchmarks/shapes.py --measure-again --out shapes.json
    python benchmarks/shapes.py --plot shapes.json frontier.png

The second times all shapes anew in one run, for a machine that was busy before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from _common import best_of, machine, matrix_product, read_rows, write_json

from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model, folded
from napari_unetic.networks.build import build_network
from napari_unetic.networks.device import has_native_bfloat16
from napari_unetic.networks.losses import instance_loss
from napari_unetic.networks.network import n_parameters
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.pairs.readers import read_split
from napari_unetic.steps import drain
from napari_unetic.training import resume_steps, train_steps
from napari_unetic.training.run import Run
from napari_unetic.training.settings import train_settings

WORKING_DIAMETER_PX = 19.64
"""Median diameter of the training objects, as of the shipped model."""


def _shape(*widths: int, stem: int = 2, **more: Any) -> NetworkSpec:
    return NetworkSpec(in_channels=1, out_channels=3, widths=widths, stem=stem, **more)


SHAPES = {
    "half 24, 3 poolings": _shape(24, 48, 96, 192),
    "half 32, 3 poolings, added skips": _shape(32, 64, 128, 256, skip="add"),
    "half 16, 3 poolings": _shape(16, 32, 64, 128),
    "full 16, 3 poolings": _shape(16, 32, 64, 128, stem=1),
    "half 24, 4 poolings": _shape(24, 48, 96, 192, 384),
    "half 32, 3 poolings": _shape(32, 64, 128, 256),
    "full 16, 4 poolings": _shape(16, 32, 64, 128, 256, stem=1),
    "half 32, 4 poolings, flat, added skips": _shape(32, 64, 96, 128, 160, skip="add"),
}
"""Half: the image is folded 2 × 2 into channels (space to depth) first. Flat: the
widths grow by addition, so that the coarse levels, which see farther, stay cheap."""

STEP_OVERHEAD = 1.1
"""A training step to its forward and backward pass: loss, clipping, optimiser."""


def step_seconds(spec: NetworkSpec) -> float:
    """Return the seconds of a step on 8 patches of 256², as a training takes it."""
    network = build_network(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    images = torch.rand(8, 1, 256, 256)
    targets, weights = torch.rand(8, 3, 256, 256), torch.ones(8, 3, 256, 256)
    low = has_native_bfloat16(torch.device("cpu"))

    def step() -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits = network(images)
        instance_loss(logits.float(), targets, weights).total.backward()  # type: ignore[no-untyped-call]

    return STEP_OVERHEAD * best_of(step)


def speeds(spec: NetworkSpec) -> dict[str, float]:
    """Return seconds a megapixel of the folded network, by precision."""
    network = folded(build_network(spec).eval())
    seconds = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        moved = network.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.rand(1, 1, 1024, 1024).to(dtype)
        with torch.inference_mode():
            seconds[name] = round(best_of(lambda x=x, n=moved: n(x)) / 1.048576, 4)  # type: ignore[misc]
    return seconds


def untrained(spec: NetworkSpec, name: str, seed: int) -> Model:
    """Return a model of random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(spec)
    description = ModelDescription(
        name=name,
        network=spec,
        channels=("grey",),
        working_diameter_px=WORKING_DIAMETER_PX,
    )
    return Model(description, network)


def scores(run: Path) -> dict[str, float]:
    """Return what the trained model scored on validation, thresholds tuned there."""
    described = json.loads((run / "model" / "model.json").read_text())
    found: dict[str, float] = described["scores"]["validation"]
    return found


def one(arguments: argparse.Namespace, name: str, spec: NetworkSpec) -> dict[str, Any]:
    """Train a shape, or go on with it, and measure it."""
    slug = name.replace(",", "").replace(" ", "-")
    folder = arguments.runs / f"{slug}-{arguments.seed}"
    if not folder.exists():
        steps = arguments.steps or round(60 * arguments.minutes / step_seconds(spec))
        train, validation = read_split(
            arguments.data / "stage1_train.zip",
            labels=arguments.data / "corrected_labels.zip",
            ids=f"{arguments.data / 'modality.json'}:fluorescence, grey on dark",
            exclude_ids=f"{arguments.data / 'stardist_split.json'}:test",
            val_ids=f"{arguments.data / 'stardist_split.json'}:val_of_train_seed42",
        )
        settings = train_settings(steps=steps, seed=arguments.seed)
        start = untrained(spec, slug, arguments.seed)
        drain(
            train_steps(
                train,
                validation,
                folder,
                settings,
                from_model=start,
                device="cpu",
                workers=arguments.workers,
            )
        )
    elif not Run.open(folder).is_finished:
        drain(resume_steps(folder, device="cpu", workers=arguments.workers))
    return {
        "shape": name,
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "steps": Run.open(folder).plan.settings.steps,
        "parameters": n_parameters(build_network(spec)),
        "seconds_per_megapixel": speeds(spec),
        "validation": scores(folder),
    }


def measure_again(path: Path) -> None:
    """Time all shapes of a result in one run, on a machine with nothing else to do."""
    torch.set_num_threads(1)
    result = json.loads(path.read_text(encoding="utf-8"))
    for row in result["shapes"]:
        row["seconds_per_megapixel"] = speeds(SHAPES[row["shape"]])
    result["machine"] = machine()
    result["matrix_product"] = matrix_product()
    write_json(path, result)


def plot(results: Path, picture: Path) -> None:
    """Draw accuracy against seconds, a point a shape and precision."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    shapes = json.loads(results.read_text(encoding="utf-8"))["shapes"]
    for row in shapes:
        y = row["validation"]["mean_ap_pooled_9"]
        seconds = [row["seconds_per_megapixel"][p] for p in ("bfloat16", "float32")]
        is_first = row is shapes[0]
        axes.plot(seconds, [y, y], color="0.8", zorder=0)
        for x, mark, color, name in zip(
            seconds, "so", ("C1", "C0"), ("bfloat16", "float32"), strict=True
        ):
            label = name if is_first else None
            axes.plot(x, y, mark, color=color, label=label)
        axes.annotate(
            row["shape"],
            (seconds[0], y),
            fontsize=8,
            xytext=(0, 6),
            textcoords="offset points",
        )
    ticks = [0.05, 0.1, 0.2, 0.4, 0.8]
    axes.set(
        xscale="log",
        xlim=(ticks[0], ticks[-1]),
        xlabel="seconds a megapixel, one thread",
        ylabel="mean AP, IoU .50 to .90, 67 validation images",
    )
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.margins(y=0.1)
    axes.legend(loc="upper right")
    figure.savefig(picture, dpi=120)


def main() -> None:
    """Train what is missing; write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--runs", type=Path, help="folder for the trainings")
    parser.add_argument("--out", type=Path, help="JSON to write and to go on with")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument(
        "--steps",
        type=int,
        help="steps of --minutes on the machine that trained the others",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=SHAPES, help="some of the shapes")
    parser.add_argument("--plot", type=Path, nargs=2, metavar=("JSON", "PNG"))
    parser.add_argument(
        "--measure-again", action="store_true", help="the seconds in --out, all at once"
    )
    arguments = parser.parse_args()
    if arguments.plot:
        plot(*arguments.plot)
        return
    if arguments.measure_again:
        measure_again(arguments.out)
        return
    if arguments.data is None or arguments.runs is None or arguments.out is None:
        parser.error("expected DATA, --runs and --out, or --plot JSON PNG")
    torch.set_num_threads(1)
    rows = read_rows(arguments.out, "shapes")
    done = {(row["shape"], row["seed"]) for row in rows}
    for name in arguments.only or SHAPES:
        if (name, arguments.seed) in done:
            continue
        rows.append(one(arguments, name, SHAPES[name]))
        about = {"machine": machine(), "matrix_product": matrix_product()}
        write_json(arguments.out, {**about, "shapes": rows})


if __name__ == "__main__":
    main()
