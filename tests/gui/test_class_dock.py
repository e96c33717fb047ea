"""The Segment dock with a model of classes, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_unetic.widgets.sections import UPDATE


def _choose(dock: Any, name: str) -> None:
    dock.model.choose(next(e for e in dock.model.objects if e.name == name))


@pytest.fixture
def dock(viewer: Any, open_dock: Any, idle: Any, class_model: Any) -> Any:
    """A dock with an image of three steps of brightness and a model of two classes."""
    class_model("one", "cell")
    class_model("two", "cell=#00ff00", "edge")
    dock = open_dock()
    image = np.zeros((40, 60), np.float32)
    image[:, 20:40], image[:, 40:] = 0.5, 0.95
    image[-2], image[-1] = 0, 1
    viewer.add_image(image, name="steps")
    _choose(dock, "two")
    idle(dock)
    return dock


def test_classes_from_button_to_legend(viewer: Any, dock: Any, idle: Any) -> None:
    """Labels, legend, probabilities; what makes sense for objects alone is hidden."""
    dock.more.unfolded = True
    assert dock.more.maps.text() == "Add the probabilities"
    assert not dock.legend.isVisibleTo(dock)
    dock.more.maps.setChecked(True)
    dock.button.click()
    idle(dock)
    layer = viewer.layers["steps two"]
    assert set(np.unique(layer.data)) == {0, 1, 2}
    assert "steps probability of edge" in viewer.layers
    assert dock.report.message.text().startswith("cell 3"), dock.report.message.text()
    assert "cell" in dock.legend.text() and "#00ff00" in dock.legend.text()
    assert dock.legend.isVisibleTo(dock)
    assert not dock.adjust.isVisibleTo(dock)
    assert not dock.result.shapes.isVisibleTo(dock.result.content)
    dock.result.copy_python.click()
    assert '"two"' in QApplication.clipboard().text()
    viewer.layers.selection.active = viewer.layers["steps"]
    assert dock.legend.isVisibleTo(dock)


def test_the_threshold_of_one_class_is_live(viewer: Any, dock: Any, idle: Any) -> None:
    """The slider decodes the kept probabilities again, and undo leads back."""
    _choose(dock, "one")
    # A ramp, so that a threshold moves an edge.
    viewer.layers["steps"].data = np.tile(
        np.linspace(0, 1, 60, dtype=np.float32), (40, 1)
    )
    dock.button.click()
    idle(dock)
    layer = viewer.layers["steps one"]
    before = np.array(layer.data)
    dock.sensitivity.value = 1.0
    dock.sensitivity.changed.emit()
    idle(dock)
    assert (layer.data == 1).sum() > (before == 1).sum()
    assert set(np.unique(layer.data)) == {0, 1}
    share = float(layer.features["share"][1])
    assert share == pytest.approx((layer.data == 1).mean())
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


@pytest.mark.slow
def test_back_to_objects(viewer: Any, dock: Any, idle: Any) -> None:
    """Their controls are there again, and an update goes to a layer of its own."""
    dock.button.click()
    idle(dock)
    _choose(dock, "nuclei")
    dock.more.output.choose(UPDATE)
    idle(dock)
    dock.button.click()
    idle(dock)
    assert "of the same kind" in dock.report.message.text()
    assert {"steps two", "steps nuclei"} <= {layer.name for layer in viewer.layers}
    assert dock.adjust.isVisibleTo(dock) and dock.more.maps.text() == "Add the maps"
    assert not dock.legend.isVisibleTo(dock)
