"""The table of the tutorial that is reproduced, from what its script found.

    python benchmarks/tutorial_page.py docs/networks/tutorial.json docs/training.md

The file is the ``scores.json`` of ``examples/dsb2018_tutorial.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _pages import fill, number, table

NAMES = {"tutorial": "the tutorial's, of pixels", "default": "our default, of objects"}
HEAD = (
    "network",
    "minutes",
    "steps",
    "pixel IoU",
    "per image",
    "pixel Dice",
    "AP .50",
    "AP mean",
)
FIGURES = (
    "pixel_iou_pooled",
    "pixel_iou_per_image",
    "pixel_dice_pooled",
    "ap_0.50_pooled",
    "mean_ap_pooled_9",
)


def part(found: dict[str, Any]) -> str:
    """Return the table and what it was made on."""
    rows = [
        [
            name,
            f"{found[key]['minutes']:.1f}",
            f"{found[key]['steps']:,}",
            *(number(found[key][one]) for one in FIGURES),
        ]
        for key, name in NAMES.items()
    ]
    n = found["images"]
    said = (
        f"Both learnt from {n['train']} images, chose their weights on "
        f"{n['validation']}, and are scored on {n['scored']}."
    )
    return f"{table(HEAD, rows)}\n\n{said}"


def main() -> None:
    """Fill in the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path, help="scores.json of the example")
    parser.add_argument("page", type=Path, help="Markdown to fill in")
    arguments = parser.parse_args()
    made = part(json.loads(arguments.scores.read_text(encoding="utf-8")))
    text = fill(arguments.page.read_text(encoding="utf-8"), "tutorial", made)
    arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
