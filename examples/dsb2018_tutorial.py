"""The U-Net tutorial on Data Science Bowl 2018, zip to prediction, and our default.

    python dsb2018_tutorial.py ZIP SPLIT [--out FOLDER] [--minutes M] [--quick]

ZIP is ``stage1_train.zip``. SPLIT is a JSON file of three lists of image ids: ``train``
(447), ``test`` (50), and ``val_of_train_seed42`` (67 of the 447). Both models train on
the same nine tenths of what is left of ``train`` without these 67, choose their weights
on the other tenth, and are scored on the 67, which neither has seen. The 50 are not
touched.

The tutorial's network learns which pixels show a nucleus, as the 'Keras U-Net starter'
has it: 128 × 128 pixels whatever the image, divided by 255, binary cross-entropy, Adam,
epochs until two have gone by without a better one, threshold .5. Its objects are the
connected pieces. Our default learns objects, for M minutes (30).

FOLDER (``dsb2018-tutorial``) gets a run each, ``scores.json`` and ``comparison.png``.
Interrupted, the same command goes on where it stopped. ``--quick`` takes a few images
and steps, to see that all works; without ZIP and SPLIT images are generated for that.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic import Step, drain, load_model, nuclei_sample, segment
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.scores import Scores
from napari_unetic.pairs import read_pairs, read_split
from napari_unetic.training import TrainSettings, resume_steps, train_steps
from napari_unetic.training.augment import NO_AUGMENTATION
from napari_unetic.training.run import Run

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair

SCORED = "val_of_train_seed42"
N_SHOWN = 4


@dataclass(frozen=True)
class Data:
    """Images to train on, to choose weights on, and to be scored on."""

    train: Sequence[Pair]
    validation: Sequence[Pair]
    scored: Sequence[Pair]


def tutorial(epochs: int = 50, batch: int = 16) -> TrainSettings:
    """Return the settings of the tutorial."""
    return TrainSettings(
        preset="keras-dsb2018",
        classes=("nucleus",),
        loss="bce",
        resize_px=128,
        optimiser="adam",
        learning_rate=1e-3,
        schedule="constant",
        warm_up=0,
        clip=1e9,
        average=0,
        augmentation=NO_AUGMENTATION,
        batch=batch,
        epochs=epochs,
        validations=epochs,
        patience=2,
        tune=False,
        seed=42,
    )


def read_data(source: Path, split: Path) -> Data:
    """Return the images of a data set by its lists of ids."""
    scored = read_pairs(source, ids=f"{split}:{SCORED}")
    train, validation = read_split(
        source,
        ids=f"{split}:train",
        exclude_ids=[f"{split}:{SCORED}", f"{split}:test"],
        val_fraction=0.1,
        seed=42,
    )
    return Data(train, validation, scored)


def generate(folder: Path) -> Data:
    """Write generated images with their labels, and return them as data."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for seed in range(6):
        image, labels = nuclei_sample((96, 112), seed)
        grey = np.clip(image / image.max() * 255, 0, 255).astype(np.uint8)
        tifffile.imwrite(folder / "images" / f"{seed}.tif", grey)
        tifffile.imwrite(folder / "labels" / f"{seed}.tif", labels)
    pairs = read_pairs(folder)
    return Data(pairs[:3], pairs[3:4], pairs[4:])


def train_or_go_on(
    run: Path, data: Data, settings: TrainSettings, workers: int
) -> Path:
    """Train, go on with what was interrupted, or take what is finished."""
    if not run.exists():
        steps = train_steps(data.train, data.validation, run, settings, workers=workers)
    elif not Run.open(run).is_finished:
        steps = resume_steps(run, workers=workers)
    else:
        return run / "model"
    return drain(steps, teller(run.name))


def teller(name: str) -> Callable[[Step], None]:
    """Return what prints a line whenever another tenth is done."""
    told = {"tenth": -1}

    def tell(step: Step) -> None:
        tenth = int(10 * step.done / step.total) if step.total else -1
        if step.what == "training" and tenth > told["tenth"]:
            told["tenth"] = tenth
            figures = ", ".join(f"{k} {v:.3g}" for k, v in step.values.items())
            print(f"{name}: {10 * tenth} %, {figures}", flush=True)

    return tell


def pieces(classes: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return the connected pieces of a class as objects."""
    return np.asarray(ndimage.label(classes > 0, np.ones((3, 3)))[0], np.int32)


def figures(scores: Scores, model: Path) -> dict[str, float]:
    """Return what the two models are compared by."""
    training = load_model(model).description.training
    assert training is not None
    return {
        "pixel_iou_pooled": scores.total.pixel_iou,
        "pixel_iou_per_image": float(np.mean([i.pixel_iou for i in scores.images])),
        "pixel_dice_pooled": scores.total.pixel_dice,
        "ap_0.50_pooled": scores.pooled("ap")["0.50"],
        "mean_ap_pooled_9": scores.mean_ap_pooled_9,
        "minutes": training.minutes,
        "steps": training.steps,
    }


def coloured(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return labels as colours, neighbours in number far apart in hue."""
    from matplotlib.colors import hsv_to_rgb

    hue = (np.arange(int(labels.max(initial=0)) + 1) * 0.618034) % 1
    table = hsv_to_rgb(np.stack([hue, np.full_like(hue, 0.7), np.ones_like(hue)], 1))
    table[0] = 0
    colours: NDArray[np.float32] = table[labels].astype(np.float32)
    return colours


def draw(rows: Sequence[Sequence[NDArray[np.generic]]], path: Path) -> None:
    """Draw image, truth and the two predictions side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = ("image", "truth", "tutorial: pixels", "default: objects")
    figure = Figure(figsize=(10, 2.6 * len(rows)), layout="constrained")
    for number, row in enumerate(rows):
        for k, (title, picture) in enumerate(zip(titles, row, strict=True)):
            axes = figure.add_subplot(len(rows), 4, 4 * number + k + 1)
            axes.imshow(picture, cmap="grey", interpolation="nearest")
            axes.set_axis_off()
            if number == 0:
                axes.set_title(title)
    FigureCanvasAgg(figure).print_png(str(path))


def compare(data: Data, by_tutorial: Path, by_default: Path, out: Path) -> None:
    """Score both models on the images that neither has seen, and draw some."""
    found: dict[str, list[object]] = {"tutorial": [], "default": []}
    rows = []
    every = max(1, len(data.scored) // N_SHOWN)
    for number, pair in enumerate(data.scored):
        image, truth = pair.read()
        nuclei = np.asarray(segment(image, by_tutorial))
        objects = np.asarray(segment(image, by_default))
        found["tutorial"].append(score_image(truth, pieces(nuclei), name=pair.id))
        found["default"].append(score_image(truth, objects, name=pair.id))
        if number % every == 0 and len(rows) < N_SHOWN:
            pixels = image.read().max(axis=0)
            rows.append((pixels, coloured(truth), nuclei, coloured(objects)))
    draw(rows, out / "comparison.png")
    said = {
        name: figures(Scores(tuple(scores)), model)  # type: ignore[arg-type]
        for (name, scores), model in zip(
            found.items(), (by_tutorial, by_default), strict=True
        )
    }
    said["images"] = {
        "train": len(data.train),
        "validation": len(data.validation),
        "scored": len(data.scored),
    }
    (out / "scores.json").write_text(json.dumps(said, indent=1) + "\n")
    print(f"\n{'':20}{'tutorial':>10}{'default':>10}")
    for name in said["tutorial"]:
        both = (f"{said[k][name]:10.3f}" for k in ("tutorial", "default"))
        print(f"{name:20}{''.join(both)}")


def main() -> None:
    """Train both, compare them, and say where the figure is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("zip", type=Path, nargs="?", help="stage1_train.zip")
    parser.add_argument("split", type=Path, nargs="?", help="lists of ids, as JSON")
    parser.add_argument("--out", type=Path, default=Path("dsb2018-tutorial"))
    parser.add_argument("--minutes", type=float, default=30, help="of our default")
    parser.add_argument("--workers", type=int, default=0, help="that make patches")
    parser.add_argument("--quick", action="store_true", help="a few images and steps")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    first, second = tutorial(), TrainSettings(minutes=arguments.minutes, seed=42)
    if arguments.zip is None:
        data = generate(out / "generated")
    elif arguments.split is None:
        parser.error("expected ZIP and SPLIT, got ZIP alone")
    else:
        data = read_data(arguments.zip, arguments.split)
    if arguments.quick or arguments.zip is None:
        data = Data(data.train[:6], data.validation[:2], data.scored[:3])
        first = tutorial(epochs=3, batch=2)
        second = TrainSettings(preset="unetic-16", steps=5, batch=2, patch_px=64)
    models = [
        train_or_go_on(out / name, data, settings, arguments.workers)
        for name, settings in (("tutorial", first), ("default", second))
    ]
    compare(data, models[0], models[1], out)
    print(f"figure: {out / 'comparison.png'}")


if __name__ == "__main__":
    main()
