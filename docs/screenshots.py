"""Make the pictures of the Segment dock: ``python docs/screenshots.py``.

Without a screen, before it: ``xvfb-run -a -s "-screen 0 1600x1200x24"``. The images are
generated, or one of your own is given.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetic.widgets.segment import SegmentWidget

WINDOW = (1280, 720)
NARROW = 300
DOCK_NAME = "Segment (Unetic)"
TIMEOUT = 300.0

Shot = Callable[["Viewer", "SegmentWidget", Path], None]


def until(condition: Callable[[], object]) -> None:
    """Let the window work until something holds, and half a second longer."""
    from qtpy.QtWidgets import QApplication

    started = time.monotonic()
    settled = 0.0
    while not settled or time.monotonic() < settled:
        QApplication.processEvents()
        time.sleep(0.005)
        if not settled and condition():
            settled = time.monotonic() + 0.5
        if time.monotonic() > started + TIMEOUT:
            raise TimeoutError("the dock did not come to rest")


def whole_window(viewer: Viewer, path: Path) -> None:
    """Save a picture of the window."""
    picture = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    PIL.Image.fromarray(picture).save(path, optimize=True)


def dock_alone(dock: SegmentWidget, path: Path) -> None:
    """Save a picture of all that the dock holds, however long it is."""
    from qtpy.QtCore import QRect

    content = dock.more.parentWidget()
    assert content is not None
    # What lies below the last control is empty.
    content.grab(QRect(0, 0, content.width(), dock.more.geometry().bottom() + 8)).save(
        str(path)
    )


def open_dock() -> tuple[Viewer, SegmentWidget]:
    """Open a viewer with the dock in it."""
    import napari

    from napari_unetic.widgets.segment import SegmentWidget

    viewer = napari.Viewer(title="napari")
    dock = SegmentWidget(viewer)
    viewer.window.add_dock_widget(dock, name=DOCK_NAME, area="right")
    # A size that is given before the window is shown is overridden.
    viewer.window.resize(*WINDOW)
    until(lambda: not dock.busy)
    return viewer, dock


def add_image(viewer: Viewer, dock: SegmentWidget, path: Path | None) -> None:
    """Show an image of one's own, or the generated one with its scale bar."""
    if path is not None:
        viewer.open(path, plugin="napari")
    else:
        viewer.open_sample("napari-unetic", "nuclei")
        viewer.canvas.overlays.scale_bar.visible = True
    viewer.reset_view()
    until(lambda: not dock.busy)


def run(dock: SegmentWidget) -> None:
    """Segment, and wait for the labels."""
    dock.button.click()
    until(lambda: not dock.busy)


def take_pictures(out: Path, image: Path | None) -> None:
    """Take all pictures, one after the other as a person would come by them."""
    viewer, dock = open_dock()
    whole_window(viewer, out / "segment_empty.png")

    add_image(viewer, dock, image)
    dock.more.unfolded = True
    dock.more.tile.setValue(30)
    until(lambda: not dock.button.isEnabled())
    dock_alone(dock, out / "segment_invalid.png")
    dock.more.tile.number = None
    dock.more.unfolded = False

    run(dock)
    whole_window(viewer, out / "segment_result.png")

    for fold in (dock.adjust, dock.result, dock.more):
        fold.unfolded = True
    until(lambda: True)
    whole_window(viewer, out / "segment_unfolded.png")
    dock_alone(dock, out / "segment_dock.png")

    viewer.theme = "light"
    until(lambda: True)
    whole_window(viewer, out / "segment_light.png")
    viewer.theme = "dark"
    _take_running(viewer, dock, out)
    _take_narrow(viewer, dock, out)
    viewer.close()


def _take_running(viewer: Viewer, dock: SegmentWidget, out: Path) -> None:
    """Run long enough on a larger image for a picture of it."""
    for fold in (dock.adjust, dock.result, dock.more):
        fold.unfolded = False
    small = np.asarray(dock.image.value.data)
    viewer.layers.clear()
    viewer.add_image(np.tile(small, (4, 4) + (1,) * (small.ndim - 2)), name="plate")
    until(lambda: not dock.busy)
    dock.button.click()
    until(lambda: "left" in dock.report.progress.format() or not dock.busy)
    whole_window(viewer, out / "segment_running.png")
    dock.button.click()
    until(lambda: not dock.busy)


def _take_narrow(viewer: Viewer, dock: SegmentWidget, out: Path) -> None:
    """Show the dock at its narrowest with a stack that has a long name."""
    viewer.layers.clear()
    viewer.open_sample("napari-unetic", "nuclei_stack")
    stack = viewer.layers[-1]
    stack.name = "2026-11-20_experiment-7_well-B03_field-12_DAPI_deconvolved_stack"
    dock.image.setCurrentIndex(0)
    until(lambda: not dock.busy)
    run(dock)
    for fold in (dock.adjust, dock.result, dock.more):
        fold.unfolded = True
    viewer.window.resize(NARROW + 700, WINDOW[1])
    until(lambda: True)
    whole_window(viewer, out / "segment_narrow.png")


def main() -> int:
    """Take the pictures; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--image", type=Path, help="an image file of your own")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Neither napari's settings nor the records of results are touched.
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder, "napari.yaml")))
        os.environ.setdefault("UNETIC_HOME", folder)
        take_pictures(arguments.out, arguments.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
