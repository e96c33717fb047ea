"""Compare what a plan foretells with what then happens: time and memory.

Each case runs in a process of its own, as the first image of a session does: a short
trial of the model, a plan, a segmentation with measurements; then the same image once
more, after what the first run taught. The time of the plan itself is reported, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from _common import forget_peak, machine, peak_bytes, rounded, scene, write_json

SIZES = (512, 1024, 2048, 4096)
ZOOMS = (0.5, 1.0, 2.0)
DENSITY = "typical"


def run_case(size: int, zoom: float, model_name: str) -> dict[str, Any]:
    """Foretell and do one segmentation twice; returns what JSON can hold."""
    from napari_unetic.maps import plan_work
    from napari_unetic.maps.pace import measure_pace
    from napari_unetic.model.registry import load_model
    from napari_unetic.settings import segment_settings

    image, _ = scene(size, DENSITY)
    model = load_model(model_name)
    diameter = model.description.working_diameter_px / zoom
    settings = segment_settings(diameter=diameter)
    planning = []
    for _ in range(10):
        started = time.perf_counter()
        plan = plan_work(image, model.description, settings)
        planning.append(time.perf_counter() - started)
    started = time.perf_counter()
    measure_pace(model, plan.device)
    trial = time.perf_counter() - started
    expected_bytes = plan.bytes
    runs = []
    for _ in range(2):
        expected = plan_work(image, model.description, settings).seconds
        assert expected is not None
        forget_peak()
        before = psutil.Process().memory_info().rss
        seconds, n_objects = _segment(image, model, diameter)
        runs.append(
            {
                "expected_s": rounded(expected),
                "seconds": rounded(seconds),
                "ratio": rounded(expected / seconds),
                "bytes": peak_bytes() - before,
            }
        )
    return {
        "size": size,
        "zoom": zoom,
        "line": plan.text(),
        "objects": n_objects,
        "plan_ms": rounded(1e3 * median(planning)),
        "trial_s": rounded(trial),
        "expected_bytes": expected_bytes,
        "bytes_ratio": rounded(expected_bytes / max(run["bytes"] for run in runs)),
        "first": runs[0],
        "second": runs[1],
    }


def _segment(image: Any, model: Any, diameter: float) -> tuple[float, int]:
    """Return seconds and objects of a segmentation with measurements."""
    from napari_unetic.instances.measure import measure
    from napari_unetic.predict import segment_steps
    from napari_unetic.steps import drain

    started = time.perf_counter()
    found = drain(segment_steps(image, model, diameter=diameter))
    measure(found.labels, image)
    return time.perf_counter() - started, found.n_objects


def main() -> None:
    """Print a line a case and write all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--zooms", type=float, nargs="+", default=ZOOMS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        size, zoom = arguments.case
        print(json.dumps(run_case(int(size), float(zoom), arguments.model)))
        return
    rows = []
    for size, zoom in product(arguments.sizes, arguments.zooms):
        command = [sys.executable, __file__, "--model", arguments.model]
        done = subprocess.run(
            [*command, "--case", str(size), str(zoom)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(
            f"{size:5} px, zoom {zoom:3}: first {row['first']['expected_s']:7.2f} s "
            f"foretold, {row['first']['seconds']:7.2f} s taken; again "
            f"{row['second']['expected_s']:7.2f} and {row['second']['seconds']:7.2f}; "
            f"memory {row['expected_bytes'] / 1e9:.2f} GB foretold, × "
            f"{1 / row['bytes_ratio']:.2f} taken",
            flush=True,
        )
    ratios = [row[run]["ratio"] for row in rows for run in ("first", "second")]
    summary = {
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "within_2": sum(0.5 <= r <= 2 for r in ratios) / len(ratios),
        "plan_ms_highest": max(row["plan_ms"] for row in rows),
    }
    print(json.dumps(summary))
    result = {"machine": machine(), "summary": summary, "cases": rows}
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
