"""Phase contrast from the nuclei model: 1, 2 and 5 images, scratch beside, a ceiling.

    python benchmarks/finetune/foreign_kind.py DATA OUT

Trains on the early block and scores all images of the two others, whole. With
``--forgetting`` each fine-tuned model is scored on DSB2018's 67 validation images, too.
The annotation of this set is not exhaustive, which keeps AP below 1 for any model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from protocol import (
    ap,
    parser,
    phase_contrast,
    scratch_model,
    start,
    tuned,
    validation_images,
)

from napari_unetic import load_model

SCRATCH: dict[str, Any] = {"norms": "learn", "rehearsal": 0.0}
"""From random weights there is nothing to keep."""


def main() -> None:
    """Work out the cells that are not there yet."""
    made = parser(__doc__)
    made.add_argument("--forgetting", action="store_true")
    made.add_argument("--images", type=int, nargs="*", default=[1, 2, 5])
    arguments = made.parse_args()
    results = start(arguments)
    train = phase_contrast(arguments.data, "early")
    test = phase_contrast(arguments.data, "middle", "late")
    for n in arguments.images:
        for seed in range(arguments.seeds):
            for way in ("nuclei", "scratch"):
                results.cell(
                    lambda n=n, seed=seed, way=way: one(
                        arguments, train[:n], test, way, seed, 2
                    ),
                    task="phase contrast",
                    way=way,
                    n=n,
                    seed=seed,
                    minutes=2,
                )
    n = max(arguments.images)
    results.cell(
        lambda: one(arguments, train[:n], test, "nuclei", 0, 10),
        task="phase contrast",
        way="nuclei",
        n=n,
        seed=0,
        minutes=10,
    )


def one(
    arguments: argparse.Namespace,
    train: list[Any],
    test: list[Any],
    way: str,
    seed: int,
    minutes: float,
) -> dict[str, Any]:
    """Fine-tune once and score what comes out."""
    is_scratch = way == "scratch"
    base = scratch_model(arguments.out, seed) if is_scratch else "nuclei"
    run = Path(arguments.out, f"{way}-{len(train)}-{seed}-{minutes:g}")
    settings = SCRATCH if is_scratch else {}
    result = tuned(base, train, run, arguments, minutes=minutes, seed=seed, **settings)
    assert result.verdict is not None
    description = load_model(result.model).description
    assert description.training is not None
    found: dict[str, Any] = {
        "after": ap(result.model, test),
        "verdict": result.verdict.sentence,
        "steps": description.training.steps,
        "diameter": description.input_diameter_px,
    }
    if not is_scratch:
        found["before"] = ap("nuclei", test, description.input_diameter_px)
        if arguments.forgetting:
            images = validation_images(arguments.data)
            size = description.working_diameter_px
            found["old_kind"] = ap(result.model, images, size)
            found["old_kind_before"] = ap("nuclei", images, size)
    return found


if __name__ == "__main__":
    main()
