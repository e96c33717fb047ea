"""The tables of two pages from the results of the scripts beside this one.

    python benchmarks/finetune/page.py docs/finetune/results.jsonl docs/finetune.md
    python benchmarks/finetune/page.py docs/finetune/choices.jsonl docs/training.md

The file holds the lines of ``OUT/results.jsonl``, with the machine in front. Figures
are medians of the seeds, with the least and the most of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _pages import about, fill, number, table

Row = dict[str, Any]


def spread(values: Sequence[float]) -> str:
    """Return the median, and the range where there are several."""
    middle = number(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(min(values))} to {number(max(values))})"


def chosen(rows: Iterable[Row], **key: Any) -> list[Row]:
    """Return the rows of some cells, failed ones left out."""
    return [
        row
        for row in rows
        if "error" not in row and all(row.get(k) == v for k, v in key.items())
    ]


def ap(rows: Iterable[Row], when: str) -> list[float]:
    """Return AP at IoU .50 before or after."""
    return [row[when]["ap_50"] for row in rows]


def foreign_kind(rows: Sequence[Row]) -> str:
    """Return phase contrast: images, before, after, from scratch, the ceiling."""
    mine = chosen(rows, task="phase contrast")
    counts = sorted({row["n"] for row in mine if row["minutes"] == 2})
    longest = chosen(mine, minutes=10)
    tops = ap(longest, "after")
    lines = []
    for n in counts:
        tuned = chosen(mine, n=n, way="nuclei", minutes=2)
        scratch = chosen(mine, n=n, way="scratch", minutes=2)
        after = ap(tuned, "after")
        lines.append(
            [
                n,
                len(tuned),
                spread(ap(tuned, "before")),
                spread(after),
                spread(ap(scratch, "after")),
                *(f"{statistics.median(after) / top:.0%}" for top in tops),
                spread([row["steps"] for row in tuned]),
            ]
        )
    head = (
        "images learnt from",
        "seeds",
        "before",
        "after 2 minutes",
        "from scratch in 2 minutes",
        *("of the ceiling" for _ in longest),
        "steps",
    )
    said = [table(head, lines)]
    for row in longest:
        said.append(
            f"The ceiling, ten minutes on {row['n']} images from the same start: "
            f"{number(row['after']['ap_50'])} ({row['steps']:,} steps)."
        )
    return "\n\n".join(said)


def forgetting(rows: Sequence[Row]) -> str:
    """Return what is left on nuclei after a fine-tuning on phase contrast."""
    mine = [row for row in chosen(rows, task="phase contrast") if "old_kind" in row]
    lines = [
        [
            n,
            f"{minutes:g}",
            spread([r["old_kind_before"]["ap_50"] for r in some]),
            spread([r["old_kind"]["ap_50"] for r in some]),
            spread([r["old_kind"]["mean_ap_9"] for r in some]),
        ]
        for n, minutes in sorted({(row["n"], row["minutes"]) for row in mine})
        if (some := chosen(mine, n=n, minutes=minutes))
    ]
    head = ("images learnt from", "minutes", "before, .50", "after, .50", "after, mean")
    return table(head, lines)


def large_nuclei(rows: Sequence[Row]) -> str:
    """Return U2OS nuclei, one image learnt from."""
    lines = [
        [row["image"], *(number(row[k]["ap_50"]) for k in ("before", "after"))]
        for row in chosen(rows, task="u2os")
    ]
    return table(("learnt from", "before", "after 2 minutes"), lines)


def corrections(rows: Sequence[Row]) -> str:
    """Return a session of corrections, round by round."""
    mine = chosen(rows, task="corrections")
    lines = [
        [
            n,
            spread([row["n_images"] for row in some]),
            spread(ap(some, "before")),
            spread(ap(some, "after")),
        ]
        for n in sorted({row["n"] for row in mine})
        if (some := chosen(mine, n=n))
    ]
    return table(("objects corrected", "images", "before", "after"), lines)


def budget(rows: Sequence[Row]) -> str:
    """Return how long fine-tunings took, all in all."""
    lines = [
        [
            row["minutes"],
            "slowed to half" if row["slowed"] else "idle",
            f"{row['took_s']:.1f}",
            f"{row['took_s'] / (60 * row['minutes']) - 1:+.1%}",
            f"{row['steps']:,}",
        ]
        for row in chosen(rows, task="budget")
    ]
    head = ("minutes asked for", "cores", "took, s", "off by", "steps")
    said = (
        "**The time** from the start to the verdict, reading, tuning and judging "
        "included, on idle cores and beside as many programs that want a core each:"
    )
    return f"{said}\n\n{table(head, lines)}"


def choices(rows: Sequence[Row]) -> str:
    """Return settings, one changed at a time: the new kind of image and the old."""
    mine = chosen(rows, task="choice")
    lines = []
    for name in dict.fromkeys(row["name"] for row in mine):
        some = chosen(mine, name=name)
        figures = (
            spread([row[kind][figure] for row in some])
            for kind in ("after", "old_kind")
            for figure in ("ap_50", "mean_ap_9")
        )
        steps = statistics.median(row["steps"] for row in some)
        lines.append([name, f"{steps:,.0f}", *figures])
    head = ("changed", "steps", "new kind, .50", "mean", "old kind, .50", "mean")
    return table(head, lines)


def whole_loop(rows: Sequence[Row]) -> str:
    """Return memory, seconds and stalls of a session in a real window."""
    row = chosen(rows, task="whole loop")[-1]
    lines = [
        [part, f"{row['seconds'].get(part, 0):.1f}", f"{stall:,}"]
        for part, stall in row["stalls_ms"].items()
        if part in row["seconds"]
    ]
    peaks = (
        f"Most memory, napari and training together: {number(row['peak_gb'])} GB, of "
        f"napari alone {number(row['peak_of_window_gb'])} GB. The verdict: "
        f"{row['verdict']}"
    )
    return f"{table(('part', 's', 'longest stall, ms'), lines)}\n\n{peaks}"


PARTS: dict[str, Callable[[Sequence[Row]], str]] = {
    "foreign kind": foreign_kind,
    "forgetting": forgetting,
    "large nuclei": large_nuclei,
    "corrections": corrections,
    "budget": budget,
    "choices": choices,
    "whole loop": whole_loop,
}

TASKS = {
    "foreign kind": "phase contrast",
    "forgetting": "phase contrast",
    "large nuclei": "u2os",
    "corrections": "corrections",
    "budget": "budget",
    "choices": "choice",
    "whole loop": "whole loop",
}
"""Which rows the parts are made of; a part without any stays as it is."""


def main() -> None:
    """Fill in the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON lines")
    parser.add_argument("page", type=Path, help="Markdown to fill in")
    arguments = parser.parse_args()
    lines = arguments.results.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    text = arguments.page.read_text(encoding="utf-8")
    for name, make in PARTS.items():
        if any(row.get("task") == TASKS[name] for row in rows):
            text = fill(text, name, make(rows))
    (where,) = [row for row in rows if "machine" in row][:1]
    if "<!-- machine -->" in text:
        text = fill(text, "machine", about(where))
    arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
