"""What can be done with a result in the dock, in a real viewer."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Labels
from napari_builtins._qt.features_table import FeaturesTable
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_unetic import nuclei_sample, segment
from napari_unetic.cli import main
from napari_unetic.image.reading import read_labels
from napari_unetic.widgets.layers import METADATA_KEY


@pytest.fixture(scope="module")
def nuclei() -> Any:
    return nuclei_sample((120, 140))[0]


@pytest.fixture
def dock(open_dock: Any) -> Any:
    dock = open_dock()
    if dock.model.findText("nuclei") < 0:
        pytest.skip("the bundled model is not here")
    dock.model.setCurrentIndex(dock.model.findText("nuclei"))
    return dock


def copied() -> str:
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    return clipboard.text()


def run(dock: Any, idle: Any) -> None:
    dock.button.click()
    idle(dock, 60_000)


def test_copy_as_python(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """What is copied makes the very layer again, as the thresholds left it."""
    viewer.add_image(nuclei, name="it's", scale=(0.5, 0.5), units=("um", "um"))
    dock.adjust.drop_border.setChecked(True)
    run(dock, idle)
    dock.sensitivity.value = 0.8
    idle(dock)
    dock.result.copy_python.click()
    assert "Copied" in dock.report.message.text()
    exec(copied(), {"viewer": viewer})
    first, second = viewer.layers[1:]
    np.testing.assert_array_equal(second.data, first.data)
    np.testing.assert_array_equal(second.scale, first.scale)
    assert second.features.equals(first.features)
    assert (
        second.metadata[METADATA_KEY]["settings"]
        == first.metadata[METADATA_KEY]["settings"]
    )


@pytest.mark.skipif(os.name == "nt", reason="its words are split by other rules")
def test_copy_as_command(
    viewer: Any, dock: Any, nuclei: Any, idle: Any, tmp_path: Path
) -> None:
    """What is copied writes the same labels from a shell."""
    tifffile.imwrite(tmp_path / "my cells.tif", nuclei)
    (image,) = viewer.open(tmp_path / "my cells.tif", plugin="napari")
    assert image.source.path
    dock.sensitivity.value = 0.7
    dock.more.diameter.value = 22
    run(dock, idle)
    dock.result.copy_command.click()
    words = shlex.split(copied())
    assert words[:2] == ["unetic", "segment"]
    assert main(words[1:]) == 0
    written = read_labels(tmp_path / "my cells_labels.tif")
    np.testing.assert_array_equal(written, viewer.layers[-1].data)


def test_what_was_found_out_is_shown(viewer: Any, dock: Any, idle: Any) -> None:
    """The size of large objects stands below the control, and in the message."""
    large, _ = nuclei_sample((330, 330), 1, n_nuclei=9, diameter=(68, 80), touching=0)
    image = viewer.add_image(large, name="large")
    run(dock, idle)
    np.testing.assert_array_equal(viewer.layers[-1].data, segment(large))
    assert "reduced for objects of about" in dock.report.message.text()
    assert "from" in dock.more.found_diameter.text()
    assert dock.more.found_diameter.isVisibleTo(dock.more.content)
    dock.more.diameter.value = "usual"
    run(dock, idle)
    assert "reduced" not in dock.report.message.text()
    assert dock.more.found_diameter.text() == ""
    np.testing.assert_array_equal(
        viewer.layers[-1].data, segment(large, diameter="usual")
    )
    assert image in viewer.layers


def test_copy_as_command_without_a_file(
    viewer: Any, dock: Any, nuclei: Any, idle: Any
) -> None:
    """Of an image that is in no file there is no command, and the dock says so."""
    viewer.add_image(nuclei, name="cells")
    run(dock, idle)
    QApplication.clipboard().setText("mine")
    dock.result.copy_command.click()
    assert copied() == "mine"
    assert "opened from a file, got cells" in dock.report.message.text()


def test_run_like_this(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """The selected result's model and settings segment the image that is chosen."""
    viewer.add_image(nuclei, name="cells")
    dock.sensitivity.value = 0.8
    dock.more.diameter.value = 21
    dock.adjust.fill_holes.setChecked(False)
    run(dock, idle)
    first = viewer.layers["cells nuclei"]
    dock.sensitivity.value = 0.5
    dock.more.diameter.value = 33
    idle(dock)
    run(dock, idle)
    first.metadata[METADATA_KEY]["settings"]["sensitivity"] = 0.815
    viewer.layers.selection.active = first
    assert "cells nuclei" in dock.result.name.text()
    dock.result.rerun.click()
    idle(dock, 60_000)
    third = viewer.layers[-1]
    settings = third.metadata[METADATA_KEY]["settings"]
    del settings["decoding"]
    assert settings == {"sensitivity": 0.815, "diameter": 21, "fill_holes": False}
    assert dock.sensitivity.value == 0.815 and dock.more.diameter.value == 21


def test_run_like_this_of_a_plane_and_a_region(
    viewer: Any, dock: Any, nuclei: Any, idle: Any
) -> None:
    """A plane and a region that no layer holds any more are taken from the result."""
    viewer.add_image(np.stack([nuclei] * 3), name="stack")
    shapes = viewer.add_shapes([[[10, 10], [10, 90], [80, 90], [80, 10]]])
    dock.more.region.setCurrentIndex(2)
    dock.more.planes.setCurrentIndex(1)
    viewer.dims.set_current_step(0, 1)
    run(dock, idle)
    first = viewer.layers[-1]
    viewer.layers.remove(shapes)
    dock.more.planes.setCurrentIndex(0)
    viewer.dims.set_current_step(0, 2)
    viewer.layers.selection.active = first
    dock.result.rerun.click()
    idle(dock, 60_000)
    second = viewer.layers[-1]
    assert second is not first and second.data.max() > 0
    np.testing.assert_array_equal(second.data, first.data)
    assert dock.more.planes.currentText() == "number 1"
    assert dock.more.region.currentText() == "as in that result"


def test_other_weights(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """Where the model has other weights than the result was made with, it is said."""
    viewer.add_image(nuclei, name="cells")
    run(dock, idle)
    viewer.layers[-1].metadata[METADATA_KEY]["weights_sha256"] = "f" * 64
    dock.result.rerun.click()
    idle(dock, 60_000)
    assert "other weights" in dock.report.message.text()
    assert len(viewer.layers) == 3


def test_model_is_gone(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """Where the model is not here, nothing runs and the dock says what to do."""
    viewer.add_image(nuclei, name="cells")
    run(dock, idle)
    viewer.layers[-1].metadata[METADATA_KEY]["model_asked"] = "grandmother"
    dock.result.rerun.click()
    idle(dock)
    assert "grandmother" in dock.report.message.text()
    assert len(viewer.layers) == 2


def test_shapes_are_measured(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """Eccentricity and solidity join the table when they are asked for."""
    viewer.add_image(nuclei, name="cells")
    run(dock, idle)
    layer = viewer.layers[-1]
    assert "solidity" not in layer.features
    before = layer.features.copy()
    dock.result.shapes.click()
    idle(dock)
    assert {"eccentricity", "solidity"} <= set(layer.features)
    assert layer.features["solidity"].between(0.5, 1).all()
    assert layer.features[list(before)].equals(before)


def test_table_of_napari(
    viewer: Any,
    dock: Any,
    nuclei: Any,
    idle: Any,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Napari's own table shows the measurements and saves them as CSV."""
    viewer.add_image(nuclei, name="cells", scale=(0.5, 0.5), units=("um", "um"))
    run(dock, idle)
    layer = viewer.layers["cells nuclei"]
    # In a viewer without a window: the table would keep the window from being freed.
    model = ViewerModel()
    model.add_layer(Labels.create(*layer.as_layer_data_tuple()))
    table = FeaturesTable(model)
    qtbot.addWidget(table)
    assert table.table.model().rowCount() == layer.data.max()
    path = tmp_path / "table.csv"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), "*.csv")
    )
    table.save.click()
    saved = pd.read_csv(path, index_col=0)
    pd.testing.assert_frame_equal(saved, layer.features, check_dtype=False)
    physical = {"area_um2", "centroid_y_um", "equivalent_diameter_um"}
    assert {"index", "area", "mean_intensity", "score", *physical} <= {*saved}


def test_labels_of_somebody_else(viewer: Any, dock: Any, nuclei: Any) -> None:
    """Labels that were not segmented here are no result."""
    viewer.add_image(nuclei)
    viewer.add_labels(np.ones_like(nuclei, np.uint8))
    assert not dock.result.isVisibleTo(dock)


def test_opened_again(
    viewer: Any, dock: Any, nuclei: Any, idle: Any, tmp_path: Path, qtbot: Any
) -> None:
    """A result that was saved by napari and opened again is a result still."""
    viewer.add_image(nuclei, name="cells")
    dock.sensitivity.value = 0.7
    run(dock, idle)
    viewer.layers[-1].save(str(tmp_path / "labels.tif"))
    before = viewer.layers[-1].data.copy()
    viewer.layers.remove(viewer.layers[-1])
    assert not dock.result.isVisibleTo(dock)
    viewer.open(tmp_path / "labels.tif", plugin="napari", layer_type="labels")
    layer = viewer.layers[-1]
    assert isinstance(layer, Labels)
    viewer.layers.selection.active = layer
    qtbot.waitUntil(lambda: dock.result.isVisibleTo(dock), timeout=10_000)
    dock.result.rerun.click()
    idle(dock, 60_000)
    np.testing.assert_array_equal(viewer.layers[-1].data, before)


def test_maps(viewer: Any, dock: Any, nuclei: Any, idle: Any) -> None:
    """The maps come as image layers that lie on the image, below the labels."""
    image = viewer.add_image(nuclei, name="cells", scale=(0.5, 0.5), rotate=20)
    dock.more.maps.setChecked(True)
    run(dock, idle)
    names = [layer.name for layer in viewer.layers]
    assert names == [
        "cells",
        "cells foreground",
        "cells contact",
        "cells depth",
        "cells nuclei",
    ]
    maps = viewer.layers["cells foreground"]
    assert maps.data.shape == nuclei.shape and maps.data.dtype == np.float32
    np.testing.assert_allclose(maps.data_to_world((9, 7)), image.data_to_world((9, 7)))
    inside = viewer.layers["cells nuclei"].data > 0
    assert maps.data[inside].mean() > 0.5 > maps.data[~inside].mean()


def test_no_room_for_maps(
    viewer: Any, dock: Any, nuclei: Any, idle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the maps are too large to be kept, the dock says that it added none."""
    monkeypatch.setattr("napari_unetic.widgets.segment.SHARE_FOR_MAPS", 0)
    viewer.add_image(nuclei, name="cells")
    dock.more.maps.setChecked(True)
    run(dock, idle)
    assert len(viewer.layers) == 2
    assert "no layers of them were added" in dock.report.message.text()
