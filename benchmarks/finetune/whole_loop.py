"""The whole loop in a real window on 1024²: memory, time, how long the window stalls.

    python benchmarks/finetune/whole_loop.py OUT

Segments a generated transmitted-light image with the bundled model, corrects objects as
with the brush, presses Improve for one minute, compares, and segments with the new
model. Memory is the sum over napari, the training and the processes that make its
patches, sampled ten times a second from another process; what several of them share
counts once (Linux). A stall is the time between two turns of the window's event loop;
the longest is given for each part. A window that nobody draws on has its own: napari's
text and canvas are in it.

The result is a line of ``OUT/results.jsonl``. Where there is no display one is made
with Xvfb.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[1]))

from _common import machine, matrix_product, scene
from startup import display

SIDE = 1024
N_CORRECTED = 40
SAMPLE_S = 0.1
LONGEST_S = 900.0


class Beat:
    """Turns the event loop and notes its longest stall in each part."""

    def __init__(self) -> None:
        self.part = "start"
        self.stalls: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def until(self, condition: Callable[[], object], settle: float = 0.5) -> None:
        """Turn until something holds, and a little longer."""
        from qtpy.QtWidgets import QApplication

        began = last = time.monotonic()
        settled = 0.0
        while not settled or last < settled:
            QApplication.processEvents()
            now = time.monotonic()
            longest = self.stalls.get(self.part, 0.0)
            self.stalls[self.part] = max(longest, now - last)
            time.sleep(0.001)
            last = time.monotonic()
            if not settled and condition():
                settled = last + settle
            if last > began + LONGEST_S:
                raise TimeoutError(f"{self.part} did not come to an end")

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Name a part and time it."""
        self.part, began = part, time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - began, 2)


def main() -> None:
    """Start the window in a process of its own and watch its memory."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("out", type=Path, help="folder of results.jsonl")
    made.add_argument("--minutes", type=int, default=1)
    made.add_argument("--window", action="store_true", help=argparse.SUPPRESS)
    arguments = made.parse_args()
    if arguments.window:
        print(json.dumps(loop(arguments.minutes)), flush=True)
        # Nothing that the window still holds matters, nor how long it takes to go.
        os._exit(0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "matrix_product": matrix_product()}
    with display() as environment, tempfile.TemporaryDirectory() as home:
        command = [sys.executable, __file__, str(arguments.out), "--window"]
        with subprocess.Popen(
            [*command, "--minutes", str(arguments.minutes)],
            env={**environment, "UNETIC_HOME": home},
            stdout=subprocess.PIPE,
            text=True,
        ) as window:
            memory = Memory(window.pid)
            said, _ = window.communicate()
            peaks = memory.stop()
    if window.returncode:
        raise SystemExit(window.returncode)
    found = json.loads(said.splitlines()[-1])
    row = {"task": "whole loop", "image": SIDE, **found, **peaks, **about}
    print(json.dumps(row, indent=1))
    with (arguments.out / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


class Memory:
    """Samples the memory of a process and all that it started.

    Parameters
    ----------
    pid : int
        The first process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = 0
        self.peak_of_window = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        """Return the peaks in GB."""
        self._over.set()
        self._thread.join()
        return {
            "peak_gb": round(self.peak / 1e9, 3),
            "peak_of_window_gb": round(self.peak_of_window / 1e9, 3),
        }

    def _sample(self) -> None:
        import psutil

        while not self._over.wait(SAMPLE_S):
            try:
                first = psutil.Process(self.pid)
                held = [_shared(p) for p in (first, *first.children(recursive=True))]
            except psutil.Error:
                continue
            self.peak = max(self.peak, sum(held))
            self.peak_of_window = max(self.peak_of_window, held[0])


def _shared(process: Any) -> int:
    """Return the bytes of a process, of shared ones its share."""
    import psutil

    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.rss))


def loop(minutes: int) -> dict[str, Any]:
    """Go round once, and return times, stalls and what came out."""
    import napari

    from napari_unetic.widgets.finetune import FinetuneWidget
    from napari_unetic.widgets.segment import SegmentWidget

    beat = Beat()
    image, truth = transmitted()
    with beat.during("open"):
        viewer = napari.Viewer()
        segment, dock = SegmentWidget(viewer), FinetuneWidget(viewer)
        for widget, name in ((segment, "Segment"), (dock, "Fine-tune")):
            viewer.window.add_dock_widget(widget, name=name, area="right", tabify=True)
        viewer.add_image(image, name="cells")
        beat.until(lambda: not segment.busy and not dock.busy)
    with beat.during("segment"):
        segment.button.click()
        beat.until(lambda: not segment.busy and not dock.busy)
    layer = viewer.layers["cells nuclei"]
    for number in np.unique(truth)[1 : N_CORRECTED + 1]:
        where = np.nonzero(truth == number)
        with beat.during("correct"):
            layer.data_setitem(where, int(layer.data.max()) + 1)
            beat.until(lambda: True, settle=0.05)
    beat.until(lambda: not dock.busy)
    dock.minutes.setValue(minutes)
    with beat.during("begin"):
        dock.button.click()
        beat.until(lambda: dock.training.running, settle=0)
    with beat.during("train"):
        beat.until(lambda: not dock.training.running and not dock.busy)
    said = dock.verdict.sentence.text()
    with beat.during("compare"):
        dock.verdict.compare.click()
        beat.until(lambda: not dock.busy)
    with beat.during("compare no more"):
        dock.verdict.compare.click()
        beat.until(lambda: not dock.busy)
    with beat.during("segment again"):
        segment.button.click()
        beat.until(lambda: not segment.busy and not dock.busy)
    return {
        "minutes": minutes,
        "verdict": said,
        "seconds": beat.seconds,
        "stalls_ms": {k: round(1e3 * v) for k, v in beat.stalls.items()},
    }


def transmitted() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return nuclei as transmitted light shows them, a kind the model is unsure of."""
    bright, truth = scene(SIDE)
    noise = np.random.default_rng(0).normal(0, 6, bright.shape)
    dark = 190 - 90 * (bright / bright.max()) ** 0.5 + noise
    return dark.astype(np.float32), truth


if __name__ == "__main__":
    main()
