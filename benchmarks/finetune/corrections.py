"""A simulated correction session on phase contrast: 25, 50 and 100 objects.

    python benchmarks/finetune/corrections.py DATA OUT

The first objects of the early block by position are corrected, image by image, on top
of what the nuclei model predicts; the reviewed area is what was touched. Each round
starts from the nuclei model, keeps what the round before held out, and is scored on all
images of the two other blocks, whole.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from protocol import ap, by_position, parser, phase_contrast, start, tuned

from napari_unetic import load_model, segment
from napari_unetic.finetuning.collect import median_diameter
from napari_unetic.finetuning.folder import pairs_of

if TYPE_CHECKING:
    from napari_unetic.finetuning import CollectedPair


def main() -> None:
    """Work out the cells that are not there yet."""
    arguments = parser(__doc__).parse_args()
    results = start(arguments)
    for seed in range(arguments.seeds):
        for n in (25, 50, 100):
            results.cell(
                lambda n=n, seed=seed: one(arguments, n, seed),
                task="corrections",
                n=n,
                seed=seed,
                minutes=2,
            )


def one(arguments: argparse.Namespace, n: int, seed: int) -> dict[str, Any]:
    """Correct so many objects and fine-tune on them."""
    pairs = corrected(arguments, n)
    before = arguments.out / f"corrections-{n // 2}-{seed}"
    if before.exists():
        earlier = {pair.image_hash(): pair.held_out for pair in pairs_of(before)}
        pairs = [replace(p, held_out=earlier.get(p.image_hash())) for p in pairs]
    run = arguments.out / f"corrections-{n}-{seed}"
    result = tuned("nuclei", pairs, run, arguments, minutes=2, seed=seed)
    assert result.verdict is not None
    test = phase_contrast(arguments.data, "middle", "late")
    diameter = load_model(result.model).description.input_diameter_px
    return {
        "n_images": len(pairs),
        "before": ap("nuclei", test, diameter),
        "after": ap(result.model, test),
        "verdict": result.verdict.sentence,
    }


def corrected(arguments: argparse.Namespace, n: int) -> list[CollectedPair]:
    """Return the first n objects of the early block as a person corrects them."""
    found = []
    for pair in phase_contrast(arguments.data, "early"):
        image, truth = pair.read()
        n_here = min(n, len(np.unique(truth)) - 1)
        if not n_here:
            break
        size = median_diameter(truth)
        found.append(
            by_position(
                pair,
                n_here,
                lambda image=image, size=size: np.asarray(
                    segment(image, "nuclei", diameter=size, device="cpu")
                ),
            )
        )
        n -= n_here
    return found


if __name__ == "__main__":
    main()
