"""Make the pictures of the docks: ``python docs/screenshots.py``.

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
    from napari.layers import Labels
    from qtpy.QtWidgets import QWidget

    from napari_unetic.pairs import Pairs
    from napari_unetic.widgets.finetune import FinetuneWidget
    from napari_unetic.widgets.segment import SegmentWidget
    from napari_unetic.widgets.train import TrainWidget

WINDOW = (1280, 720)
NARROW = 300
DOCK_NAME = "Segment (Unetic)"
FINETUNE_NAME = "Fine-tune (Unetic)"
FINETUNE_WINDOW = (1280, 800)
FINETUNE_STEPS = 120
TRAIN_NAME = "Train (Unetic)"
TRAIN_STEPS = 160
CLASS_STEPS = 300
TIMEOUT = 1200.0

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
    # What lies below the last control is empty.
    _grab(dock.more.parentWidget(), dock.more.geometry().bottom(), path)


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


def take_finetune_pictures(out: Path) -> None:
    """Correct objects of a kind that the model does not know, improve, compare."""
    viewer, segment, dock = _open_finetune()
    image, truth = _dark_nuclei()
    viewer.add_image(image, name="brightfield")
    viewer.reset_view()
    until(lambda: not segment.busy and not dock.busy)
    run(segment)
    until(lambda: not dock.busy)
    whole_window(viewer, out / "finetune_invalid.png")

    labels = viewer.layers["brightfield nuclei"]
    _correct(labels, truth)
    until(lambda: not dock.busy)
    whole_window(viewer, out / "finetune_ready.png")

    _improve(viewer, dock, out / "finetune_running.png")
    whole_window(viewer, out / "finetune_kept.png")
    dock.verdict.compare.click()
    until(lambda: not dock.busy)
    whole_window(viewer, out / "finetune_compare.png")
    dock.verdict.compare.click()

    # Labels that lie beside the objects teach nothing.
    _correct(labels, np.roll(truth, (37, 61), (0, 1)))
    dock.more.steps.number = FINETUNE_STEPS // 3
    until(lambda: not dock.busy)
    _improve(viewer, dock, None)
    whole_window(viewer, out / "finetune_refused.png")
    viewer.close()


def _open_finetune() -> tuple[Viewer, SegmentWidget, FinetuneWidget]:
    """Open a viewer with both docks, Fine-tune in front."""
    from napari_unetic.widgets.finetune import FinetuneWidget

    viewer, segment = open_dock()
    dock = FinetuneWidget(viewer)
    viewer.window.add_dock_widget(dock, name=FINETUNE_NAME, area="right", tabify=True)
    viewer.window.resize(*FINETUNE_WINDOW)
    dock.more.steps.number = FINETUNE_STEPS
    until(lambda: not dock.busy)
    return viewer, segment, dock


def _dark_nuclei() -> tuple[np.ndarray, np.ndarray]:
    """Return generated nuclei as a transmitted-light image would show them."""
    from napari_unetic.samples import nuclei_sample

    image, truth = nuclei_sample((384, 384), 3)
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    dark = 190 - 90 * (image / image.max()) ** 0.5 + noise
    return dark.astype(np.float32), truth


def _correct(labels: Labels, truth: np.ndarray) -> None:
    """Erase what is wrong and draw all objects, each as one stroke of the brush."""
    labels.data_setitem(np.nonzero(labels.data), 0)
    first = int(np.max(labels.features["index"])) + 1
    for k, number in enumerate(np.unique(truth)[1:]):
        labels.data_setitem(np.nonzero(truth == number), first + k)


def _improve(viewer: Viewer, dock: FinetuneWidget, running: Path | None) -> None:
    """Press the button, take a picture half way, and wait for the verdict."""
    dock.button.click()
    until(lambda: dock.training.running)
    news = dock.training.news
    assert news is not None
    enough = 0.5 * (dock.more.steps.number or 0)
    until(lambda: news.progress.get("step", 0) > enough or not dock.training.running)
    if running is not None:
        whole_window(viewer, running)
    until(lambda: not dock.training.running and not dock.busy)


def take_train_pictures(out: Path) -> None:
    """Train a network on two images with labels, from scratch."""
    from napari_unetic.samples import nuclei_sample
    from napari_unetic.widgets.train import TrainWidget

    viewer, segment = open_dock()
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name=TRAIN_NAME, area="right", tabify=True)
    viewer.window.resize(*FINETUNE_WINDOW)
    for k in range(2):
        image, truth = nuclei_sample((384, 384), 5 + k)
        viewer.add_image(image, name=f"field {k + 1}")
        viewer.add_labels(truth, name=f"field {k + 1} drawn")
    viewer.reset_view()
    until(lambda: not segment.busy and not dock.busy)
    _unfold(dock)
    _grab(
        dock.more.parentWidget(), dock.more.geometry().bottom(), out / "train_dock.png"
    )
    dock.more.unfolded = False
    dock.unit.choose("steps")
    dock.budget.setValue(TRAIN_STEPS)
    settings = dock.more.settings
    assert settings is not None
    settings.write("patch_px", 128)
    settings.write("validations", 12)
    until(lambda: not dock.busy)
    dock.button.click()
    until(lambda: dock.training.running)
    news = dock.training.news
    assert news is not None
    enough = 0.6 * TRAIN_STEPS
    until(lambda: news.progress.get("step", 0) > enough or not dock.training.running)
    until(lambda: "left" in dock.report.progress.format() or not dock.training.running)
    whole_window(viewer, out / "train_running.png")
    until(lambda: not dock.training.running and not dock.busy)
    whole_window(viewer, out / "train_done.png")
    viewer.close()


def _unfold(dock: TrainWidget) -> None:
    """Unfold everything that the dock has."""
    from napari_unetic.widgets.folding import Fold

    dock.more.unfolded = True
    for fold in dock.more.findChildren(Fold):
        fold.unfolded = True
    until(lambda: True)


def _grab(content: QWidget | None, bottom: int, path: Path) -> None:
    """Save a picture of a widget down to its last control."""
    from qtpy.QtCore import QRect

    assert content is not None
    content.grab(QRect(0, 0, content.width(), bottom + 8)).save(str(path))


def take_class_pictures(out: Path) -> None:
    """Train a model of two classes for a moment, and segment with it."""
    from napari_unetic.model.store import add_model
    from napari_unetic.training import train, train_settings

    with tempfile.TemporaryDirectory() as folder:
        pairs = _class_pairs(Path(folder))
        settings = train_settings(
            steps=CLASS_STEPS,
            preset="unetic-16",
            classes=("nucleus=#56b4e9", "rim=#e69f00"),
            patch_px=128,
            validations=4,
        )
        train(pairs[:-1], pairs[-1:], Path(folder, "run"), settings, name="nucleus-rim")
        add_model(Path(folder, "run"))
    viewer, dock = open_dock()
    add_image(viewer, dock, None)
    viewer.layers[0].visible = False
    dock.model.choose(next(e for e in dock.model.objects if e.name == "nucleus-rim"))
    until(lambda: not dock.busy)
    run(dock)
    whole_window(viewer, out / "segment_classes.png")
    viewer.close()


def _class_pairs(folder: Path) -> Pairs:
    """Write generated nuclei with the classes inside and rim, and read them."""
    import tifffile
    from scipy import ndimage

    from napari_unetic.pairs import read_pairs
    from napari_unetic.samples import nuclei_sample

    for k in range(4):
        image, truth = nuclei_sample((256, 256), 20 + k)
        inside = ndimage.binary_erosion(truth > 0, iterations=3)
        classes = np.where(truth > 0, np.where(inside, 1, 2), 0)
        for kind, data in (("images", image), ("labels", classes.astype(np.uint8))):
            (folder / kind).mkdir(exist_ok=True)
            tifffile.imwrite(folder / kind / f"{k}.tif", data)
    return read_pairs(folder, as_classes=True)


OTHERS = {
    "finetune": take_finetune_pictures,
    "train": take_train_pictures,
    "classes": take_class_pictures,
}
"""What takes the pictures of a dock, by its name."""


def main() -> int:
    """Take the pictures; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    parser.add_argument("--image", type=Path, help="an image file of your own")
    parser.add_argument("--dock", choices=["segment", *OTHERS, "all"], default="all")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Neither napari's settings nor the records of results are touched.
        os.environ.setdefault("NAPARI_CONFIG", str(Path(folder, "napari.yaml")))
        os.environ.setdefault("UNETIC_HOME", folder)
        if arguments.dock in ("segment", "all"):
            take_pictures(arguments.out, arguments.image)
        for name, take in OTHERS.items():
            if arguments.dock in (name, "all"):
                take(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
