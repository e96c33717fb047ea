"""Put the model of a run into the package, with what a user should know of it.

    python benchmarks/bundle_model.py RUN nuclei --summary TEXT --licence BSD-3-Clause \
        --scores validation=val.json test=test.json

``--dark FILE`` is JSON with how dark objects are taken, which no training finds out
(`napari_unetic.model.description.DarkSpec`). The files after ``--scores`` are what
``unetic evaluate --json`` wrote; the one after ``--kinds`` is that of
``accuracy/tables.py --only kinds --report``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_unetic.model.description import DarkSpec
from napari_unetic.model.folder import load_model_folder, save_model
from napari_unetic.model.registry import BUNDLED

KEPT = (
    "n_images",
    "n_objects",
    "ap_pooled",
    "ap_per_image",
    "f1_pooled",
    "pq_pooled",
    "mean_ap_pooled_9",
    "mean_ap_per_image_10",
)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return value


def _of_kinds(tables: dict[str, Any]) -> dict[str, object]:
    """Return what came out on the images of each kind, its diameter found out."""
    return {
        f"{row['kind']}, {row['half']}": _rounded(
            {
                "n_images": row["images"],
                "n_objects": row["objects"],
                "ap_pooled": row["ap"],
                "mean_ap_pooled_9": row["mean_ap_pooled_9"],
            }
        )
        for row in tables["kinds"]
        if row["diameter"] == "auto"
    }


def main() -> None:
    """Copy the model with name, summary, licence and scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--summary", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--scores", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--kinds", type=Path, metavar="FILE")
    parser.add_argument("--dark", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    model = load_model_folder(arguments.run / "model")
    scores = dict(model.description.scores)
    for text in arguments.scores:
        name, _, file = text.partition("=")
        measured = json.loads(Path(file).read_text(encoding="utf-8"))
        scores[name] = {key: _rounded(measured[key]) for key in KEPT}
    if arguments.kinds:
        scores["kinds"] = _of_kinds(json.loads(arguments.kinds.read_text("utf-8")))
    dark = model.description.dark
    if arguments.dark:
        dark = DarkSpec.model_validate_json(arguments.dark.read_text("utf-8"))
    described = model.description.model_copy(
        update={
            "dark": dark,
            "name": arguments.name,
            "summary": arguments.summary,
            "licence": arguments.licence,
            "scores": scores,
        }
    )
    save_model(
        BUNDLED / arguments.name,
        described,
        model.network.state_dict(),
        overwrite=True,
    )


if __name__ == "__main__":
    main()
