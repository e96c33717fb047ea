"""The controls of the Segment dock, in a real viewer: what there is, what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QAction, QKeySequence, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QWidget

from napari_unetic.widgets.folding import Fold
from napari_unetic.widgets.run_button import SHORTCUT

GREY = np.zeros((40, 50), np.uint8)
GREY[5:15, 5:20] = 200
GREY[20:30, 30:45] = 150

pytestmark = pytest.mark.usefixtures("network")


def rows(dock: Any) -> set[str]:
    """The rows of More that are in sight, once it is unfolded."""
    dock.more.unfolded = True
    names = ("channel", "axes", "region", "planes", "link", "output", "device", "tile")
    return {name for name in names if getattr(dock.more, name).isVisibleTo(dock.more)}


def test_few_controls_in_sight(viewer: Any, open_dock: Any, idle: Any) -> None:
    """Image, model, sensitivity and one button are in sight; the rest is folded."""
    dock = open_dock()
    viewer.add_image(GREY)
    folds = {fold: fold.isVisibleTo(dock) for fold in dock.findChildren(Fold)}
    assert folds == {dock.adjust: False, dock.result: False, dock.more: True}
    assert not any(fold.content.isVisibleTo(dock) for fold in folds)
    dock.button.click()
    idle(dock)
    assert all(fold.isVisibleTo(dock) for fold in folds)
    assert not any(fold.content.isVisibleTo(dock) for fold in folds)
    viewer.layers.remove(viewer.layers[-1])
    assert not dock.adjust.isVisibleTo(dock) and not dock.result.isVisibleTo(dock)


def test_only_what_makes_sense(viewer: Any, open_dock: Any) -> None:
    """No planes, links, channels or axes are offered for an image that has none."""
    dock = open_dock()
    always = {"region", "device", "tile"}
    viewer.add_image(GREY, name="plane")
    assert rows(dock) == always
    viewer.add_image(np.stack([GREY] * 4), name="stack")
    dock.image.setCurrentIndex(0)
    assert rows(dock) == always | {"axes", "planes", "link"}
    dock.more.planes.setCurrentIndex(1)
    assert rows(dock) == always | {"axes", "planes"}
    viewer.add_image(np.stack([GREY] * 3, -1), rgb=True, name="colour")
    dock.image.setCurrentIndex(0)
    assert rows(dock) == always | {"channel"}
    assert [dock.more.channel.itemText(i) for i in range(4)] == [
        "as grey",
        "red",
        "green",
        "blue",
    ]


def test_axes(viewer: Any, open_dock: Any, network: Any, idle: Any) -> None:
    """Another reading of the axes can be chosen or typed; a wrong one is refused."""
    dock = open_dock()
    viewer.add_image(np.stack([GREY, GREY]), name="pair")
    axes = dock.more.axes
    assert [axes.itemText(i) for i in range(axes.count())] == [
        "ZYX",
        "TYX",
        "CYX",
        "YXC",
    ]
    axes.setEditText("ZZX")
    assert not dock.button.isEnabled()
    assert "Expected axes as letters out of TZCYX" in dock.plan.text()
    axes.setEditText("cyx")
    assert dock.button.isEnabled() and dock.plan.text().startswith("CYX, 2 × 40 × 50")
    assert "channel" in rows(dock) and "planes" not in rows(dock)
    dock.button.click()
    idle(dock)
    assert network.asked_for == [{"channel": 0}]
    assert viewer.layers["pair toy"].data.shape == (40, 50)
    # Another image is understood by itself again.
    viewer.add_image(np.stack([GREY, GREY]), name="other")
    dock.image.setCurrentIndex(0)
    assert axes.currentText() == "ZYX"


def test_channel(viewer: Any, open_dock: Any, idle: Any) -> None:
    """The channel that is chosen is the one that is segmented."""
    dock = open_dock()
    viewer.add_image(
        np.stack([np.zeros_like(GREY), GREY]), name="stains", axis_labels=tuple("cyx")
    )
    assert "CYX, 2 × 40 × 50" in dock.plan.text()
    dock.more.channel.setCurrentIndex(1)
    dock.button.click()
    idle(dock)
    assert "2 objects" in dock.report.message.text()
    np.testing.assert_array_equal(viewer.layers["stains toy"].data > 0, GREY > 100)


def test_planes(viewer: Any, open_dock: Any, network: Any, idle: Any) -> None:
    """The current plane is the one at the slider when it is run."""
    dock = open_dock()
    viewer.add_image(np.stack([GREY] * 4), name="stack")
    dock.more.link.setChecked(True)
    dock.more.planes.setCurrentIndex(1)
    viewer.dims.set_current_step(0, 2)
    dock.button.click()
    idle(dock)
    dock.more.planes.setCurrentIndex(0)
    dock.button.click()
    idle(dock)
    assert network.asked_for == [{"plane": [2]}, {"link": True}]
    first = viewer.layers["stack toy"].data
    assert first[2].max() == 2 and first[:2].max() == 0


def test_region_of_shapes(viewer: Any, open_dock: Any, network: Any, idle: Any) -> None:
    """A layer of shapes is a region as soon as it encloses something."""
    dock = open_dock()
    viewer.add_image(GREY, name="cells", scale=(2, 2))
    shapes = viewer.add_shapes(name="here", ndim=2)
    assert dock.more.region.itemText(2) == "in “here”"
    dock.more.region.setCurrentIndex(2)
    assert not dock.button.isEnabled() and "draw one" in dock.plan.text()
    shapes.add_rectangles([[[0, 0], [0, 40], [36, 40], [36, 0]]])
    assert dock.button.isEnabled()
    dock.button.click()
    idle(dock)
    assert network.asked_for == [{"region": [0, 0, 18, 20]}]
    viewer.layers.remove(shapes)
    assert dock.more.region.currentText() == "whole image"


def test_region_of_the_view(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any, idle: Any
) -> None:
    """The current view is a region, and the line above the button follows it."""
    dock = open_dock()
    viewer.add_image(np.tile(GREY, (20, 20)), name="wide")
    dock.more.region.setCurrentIndex(1)
    before = dock.plan.text()
    viewer.scene.camera.zoom = viewer.canvas.size[0] / 100
    viewer.scene.camera.center = (0, 400, 500)
    qtbot.waitUntil(lambda: "of it" in dock.plan.text() != before)
    dock.button.click()
    idle(dock)
    ((top, left, bottom, right),) = [asked["region"] for asked in network.asked_for]
    assert bottom - top == pytest.approx(101, abs=2)
    assert (top + bottom) / 2 == pytest.approx(400, abs=1)
    assert (left + right) / 2 == pytest.approx(500, abs=1)


def test_settings_are_passed_on(
    viewer: Any, open_dock: Any, network: Any, idle: Any
) -> None:
    """What the controls say is what the run is asked for."""
    dock = open_dock()
    viewer.add_image(np.pad(GREY, 100))
    dock.sensitivity.value = 0.7
    dock.adjust.splitting.value = 0.25
    dock.adjust.smallest.setValue(12)
    dock.adjust.fill_holes.setChecked(False)
    dock.adjust.drop_border.setChecked(True)
    dock.more.diameter.value = 25
    dock.more.device.setCurrentIndex(dock.more.device.findText("cpu"))
    dock.more.tile.setValue(128)
    dock.button.click()
    idle(dock)
    assert network.asked_for == [
        {
            "sensitivity": 0.7,
            "splitting": 0.25,
            "smallest": 12,
            "fill_holes": False,
            "drop_border": True,
            "diameter": 25,
            "device": "cpu",
            "tile": 128,
        }
    ]


def test_invalid_number(viewer: Any, open_dock: Any) -> None:
    """A number out of bounds disables the button and is named; none is automatic."""
    dock = open_dock()
    viewer.add_image(GREY)
    dock.more.tile.setValue(30)
    assert not dock.button.isEnabled()
    assert "tile of at least 64 pixels, got 30" in dock.plan.text()
    assert "tile of at least 64 pixels" in dock.button.toolTip()
    dock.more.tile.number = None
    assert dock.button.isEnabled() and dock.more.tile.text() == "by memory"
    assert dock.more.diameter.currentText() == "auto"
    assert "For this model: 20 pixels." in dock.more.diameter.toolTip()
    dock.more.diameter.value = 5000
    assert "correct the diameter" in dock.plan.text()


def test_diameter_is_chosen_or_typed(viewer: Any, open_dock: Any) -> None:
    """A menu of two ways takes a number, too; anything else is named."""
    dock = open_dock()
    viewer.add_image(GREY)
    box = dock.more.diameter
    assert box.value == "auto"
    assert [box.itemText(k) for k in range(box.count())] == ["auto", "usual"]
    seen = []
    box.changed.connect(lambda: seen.append(box.value))
    for text in ("usual", "12,5 px", "30", "wide", " "):
        box.setCurrentText(text)
        box.lineEdit().editingFinished.emit()
        if text == "wide":
            assert "'auto' or 'usual', got 'wide'" in dock.plan.text()
            assert not dock.button.isEnabled()
    assert seen == ["usual", 12.5, 30, "wide", "auto"]
    assert dock.button.isEnabled() and box.currentText() == "auto"
    box.value = 21.3725
    assert box.value == 21.3725 and box.currentText() == "21.4 px"


def test_sensitivity_goes_back(viewer: Any, open_dock: Any) -> None:
    """A double click on a slider puts it back to the model's own."""
    dock = open_dock()
    slider = dock.sensitivity
    slider.value = 0.73
    assert slider.value == 0.73
    QTest.mouseDClick(slider, Qt.MouseButton.LeftButton)
    assert slider.value == 0.5
    slider.value = 0.615
    assert slider.value == 0.615


def test_shortcut(
    viewer: Any, open_dock: Any, network: Any, qtbot: Any, idle: Any
) -> None:
    """A key in the dock that has the focus runs, and stops; in no other dock."""
    dock, other = open_dock("one"), open_dock("two")
    dock.window().show()
    viewer.add_image(GREY)
    QApplication.setActiveWindow(dock.window())
    dock.image.setFocus()
    qtbot.waitUntil(dock.image.hasFocus)
    key = QKeySequence(SHORTCUT).toString(QKeySequence.SequenceFormat.NativeText)
    assert key in dock.button.toolTip()
    network.may_go_on.clear()
    for text in ("Stop", "Stopping …"):
        QTest.keyClick(
            dock.image, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier
        )
        assert dock.button.text() == text and other.button.text() == "Segment"
    # A third press has nothing to stop, and starts nothing.
    QTest.keyClick(dock.image, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    network.may_go_on.set()
    idle(dock)
    assert len(viewer.layers) == 1 and len(network.asked_for) <= 1


def test_shortcut_does_not_clash(make_napari_viewer: Any) -> None:
    """Nothing of napari's is called by the key."""
    viewer = make_napari_viewer()
    ours = QKeySequence(SHORTCUT)
    bound = {
        QKeySequence(str(key)).toString()
        for keys in default_shortcuts.values()
        for key in keys
    }
    for action in viewer.window._qt_window.findChildren(QAction):
        bound |= {key.toString() for key in action.shortcuts()}
    assert "Ctrl+R" in bound and ours.toString() not in bound


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_narrow(viewer: Any, open_dock: Any, idle: Any, theme: str) -> None:
    """The dock fits into 300 pixels and a low window, with the longest names."""
    viewer.theme = theme
    dock = open_dock()
    viewer.add_image(np.stack([GREY] * 3), name="a_very_long_name_of_an_image " * 9)
    viewer.add_shapes(name="b" * 200)
    dock.image.setCurrentIndex(0)
    dock.button.click()
    idle(dock)
    for fold in dock.findChildren(Fold):
        fold.unfolded = True
    dock.resize(300, 400)
    QApplication.processEvents()
    assert dock.minimumSizeHint().width() <= 300
    assert dock.minimumSizeHint().height() <= 400
    content = dock.more.parentWidget()
    assert content.minimumSizeHint().width() <= 300 - 14  # beside the scroll bar


def test_everything_is_explained(viewer: Any, open_dock: Any, idle: Any) -> None:
    """Every control says in words what it does."""
    dock = open_dock()
    viewer.add_image(np.stack([GREY, GREY]))
    dock.button.click()
    idle(dock)
    folds = [fold.header for fold in dock.findChildren(Fold)]
    controls: list[QWidget] = [
        *folds,
        dock.image,
        dock.model,
        dock.sensitivity,
        dock.button,
        dock.adjust.splitting,
        dock.adjust.smallest,
        dock.adjust.fill_holes,
        dock.adjust.drop_border,
        dock.adjust.again,
        dock.result.copy_python,
        dock.result.copy_command,
        dock.result.shapes,
        dock.result.rerun,
        dock.more.diameter,
        dock.more.measure,
        dock.more.channel,
        dock.more.axes,
        dock.more.region,
        dock.more.planes,
        dock.more.link,
        dock.more.device,
        dock.more.precision,
        dock.more.tile,
        dock.more.output,
        dock.more.maps,
        dock.report.details,
    ]
    for control in controls:
        text = control.toolTip().removeprefix("<qt>").removesuffix("</qt>")
        assert len(text.split()) >= 3, control
        assert text[0].isupper() and "_" not in text, text


def test_wheel_scrolls(viewer: Any, open_dock: Any) -> None:
    """The wheel changes no control that it merely passes over."""
    dock = open_dock()
    viewer.add_image(GREY, name="one")
    viewer.add_image(GREY, name="two")
    dock.more.unfolded = True
    controls = [dock.image, dock.sensitivity.bar, *dock.findChildren(QAbstractSpinBox)]

    def state() -> list[Any]:
        boxes = dock.findChildren(QAbstractSpinBox)
        return [dock.image.value, dock.sensitivity.value, *(b.text() for b in boxes)]

    before = state()
    for control in controls:
        control.clearFocus()
        QApplication.sendEvent(
            control,
            QWheelEvent(
                QPointF(5, 5),
                QPointF(control.mapToGlobal(QPoint(5, 5))),
                QPoint(0, 0),
                QPoint(0, -120),
                Qt.MouseButton.NoButton,
                Qt.KeyboardModifier.NoModifier,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            ),
        )
    assert state() == before
