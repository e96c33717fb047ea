"""Models of classes on layers: numbers of classes in their colours, with a legend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.semantic.targets import named_classes
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain
from napari_unetic.widgets.class_layers import (
    class_ramp,
    is_of_classes,
    legend_text,
    recorded_look,
)
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.live_view import View, view_steps
from napari_unetic.widgets.lookup import _find_steps
from napari_unetic.widgets.offers import Controls, Offer
from napari_unetic.widgets.recipes import as_python, settings_of
from napari_unetic.widgets.results import (
    SegmentedLayer,
    decode_layer_steps,
    segment_layer,
    segment_source_steps,
)
from napari_unetic.widgets.saving import open_labels, save_labels
from napari_unetic.widgets.showing import map_layers, summary
from napari_unetic.widgets.updates import update_layer

Save = Callable[..., str]


def _image() -> NDArray[np.float32]:
    """Return steps of brightness: background, a first and a second class, by columns.

    The last rows are black and white, for the percentiles of the normalisation.
    """
    image = np.zeros((40, 60), np.float32)
    image[:, 20:40], image[:, 40:] = 0.5, 0.95
    image[-2], image[-1] = 0, 1
    return image


EXPECTED = np.repeat([[0] * 20 + [1] * 20 + [2] * 20], 36, axis=0)
"""Classes of the rows above those."""


@pytest.fixture
def layer() -> ImageLayer:
    """An image layer with the size of a pixel."""
    return ImageLayer(_image(), name="steps", scale=(0.5, 0.5), units=("um", "um"))


@pytest.fixture
def two(class_model: Save) -> str:
    """A model of two classes among the user's own."""
    return class_model("two", "cell=#00ff00", "edge")


def _found(layer: ImageLayer, model: str, **settings: Any) -> SegmentedLayer:
    steps = segment_source_steps(
        layer_source(layer), model, segment_settings(**settings), keep_maps_bytes=10**9
    )
    return drain(steps)


def test_docks_offer_models_of_classes(two: str) -> None:
    """As those of objects."""
    assert two in [m.name for m in drain(_find_steps()).models]


def test_a_layer_has_the_classes_in_their_colours(layer: ImageLayer, two: str) -> None:
    """With names and shares in its table, its place, and what made it."""
    labels = segment_layer(layer, two)
    np.testing.assert_array_equal(labels.data[:36], EXPECTED)
    background, cell, edge = labels.colormap.map(np.arange(3, dtype=np.uint16))
    assert background[3] == 0
    np.testing.assert_allclose(cell, (0, 1, 0, 1))
    sky_blue = np.array([0x56, 0xB4, 0xE9]) / 255
    np.testing.assert_allclose(edge[:3], sky_blue, atol=0.01)
    table = labels.features
    assert list(table["index"]) == [0, 1, 2]
    assert list(table["class"]) == ["background", "cell", "edge"]
    assert table["pixels"].sum() == 2400 and table["share"].sum() == pytest.approx(1)
    np.testing.assert_allclose(table["area_um2"], table["pixels"] / 4)
    assert list(labels.scale) == [0.5, 0.5]
    record = labels.metadata[METADATA_KEY]
    assert [one["name"] for one in record["classes"]] == list(table["class"])
    assert is_of_classes(labels) and not is_of_classes(Labels(labels.data))
    assert "■" in legend_text(labels) and "cell 32 %" in legend_text(labels)


def test_one_class_is_a_threshold(layer: ImageLayer, class_model: Save) -> None:
    """The sensitivity moves it; the network does not run for that."""
    found = _found(layer, class_model("one", "cell"))
    n_usual = int((found.layer.data == 1).sum())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_unetic.predict.segment_steps", None)
        more, less = (
            drain(decode_layer_steps(found, segment_settings(sensitivity=value)))
            for value in (1.0, 0.0)
        )
    assert found.layer.data[:36].max() == 1 and n_usual > 0
    again = segment_layer(layer, "one", sensitivity=1.0)
    np.testing.assert_array_equal(more.layer.data, again.data)
    assert (less.layer.data == 1).sum() <= n_usual <= (more.layer.data == 1).sum()
    said = summary(found, found.layer)
    assert said.startswith("cell ") and " % in " in said and "layer “steps one”" in said


def test_what_is_about_objects_is_refused(layer: ImageLayer, two: str) -> None:
    """From Python in a sentence; what the dock hides it does not ask for."""
    with pytest.raises(UneticError, match="got splitting, which is for objects"):
        segment_layer(layer, two, splitting=0.9)
    controls = Controls(splitting=0.9, smallest=5, fill_holes=False, link=True)
    offer = Offer(n_planes=3)
    assert controls.settings(offer, of_classes=True) == segment_settings()
    assert controls.settings(offer).splitting == 0.9


def test_probabilities_are_image_layers(
    layer: ImageLayer, two: str, class_model: Save
) -> None:
    """One a class, between 0 and 1, in its colour; of one class one."""
    maps = map_layers(_found(layer, two))
    assert [one.name for one in maps] == [
        "steps probability of background",
        "steps probability of cell",
        "steps probability of edge",
    ]
    np.testing.assert_allclose(sum(one.data for one in maps), 1, atol=1e-5)
    np.testing.assert_allclose(maps[1].colormap.colors[-1], (0, 1, 0, 1))
    (only,) = map_layers(_found(layer, class_model("one", "cell")))
    assert only.name == "steps probability of cell" and only.data[0, 30] > 0.9
    assert class_ramp(named_classes(["black=#000000"])[0]).colors[-1][:3].min() == 1


def test_classes_of_a_part_replace_what_is_there(layer: ImageLayer, two: str) -> None:
    """Pixel by pixel in the region; table and record follow, and undo leads back."""
    before = _found(layer, two).layer
    before.data_setitem(np.nonzero(before.data), 0)
    part = _found(layer, two, region="0,10,20,60")
    update_layer(before, part)
    expected = np.zeros((40, 60), int)
    expected[:20, 10:] = EXPECTED[:20, 10:]
    np.testing.assert_array_equal(before.data, expected)
    assert list(before.features["pixels"]) == list(np.bincount(expected.ravel()))
    assert settings_of(before)[1].region is not None
    before.undo()
    assert not before.data.any()


def test_objects_and_classes_do_not_share_a_layer(
    layer: ImageLayer, two: str, class_model: Save
) -> None:
    """An update is refused, and the result goes to a layer of its own."""
    one = _found(layer, class_model("one", "cell"))
    with pytest.raises(UneticError, match="of the same kind"):
        update_layer(_found(layer, two).layer, one)


def test_the_view_shows_the_numbers_of_classes(layer: ImageLayer, two: str) -> None:
    """While a slider is moved, too: they are never renumbered as objects are."""
    found = _found(layer, two)
    found.layer.data[...] = np.where(found.layer.data == 1, 2, 0)
    rows, columns = slice(0, 20), slice(10, 60)
    view = View((rows, columns), (), rows, columns, False)
    seen = drain(view_steps(found, found.layer, segment_settings(), view, False))
    np.testing.assert_array_equal(seen.labels, EXPECTED[:20, 10:])


def test_copied_as_python_it_is_made_again(layer: ImageLayer, two: str) -> None:
    """The line names the model and what differs, and gives the same labels."""
    labels = segment_layer(layer, two, sensitivity=0.8)
    model, settings = settings_of(labels)
    line = as_python(layer, model, settings)
    assert 'segment_layer(\n    viewer.layers["steps"],\n    "two",' in line

    viewer = ViewerModel()
    viewer.add_layer(layer)
    exec(line, {"viewer": viewer})
    np.testing.assert_array_equal(viewer.layers["steps two"].data, labels.data)


def test_saved_and_opened_again_they_keep_their_look(
    layer: ImageLayer, two: str, tmp_path: Path
) -> None:
    """Colours and legend come back with the labels."""
    labels = segment_layer(layer, two)
    save_labels(labels, tmp_path / "classes.ome.tif")
    opened = open_labels(tmp_path / "classes.ome.tif")
    np.testing.assert_array_equal(opened.data, labels.data)
    np.testing.assert_allclose(opened.get_color(1), (0, 1, 0, 1))
    assert legend_text(opened) == legend_text(labels)
    assert recorded_look({"classes": [{"name": 3}]}) == {}


def test_every_plane_of_a_stack_is_told(two: str) -> None:
    """Planes are independent, and the table is of all of them."""
    stack = ImageLayer(np.stack([_image(), _image()[:, ::-1]]), name="stack")
    labels = segment_layer(stack, two)
    np.testing.assert_array_equal(labels.data[1, :36], EXPECTED[:, ::-1])
    assert labels.features["pixels"].sum() == 4800
