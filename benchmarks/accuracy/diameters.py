"""Rules that estimate the diameter of objects, and what each is worth.

On the validation images at zooms from .25 to 4, cut in two by the hash of their ids:
one half to choose a rule with, the other for the figures; and on U2OS nuclei at half,
full and double size. An estimate is right within a factor of √2 of the true median.

All rules run the network on a window of at most 256 × 256 pixels, at sizes at which it
is best for objects of ½, 1, 2, 4 and 8 usual diameters, or at some of them:

surest size          the size at which the most area is surely objects; five runs
fixed point          the median at size 4, then at the size that this asks for; two runs
vote of five sizes   `napari_unetic.predict.votes.vote` of all objects; five runs
vote of three sizes  of those at 4 and ½, and at the size that these ask for
usual size first     size 1 alone where it is sure of about that size, else as before
the package          the same, which also looks for where to look, by
                     `estimate_diameter_steps`

Then average precision: at the usual size, with the true diameter, and with the
package's estimate used as it uses it (`napari_unetic.predict.sizing.choose`: images
whose objects are near the usual diameter are left as they are, and only others are
brought to 1 to 1.5 of it), used always, or used to bring all objects into a range.

    python benchmarks/accuracy/diameters.py DATA --model nuclei --out FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from alterations import zoomed
from dsb import dsb_pairs, validation_ids
from misses import table
from tables import ZOOMS, Diameter, Picture, Segmenter, pictures

from napari_unetic.instances.decode import decode
from napari_unetic.instances.objects import score_objects
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import diameter
from napari_unetic.predict.diameter import SIDE_PX, estimate_diameter_steps
from napari_unetic.predict.sizing import SURE_ENOUGH, choose
from napari_unetic.predict.votes import DiameterEstimate, Found, vote
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import write_json

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model

SIZES = (0.5, 1.0, 2.0, 4.0, 8.0)
RANGES = {
    "always": (1.0, 1.0),
    "into 1 to 1.5": (1.0, 1.5),
}
"""In working diameters: objects that seem smaller are magnified to the first, larger
ones reduced to the second, others are left as they are."""

_SETTINGS = SegmentSettings(device="cpu")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a network sees of an image at one size."""

    found: Found
    share: float
    n_pixels: int


@dataclass(frozen=True, slots=True)
class Case:
    """An image at a zoom, with what the rules see and what the package says."""

    picture: Picture
    zoom: float
    half: str
    sights: dict[float, Sight]
    package: DiameterEstimate


def look(picture: Picture, model: Model, size: float) -> Sight:
    """Run the network over the middle of an image, best for objects of a size."""
    description = model.description
    working = description.working_diameter_px
    usual = description.input_diameter_px or working
    side = round(SIDE_PX * size * usual / working)
    rows, columns = (
        slice((n - min(n, side)) // 2, (n + min(n, side)) // 2)
        for n in picture.grey.shape
    )
    middle = np.ascontiguousarray(picture.grey[rows, columns])
    settings = _SETTINGS.model_copy(update={"diameter": size * usual})
    plan = plan_work(middle, description, settings)
    maps = drain(prepare(plan, model).maps_steps(()))
    labels = decode(maps, description.decoding)
    scores = score_objects(labels, maps).astype(float)
    on_grid = 2 * np.sqrt(np.bincount(labels.ravel())[1:] / np.pi)
    like = (on_grid > 0.4 * working) & (on_grid < 2.5 * working)
    share = float((scores * on_grid**2 * like).sum() / labels.size)
    found = Found(on_grid / plan.zoom, on_grid / working, scores)
    return Sight(found, share, labels.size)


def _middle(found: Found) -> float | None:
    return float(np.median(found.diameters)) if found.diameters.size else None


def surest(case: Case, usual: float) -> tuple[float | None, int]:
    """Return the median at the size with the most sure area, and the runs."""
    best = max(case.sights.values(), key=lambda sight: sight.share)
    return _middle(best.found), len(SIZES)


def fixed_point(case: Case, usual: float) -> tuple[float | None, int]:
    """Return the median at the size that the median at size 4 asks for."""
    first = _middle(case.sights[4.0].found)
    size = _nearest(first / usual) if first else min(SIZES)
    return _middle(case.sights[size].found), 2


def voted(case: Case, usual: float) -> tuple[float | None, int]:
    """Return the vote of all objects of all sizes."""
    return vote(_joined(case, SIZES)).diameter, len(SIZES)


def refined(case: Case, usual: float) -> tuple[float | None, int]:
    """Return the vote of sizes 4 and ½ and of the size that these ask for."""
    first = vote(_joined(case, (4.0, 0.5))).diameter
    if first is None:
        return None, 2
    sizes = tuple({4.0: 0, 0.5: 0, _nearest(first / usual): 0})
    return vote(_joined(case, sizes)).diameter, len(sizes)


def usual_first(case: Case, usual: float) -> tuple[float | None, int]:
    """Return the vote of size 1 alone where that is enough, else of three more."""
    said = vote(case.sights[1.0].found)
    size = (said.diameter or 0) / usual
    if said.sure >= diameter.SURE_AT_ONCE and _is_within(size, diameter.USUAL_RANGE):
        return said.diameter, 1
    sizes = [1.0, 4.0, 0.5]
    first = vote(_joined(case, sizes)).diameter
    if first is not None and _nearest(first / usual) not in sizes:
        sizes.append(_nearest(first / usual))
    return vote(_joined(case, sizes)).diameter, len(sizes)


def _is_within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _joined(case: Case, sizes: Sequence[float]) -> Found:
    found = case.sights[sizes[0]].found
    for size in sizes[1:]:
        found = found.and_those(case.sights[size].found)
    return found


def _nearest(size: float) -> float:
    return min(SIZES, key=lambda one: abs(np.log(one / size)))


RULES: dict[str, Callable[[Case, float], tuple[float | None, int]]] = {
    "surest size": surest,
    "fixed point": fixed_point,
    "vote of five sizes": voted,
    "vote of three sizes": refined,
    "usual size first": usual_first,
    "the package": lambda case, usual: (case.package.diameter, 0),
}


def half_of(name: str) -> str:
    """Return which half an image is in, by the hash of its id."""
    is_even = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0
    return "choose" if is_even else "report"


def see(
    some: Sequence[Picture], zoom: float, model: Model, half: Callable[[str], str]
) -> list[Case]:
    """Look at images at a zoom in all the ways that the rules need."""
    cases = []
    for one in some:
        picture = Picture(one.name, *zoomed(one.grey, one.truth, zoom))
        sights = {size: look(picture, model, size) for size in SIZES}
        package = drain(estimate_diameter_steps(picture.image, model, _SETTINGS))
        cases.append(Case(picture, zoom, half(one.name), sights, package))
    return cases


def right(cases: Sequence[Case], usual: float) -> list[dict[str, Any]]:
    """Return for each rule and set of images how often it is right."""
    rows = []
    for name, rule in RULES.items():
        row: dict[str, Any] = {"rule": name}
        answers = [(case, *rule(case, usual)) for case in cases]
        for half in ("choose", "report", "u2os"):
            errors = [
                abs(np.log2(d / c.picture.diameter)) if d else 9.0
                for c, d, _ in answers
                if c.half == half and c.zoom >= 0.5
            ]
            row[half] = fmean(e <= 0.5 for e in errors)
        for zoom in sorted({case.zoom for case in cases}):
            errors = [
                abs(np.log2(d / c.picture.diameter)) if d else 9.0
                for c, d, _ in answers
                if c.zoom == zoom and c.half == "report"
            ]
            row[f"report, × {zoom:g}"] = fmean(e <= 0.5 for e in errors)
        row["runs"] = fmean(n for _, _, n in answers)
        rows.append(row)
    return rows


def used(
    estimate: DiameterEstimate, working: float, within: tuple[float, float]
) -> Diameter:
    """Return the diameter to segment with so that objects come to lie in a range."""
    if estimate.diameter is None or estimate.sure < SURE_ENOUGH:
        return "usual"
    low, high = within
    wanted = min(max(estimate.diameter, low * working), high * working)
    if wanted == estimate.diameter:
        return "usual"
    return estimate.diameter * working / wanted


def _way(
    said: dict[str, DiameterEstimate], working: float, within: tuple[float, float]
) -> Callable[[Picture], Diameter]:
    return lambda picture: used(said[picture.name], working, within)


def _by_package(
    said: dict[str, DiameterEstimate], description: ModelDescription
) -> Callable[[Picture], Diameter]:
    return lambda picture: choose(said[picture.name], description)[0] or "usual"


def precision(
    cases: Sequence[Case], segmenter: Segmenter, half: str
) -> list[dict[str, Any]]:
    """Return average precision by zoom, for each way to use the estimate."""
    working = segmenter.model.description.working_diameter_px
    rows = []
    for zoom in sorted({case.zoom for case in cases}):
        some = [c for c in cases if c.zoom == zoom and c.half == half]
        if not some:
            continue
        said = {case.picture.name: case.package for case in some}
        ways: dict[str, Callable[[Picture], Diameter]] = {
            "usual": lambda picture: "usual",
            "true": lambda picture: picture.diameter,
            "the package": _by_package(said, segmenter.model.description),
        }
        ways |= {name: _way(said, working, within) for name, within in RANGES.items()}
        row: dict[str, Any] = {"half": half, "zoom": zoom}
        for name, way in ways.items():
            scores = segmenter.scores([case.picture for case in some], way)
            row[f"{name}: AP .50"] = scores.pooled("ap")["0.50"]
            row[f"{name}: mean"] = scores.mean_ap_pooled_9
        rows.append(row)
    return rows


def main() -> None:
    """Print and write how often each rule is right, and what it is worth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of all sets of images")
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--zooms", type=float, nargs="+", default=ZOOMS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data, model = arguments.data, load_model(arguments.model)
    validation = pictures(dsb_pairs(data, validation_ids(data)), grey=True)
    large = pictures(read_pairs(data / "u2os_nuclei"), grey=True)
    cases = [
        c for zoom in arguments.zooms for c in see(validation, zoom, model, half_of)
    ]
    for zoom in (0.5, 1.0, 2.0):
        cases += see(large, zoom, model, lambda name: "u2os")
    usual = model.description.input_diameter_px or model.description.working_diameter_px
    segmenter = Segmenter(model)
    result: dict[str, Any] = {
        "model": model.description.name,
        "right within √2": right(cases, usual),
        "seconds": median(case.package.seconds for case in cases),
        "average precision": [
            row
            for half in ("report", "u2os")
            for row in precision(cases, segmenter, half)
        ],
    }
    write_json(arguments.out / "diameters.json", result)
    parts = [f"# Diameters, {result['model']}", "", table(result["right within √2"])]
    parts += ["", f"Median seconds of the package: {result['seconds']:.3f}", ""]
    parts += [table(result["average precision"])]
    text = "\n".join(parts) + "\n"
    (arguments.out / "diameters.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
