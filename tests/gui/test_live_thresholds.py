"""Thresholds that take effect at once, in a real viewer, with the bundled network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest

from napari_unetic import predict, segment
from napari_unetic.errors import UneticError
from napari_unetic.predict import again
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import Step
from napari_unetic.widgets import segment as segment_module
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.live_jobs import find_view


@pytest.fixture(scope="module")
def nuclei() -> Any:
    """An image with so many objects that thresholds matter."""
    return nuclei_sample((160, 200))[0]


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """The kind of every part of a network that runs, whichever way it is called."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    made: list[str] = []
    hook = register_module_forward_pre_hook(
        lambda module, inputs: made.append(type(module).__name__)
    )
    yield made
    hook.remove()


@pytest.fixture
def result(viewer: Any, open_dock: Any, nuclei: Any, idle: Any) -> Any:
    """A dock that has segmented an image, and its layer of labels."""
    dock = open_dock()
    if dock.model.findText("nuclei") < 0:
        pytest.skip("the bundled model is not here")
    dock.model.setCurrentIndex(dock.model.findText("nuclei"))
    viewer.add_image(nuclei, name="cells")
    dock.button.click()
    idle(dock, 60_000)
    return dock, viewer.layers["cells nuclei"]


def test_follows(
    result: Any, calls: list[str], nuclei: Any, viewer: Any, idle: Any
) -> None:
    """Labels, table and record become those of the threshold; no network runs."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.value = 0.9
    idle(dock)
    assert not calls and not np.array_equal(layer.data, before)
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.9))
    assert calls
    calls.clear()
    dock.adjust.drop_border.setChecked(True)
    dock.adjust.smallest.setValue(60)
    idle(dock)
    assert not calls and len(viewer.layers) == 2
    expected = segment(nuclei, sensitivity=0.9, drop_border=True, smallest=60)
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.metadata[METADATA_KEY]["settings"]["smallest"] == 60
    areas = np.bincount(layer.data.ravel())[1:]
    np.testing.assert_array_equal(layer.features["area"], areas)
    assert f"{areas.size} objects" in dock.report.message.text()


def test_drag_is_one_step_of_undo(
    result: Any, nuclei: Any, viewer: Any, qtbot: Any, idle: Any
) -> None:
    """While the slider is held the view follows; one undo takes back all of it."""
    dock, layer = result
    before = layer.data.copy()
    bar = dock.sensitivity.bar
    shown = []
    bar.setSliderDown(True)
    for position in range(52, 92, 8):
        bar.setSliderPosition(position)
        bar.setValue(position)
        qtbot.waitUntil(lambda: not dock._live._view.running, timeout=20_000)
        qtbot.wait(60)
        shown.append((layer.data > 0).sum())
    assert dock._live.running, "the rest waits for the slider"
    assert len(layer.features) == before.max(), "so does the table"
    assert shown[-1] > (before > 0).sum() and sorted(shown) == shown
    bar.setSliderDown(False)
    idle(dock)
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.84))
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    assert len(layer.features) == before.max()
    layer.redo()
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.84))


def test_drag_with_the_mouse(result: Any, nuclei: Any, idle: Any) -> None:
    """A drag by mouse from end to end comes to what the slider says in the end."""
    dock, layer = result
    bar = dock.sensitivity.bar
    dock.window().show()
    middle = bar.height() // 2
    at = QPoint(bar.width() // 2, middle)
    QTest.mousePress(bar, Qt.MouseButton.LeftButton, pos=at)
    for x in range(bar.width() // 2, bar.width(), 7):
        QTest.mouseMove(bar, QPoint(x, middle))
    QTest.mouseRelease(
        bar, Qt.MouseButton.LeftButton, pos=QPoint(bar.width() - 20, middle)
    )
    idle(dock)
    value = dock.sensitivity.value
    assert value > 0.6
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=value))


def test_back_to_where_it_was(result: Any, qtbot: Any, idle: Any) -> None:
    """A slider that comes back leaves no trace, not even in the history."""
    dock, layer = result
    before, features = layer.data.copy(), layer.features.copy()
    dock.sensitivity.bar.setSliderDown(True)
    dock.sensitivity.value = 0.9
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before))
    dock.sensitivity.value = 0.5
    dock.sensitivity.bar.setSliderDown(False)
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    assert layer.features.equals(features)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_painted(result: Any, nuclei: Any, viewer: Any, idle: Any) -> None:
    """Labels that a person has painted stay; the thresholds go on in a new layer."""
    dock, layer = result
    layer.paint((10, 10), 500)
    painted = layer.data.copy()
    dock.sensitivity.value = 0.8
    idle(dock)
    np.testing.assert_array_equal(layer.data, painted)
    other = viewer.layers["cells nuclei [1]"]
    np.testing.assert_array_equal(other.data, segment(nuclei, sensitivity=0.8))
    assert "“cells nuclei” was edited by hand" in dock.report.message.text()
    dock.sensitivity.value = 0.3
    idle(dock)
    assert len(viewer.layers) == 3
    np.testing.assert_array_equal(other.data, segment(nuclei, sensitivity=0.3))
    np.testing.assert_array_equal(layer.data, painted)


def test_painted_on_what_is_shown_for_now(
    result: Any, nuclei: Any, viewer: Any, qtbot: Any, idle: Any
) -> None:
    """Painting before the slider has come to rest is not lost either."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.bar.setSliderDown(True)
    dock.sensitivity.value = 0.9
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before))
    layer.data_setitem((np.array([5, 5]), np.array([6, 7])), 600)
    painted = layer.data.copy()
    dock.sensitivity.bar.setSliderDown(False)
    dock.sensitivity.released.emit()
    idle(dock)
    np.testing.assert_array_equal(layer.data, painted)
    np.testing.assert_array_equal(
        viewer.layers["cells nuclei [1]"].data, segment(nuclei, sensitivity=0.9)
    )


def test_undone(result: Any, nuclei: Any, viewer: Any, idle: Any) -> None:
    """After undo the thresholds go on from the labels that are there."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.value = 0.8
    idle(dock)
    layer.undo()
    dock.sensitivity.value = 0.7
    idle(dock)
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.7))
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_result_deleted_while_decoding(
    result: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch, idle: Any
) -> None:
    """A result that is deleted meanwhile is decoded no more, and comes to nothing."""
    dock, layer = result
    dock.sensitivity.value = 0.9
    viewer.layers.remove(layer)
    idle(dock)
    assert [one.name for one in viewer.layers] == ["cells"]
    assert not dock._live.possible and not dock.adjust.isVisibleTo(dock)
    dock.sensitivity.value = 0.2
    idle(dock)
    assert len(viewer.layers) == 1 and dock.button.isEnabled()


def test_image_deleted_while_decoding(result: Any, viewer: Any, idle: Any) -> None:
    """With the image the maps go, and the labels stay as they were."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.value = 0.9
    viewer.layers.remove("cells")
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    assert not dock._live.possible


def test_run_while_decoding(result: Any, nuclei: Any, viewer: Any, idle: Any) -> None:
    """Segment takes over from a slider that has just moved."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.value = 0.9
    dock.button.click()
    assert dock.button.text() == "Stop"
    idle(dock, 60_000)
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(
        viewer.layers["cells nuclei [1]"].data, segment(nuclei, sensitivity=0.9)
    )


def test_slider_moved_while_running(
    result: Any, nuclei: Any, viewer: Any, idle: Any
) -> None:
    """What was moved while it ran takes effect when it has run."""
    dock, _ = result
    dock.button.click()
    dock.sensitivity.value = 0.8
    idle(dock, 60_000)
    np.testing.assert_array_equal(
        viewer.layers["cells nuclei [1]"].data, segment(nuclei, sensitivity=0.8)
    )


def test_another_image_is_chosen(
    result: Any, nuclei: Any, viewer: Any, idle: Any
) -> None:
    """Thresholds set for another image leave the result of the last one alone."""
    dock, layer = result
    before = layer.data.copy()
    viewer.add_image(nuclei[::-1], name="other")
    dock.image.setCurrentIndex(0)
    dock.sensitivity.value = 0.9
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    dock.image.setCurrentIndex(1)
    dock.sensitivity.value = 0.85
    idle(dock)
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.85))


def test_maps_too_large(
    viewer: Any,
    open_dock: Any,
    nuclei: Any,
    idle: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the maps were not kept, the dock offers to run again instead."""
    monkeypatch.setattr(segment_module, "SHARE_FOR_MAPS", 0)
    dock = open_dock()
    viewer.add_image(nuclei, name="cells")
    dock.button.click()
    idle(dock, 60_000)
    layer, before = viewer.layers[1], viewer.layers[1].data.copy()
    dock.adjust.unfolded = True
    assert dock.adjust.again.isVisibleTo(dock)
    assert "too large to be kept" in dock.adjust.hint.text()
    dock.sensitivity.value = 0.9
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    dock.adjust.again.click()
    idle(dock, 60_000)
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.9))


def test_failure(result: Any, monkeypatch: pytest.MonkeyPatch, idle: Any) -> None:
    """Where decoding fails, the dock says so, and shows what was there before."""
    dock, layer = result
    before = layer.data.copy()

    def refuse(*arguments: Any) -> Any:
        yield Step(0, 1, "decoding")
        raise UneticError("Expected maps, got none; run it again.")

    monkeypatch.setattr(predict, "decode_again_steps", refuse)
    dock.sensitivity.value = 0.9
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    assert "Expected maps, got none" in dock.report.message.text()
    monkeypatch.setattr(predict, "decode_again_steps", again.decode_again_steps)
    dock.sensitivity.value = 0.8
    idle(dock)
    assert not np.array_equal(layer.data, before)


def test_locked_layer(result: Any, viewer: Any, nuclei: Any, idle: Any) -> None:
    """A locked layer stays as it is; labels go to a new one, and the dock says why."""
    dock, layer = result
    before = layer.data.copy()
    layer.locked = True
    dock.sensitivity.value = 0.9
    idle(dock)
    np.testing.assert_array_equal(layer.data, before)
    assert "which is locked" in dock.report.message.text()
    found = viewer.layers[-1].data
    np.testing.assert_array_equal(found, segment(nuclei, sensitivity=0.9))


def test_stack(viewer: Any, open_dock: Any, nuclei: Any, idle: Any) -> None:
    """In a stack the plane in view comes first, and planes are linked at once."""
    dock = open_dock()
    stack = np.stack([nuclei[:80, :100]] * 3)
    viewer.add_image(stack, name="stack")
    dock.button.click()
    idle(dock, 60_000)
    layer = viewer.layers["stack nuclei"]
    viewer.dims.set_current_step(0, 2)
    view = find_view(viewer, dock._live._result, layer)
    assert view is not None and view.plane == (2,) and view.window[0] == 2
    n_objects = layer.data[0].max()
    assert layer.data.max() == 3 * n_objects
    dock.more.link.setChecked(True)
    idle(dock)
    assert layer.data.max() == n_objects
    np.testing.assert_array_equal(layer.data, segment(stack, axes="ZYX", link=True))


def test_region(viewer: Any, open_dock: Any, nuclei: Any, idle: Any) -> None:
    """In a region the view shows what lies in it, as the whole does afterwards."""
    dock = open_dock()
    viewer.add_image(nuclei, name="cells")
    viewer.add_shapes([[[40, 50], [40, 150], [120, 150], [120, 50]]], name="here")
    dock.more.region.setCurrentIndex(2)
    dock.button.click()
    idle(dock, 60_000)
    layer = viewer.layers["cells nuclei"]
    dock.sensitivity.value = 0.8
    idle(dock)
    expected = segment(nuclei, region=(40, 50, 120, 150), sensitivity=0.8)
    np.testing.assert_array_equal(layer.data, expected)


def test_dock_closed_while_decoding(result: Any, viewer: Any, qtbot: Any) -> None:
    """A dock that is closed while a slider is held puts back what it showed."""
    dock, layer = result
    before = layer.data.copy()
    dock.sensitivity.bar.setSliderDown(True)
    dock.sensitivity.value = 0.9
    qtbot.waitUntil(lambda: not np.array_equal(layer.data, before))
    viewer.window.remove_dock_widget(dock)
    np.testing.assert_array_equal(layer.data, before)
    qtbot.waitUntil(lambda: not dock.busy)
    dock.deleteLater()
    qtbot.wait(20)


def test_viewer_closed_while_decoding(result: Any, viewer: Any, qtbot: Any) -> None:
    """Closing the viewer ends it; nothing is left running or raised."""
    dock, _ = result
    dock.sensitivity.bar.setSliderDown(True)
    dock.sensitivity.value = 0.9
    qtbot.wait(60)
    dock.sensitivity.bar.setSliderDown(False)
    viewer.close()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(500)
    viewer.layers.clear()


def test_two_docks(
    result: Any, nuclei: Any, open_dock: Any, viewer: Any, idle: Any
) -> None:
    """Each dock changes its own result."""
    dock, layer = result
    before = layer.data.copy()
    other = open_dock("other")
    other.button.click()
    idle(other, 60_000)
    other.sensitivity.value = 0.9
    idle(other)
    np.testing.assert_array_equal(layer.data, before)
    dock.sensitivity.value = 0.2
    idle(dock)
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.2))
    np.testing.assert_array_equal(
        viewer.layers["cells nuclei [1]"].data, segment(nuclei, sensitivity=0.9)
    )


def test_settings_of_a_result_stay(result: Any, nuclei: Any, idle: Any) -> None:
    """A threshold changes a result as it was made, whatever else is chosen since."""
    dock, layer = result
    dock.more.diameter.value = 35
    dock.sensitivity.value = 0.8
    idle(dock)
    np.testing.assert_array_equal(layer.data, segment(nuclei, sensitivity=0.8))
    assert SegmentSettings(sensitivity=0.8).changed().items() <= (
        layer.metadata[METADATA_KEY]["settings"].items()
    )
    assert "diameter" not in layer.metadata[METADATA_KEY]["settings"]
