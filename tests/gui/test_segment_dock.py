"""The Segment dock, in a real viewer: running, stopping, failing, coming and going."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from napari.layers import Labels
from napari.utils import progress
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unetic import predict
from napari_unetic.errors import UneticError
from napari_unetic.widgets import merging, updates
from napari_unetic.widgets.layers import METADATA_KEY

GREY = np.zeros((40, 50), np.uint8)
GREY[5:15, 5:20] = 200
GREY[20:30, 30:45] = 150


@pytest.mark.usefixtures("network")
def test_says_why_it_cannot_run(viewer: Any, open_dock: Any) -> None:
    """Without a usable image the button is disabled and the reason stands above it."""
    dock = open_dock()
    assert not dock.button.isEnabled()
    assert "No image" in dock.plan.text() and "No image" in dock.button.toolTip()
    layer = viewer.add_image(GREY, name="cells")
    assert dock.button.isEnabled()
    assert dock.plan.text().startswith("YX, 40 × 50, 1 tile of ")
    assert " GB, CPU: " in dock.plan.text() or "CUDA" in dock.plan.text()
    layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    assert "pixels of 0.5 µm" in dock.plan.toolTip()
    viewer.add_image(np.zeros((1, 1, 1, 1, 8, 8)), name="movie")
    dock.image.setCurrentIndex(0)
    assert "2 to 5 dimensions, got 6 (movie)" in dock.plan.text()
    assert not dock.button.isEnabled()
    viewer.layers.remove("movie")
    assert dock.image.value == layer and dock.button.isEnabled()


@pytest.mark.usefixtures("network")
def test_menu_follows_the_layers(viewer: Any, open_dock: Any) -> None:
    """The menu offers the image layers, keeps its choice, and knows their new names."""
    dock = open_dock()
    first = viewer.add_image(GREY, name="first")
    viewer.add_labels(GREY)
    second = viewer.add_image(GREY, name="second")
    names = [dock.image.itemText(i) for i in range(dock.image.count())]
    assert names == ["second", "first"]
    assert dock.image.value == first
    first.name = "a" * 200
    assert dock.image.currentText() == "a" * 200
    assert dock.minimumSizeHint().width() <= 300
    viewer.layers.remove(first)
    assert dock.image.value == second
    viewer.layers.clear()
    assert dock.image.value is None


def test_result(viewer: Any, open_dock: Any, network: Any, qtbot: Any) -> None:
    """Segment adds a layer that lies on the image, with features and provenance."""
    dock = open_dock()
    image = viewer.add_image(
        GREY,
        name="cells",
        scale=(0.5, 0.25),
        translate=(3, 4),
        rotate=30,
        shear=[0.2],
        affine=[[1, 0, 5], [0, 2, 6], [0, 0, 1]],
        units=("um", "um"),
        axis_labels=("y", "x"),
    )
    dock.button.click()
    assert dock.button.text() == "Stop" and dock.report.progress.isVisibleTo(dock)
    qtbot.waitUntil(lambda: not dock.busy)
    assert network.thread is not threading.main_thread()
    labels = viewer.layers["cells toy"]
    assert isinstance(labels, Labels)
    np.testing.assert_allclose(
        labels.data_to_world((9, 7)), image.data_to_world((9, 7))
    )
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(labels, name), getattr(image, name))
    np.testing.assert_allclose(labels.affine.affine_matrix, image.affine.affine_matrix)
    assert labels.units == image.units and labels.axis_labels == image.axis_labels
    assert list(labels.features["index"]) == [1, 2]
    assert labels.metadata[METADATA_KEY]["model"] == "toy"
    assert dock.report.message.text() == (
        "2 objects in 0.5 s: layer “cells toy”.\nMind the gap."
    )
    assert dock.button.text() == "Segment" and dock.button.isEnabled()
    assert not dock.report.progress.isVisibleTo(dock)


@pytest.mark.parametrize(
    ("error", "text", "has_details"),
    [
        (UneticError("Expected a, got b; do c."), "Expected a, got b; do c.", False),
        (UneticError("x" * 99), "xxx…xxx", False),
        # Thread workers lose this one unless it is taken out of the generator.
        (RuntimeError("shapes do not fit"), "RuntimeError: shapes do not fit", True),
    ],
)
def test_failure(
    viewer: Any,
    open_dock: Any,
    network: Any,
    qtbot: Any,
    error: Exception,
    text: str,
    has_details: bool,
) -> None:
    """A failure is a sentence in the dock; the button recovers, and works again."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.error = error
    dock.button.click()
    qtbot.waitUntil(lambda: not dock.busy)
    assert text in dock.report.message.text()
    assert dock.report.details.isVisibleTo(dock) is has_details
    dock.report.details.click()
    assert ("Traceback" in QApplication.clipboard().text()) or not has_details
    assert dock.button.text() == "Segment" and dock.button.isEnabled()
    assert len(viewer.layers) == 1
    network.error = None
    dock.button.click()
    qtbot.waitUntil(lambda: not dock.busy)
    assert len(viewer.layers) == 2
    assert not dock.report.details.isVisibleTo(dock)


def test_layer_cannot_be_added(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any
) -> None:
    """Even a failure after the work is told in the dock."""
    dock = open_dock()
    viewer.add_image(GREY)

    def refuse(event: Any) -> None:
        raise RuntimeError("the layer list is closed")

    viewer.layers.events.inserting.connect(refuse)
    dock.button.click()
    qtbot.waitUntil(lambda: not dock.busy)
    viewer.layers.events.inserting.disconnect(refuse)
    assert "the layer list is closed" in dock.report.message.text()
    assert dock.button.isEnabled()


def test_worker_ended_by_napari(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any
) -> None:
    """A worker that napari itself ends counts as stopped, whenever that happens."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: "Tile 1 of 3" in dock.report.progress.format())
    dock._job._worker.quit()
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert "Stopped" in dock.report.message.text()
    assert dock.button.text() == "Segment" and dock.button.isEnabled()


def test_stop(viewer: Any, open_dock: Any, network: Any, qtbot: Any) -> None:
    """Stop answers at once, ends with the step, and adds nothing."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: "Tile 1 of 3" in dock.report.progress.format())
    dock.button.click()
    assert dock.button.text() == "Stopping …" and not dock.button.isEnabled()
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert "Stopped" in dock.report.message.text()
    assert len(viewer.layers) == 1
    assert dock.button.text() == "Segment" and dock.button.isEnabled()


def test_layer_removed_while_running(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any
) -> None:
    """Work on a layer that is removed stops; work on another goes on."""
    dock = open_dock()
    viewer.add_image(GREY, name="other")
    viewer.add_image(GREY, name="mine")
    dock.image.setCurrentIndex(0)
    network.may_go_on.clear()
    dock.button.click()
    viewer.layers.remove("other")
    assert dock.button.text() == "Stop"
    viewer.layers.remove("mine")
    assert dock.button.text() == "Stopping …"
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert len(viewer.layers) == 0
    assert not dock.button.isEnabled() and "No image" in dock.plan.text()


def test_dock_closed_while_running(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any
) -> None:
    """Closing the dock stops its work and adds nothing."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: network.thread is not None)
    viewer.window.remove_dock_widget(dock)
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert len(viewer.layers) == 1
    dock.deleteLater()
    qtbot.wait(20)


def test_viewer_closed_while_running(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any
) -> None:
    """Closing the viewer ends the work; nothing is left running or raised."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: network.thread is not None)
    viewer.close()
    network.may_go_on.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(50)
    viewer.layers.clear()


def test_two_docks(viewer: Any, open_dock: Any, network: Any, qtbot: Any) -> None:
    """Two docks can be open and run at the same time."""
    docks = [open_dock("first"), open_dock("second")]
    viewer.add_image(GREY, name="cells")
    network.may_go_on.clear()
    for dock in docks:
        dock.button.click()
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not any(dock.busy for dock in docks))
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells toy",
        "cells toy [1]",
    ]


def test_run_twice(viewer: Any, open_dock: Any, network: Any, idle: Any) -> None:
    """A second run adds a second layer, or updates the last, as it was chosen."""
    dock = open_dock()
    image = viewer.add_image(GREY, name="cells")
    assert not dock.more.output.isVisibleTo(dock.more.content)
    dock.button.click()
    idle(dock)
    dock.button.click()
    idle(dock)
    assert [layer.name for layer in viewer.layers[1:]] == ["cells toy", "cells toy [1]"]
    assert dock.more.output.currentText() == "new layer"
    dock.more.output.setCurrentIndex(1)
    assert dock.more.output.currentText() == "update “cells toy [1]”"
    brighter = GREY.copy()
    brighter[35:, :9] = 255
    image.data = brighter
    dock.button.click()
    idle(dock)
    assert len(viewer.layers) == 3
    assert viewer.layers[2].data.max() == 3 and viewer.layers[1].data.max() == 2
    viewer.layers[2].undo()
    assert viewer.layers[2].data.max() == 2


def test_updated_layer_deleted_while_running(
    viewer: Any, open_dock: Any, network: Any, idle: Any
) -> None:
    """Where the layer to update has gone meanwhile, the result is a new one."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells")
    dock.button.click()
    idle(dock)
    dock.more.output.setCurrentIndex(1)
    network.may_go_on.clear()
    dock.button.click()
    viewer.layers.remove("cells toy")
    network.may_go_on.set()
    idle(dock)
    assert [layer.name for layer in viewer.layers] == ["cells", "cells toy"]


def test_updated_layer_is_locked(
    viewer: Any, open_dock: Any, network: Any, idle: Any
) -> None:
    """A layer that must not change stays; the result is a new one, and it is said."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells")
    dock.button.click()
    idle(dock)
    dock.more.output.setCurrentIndex(1)
    viewer.layers["cells toy"].locked = True
    dock.button.click()
    idle(dock)
    assert [layer.name for layer in viewer.layers[1:]] == ["cells toy", "cells toy [1]"]
    assert "which is locked" in dock.report.message.text()
    assert dock.button.text() == "Segment"


def test_region_updates_its_objects_alone(
    viewer: Any,
    open_dock: Any,
    network: Any,
    idle: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A part is merged in the thread of the work; the window only writes it."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells")
    dock.button.click()
    idle(dock)
    layer = viewer.layers["cells toy"]
    before = layer.data.copy()
    threads = []

    def merge_noted(*given: Any) -> Any:
        threads.append(threading.current_thread())
        return merging.merge(*given)

    monkeypatch.setattr(updates, "merge", merge_noted)
    viewer.add_shapes(
        [[[-1, -1], [-1, 20], [20, 20], [20, -1]]], shape_type="polygon", name="part"
    )
    dock.image.choose(viewer.layers["cells"])
    dock.more.region.setCurrentIndex(dock.more.region.findText("part"))
    dock.more.output.setCurrentIndex(1)
    dock.button.click()
    idle(dock)
    assert len(viewer.layers) == 3
    assert threads and threading.main_thread() not in threads
    np.testing.assert_array_equal(layer.data > 0, before > 0)


def test_double_click(viewer: Any, open_dock: Any, network: Any, idle: Any) -> None:
    """A double click on the button runs; it does not stop at once what it began."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    middle = QPoint(5, 5)
    QTest.mouseClick(dock.button, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseDClick(dock.button, Qt.MouseButton.LeftButton, pos=middle)
    assert dock.button.text() == "Stop"
    network.may_go_on.set()
    idle(dock)
    assert len(viewer.layers) == 2


def test_activity(viewer: Any, open_dock: Any, network: Any, qtbot: Any) -> None:
    """Progress shows among napari's activities, too, and goes when the work has."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells")
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: "Tile 1 of 3" in dock.report.progress.format())
    (activity,) = progress._all_instances
    assert "Segmenting cells" in activity.desc
    assert (activity.n, activity.total) == (1, 3)
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert not progress._all_instances


def test_image_changes_while_running(
    viewer: Any, open_dock: Any, network: Any, idle: Any
) -> None:
    """Another choice while it runs changes nothing of what runs."""
    dock = open_dock()
    viewer.add_image(GREY, name="first")
    network.may_go_on.clear()
    dock.button.click()
    viewer.add_image(np.zeros_like(GREY), name="second")
    dock.image.setCurrentIndex(0)
    assert dock.image.value.name == "second" and dock.button.text() == "Stop"
    network.may_go_on.set()
    idle(dock)
    assert viewer.layers["first toy"].data.max() == 2


@pytest.mark.usefixtures("network")
def test_dock_closed_and_opened_again(viewer: Any, open_dock: Any, idle: Any) -> None:
    """A dock that is closed lets go of the viewer; another one works as the first."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells")
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QApplication.processEvents()
    viewer.layers[0].scale = (2, 2)
    viewer.layers[0].name = "renamed"
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    other = open_dock()
    other.button.click()
    idle(other)
    assert viewer.layers[-1].name == "renamed toy"


def test_torch_is_left_alone(viewer: Any, open_dock: Any, idle: Any) -> None:
    """Nobody else's torch runs otherwise after the dock has worked."""
    import torch

    def told() -> tuple[Any, ...]:
        return (
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
        )

    before = told()
    dock = open_dock()
    viewer.add_image(np.pad(GREY, 30))
    dock.button.click()
    idle(dock, 60_000)
    assert len(viewer.layers) == 2
    assert told() == before


def test_same_labels_as_segment_on_real_images(
    viewer: Any, open_dock: Any, qtbot: Any, data_folder: Path
) -> None:
    """The dock gives the labels that `segment` gives, on real images."""
    dock = open_dock()
    if dock.model.findText("nuclei") < 0:
        pytest.skip("the bundled model is not here")
    dock.model.setCurrentIndex(dock.model.findText("nuclei"))
    with zipfile.ZipFile(data_folder / "dsb2018" / "stage1_train.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".png"))
        names = [n for n in names if "/images/" in n]
        for name in (names[0], names[3], names[17]):
            pixels = np.asarray(PIL.Image.open(archive.open(name)).convert("RGB"))
            viewer.layers.clear()
            viewer.add_image(pixels, rgb=True, name="real")
            dock.button.click()
            qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)
            labels = viewer.layers["real nuclei"].data
            np.testing.assert_array_equal(labels, predict.segment(pixels))
            assert labels.max() > 0
