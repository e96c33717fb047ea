"""The tables of `docs/speed.md` from the results of the benchmarks.

    python benchmarks/speed_page.py docs/speed docs/speed.md

Reads `peers.json`, `floor.json`, `profile-float32.json`, `profile-bfloat16.json`,
`startup.json`, `runtimes.json` and `shapes.json` of the folder and replaces what stands
between ``<!-- NAME -->`` and ``<!-- end -->`` in the page; of a file that is not there
nothing is replaced.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from _pages import Result, about, fill, number, table


def peers(result: Result) -> str:
    """Return seconds of all pipelines, and ours over each peer."""
    rows = [
        [
            {"unetic": "ours"}.get(row["pipeline"], row["pipeline"]),
            row["precision"],
            row["threads"],
            f"{row['size']}²",
            number(row["s_per_megapixel"]),
            number(row["network"] / row["size"] ** 2 * 1e6) if "network" in row else "",
            number(row["decoder"] / row["size"] ** 2 * 1e6) if "decoder" in row else "",
            row["n_objects"],
        ]
        for row in result["rows"]
    ]
    seconds = table(
        [
            "pipeline",
            "precision",
            "threads",
            "image",
            "s/Mpx",
            "network",
            "decoder",
            "objects",
        ],
        rows,
    )
    times = table(
        ["peer", "ours in", "threads", "image", "times as long", "least of five turns"],
        [
            [
                row["peer"],
                row["precision"],
                row["threads"],
                f"{row['size']}²",
                number(row["times_as_long"]),
                number(row["least_of_turns"]),
            ]
            for row in result["ratios"]
        ],
    )
    return f"{about(result)}\n\n{times}\n\n{seconds}"


def floor(result: Result) -> str:
    """Return the network beside its convolutions alone."""
    rows = []
    for row in result["rows"]:
        whole = row["size"] ** 2 / 1e6
        rows += [
            [
                row["precision"],
                number(row["convolutions_alone_s"] / whole),
                number(row["matrix_product"]["gflops"]),
                number(row["convolutions_gflops"]),
                f"{tile['tile']}, {tile['n_tiles']}",
                number(tile["s"] / whole),
                number(tile["share"], 2),
            ]
            for tile in row["tiles"]
        ]
    head = [
        "precision",
        "convolutions alone, s/Mpx",
        "matrix product, 10⁹ op/s",
        "convolutions, 10⁹ op/s",
        "tile, tiles",
        "through tiles, s/Mpx",
        "share",
    ]
    return f"{about(result)}\n\n{table(head, rows)}"


STEPS = ("normalise", "network", "decode", "relabel", "score", "features")


def profile(result: Result) -> str:
    """Return seconds of each step and memory, and how both grow."""
    rows = [
        [
            row["density"],
            f"{row['size']}²",
            f"{row['n_objects']:,}",
            number(row["whole_s_per_megapixel"]),
            *(number(row["steps_s_per_megapixel"][step]) for step in STEPS),
            number(row["peak_above_image_mb"]),
        ]
        for row in result["rows"]
    ]
    steps = table(
        ["density", "image", "objects", "whole, s/Mpx", *STEPS, "peak, MB"], rows
    )
    grown = [
        [name, *(number(row[k]) for k in ("whole", "memory"))]
        for name, row in result["exponents"].items()
    ]
    growth = table(["density", "exponent of time", "of memory"], grown)
    text = f"{about(result)}\n\n{steps}\n\n{growth}"
    if "share_of_stardist" in result:
        shares = [
            [row["density"], f"{row['size']}²", *(number(row[s], 2) for s in STEPS)]
            for row in result["share_of_stardist"]
        ]
        text += "\n\n" + table(["of StarDist's seconds", "image", *STEPS], shares)
    many = result["many_objects"]
    return text + (
        f"\n\nBasic features with intensities of {many['features_objects']:,} objects: "
        f"{number(many['features_s'])} s. Matching of {many['matching_objects'][0]:,} "
        f"with {many['matching_objects'][1]:,} objects: "
        f"{number(many['matching_at_0.5_s'])} s at IoU .5, "
        f"{number(many['matching_at_0.05_s'])} s at .05, where assignments compete."
    )


def startup(result: Result) -> str:
    """Return the times until something happens."""
    dock, shell = result["dock"], result["segment"]
    rows = [
        [
            "`import napari_unetic`, beyond the interpreter",
            result["import"]["beyond_s"],
        ],
        ["Segment dock shown in an open viewer", dock["dock_shown_s"]],
        ["the same, until all that it began is done", dock["dock_idle_s"]],
        ["`unetic segment` on 512², cold, from start to end", shell["whole_s"]],
        ["of that, `import torch`", shell["import_torch_s"]],
    ]
    told = [[what, number(seconds, 2)] for what, seconds in rows]
    return f"{about(result)}\n\n{table(['', 's'], told)}"


def runtimes(result: Result) -> str:
    """Return other runtimes beside ours."""
    rows = [
        [
            row["runtime"],
            row["precision"],
            f"{row['size']}²",
            number(row["s_per_megapixel"]),
            number(row["ours_over_it"]),
            number(row["ready_s"], 2),
            number(row["largest_difference"], 2),
        ]
        for row in result["rows"]
    ]
    head = [
        "runtime",
        "precision",
        "image",
        "s/Mpx",
        "ours takes … times as long",
        "s until ready for a size",
        "largest difference of a logit",
    ]
    return f"{about(result)}\n\n{table(head, rows)}"


def shapes(result: Result) -> str:
    """Return accuracy and seconds of shapes."""
    rows = [
        [
            row["shape"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['steps']:,}",
            number(row["seconds_per_megapixel"]["float32"]),
            number(row["seconds_per_megapixel"]["bfloat16"]),
            number(row["validation"]["ap_pooled_0.50"]),
            number(row["validation"]["ap_pooled_0.75"]),
            number(row["validation"]["mean_ap_pooled_9"]),
        ]
        for row in result["shapes"]
    ]
    head = [
        "shape",
        "parameters",
        f"steps in {result['shapes'][0]['minutes']:g} min",
        "s/Mpx float32",
        "bfloat16",
        "AP@.50",
        "AP@.75",
        "mean .50–.90",
    ]
    return f"{about(result)}\n\n{table(head, rows)}"


PARTS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "peers": ("peers.json", peers),
    "floor": ("floor.json", floor),
    "profile in bfloat16": ("profile-bfloat16.json", profile),
    "profile in float32": ("profile-float32.json", profile),
    "startup": ("startup.json", startup),
    "runtimes": ("runtimes.json", runtimes),
    "shapes": ("shapes.json", shapes),
}


def main() -> None:
    """Fill in the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of JSON")
    parser.add_argument("page", type=Path, help="Markdown to fill in")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    for name, (file, make) in PARTS.items():
        if not (arguments.results / file).exists():
            continue
        result = json.loads((arguments.results / file).read_text(encoding="utf-8"))
        text = fill(text, name, make(result))
    arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
