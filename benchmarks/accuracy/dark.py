"""Whether objects are dark, and how dark ones are found best: size and thresholds.

contrast    by how much true objects are brighter than the rest, in standard deviations
            of the pixels: the kinds of DSB2018, and cells in phase contrast
sizes       average precision with the objects brought to so many usual diameters by
            the estimate, under the model's own thresholds
thresholds  at the size that the model has for dark objects, with one of its thresholds
            for them changed at a time

The images are those of each kind that are held out to choose with, and for the sizes
the fluorescence images of validation, too.

    python benchmarks/accuracy/dark.py DATA --model nuclei --out dark.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from dsb import KINDS, dsb_pairs, held_out_ids, validation_ids
from numpy.typing import NDArray
from tables import Picture, Segmenter, pictures

from napari_unetic.instances.counts import score_image
from napari_unetic.instances.scores import Scores
from napari_unetic.model.registry import load_model
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment_steps
from napari_unetic.predict.darkness import contrast
from napari_unetic.predict.diameter import estimate_diameter_steps, usual_diameter
from napari_unetic.predict.planes import decode_all
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import machine, write_json
from _pages import table

if TYPE_CHECKING:
    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.model.folder import Model
    from napari_unetic.predict.result import KeptMaps

SIZES = (1.0, 1.25, 1.5, 1.75, 2.0)
LARGEST_ZOOM = 4.0
THRESHOLDS: dict[str, tuple[float, ...]] = {
    "foreground": (0.5, 0.6, 0.65, 0.7, 0.75),
    "contact": (0.3, 0.35, 0.42, 0.5, 0.6),
    "peak": (0.4, 0.5, 0.6, 0.7),
    "smallest_px": (25, 56, 80, 120),
}

Row = dict[str, Any]


def to_choose_with(data: Path, kind: str) -> list[Picture]:
    """Return the images of a kind that choices are made with."""
    is_usual = kind == "fluorescence"
    ids = validation_ids(data) if is_usual else held_out_ids(kind, "choose")
    return pictures(dsb_pairs(data, ids))


def contrasts(name: str, some: Iterable[Picture]) -> Row:
    """Return least, median and most of the contrast of true objects."""
    found = [contrast(p.plane.reshape(-1, *p.truth.shape), p.truth > 0) for p in some]
    names = ("least", "median", "most")
    figures = (round(float(v), 2) for v in np.percentile(found, (0, 50, 100)))
    return {"images": name, "n": len(found), **dict(zip(names, figures, strict=True))}


def scored(pairs: Iterable[tuple[NDArray[np.int32], NDArray[np.int32]]]) -> Row:
    """Return average precision of truths and predictions."""
    scores = Scores(tuple(score_image(truth, labels) for truth, labels in pairs))
    return {
        "ap_50": round(scores.pooled("ap")["0.50"], 4),
        "mean_ap_9": round(scores.mean_ap_pooled_9, 4),
    }


def sizes(model: Model, kind: str, some: Sequence[Picture]) -> list[Row]:
    """Score a kind with its objects brought to each size."""
    segmenter, usual = Segmenter(model), usual_diameter(model.description)
    found = [row_of(kind, "usual", segmenter, [(p, "usual") for p in some])]
    asked = SegmentSettings(diameter="usual", device="cpu")
    estimates = [
        drain(estimate_diameter_steps(p.image, model, asked)).diameter for p in some
    ]
    for size in SIZES:
        told: list[tuple[Picture, float | str]] = [
            (p, "usual" if e is None else max(e / size, usual / LARGEST_ZOOM))
            for p, e in zip(some, estimates, strict=True)
        ]
        found.append(row_of(kind, size, segmenter, told))
    return found


def row_of(
    kind: str,
    size: float | str,
    segmenter: Segmenter,
    told: Sequence[tuple[Picture, float | str]],
) -> Row:
    """Score a kind under the diameter that is told of each image."""
    pairs = ((p.truth, segmenter.labels(p.image, diameter)) for p, diameter in told)
    return {"kind": kind, "size": size, **scored(pairs)}


def thresholds(model: Model, kinds: dict[str, list[Picture]]) -> list[Row]:
    """Score all kinds with each threshold for dark objects changed."""
    dark = model.description.dark
    assert dark is not None
    kept = {
        kind: [(kept_maps(model, p), p.truth) for p in some]
        for kind, some in kinds.items()
    }
    changes: list[dict[str, float]] = [{}]
    for name, values in THRESHOLDS.items():
        own = getattr(dark.decoding, name)
        changes += [{name: value} for value in values if value != own]
    found = []
    for change in changes:
        spec = dark.decoding.model_copy(update=change)
        for kind, some in kept.items():
            pairs = ((truth, decoded(maps, spec)) for maps, truth in some)
            found.append({"kind": kind, "changed": change, **scored(pairs)})
    return found


def kept_maps(model: Model, picture: Picture) -> KeptMaps:
    """Return the maps of an image at the size that is chosen for it."""
    steps = segment_steps(picture.image, model, device="cpu", keep_maps_bytes=10**10)
    maps = drain(steps).maps
    assert maps is not None
    return maps


def decoded(kept: KeptMaps, spec: DecodeSpec) -> NDArray[np.int32]:
    """Return the labels of maps under other thresholds."""
    described = kept.plan.description.model_copy(update={"decoding": spec})
    plan = replace(kept.plan, description=described)
    maps = kept.maps[()].astype(np.float32)
    return decode_all(maps, plan, plan.settings, plan.box, plan.map_box).labels


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of all sets of images")
    parser.add_argument("--model", default="nuclei", help="name or folder")
    parser.add_argument("--out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    kinds = {kind: to_choose_with(arguments.data, kind) for kind in KINDS}
    found: dict[str, list[Row]] = {"contrast": [], "sizes": []}
    for kind, some in kinds.items():
        found["contrast"].append(contrasts(kind, some))
        found["sizes"] += sizes(model, kind, some)
    phase = pictures(read_pairs(arguments.data / "phase_contrast_cells"))
    found["contrast"].append(contrasts("phase contrast", phase))
    del kinds["fluorescence"]
    found["thresholds"] = thresholds(model, kinds)
    for name, rows in found.items():
        print(f"\n## {name}\n")
        print(table(list(rows[0]), [list(row.values()) for row in rows]))
    about = {"model": model.description.weights_sha256, "machine": machine()}
    write_json(arguments.out, {**about, **found})


if __name__ == "__main__":
    main()
