"""Whether two minutes are two minutes, also on a machine slowed to half.

    python benchmarks/finetune/budget.py DATA OUT

Fine-tunes on two images of phase contrast in a program of its own, as the dock does,
and times all of it, from making the run to the program's end: on idle cores, and beside
as many programs as there are cores that want a core each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from protocol import parser, phase_contrast, start

from napari_unetic import load_model
from napari_unetic.finetuning import begin_finetune_steps, finetune_settings
from napari_unetic.steps import drain

MINUTES = (1, 2)
HOG = "while True: pass"


def main() -> None:
    """Work out the cells that are not there yet."""
    arguments = parser(__doc__).parse_args()
    results = start(arguments)
    for is_slowed in (False, True):
        for minutes in MINUTES:
            results.cell(
                lambda minutes=minutes, is_slowed=is_slowed: one(
                    arguments, minutes, is_slowed
                ),
                task="budget",
                minutes=minutes,
                slowed=is_slowed,
            )


def one(arguments: argparse.Namespace, minutes: int, is_slowed: bool) -> dict[str, Any]:
    """Fine-tune once and say how long it took."""
    folder = arguments.out / f"budget-{minutes}-{'slowed' if is_slowed else 'idle'}"
    shutil.rmtree(folder, ignore_errors=True)
    pairs = phase_contrast(arguments.data, "early")[:2]
    with hogs(os.cpu_count() or 1 if is_slowed else 0):
        began = time.perf_counter()
        settings = finetune_settings(minutes=minutes)
        begin = begin_finetune_steps("nuclei", pairs, folder, settings, device="cpu")
        run = drain(begin)
        spent = time.perf_counter() - began
        command = [sys.executable, "-m", "napari_unetic", "train", str(folder)]
        command += ["--device", "cpu", "--spent", f"{spent:.2f}"]
        for name in ("threads", "workers"):
            command += [f"--{name}", str(getattr(arguments, name))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - began
    trained = load_model(run.model).description.training
    assert trained is not None
    return {"took_s": round(took, 1), "steps": trained.steps}


@contextmanager
def hogs(n: int) -> Iterator[None]:
    """Keep so many cores busy meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(n)]
    try:
        yield
    finally:
        for one_of_them in running:
            one_of_them.kill()
            one_of_them.wait()


if __name__ == "__main__":
    main()
