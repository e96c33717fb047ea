"""The Segment dock, in a real viewer."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import pytest
from napari.layers import Labels
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_unetic import predict
from napari_unetic.errors import UneticError
from napari_unetic.model import registry
from napari_unetic.model.description import ModelDescription
from napari_unetic.networks.presets import preset
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.segment import SegmentWidget

if TYPE_CHECKING:
    from napari_unetic.image.source import Image

GREY = np.zeros((40, 50), np.uint8)
GREY[5:15, 5:20] = 200
GREY[20:30, 30:45] = 150


class Network:
    """Stands in for the network; a test says when it goes on and how it ends."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None

    def segment_steps(
        self, image: Image, model: str, *, channel: int | None = None
    ) -> Steps[predict.Segmentation]:
        from scipy import ndimage

        self.thread = threading.current_thread()
        yield Step(1, 3, "tile")
        if self.error is not None:
            raise self.error
        assert self.may_go_on.wait(10)
        yield Step(2, 3, "tile")
        labels, n = ndimage.label(image.read(channels=(channel or 0,))[0] > 100)
        return predict.Segmentation(
            labels.astype(np.uint16), "YX", n, 0.5, {"model": model}, ("Mind the gap.",)
        )


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """The stand-in, and a model of one channel by the name of "toy" in the menu."""
    stand_in = Network()
    monkeypatch.setattr(predict, "segment_steps", stand_in.segment_steps)
    description = ModelDescription(
        name="toy",
        network=preset("unetic-16").spec,
        channels=("any",),
        working_diameter_px=20,
    )
    entry = registry.ModelEntry("toy", Path("toy"), False, description)
    monkeypatch.setattr(registry, "list_models", lambda: [entry])
    return stand_in


@pytest.fixture
def viewer(
    make_napari_viewer_proxy: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """An empty viewer; no thread may outlive the test, nor any widget."""
    monkeypatch.setenv("NAPARI_STRICT_QT", "raise")
    yield make_napari_viewer_proxy()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    QApplication.processEvents()


@pytest.fixture
def open_dock(viewer: Any, qtbot: Any) -> Callable[..., SegmentWidget]:
    """Open a Segment dock and wait until it knows models and device."""

    def open_one(name: str = "Segment") -> SegmentWidget:
        dock = SegmentWidget(viewer)
        viewer.window.add_dock_widget(dock, name=name)
        qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)
        return dock

    return open_one


@pytest.mark.usefixtures("network")
def test_says_why_it_cannot_run(viewer: Any, open_dock: Any) -> None:
    """Without a usable image the button is disabled and the reason stands above it."""
    dock = open_dock()
    assert not dock.button.isEnabled()
    assert "No image" in dock.plan.text() and "No image" in dock.button.toolTip()
    layer = viewer.add_image(GREY, name="cells")
    assert dock.button.isEnabled()
    assert "Axes YX: 40 × 50 pixels." in dock.plan.text()
    assert "Runs on" in dock.plan.text()
    layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    assert "pixels of 0.5 µm" in dock.plan.text()
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


def test_result(viewer: Any, open_dock: Any, network: Network, qtbot: Any) -> None:
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
    assert dock.button.text() == "Stop" and dock.progress.isVisibleTo(dock)
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
    assert labels.metadata[METADATA_KEY] == {"model": "toy"}
    assert dock.message.text() == (
        "2 objects in 0.5 s: layer “cells toy”.\nMind the gap."
    )
    assert dock.button.text() == "Segment" and dock.button.isEnabled()
    assert not dock.progress.isVisibleTo(dock)


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
    network: Network,
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
    assert text in dock.message.text()
    assert dock.details.isVisibleTo(dock) is has_details
    dock.details.click()
    assert ("Traceback" in QApplication.clipboard().text()) or not has_details
    assert dock.button.text() == "Segment" and dock.button.isEnabled()
    assert len(viewer.layers) == 1
    network.error = None
    dock.button.click()
    qtbot.waitUntil(lambda: not dock.busy)
    assert len(viewer.layers) == 2
    assert not dock.details.isVisibleTo(dock)


def test_layer_cannot_be_added(
    viewer: Any, open_dock: Any, network: Network, qtbot: Any
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
    assert "the layer list is closed" in dock.message.text()
    assert dock.button.isEnabled()


def test_worker_ended_by_napari(
    viewer: Any, open_dock: Any, network: Network, qtbot: Any
) -> None:
    """A worker that napari itself ends counts as stopped, whenever that happens."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: "Tile 1 of 3" in dock.progress.format())
    dock._job._worker.quit()
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert "Stopped" in dock.message.text()
    assert dock.button.text() == "Segment" and dock.button.isEnabled()


def test_stop(viewer: Any, open_dock: Any, network: Network, qtbot: Any) -> None:
    """Stop answers at once, ends with the step, and adds nothing."""
    dock = open_dock()
    viewer.add_image(GREY)
    network.may_go_on.clear()
    dock.button.click()
    qtbot.waitUntil(lambda: "Tile 1 of 3" in dock.progress.format())
    dock.button.click()
    assert dock.button.text() == "Stopping …" and not dock.button.isEnabled()
    network.may_go_on.set()
    qtbot.waitUntil(lambda: not dock.busy)
    assert "Stopped" in dock.message.text()
    assert len(viewer.layers) == 1
    assert dock.button.text() == "Segment" and dock.button.isEnabled()


def test_layer_removed_while_running(
    viewer: Any, open_dock: Any, network: Network, qtbot: Any
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
    viewer: Any, open_dock: Any, network: Network, qtbot: Any
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
    viewer: Any, open_dock: Any, network: Network, qtbot: Any
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


def test_two_docks(viewer: Any, open_dock: Any, network: Network, qtbot: Any) -> None:
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


@pytest.mark.usefixtures("network")
def test_channel(viewer: Any, open_dock: Any, qtbot: Any) -> None:
    """A channel can be chosen where there are several, and only there."""
    dock = open_dock()
    viewer.add_image(np.stack([GREY, GREY, GREY], -1), rgb=True)
    assert not dock.channel.isVisibleTo(dock)
    viewer.add_image(
        np.stack([np.zeros_like(GREY), GREY]), name="stains", axis_labels=tuple("cyx")
    )
    dock.image.setCurrentIndex(0)
    assert dock.channel.isVisibleTo(dock)
    assert "Axes CYX: 40 × 50 pixels, 2 channels." in dock.plan.text()
    dock.channel.setCurrentIndex(1)
    dock.button.click()
    qtbot.waitUntil(lambda: not dock.busy)
    assert "2 objects" in dock.message.text()
    np.testing.assert_array_equal(viewer.layers["stains toy"].data > 0, GREY > 100)
    dock.image.setCurrentIndex(1)
    assert not dock.channel.isVisibleTo(dock) and not dock.message.isVisibleTo(dock)


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
