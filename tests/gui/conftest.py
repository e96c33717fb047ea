"""What the tests that open a napari window share."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GL_USERS = (
    "napari._vispy.utils.gl",
    "napari._vispy.canvas",
    "napari._vispy.layers.base",
    "napari._vispy.layers.image",
    "napari._vispy.layers.labels",
)
GL_ANSWERS = {"get_gl_extensions": "", "get_max_texture_sizes": (2048, 2048)}


def has_screen() -> bool:
    """Return whether Qt has a screen, so that the canvas is really drawn."""
    return os.environ.get("QT_QPA_PLATFORM") != "offscreen"


@pytest.fixture(autouse=True)
def _no_gl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for OpenGL where there is none: without it napari cannot add an image."""
    if has_screen():
        return
    for name in GL_USERS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for function, answer in GL_ANSWERS.items():
            if hasattr(module, function):
                monkeypatch.setattr(module, function, lambda answer=answer: answer)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep records of results apart from those of whoever runs the tests."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))


@pytest.fixture
def drawn_canvas() -> None:
    """For tests that look at drawn pixels: they are skipped where none are drawn."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that asks for `drawn_canvas`, before it opens a viewer.

    napari's own fixture fails in its end where a test is skipped after its start.
    """
    if "drawn_canvas" in getattr(item, "fixturenames", ()) and not has_screen():
        pytest.skip(
            "The canvas is blank without a screen; install the packages README names."
        )


class Network:
    """Stands in for the network; a test says when it goes on and how it ends."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None
        self.asked_for: list[dict[str, Any]] = []

    def segment_steps(
        self, image: Any, model: Any, *, keep_maps_bytes: int = 0, **values: Any
    ) -> Any:
        from scipy import ndimage

        from napari_unetic.predict import Segmentation
        from napari_unetic.settings import SegmentSettings
        from napari_unetic.steps import Step

        settings = SegmentSettings(**values)
        self.thread = threading.current_thread()
        self.asked_for.append(settings.changed())
        yield Step(1, 3, "tile")
        if self.error is not None:
            raise self.error
        assert self.may_go_on.wait(10)
        yield Step(2, 3, "tile")
        labels = np.zeros((*image.plane_shape, *image.shape_yx), np.uint16)
        n_objects = 0
        for plane in image.planes():
            if settings.plane not in (None, plane):
                continue
            pixels = image.read(plane, channels=(settings.channel or 0,))[0]
            found, n_found = ndimage.label(pixels > 100)
            labels[plane] = np.where(found > 0, found + n_objects, 0)
            n_objects += n_found
        return Segmentation(
            labels=labels,
            axes=image.plane_axes + "YX",
            extent=tuple(slice(0, size) for size in labels.shape),
            full_shape=labels.shape,
            n_objects=n_objects,
            scores=np.ones(n_objects, np.float32),
            seconds=0.5,
            provenance={
                "model": model.description.name,
                "weights_sha256": model.description.weights_sha256,
                "source": image.name,
                "settings": {**settings.changed(), "decoding": {}},
            },
            notices=("Mind the gap.",),
            pixel_size=image.pixel_size,
        )


class Toy:
    """A model without weights, by the name of "toy"."""

    def __init__(self) -> None:
        from napari_unetic.model.description import ModelDescription
        from napari_unetic.networks.presets import preset

        self.name = "toy"
        self.description = ModelDescription(
            name="toy",
            network=preset("unetic-16").spec,
            channels=("any",),
            working_diameter_px=20,
            weights_sha256="0" * 64,
        )


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch, whole_package: None) -> Network:
    """The stand-in, and a model of one channel by the name of "toy" in the menu."""
    from napari_unetic import predict
    from napari_unetic.maps import pace
    from napari_unetic.model import registry

    stand_in, toy = Network(), Toy()
    monkeypatch.setattr(predict, "segment_steps", stand_in.segment_steps)
    entry = registry.ModelEntry("toy", Path("toy"), False, toy.description)
    monkeypatch.setattr(registry, "list_models", lambda: [entry])
    monkeypatch.setattr(registry, "load_model", lambda model: toy)
    monkeypatch.setattr(pace, "measure_pace", lambda model, device: 1.0)
    return stand_in


@pytest.fixture
def viewer(
    make_napari_viewer_proxy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """An empty viewer; no thread may outlive the test, nor any widget or activity."""
    from napari.utils import progress
    from qtpy.QtCore import QThreadPool
    from qtpy.QtWidgets import QApplication

    monkeypatch.setenv("NAPARI_STRICT_QT", "raise")
    yield make_napari_viewer_proxy()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    QApplication.processEvents()
    assert not progress._all_instances


@pytest.fixture
def open_dock(viewer: Any, qtbot: Any) -> Callable[..., Any]:
    """Open a Segment dock and wait until it knows models and device."""
    from napari_unetic.widgets.segment import SegmentWidget

    def open_one(name: str = "Segment") -> SegmentWidget:
        dock = SegmentWidget(viewer)
        viewer.window.add_dock_widget(dock, name=name)
        qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)
        return dock

    return open_one


@pytest.fixture
def idle(qtbot: Any) -> Callable[[Any], None]:
    """Wait until nothing of a dock runs in a thread any more."""

    def wait(dock: Any, timeout: int = 20_000) -> None:
        qtbot.waitUntil(lambda: not dock.busy, timeout=timeout)

    return wait
