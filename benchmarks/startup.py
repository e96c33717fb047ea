"""Start-up: importing the package, opening its dock, segmenting from the shell.

Each time is that of a process of its own, best of five, files already in the system's
cache:

import    `import napari_unetic`, beyond the same interpreter doing nothing
dock      in a viewer that is open, shows an image and is idle: from asking for the dock
          to the dock shown and drawn; and until the event loop is idle for the first
          time after that, with all that the dock began as it opened
segment   `unetic segment` on a 512² TIFF, from nothing to the process ended: torch's
          import, model, network, decoding, writing; with the import of torch alone
          beside it

    python benchmarks/startup.py --out startup.json

The dock needs a display; where there is none one is made with Xvfb (pyvirtualdisplay,
which comes with the extra ``test``).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _common import (
    N_TIMES,
    best_of,
    machine,
    matrix_product,
    rounded,
    scene,
    seconds,
    write_json,
)

PLUGIN = "napari-unetic"
IDLE_S = 0.3


def python(code: str) -> None:
    """Run a line of code in a new interpreter."""
    subprocess.run([sys.executable, "-c", code], check=True)


def time_import(n: int) -> dict[str, float]:
    """Time the import of the package, and of nothing, in turns."""
    times: dict[str, list[float]] = {"pass": [], "import napari_unetic": []}
    for k in range(n + 1):
        for code, taken in times.items():
            spent = seconds(lambda code=code: python(code))  # type: ignore[misc]
            if k > 0:
                taken.append(spent)
    bare, ours = (min(taken) for taken in times.values())
    return {
        "interpreter_s": rounded(bare),
        "with_import_s": rounded(ours),
        "beyond_s": rounded(ours - bare),
    }


@contextmanager
def display() -> Iterator[dict[str, str]]:
    """Give the environment of a process that can open windows."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        yield dict(os.environ)
        return
    from pyvirtualdisplay.display import Display

    with Display(visible=False, size=(1600, 1200)) as screen:
        yield {**os.environ, **screen.env()}


def time_dock(widget: str, n: int) -> dict[str, float]:
    """Time how long a dock takes to open."""
    found = []
    with display() as environment:
        for _ in range(n + 1):
            done = subprocess.run(
                [sys.executable, __file__, "--open", widget],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            found.append(json.loads(done.stdout.splitlines()[-1]))
    counted = found[1:]
    return {k: rounded(min(times[k] for times in counted)) for k in counted[0]}


def open_dock(widget: str) -> None:
    """Open a viewer and then the dock, and print how long the dock took."""
    import napari
    from qtpy.QtWidgets import QApplication

    image, _ = scene(512)
    start = time.perf_counter()
    viewer = napari.Viewer()
    viewer.add_image(image)
    _wait_until_idle(QApplication.instance())
    viewer_s = time.perf_counter() - start - IDLE_S
    start = time.perf_counter()
    dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, widget)
    while not dock.isVisible():
        QApplication.processEvents()
    dock.repaint()
    QApplication.processEvents()
    shown_s = time.perf_counter() - start
    _wait_until_idle(QApplication.instance())
    idle_s = time.perf_counter() - start - IDLE_S
    times = {"dock_shown_s": shown_s, "dock_idle_s": idle_s, "viewer_s": viewer_s}
    print(json.dumps(times), flush=True)
    # Closing takes time that nobody asked for, and what matters is told.
    os._exit(0)


def _wait_until_idle(app: Any) -> None:
    """Process events until none took long for a while."""
    quiet_since = time.perf_counter()
    while time.perf_counter() - quiet_since < IDLE_S:
        start = time.perf_counter()
        app.processEvents()
        if time.perf_counter() - start > 0.02:
            quiet_since = time.perf_counter()
        time.sleep(0.002)


def time_segment(size: int, n: int) -> dict[str, float]:
    """Time the command on a file."""
    import tifffile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tif"
        image, _ = scene(size)
        tifffile.imwrite(path, image)
        command = [sys.executable, "-m", "napari_unetic", "segment", str(path)]
        command += ["--overwrite", "--device", "cpu"]

        def segment() -> None:
            subprocess.run(command, check=True, capture_output=True)

        whole = best_of(segment, n)
    torch = best_of(lambda: python("import torch"), n)
    return {"whole_s": rounded(whole), "import_torch_s": rounded(torch)}


def main() -> None:
    """Print and write the three times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widget", default="Segment", help="the dock, by its name")
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument("--out", type=Path, help="write JSON")
    parser.add_argument("--open", metavar="WIDGET", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        open_dock(arguments.open)
        return
    n = 1 if arguments.quick else N_TIMES
    result = {
        "machine": machine(("napari-unetic", "napari", "numpy", "PyQt6", "torch")),
        "matrix_product": matrix_product(n),
        "best_of": n,
        "import": time_import(n),
        "dock": {"widget": arguments.widget, **time_dock(arguments.widget, n)},
        "segment": {"size": 512, **time_segment(512, n)},
    }
    for name in ("import", "dock", "segment"):
        print(name, json.dumps(result[name]))
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
