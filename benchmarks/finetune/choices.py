"""What the defaults of fine-tuning were chosen by: one setting changed at a time.

    python benchmarks/finetune/choices.py DATA OUT --by-steps --seeds 1

Trains on the middle block of phase contrast, scores the early block, and scores every
third of DSB2018's 67 validation images with the new model: what it has not forgotten.
"""

from __future__ import annotations

import argparse
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

CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "no rehearsal": {"rehearsal": 0.0},
    "half rehearsal": {"rehearsal": 0.5},
    "pulled": {"anchor": 10.0, "weight_decay": 0.0},
    "pulled, no rehearsal": {"anchor": 10.0, "weight_decay": 0.0, "rehearsal": 0.0},
    "norms kept": {"norms": "keep"},
    "encoder a tenth": {"encoder_rate": 0.1},
    "decoder only": {"encoder_rate": 0.0},
    "batch 4": {"batch": 4},
    "a quarter of the rate": {"learning_rate": 1e-3},
    "twice the rate": {"learning_rate": 8e-3},
    "patches of 256": {"patch_px": 256},
    "norms kept, no rehearsal": {"norms": "keep", "rehearsal": 0.0},
    "scratch": {"rehearsal": 0.0},
}


def main() -> None:
    """Work out the cells that are not there yet."""
    made = parser(__doc__)
    made.add_argument("--only", nargs="*", default=list(CHOICES))
    arguments = made.parse_args()
    results = start(arguments)
    for seed in range(arguments.seeds):
        for name in arguments.only:
            results.cell(
                lambda name=name, seed=seed: one(arguments, name, seed),
                task="choice",
                name=name,
                seed=seed,
                minutes=2,
            )


def one(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Fine-tune with one choice and score what comes out."""
    is_scratch = name == "scratch"
    base = scratch_model(arguments.out, seed) if is_scratch else "nuclei"
    run = arguments.out / f"choice-{name.replace(' ', '-')}-{seed}"
    result = tuned(
        base,
        phase_contrast(arguments.data, "middle"),
        run,
        arguments,
        minutes=2,
        seed=seed,
        **CHOICES[name],
    )
    description = load_model(result.model).description
    assert description.training is not None and result.verdict is not None
    return {
        "steps": description.training.steps,
        "verdict": result.verdict.sentence,
        "after": ap(result.model, phase_contrast(arguments.data, "early")),
        "old_kind": ap(
            result.model,
            validation_images(arguments.data)[::3],
            description.working_diameter_px,
        ),
    }


if __name__ == "__main__":
    main()
