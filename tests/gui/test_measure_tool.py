"""Measuring the diameter of an object on the image, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Shapes
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

GREY = np.zeros((40, 50), np.uint8)
GREY[5:15, 5:20] = 200

pytestmark = pytest.mark.usefixtures("network")


@pytest.fixture
def draw(MouseEvent: Any, qtbot: Any) -> Any:
    """Draw with the mouse in a layer, from one point of the world to another."""

    def draw_line(layer: Shapes, start: Any, end: Any) -> None:
        # Mouse callbacks of napari get the layer itself, not what a plugin sees.
        layer = getattr(layer, "__wrapped__", layer)
        event = MouseEvent(
            type="mouse_press",
            position=tuple(start),
            dims_displayed=tuple(range(layer.ndim))[-2:],
            dims_point=list(start),
            button=1,
        )
        mouse_press_callbacks(layer, event)
        # It is the first event that a drag looks at, however it changes.
        event.type, event.position, event.is_dragging = "mouse_move", tuple(end), True
        mouse_move_callbacks(layer, event)
        event.type, event.is_dragging = "mouse_release", False
        mouse_release_callbacks(layer, event)
        qtbot.wait(20)

    return draw_line


@pytest.fixture
def dock(open_dock: Any) -> Any:
    dock = open_dock()
    dock.more.unfolded = True
    return dock


@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({}, id="plain"),
        pytest.param({"scale": (0.5, 0.25), "translate": (30, -7)}, id="scaled"),
        pytest.param({"rotate": 30, "scale": (3, 3)}, id="turned"),
        pytest.param({"affine": [[0, -2, 5], [2, 0.5, 6], [0, 0, 1]]}, id="affine"),
    ],
)
def test_line(viewer: Any, dock: Any, draw: Any, keywords: dict[str, Any]) -> None:
    """A line drawn across an object is its diameter in pixels; its layer goes again."""
    image = viewer.add_image(GREY, name="cells", **keywords)
    labels = viewer.add_labels(np.zeros_like(GREY), **keywords)
    dock.more.measure.click()
    line = viewer.layers[-1]
    assert viewer.layers.selection.active == line and line.mode == "add_line"
    assert "Escape cancels" in dock.report.message.text()
    ends = [image.data_to_world(point) for point in ((10, 5), (22, 10))]
    draw(line, *ends)
    assert dock.more.diameter.value == pytest.approx(13, abs=0.1)
    assert list(viewer.layers) == [image, labels]
    assert viewer.layers.selection.active == labels
    assert not dock.more.measure.isChecked()
    assert "13.0 px" in dock.report.message.text()


def test_in_a_stack(viewer: Any, dock: Any, draw: Any) -> None:
    """In a stack the line is drawn in the plane that is seen."""
    image = viewer.add_image(np.stack([GREY] * 4), scale=(5, 0.5, 0.5))
    viewer.dims.set_current_step(0, 2)
    dock.more.measure.click()
    line = viewer.layers[-1]
    assert line.ndim == 3
    ends = [image.data_to_world((2, *point)) for point in ((10, 5), (22, 10))]
    draw(line, *ends)
    assert dock.more.diameter.value == pytest.approx(13, abs=0.1)


def test_click_is_no_line(viewer: Any, dock: Any, draw: Any) -> None:
    """A click alone measures nothing, and the line is still waited for."""
    viewer.add_image(GREY)
    dock.more.measure.click()
    line = viewer.layers[-1]
    draw(line, (10, 10), (10, 10))
    assert dock.more.diameter.value == "auto" and line in viewer.layers
    assert len(line.data) == 0
    draw(line, (10, 10), (10, 18))
    assert dock.more.diameter.value == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize("how", ["button", "escape", "delete", "run", "image"])
def test_cancelled(viewer: Any, dock: Any, qtbot: Any, idle: Any, how: str) -> None:
    """A second click, Escape, or anything else that intervenes leaves no trace."""
    image = viewer.add_image(GREY, name="cells")
    dock.more.measure.click()
    line = viewer.layers[-1]
    assert dock.more.region.count() == 2, "it is no region to segment"
    if how == "button":
        dock.more.measure.click()
    elif how == "escape":
        (escape,) = (act for key, act in line.keymap.items() if str(key) == "Escape")
        escape(line)
        qtbot.wait(20)
    elif how == "delete":
        viewer.layers.remove(line)
    elif how == "run":
        dock.button.click()
        idle(dock)
    else:
        viewer.layers.remove(image)
        qtbot.wait(20)
    assert not any(isinstance(layer, Shapes) for layer in viewer.layers)
    assert not dock.more.measure.isChecked()
    assert dock.more.diameter.value == "auto"
    if how != "image":
        dock.more.measure.click()
        assert viewer.layers[-1].mode == "add_line"
        dock.more.measure.click()


def test_escape_in_the_dock(viewer: Any, dock: Any, qtbot: Any) -> None:
    """Escape cancels also while the dock has the focus."""
    viewer.add_image(GREY)
    dock.window().show()
    QApplication.setActiveWindow(dock.window())
    dock.more.measure.setFocus()
    qtbot.waitUntil(dock.more.measure.hasFocus)
    dock.more.measure.click()
    QTest.keyClick(dock.more.measure, Qt.Key.Key_Escape)
    assert len(viewer.layers) == 1


def test_dock_closed(viewer: Any, dock: Any, qtbot: Any) -> None:
    """With the dock its layer goes."""
    viewer.add_image(GREY)
    dock.more.measure.click()
    viewer.window.remove_dock_widget(dock)
    assert len(viewer.layers) == 1
    dock.deleteLater()
    qtbot.wait(20)


def test_without_an_image(dock: Any) -> None:
    """Without an image there is nothing to measure."""
    dock.more.measure.click()
    assert not dock.more.measure.isChecked()
