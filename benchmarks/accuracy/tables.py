"""Every score table of a model, in minutes: the one command behind the figures.

validation   the 67 fluorescence images to choose with: AP, precision, recall
kinds        every kind of DSB2018, on what is held out to choose with
large        U2OS nuclei of 60 to 100 pixels, never trained on
zoom         the validation images at other sizes
robustness   the validation images as they come from worse microscopes

Diameters are found out from the images, as by default. The tables of kinds, large and
zoom also have rows under the model's usual one (``usual``), and where it is told (the
``true`` one of an image's objects, or the ``right`` one that undoes a zoom).

The 50 published test images are scored with ``--test`` only, and the halves of the
other kinds that are kept for reports with ``--report`` only. Masks are the original
ones. With ``--against`` a second model is scored on the validation images, and the
difference comes with a paired bootstrap over images.

    python benchmarks/accuracy/tables.py DATA --model nuclei --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from alterations import ALTERATIONS, zoomed
from dsb import KINDS, dsb_pairs, held_out_ids, test_ids, validation_ids
from numpy.typing import NDArray
from pictures import sheet, side_by_side

from napari_unetic.image.channels import to_channels
from napari_unetic.image.source import Image
from napari_unetic.instances.counts import ImageScore, score_image
from napari_unetic.instances.scores import Scores
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment_steps
from napari_unetic.steps import drain

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import machine, write_json

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.pairs.pair import Pair

ZOOMS = (0.25, 0.35, 0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0)
N_RESAMPLED = 10_000
Labels = NDArray[np.int32]
Diameter = float | str


@dataclass(frozen=True, slots=True)
class Picture:
    """One plane with its true labels.

    Parameters
    ----------
    name : str
    plane : ndarray of shape (Y, X) or (3, Y, X)
        Grey, or red, green and blue.
    truth : ndarray of shape (Y, X), int32
    """

    name: str
    plane: NDArray[Any]
    truth: Labels

    @property
    def image(self) -> Image:
        """What a model segments."""
        axes = "CYX" if self.plane.ndim == 3 else "YX"
        return Image(self.plane, axes, rgb=axes == "CYX", name=self.name)

    @property
    def grey(self) -> NDArray[Any]:
        """Of shape (Y, X)."""
        if self.plane.ndim == 2:
            return self.plane
        weighted = to_channels(self.plane, 1, rgb=True)[0]
        return np.rint(weighted).astype(self.plane.dtype)

    @property
    def diameter(self) -> float:
        """Median of the true objects, of circles of their area, in pixels."""
        sizes = np.bincount(self.truth.ravel())[1:]
        return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi))


def pictures(pairs: Iterable[Pair], *, grey: bool = False) -> list[Picture]:
    """Read pairs; as grey planes where `grey` says so."""
    found = []
    for pair in pairs:
        image, truth = pair.read()
        plane = image.read()
        one = Picture(pair.id, plane if image.rgb else plane[0], truth)
        found.append(Picture(one.name, one.grey, truth) if grey else one)
    return found


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A model with the settings that all tables share.

    Parameters
    ----------
    model : Model
    precision : str
        As of `napari_unetic.segment`.
    """

    model: Model
    precision: str = "auto"

    def labels(self, image: Image, diameter: Diameter = "auto") -> Labels:
        """Return the labels of an image."""
        steps = segment_steps(
            image,
            self.model,
            diameter=diameter,
            device="cpu",
            precision=self.precision,
        )
        found: Labels = drain(steps).labels
        return found

    def scores(
        self,
        pictures: Sequence[Picture],
        diameter: Callable[[Picture], Diameter] = lambda picture: "auto",
    ) -> Scores:
        """Score pictures, each under the diameter that is said of it."""
        return Scores(
            tuple(
                score_image(p.truth, self.labels(p.image, diameter(p)), name=p.name)
                for p in pictures
            )
        )


def row(scores: Scores, **more: object) -> dict[str, Any]:
    """Return the figures of a set of images."""
    return {
        **more,
        "images": len(scores.images),
        "objects": scores.total.n_true,
        "predicted": scores.total.n_pred,
        "ap": scores.pooled("ap"),
        "ap_per_image": scores.per_image("ap"),
        "precision": scores.pooled("precision"),
        "recall": scores.pooled("recall"),
        "mean_ap_pooled_9": scores.mean_ap_pooled_9,
        "mean_ap_per_image_10": scores.mean_ap_per_image_10,
    }


def kinds(segmenter: Segmenter, data: Path, half: str) -> list[dict[str, Any]]:
    """Score every kind but fluorescence, under every way to know the diameter."""
    found = []
    for kind in KINDS:
        if kind == "fluorescence":
            continue
        some = pictures(dsb_pairs(data, held_out_ids(kind, half)))
        for name, diameter in WAYS.items():
            scores = segmenter.scores(some, diameter)
            found.append(row(scores, kind=kind, half=half, diameter=name))
    return found


def large(segmenter: Segmenter, data: Path) -> list[dict[str, Any]]:
    """Score large nuclei, under every way to know the diameter."""
    some = pictures(read_pairs(data / "u2os_nuclei"))
    return [
        row(segmenter.scores(some, diameter), diameter=name)
        for name, diameter in WAYS.items()
    ]


WAYS: dict[str, Callable[[Picture], Diameter]] = {
    "usual": lambda picture: "usual",
    "auto": lambda picture: "auto",
    "true": lambda picture: picture.diameter,
}
"""How the diameter is known: not at all; found out, as by default; told."""


def zooms(
    segmenter: Segmenter, some: Sequence[Picture], factors: Sequence[float] = ZOOMS
) -> list[dict[str, Any]]:
    """Score resampled images: as they are, by default, and brought back."""
    description = segmenter.model.description
    usual = description.input_diameter_px or description.working_diameter_px
    found = []
    for zoom in factors:
        ones = [
            Picture(p.name, *zoomed(p.grey, p.truth, zoom)) if zoom != 1 else p
            for p in some
        ]
        ways = WAYS | {"right": lambda p, zoom=zoom: usual * zoom}  # type: ignore[misc]
        del ways["true"]
        found += [
            row(segmenter.scores(ones, diameter), zoom=zoom, diameter=name)
            for name, diameter in ways.items()
        ]
    return found


def robustness(segmenter: Segmenter, some: Sequence[Picture]) -> list[dict[str, Any]]:
    """Score altered images, beside the clean ones."""
    clean = segmenter.scores(some).pooled("ap")["0.50"]
    found: list[dict[str, Any]] = []
    for name, alter in ALTERATIONS.items():
        ones = [Picture(p.name, *alter(p.grey, p.truth)) for p in some]
        scored = row(segmenter.scores(ones), alteration=name)
        found.append({**scored, "share_of_clean": scored["ap"]["0.50"] / clean})
    return found


def bootstrap(a: Scores, b: Scores, n: int = N_RESAMPLED) -> dict[str, Any]:
    """Compare two models on the same images, which are drawn again and again.

    Parameters
    ----------
    a, b : Scores
        Of the same images in the same order.
    n : int
        How often a set of as many images is drawn with replacement.

    Returns
    -------
    dict
        For each figure: the two values, b less a with its 95 % interval, and the share
        of the draws in which b is better.

    Notes
    -----
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 16: the pairs
    are drawn, so that what an image does to both models cancels.
    """
    assert [i.name for i in a.images] == [i.name for i in b.images]
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(a.images), size=(n, len(a.images)))
    found: dict[str, Any] = {}
    for name, figure in FIGURES.items():
        values = [figure(_counts(s), np.arange(len(a.images))[None])[0] for s in (a, b)]
        difference = figure(_counts(b), drawn) - figure(_counts(a), drawn)
        low, high = np.percentile(difference, (2.5, 97.5))
        found[name] = {
            "a": float(values[0]),
            "b": float(values[1]),
            "difference": float(values[1] - values[0]),
            "interval_95": [float(low), float(high)],
            "b_better": float((difference > 0).mean()),
        }
    return found


def _counts(scores: Scores) -> NDArray[np.float64]:
    """Return hits, extra and missed of shape (3, images, thresholds)."""
    images: tuple[ImageScore, ...] = scores.images
    return np.array(
        [[getattr(i, k) for i in images] for k in ("tp", "fp", "fn")], float
    )


def _pooled(counts: NDArray[np.float64], drawn: NDArray[np.intp]) -> Any:
    tp, fp, fn = counts[:, drawn].sum(axis=2)
    return tp / (tp + fp + fn)


def _each(counts: NDArray[np.float64], drawn: NDArray[np.intp]) -> Any:
    tp, fp, fn = counts
    total = tp + fp + fn
    return np.where(total > 0, tp / np.maximum(total, 1), 1)[drawn].mean(axis=1)


FIGURES: dict[str, Callable[[NDArray[np.float64], NDArray[np.intp]], Any]] = {
    "pooled AP .50": lambda c, d: _pooled(c, d)[:, 0],
    "pooled AP .70": lambda c, d: _pooled(c, d)[:, 4],
    "pooled AP .90": lambda c, d: _pooled(c, d)[:, 8],
    "mean pooled AP .50-.90": lambda c, d: _pooled(c, d)[:, :9].mean(axis=1),
    "per image AP .50": lambda c, d: _each(c, d)[:, 0],
    "mean per image AP .50-.95": lambda c, d: _each(c, d).mean(axis=1),
}


def extremes(
    segmenter: Segmenter, some: Sequence[Picture], scores: Scores, file: Path
) -> None:
    """Write the best, median and worst images, three of each, with outlines."""
    order = sorted(range(len(some)), key=lambda k: fmean(scores.images[k].ap))
    middle = len(order) // 2
    chosen = [*order[-3:], *order[middle - 1 : middle + 2], *order[:3]]
    shown, captions = [], []
    for k in chosen:
        labels = segmenter.labels(some[k].image)
        shown.append(side_by_side(some[k].grey, some[k].truth, labels))
        ap = scores.images[k].ap
        captions.append(f"{some[k].name[:8]}: AP@.5 {ap[0]:.2f}, mean {fmean(ap):.2f}")
    sheet(shown, captions, file)


def markdown(result: Mapping[str, Any]) -> str:
    """Return all tables for people."""
    lines = [f"# {result['model']}", ""]
    for name in ("validation", "test"):
        if name in result:
            lines += [f"## {name}", "", *_by_threshold(result[name]), ""]
    heads = {
        "kinds": ("kind", "half", "diameter"),
        "large": ("diameter",),
        "zoom": ("zoom", "diameter"),
        "robustness": ("alteration", "share_of_clean"),
    }
    for name, keys in heads.items():
        if name in result:
            lines += [f"## {name}", "", *_by_row(result[name], keys), ""]
    if "bootstrap" in result:
        lines += [f"## {result['model']} (a) and {result['against']} (b)", ""]
        lines += ["| | a | b | b - a | 95 % | b better |", "|---|---|---|---|---|---|"]
        for name, got in result["bootstrap"].items():
            low, high = got["interval_95"]
            cells = [f"{got[k]:.3f}" for k in ("a", "b")]
            cells += [f"{got['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}"]
            lines.append(f"| {name} | {' | '.join(cells)} | {got['b_better']:.2f} |")
    return "\n".join(lines) + "\n"


def _by_threshold(got: Mapping[str, Any]) -> list[str]:
    keys = list(got["ap"])
    lines = [
        f"{got['images']} images, {got['objects']} objects, {got['predicted']} found; "
        f"mean AP .50 to .90 pooled **{got['mean_ap_pooled_9']:.3f}**, .50 to .95 per "
        f"image **{got['mean_ap_per_image_10']:.3f}**",
        "",
        "| | " + " | ".join(key.removeprefix("0") for key in keys) + " |",
        "|---" * (len(keys) + 1) + "|",
    ]
    for name in ("ap", "ap_per_image", "precision", "recall"):
        cells = " | ".join(f"{got[name][key]:.3f}" for key in keys)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    return lines


def _by_row(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    heads = [
        *keys,
        "images",
        "objects",
        "found",
        "AP .50",
        ".75",
        ".90",
        "mean .50-.90",
    ]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for got in rows:
        cells = [got[k] for k in keys]
        cells += [got[k] for k in ("images", "objects", "predicted")]
        cells += [got["ap"][k] for k in ("0.50", "0.75", "0.90")]
        cells.append(got["mean_ap_pooled_9"])
        lines.append("| " + " | ".join(map(_text, cells)) + " |")
    return lines


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


TABLES = ("validation", "kinds", "large", "zoom", "robustness")


def tables(arguments: argparse.Namespace, segmenter: Segmenter) -> dict[str, Any]:
    """Return the tables that were asked for; pictures are written on the way."""
    data, only = arguments.data, arguments.only
    some = pictures(dsb_pairs(data, validation_ids(data)), grey=True)
    result: dict[str, Any] = {
        "median_true_diameter_px": median(p.diameter for p in some),
        "precision": segmenter.precision,
    }
    if "validation" in only or arguments.against:
        scores = segmenter.scores(some)
        result["validation"] = row(scores)
        extremes(segmenter, some, scores, arguments.out / "validation.png")
        if arguments.against:
            other = Segmenter(load_model(arguments.against), segmenter.precision)
            result["against"] = str(arguments.against)
            result["bootstrap"] = bootstrap(scores, other.scores(some))
    if "kinds" in only:
        halves = ("choose", "report") if arguments.report else ("choose",)
        result["kinds"] = [r for h in halves for r in kinds(segmenter, data, h)]
    if "large" in only:
        result["large"] = large(segmenter, data)
    if "zoom" in only:
        result["zoom"] = zooms(segmenter, some, arguments.zooms)
    if "robustness" in only:
        result["robustness"] = robustness(segmenter, some)
    if arguments.test:
        held = pictures(dsb_pairs(data, test_ids(data), with_test=True), grey=True)
        scores = segmenter.scores(held)
        result["test"] = row(scores)
        extremes(segmenter, held, scores, arguments.out / "test.png")
    return result


def main() -> None:
    """Score a model and write JSON, tables and pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of all sets of images")
    parser.add_argument("--model", default="nuclei", help="name or folder")
    parser.add_argument("--against", help="a second model to compare with")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--zooms", type=float, nargs="+", default=ZOOMS)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--report", action="store_true", help="kinds: both halves")
    parser.add_argument("--test", action="store_true", help="the 50 test images, too")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    segmenter = Segmenter(load_model(arguments.model), arguments.precision)
    result = {
        "model": segmenter.model.description.name,
        "weights_sha256": segmenter.model.description.weights_sha256,
        "machine": machine(),
        **tables(arguments, segmenter),
    }
    result["seconds"] = round(time.perf_counter() - started, 1)
    write_json(arguments.out / "tables.json", result)
    text = markdown(result)
    (arguments.out / "tables.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
