"""What is missed on the 67 validation images, where, and what would help.

Every true object without a match at IoU .5 gets one cause, the first that holds: a
*click* of the annotator's brush (`napari_unetic.pairs.cleaning`); *too small* for the
model's smallest object; *merged* (half of it lies in an object found that also holds
half of another); *split* (two objects found lie in it by half or more each); *not seen*
(less than a quarter of it found at all); else a *wrong outline*. Objects found without
a match are *parts* of a split, *merging*, *nothing there* or a *wrong outline*.

Oracles put the truth in the place of one thing at a time: a map, a kind of mistake, the
thresholds of each image. What an oracle gains bounds what any training can gain there.

    python benchmarks/accuracy/misses.py DATA --model nuclei --out FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from dsb import dsb_pairs, validation_ids
from numpy.typing import NDArray
from pictures import judged, sheet, stretched
from tables import Picture, pictures

from napari_unetic.instances.counts import pool, score_image
from napari_unetic.instances.decode import DecodeSpec, decode, grow
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.scores import Scores
from napari_unetic.instances.targets import make_targets
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.cleaning import clean_labels
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain
from napari_unetic.training.tune import GRID

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import write_json

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model

Labels = NDArray[np.int32]
Maps = NDArray[np.float32]

MISSED = ("click", "too small", "merged", "split", "not seen", "wrong outline")
FALSE = ("part of a split", "merging", "nothing there", "wrong outline")


@dataclass(frozen=True, slots=True)
class Case:
    """An image with what a model makes of it.

    Parameters
    ----------
    picture : Picture
    maps : ndarray of shape (3, Y, X), float32
    found : ndarray of shape (Y, X), int32
        Decoded with the model's thresholds.
    """

    picture: Picture
    maps: Maps
    found: Labels


def cases(model: Model, some: Sequence[Picture]) -> list[Case]:
    """Run the network over images at their own size, in float32."""
    result = []
    settings = SegmentSettings(device="cpu", precision="float32")
    for picture in some:
        plan = plan_work(picture.image, model.description, settings)
        maps = drain(prepare(plan, model).maps_steps(()))
        found = decode(maps, model.description.decoding)
        result.append(Case(picture, maps, found))
    return result


@dataclass(frozen=True, slots=True)
class Causes:
    """Objects that have no match at IoU .5, by cause.

    Parameters
    ----------
    missed : dict of int to str
        True objects.
    false : dict of int to str
        Objects found.
    """

    missed: dict[int, str]
    false: dict[int, str]


def causes(truth: Labels, found: Labels, smallest_px: int) -> Causes:
    """Return why objects have no match."""
    pairs = overlap(truth, found)
    matches = match(pairs, 0.5)
    n_true, n_found = len(pairs.true_ids), len(pairs.pred_ids)
    shared = np.zeros((n_true, n_found))
    shared[pairs.true_index, pairs.pred_index] = pairs.shared
    of_true = shared / pairs.true_areas[:, None]
    of_found = shared / np.maximum(pairs.pred_areas[None], 1)
    holds = of_true >= 0.5
    merging = holds.sum(axis=0) > 1
    parts = of_found >= 0.5
    is_split = parts.sum(axis=1) > 1
    clicks = set(clean_labels(truth).clicks)
    missed, false = {}, {}
    for t in sorted(set(range(n_true)) - set(matches.true_index.tolist())):
        number, seen = int(pairs.true_ids[t]), of_true[t].sum()
        if number in clicks:
            cause = "click"
        elif pairs.true_areas[t] < smallest_px:
            cause = "too small"
        elif (holds[t] & merging).any():
            cause = "merged"
        elif is_split[t]:
            cause = "split"
        else:
            cause = "not seen" if seen < 0.25 else "wrong outline"
        missed[number] = cause
    for p in sorted(set(range(n_found)) - set(matches.pred_index.tolist())):
        if merging[p]:
            cause = "merging"
        elif (parts[:, p] & is_split).any():
            cause = "part of a split"
        else:
            nothing = of_found[:, p].sum() < 0.25
            cause = "nothing there" if nothing else "wrong outline"
        false[int(pairs.pred_ids[p])] = cause
    return Causes(missed, false)


def scored(truths: Sequence[Labels], found: Iterator[Labels]) -> Scores:
    """Score label images against true ones."""
    return Scores(
        tuple(
            score_image(truth, labels, name=str(k))
            for k, (truth, labels) in enumerate(zip(truths, found, strict=True))
        )
    )


def figures(scores: Scores) -> dict[str, float]:
    """Return what the tables show of some scores."""
    ap, each = scores.pooled("ap"), scores.per_image("ap")
    return {
        "ap_0.50": ap["0.50"],
        "ap_0.70": ap["0.70"],
        "ap_0.90": ap["0.90"],
        "mean_ap_pooled_9": scores.mean_ap_pooled_9,
        "ap_per_image_0.50": each["0.50"],
        "mean_ap_per_image_10": scores.mean_ap_per_image_10,
    }


# --- oracles: the truth in the place of one thing --------------------------------


def with_true_maps(case: Case, which: Sequence[int], spec: DecodeSpec) -> Labels:
    """Decode with some of the maps replaced by those of the truth."""
    maps = case.maps.copy()
    maps[list(which)] = make_targets(case.picture.truth)[list(which)]
    return decode(maps, spec)


def mended(case: Case, smallest_px: int, what: str) -> Labels:
    """Return what was found with one kind of mistake mended.

    Parameters
    ----------
    case : Case
    smallest_px : int
        As of `causes`.
    what : {"merged", "split", "not seen", "too small and clicks", "nothing there",
            "wrong outline", "outlines of hits"}
        Merged objects are cut along the truth, each pixel to the nearest true object;
        parts of a split are joined; objects not seen are added; what is nothing is
        taken away; outlines are replaced by the true ones.
    """
    truth, found = case.picture.truth, case.found.copy()
    why = causes(truth, found, smallest_px)
    of = {k: [n for n, c in why.missed.items() if c == k] for k in MISSED}
    false = {k: [n for n, c in why.false.items() if c == k] for k in FALSE}
    top = int(found.max()) + 1
    if what == "merged":
        for number in {_holder(found, truth == n) for n in of["merged"]}:
            inside = found == number
            grown = grow(np.where(inside, truth, 0).astype(np.int32), inside)
            found[inside] = np.where(grown[inside] > 0, grown[inside] + top, 0)
    elif what == "split":
        for number in of["split"]:
            inside = (truth == number) & (found > 0)
            pieces = np.unique(found[inside])
            mine = [
                p
                for p in pieces
                if 2 * (inside & (found == p)).sum() > (found == p).sum()
            ]
            found[np.isin(found, mine)] = number + top
    elif what == "nothing there":
        found[np.isin(found, false["nothing there"])] = 0
    elif what == "outlines of hits":
        pairs = overlap(truth, found)
        matches = match(pairs, 0.5)
        result = found.copy()
        result[np.isin(found, pairs.pred_ids[matches.pred_index])] = 0
        hit = np.isin(truth, pairs.true_ids[matches.true_index])
        return np.where(hit, truth + top, result).astype(np.int32)
    else:
        kinds = ("too small", "click") if what == "too small and clicks" else (what,)
        wanted = [n for k in kinds for n in of[k]]
        found = np.where(np.isin(truth, wanted), truth + top, found)
    return found.astype(np.int32)


def _holder(found: Labels, inside: NDArray[np.bool_]) -> int:
    """Return which object found holds most of a mask."""
    return int(np.bincount(found[inside])[1:].argmax()) + 1


def best_specs(case: Case, start: DecodeSpec) -> Labels:
    """Decode with the thresholds that are best for this image, one after another."""

    def value(spec: DecodeSpec) -> float:
        return fmean(score_image(case.picture.truth, decode(case.maps, spec)).ap[:9])

    best, best_value = start, value(start)
    for name, values in GRID.items():
        for v in values:
            tried = best.model_copy(update={name: v})
            if (got := value(tried)) > best_value:
                best, best_value = tried, got
    return decode(case.maps, best)


def oracles(some: Sequence[Case], spec: DecodeSpec) -> list[dict[str, Any]]:
    """Return a row for each thing that is replaced by the truth."""
    truths = [case.picture.truth for case in some]
    ways: dict[str, Callable[[Case], Labels]] = {
        "nothing replaced": lambda case: case.found,
        "map: foreground": lambda case: with_true_maps(case, [0], spec),
        "map: contact": lambda case: with_true_maps(case, [1], spec),
        "map: depth": lambda case: with_true_maps(case, [2], spec),
        "maps: contact and depth": lambda case: with_true_maps(case, [1, 2], spec),
        "maps: foreground and contact": lambda case: with_true_maps(case, [0, 1], spec),
        "maps: all": lambda case: with_true_maps(case, [0, 1, 2], spec),
    }
    for what in (
        "merged",
        "split",
        "not seen",
        "too small and clicks",
        "nothing there",
        "wrong outline",
        "outlines of hits",
    ):
        ways[f"mended: {what}"] = lambda case, what=what: mended(  # type: ignore[misc]
            case, spec.smallest_px, what
        )
    ways["thresholds best for each image"] = lambda case: best_specs(case, spec)
    rows = []
    for name, way in ways.items():
        scores = scored(truths, (way(case) for case in some))
        rows.append({"oracle": name, **figures(scores)})
    return rows


def truths_compared(
    some: Sequence[Case], corrected: dict[str, Labels], spec: DecodeSpec
) -> list[dict[str, Any]]:
    """Score the same labels against other truths: corrected, without clicks."""
    ways: dict[str, Callable[[Case], Labels]] = {
        "original masks": lambda case: case.picture.truth,
        "corrected masks": lambda case: corrected.get(
            case.picture.name, case.picture.truth
        ),
        "original without clicks": lambda case: clean_labels(
            case.picture.truth
        ).labels.astype(np.int32),
        f"original of {spec.smallest_px} pixels and more": lambda case: _large_enough(
            case.picture.truth, spec.smallest_px
        ),
    }
    return [
        {
            "truth": name,
            **figures(scored([way(c) for c in some], (c.found for c in some))),
        }
        for name, way in ways.items()
    ]


def _large_enough(truth: Labels, smallest_px: int) -> Labels:
    sizes = np.bincount(truth.ravel())
    return np.where(sizes[truth] >= smallest_px, truth, 0).astype(np.int32)


def smallest(some: Sequence[Case], spec: DecodeSpec) -> list[dict[str, Any]]:
    """Score with other limits of the smallest object."""
    truths = [case.picture.truth for case in some]
    rows = []
    for size in (0, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60):
        one = spec.model_copy(update={"smallest_px": size})
        scores = scored(truths, (decode(case.maps, one) for case in some))
        rows.append({"smallest_px": size, **figures(scores)})
    return rows


# --- where -----------------------------------------------------------------------


def group_of(picture: Picture) -> str:
    """Return the source of an image, as far as its size and its nuclei tell."""
    height, width = picture.truth.shape
    size = picture.diameter
    if (height, width) == (256, 256):
        n = len(np.unique(picture.truth)) - 1
        if size >= 24:
            return "256 × 256, nuclei of 24 px and more"
        dense = "30 objects and more" if n >= 30 else "fewer than 30 objects"
        return f"256 × 256, nuclei below 24 px, {dense}"
    return f"{height} × {width}"


def by_group(some: Sequence[Case], smallest_px: int) -> list[dict[str, Any]]:
    """Return what each group of images loses, and why."""
    groups: dict[str, list[Case]] = {}
    for case in some:
        groups.setdefault(group_of(case.picture), []).append(case)
    each = {
        name: [score_image(c.picture.truth, c.found) for c in cases]
        for name, cases in groups.items()
    }
    whole = pool(score for scores in each.values() for score in scores)
    n_wrong = whole.fp[0] + whole.fn[0]
    n_wrong_9 = sum(whole.fp[:9]) + sum(whole.fn[:9])
    rows = []
    for name, scores in each.items():
        total = pool(scores)
        why: Counter[str] = Counter()
        for case in groups[name]:
            found = causes(case.picture.truth, case.found, smallest_px)
            why.update(found.missed.values())
            why.update(f"extra: {cause}" for cause in found.false.values())
        rows.append(
            {
                "group": name,
                "images": len(scores),
                "objects": total.n_true,
                "ap_0.50": total.ap[0],
                "mean_ap_9": fmean(total.ap[:9]),
                "mean_ap_per_image_10": fmean(fmean(s.ap) for s in scores),
                "share_of_mistakes_0.50": (total.fp[0] + total.fn[0]) / n_wrong,
                "share_of_mistakes_mean_9": (sum(total.fp[:9]) + sum(total.fn[:9]))
                / n_wrong_9,
                "causes": dict(why.most_common()),
            }
        )
    return sorted(rows, key=lambda got: -got["share_of_mistakes_0.50"])


def gallery(some: Sequence[Case], spec: DecodeSpec, folder: Path) -> None:
    """Write a sheet of examples of each cause of a miss, image beside outlines."""
    rng = np.random.default_rng(0)
    crops: dict[str, list[tuple[NDArray[np.uint8], str]]] = {k: [] for k in MISSED}
    for case in some:
        truth = case.picture.truth
        picture = judged(case.picture.grey, truth, case.found, 0.5)
        plain = stretched(case.picture.grey)
        for number, cause in causes(truth, case.found, spec.smallest_px).missed.items():
            centre = np.argwhere(truth == number).mean(axis=0)
            top, left = (max(0, round(c) - 32) for c in centre)
            box = slice(top, top + 64), slice(left, left + 64)
            both = np.concatenate([plain[box], picture[box]], axis=1)
            crops[cause].append((both, case.picture.name[:8]))
    for cause, found in crops.items():
        some_of = rng.permutation(len(found))[:24]
        if len(some_of):
            file = folder / f"missed-{cause.replace(' ', '-')}.png"
            shown, names = zip(*(found[k] for k in some_of), strict=True)
            sheet(shown, names, file, columns=6, side=256)


def counted(some: Sequence[Case], smallest_px: int) -> dict[str, dict[str, int]]:
    """Return how many objects have no match, by cause."""
    missed: Counter[str] = Counter()
    false: Counter[str] = Counter()
    for case in some:
        why = causes(case.picture.truth, case.found, smallest_px)
        missed.update(why.missed.values())
        false.update(why.false.values())
    return {"missed": dict(missed), "extra": dict(false)}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as a table for people."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|---" * len(rows[0]) + "|"]
    for row in rows:
        cells = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print and write what is missed, and the oracles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds dsb2018/")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    ids = validation_ids(arguments.data)
    some = pictures(dsb_pairs(arguments.data, ids), grey=True)
    corrected = {
        pair.id: pair.labels()
        for pair in dsb_pairs(arguments.data, ids, corrected=True)
    }
    model = load_model(arguments.model)
    spec = model.description.decoding
    found = cases(model, some)
    result: dict[str, Any] = {
        "model": model.description.name,
        "counts": counted(found, spec.smallest_px),
        "groups": by_group(found, spec.smallest_px),
        "oracles": oracles(found, spec),
        "truths": truths_compared(found, corrected, spec),
        "smallest": smallest(found, spec),
    }
    gallery(found, spec, arguments.out)
    write_json(arguments.out / "misses.json", result)
    parts = [f"# What {model.description.name} misses", "", str(result["counts"])]
    for name in ("groups", "oracles", "truths", "smallest"):
        parts += ["", f"## {name}", "", table(result[name])]
    text = "\n".join(parts) + "\n"
    (arguments.out / "misses.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
