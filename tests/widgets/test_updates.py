"""A result is written into a layer that is there; a person's work is noticed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import product
from typing import Any

import dask.array
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.record import unpack_labels
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain
from napari_unetic.widgets import touching
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.results import SegmentedLayer, segment_source_steps
from napari_unetic.widgets.touching import is_touched, touched_objects
from napari_unetic.widgets.updates import check_writable, prepare_update, update_layer

pytestmark = pytest.mark.usefixtures("threshold")

Run = Callable[..., SegmentedLayer]


def squares(n_planes: int = 0) -> NDArray[np.uint8]:
    """Return 3 × 4 bright squares of 6 × 6 pixels, 12 apart."""
    image = np.zeros((36, 48), np.uint8)
    for row, column in product(range(3), range(4)):
        image[12 * row + 3 : 12 * row + 9, 12 * column + 3 : 12 * column + 9] = 9
    return np.stack([image] * n_planes) if n_planes else image


def run(image: NDArray[Any], **settings: Any) -> SegmentedLayer:
    """Segment a layer of an image."""
    source = layer_source(ImageLayer(image, name="image"))
    return drain(segment_source_steps(source, "nuclei", SegmentSettings(**settings)))


def fewer(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image without its first square."""
    other = image.copy()
    other[..., :12, :12] = 0
    return other


def n_undone(layer: Labels) -> int:
    """Undo until nothing changes any more; return how often that took."""
    for count in range(100):
        before = layer.data.copy()
        layer.undo()
        if np.array_equal(before, layer.data):
            return count
    raise AssertionError("endless")


def settings(layer: Labels) -> dict[str, Any]:
    return dict(layer.metadata[METADATA_KEY]["settings"], decoding=None)


def test_one_step_of_undo() -> None:
    """Undo takes labels, table and record back together, and redo forth again."""
    layer = run(squares()).layer
    first, n_first = layer.data.copy(), len(layer.features)
    result = run(fewer(squares()), sensitivity=0.2)
    assert update_layer(layer, result) is layer
    np.testing.assert_array_equal(layer.data, result.layer.data)
    assert (len(layer.features), settings(layer)["sensitivity"]) == (n_first - 1, 0.2)
    layer.undo()
    np.testing.assert_array_equal(layer.data, first)
    assert len(layer.features) == n_first and "sensitivity" not in settings(layer)
    assert not is_touched(layer)
    layer.redo()
    np.testing.assert_array_equal(layer.data, result.layer.data)
    assert (len(layer.features), settings(layer)["sensitivity"]) == (n_first - 1, 0.2)
    assert not is_touched(layer)
    assert n_undone(layer) == 1


def test_undo_in_a_hidden_layer() -> None:
    """Napari does not draw a hidden layer, but what undo put back is known."""
    layer = run(squares()).layer
    update_layer(layer, run(fewer(squares()), sensitivity=0.2))
    layer.visible = False
    layer.undo()
    assert not is_touched(layer)
    update_layer(layer, run(fewer(squares()), sensitivity=0.3))
    layer.undo()
    layer.visible = True
    assert len(layer.features) == 12 and "sensitivity" not in settings(layer)


def test_several_updates_and_strokes() -> None:
    """Each update and each stroke is a step, in the order they were made."""
    layer = run(squares()).layer
    states = [layer.data.copy()]
    for value in (0.1, 0.2):
        update_layer(layer, run(fewer(squares()) if value == 0.1 else squares()))
        states.append(layer.data.copy())
        layer.paint((30, 40), 3)
        states.append(layer.data.copy())
    for state in reversed(states[:-1]):
        layer.undo()
        np.testing.assert_array_equal(layer.data, state)
    for state in states[1:]:
        layer.redo()
        np.testing.assert_array_equal(layer.data, state)


def test_a_drag_is_one_step() -> None:
    """What was shown for a moment and taken back leaves nothing in the history."""
    from napari_unetic.widgets.live import Preview

    layer = run(squares()).layer
    first = layer.data.copy()
    preview = Preview(layer.data)
    for value in (7, 8, 9):
        preview.show((slice(2, 30), slice(0, 20)), np.full((28, 20), value))
        layer.refresh()
    preview.take_back()
    update_layer(layer, run(fewer(squares())))
    assert not is_touched(layer)
    assert n_undone(layer) == 1
    np.testing.assert_array_equal(layer.data, first)


def test_the_result_stays_as_it_was() -> None:
    """Painting in an updated layer changes neither the result nor the history."""
    layer, result = run(squares()).layer, run(fewer(squares()))
    expected = result.layer.data.copy()
    update_layer(layer, result)
    layer.paint((5, 5), 9)
    np.testing.assert_array_equal(result.layer.data, expected)
    layer.undo()
    np.testing.assert_array_equal(layer.data, expected)


def test_no_number_is_cut_off() -> None:
    """Where a layer's type cannot count the objects, a new layer is returned."""
    layer = run(squares()).layer
    first, step = layer.data.copy(), 6_000
    result = run(squares())
    many = (result.layer.data.astype(np.uint32) * step).astype(np.uint32)
    result.layer.data = many
    new = update_layer(layer, result)
    assert new is not layer
    assert new.data.dtype == np.uint32 and new.data.max() == 12 * step > 65_535
    np.testing.assert_array_equal(new.data, many)
    np.testing.assert_array_equal(layer.data, first)
    assert n_undone(layer) == 0
    assert not is_touched(new)


def test_a_type_that_suffices_is_kept() -> None:
    """A layer of another type keeps it, if it can hold the numbers."""
    result = run(squares())
    layer = run(squares()).layer
    layer.data = layer.data.astype(np.int64)
    update_layer(layer, result)
    assert layer.data.dtype == np.int64
    np.testing.assert_array_equal(layer.data, result.layer.data)


def test_objects_outside_a_region_stay() -> None:
    """A region's result replaces what lies in it; the rest keeps number and row."""
    layer = run(squares()).layer
    before, rows = layer.data.copy(), layer.features.set_index("index")
    # The two squares at the left of the upper two rows, and the half of the next.
    result = run(fewer(squares()), region=(0, 0, 24, 18))
    assert result.n_objects == 3
    update_layer(layer, result)
    outside = np.isin(before, [1, 2, 5, 6], invert=True)
    np.testing.assert_array_equal(layer.data[outside], before[outside])
    assert set(np.unique(layer.data[~outside])) == {0, 13, 14, 15}
    table = layer.features.set_index("index")
    assert sorted(table.index) == [3, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    assert table["area"][3] == rows["area"][3] and table["area"][14] == 36
    assert not is_touched(layer)
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    assert len(layer.features) == 12


def test_the_same_region_again() -> None:
    """A region that is segmented again alone gives the labels of a new run."""
    image = squares()
    layer = run(image, region=(0, 0, 24, 24)).layer
    result = run(fewer(image), region=(0, 0, 24, 24))
    update_layer(layer, result)
    np.testing.assert_array_equal(layer.data, result.layer.data)
    assert layer.features.equals(result.layer.features)


def test_one_plane_of_a_stack() -> None:
    """A plane's result leaves the other planes as they are."""
    layer = run(squares(3)).layer
    before = layer.data.copy()
    update_layer(layer, run(fewer(squares(3)), plane=1))
    np.testing.assert_array_equal(layer.data[[0, 2]], before[[0, 2]])
    assert set(np.unique(layer.data[1])) == {0, *range(37, 48)}
    assert len(layer.features) == 24 + 11
    assert set(layer.features["index"]) == set(np.unique(layer.data)) - {0}
    assert n_undone(layer) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda layer: layer.paint((5, 5), 77), id="paint"),
        pytest.param(lambda layer: layer.fill((5, 5), 77), id="fill"),
        pytest.param(
            lambda layer: layer.data_setitem((np.array([0]), np.array([0])), 4),
            id="script",
        ),
        pytest.param(
            lambda layer: setattr(layer, "data", np.zeros_like(layer.data)),
            id="other data",
        ),
    ],
)
def test_a_change_is_noticed(change: Callable[[Labels], None]) -> None:
    """Painting, filling, and a script that goes through napari are noticed."""
    layer = run(squares()).layer
    assert not is_touched(layer)
    change(layer)
    assert is_touched(layer)


def test_an_undone_stroke_is_no_change() -> None:
    """A stroke that was undone leaves the layer untouched; redone, it is touched."""
    layer = run(squares()).layer
    layer.paint((5, 5), 77)
    assert is_touched(layer)
    layer.undo()
    assert not is_touched(layer)
    layer.redo()
    assert is_touched(layer)


def test_asking_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compared unless something was painted since it was asked last."""
    compared: list[str] = []

    def unpack(text: str) -> NDArray[Any]:
        compared.append(text)
        return unpack_labels(text)

    monkeypatch.setattr(touching, "unpack_labels", unpack)
    layer = run(squares()).layer
    update_layer(layer, run(fewer(squares())))
    layer.refresh()
    assert not is_touched(layer) and compared == []
    layer.paint((5, 5), 3)
    assert is_touched(layer) and is_touched(layer)
    assert len(compared) == 1


def test_labels_that_nobody_predicted() -> None:
    """A layer drawn by hand counts as touched, and has no objects to compare."""
    layer = Labels(np.eye(4, dtype=np.uint8))
    assert is_touched(layer)
    with pytest.raises(UneticError, match="no record is found"):
        touched_objects(layer)


def test_which_objects_were_touched() -> None:
    """Objects that were redrawn, added and erased are told from the others."""
    layer = run(squares()).layer
    layer.selected_label = 2
    layer.paint((5, 22), 2)
    layer.data[3:9, 27:33] = 0
    layer.data[0, 0] = 40
    found = touched_objects(layer)
    assert list(found.edited) == [2]
    assert list(found.added) == [40]
    assert list(found.erased) == [3]
    assert len(found.untouched) == 10


def test_what_a_person_did_outside_a_region_is_remembered() -> None:
    """Updating a region of an edited layer keeps the edits, and that they are some."""
    layer = run(squares()).layer
    layer.data_setitem((np.array([27, 27]), np.array([0, 1])), 9)
    assert is_touched(layer)
    edited = layer.data.copy()
    update_layer(layer, run(fewer(squares()), region=(0, 0, 24, 24)))
    np.testing.assert_array_equal(layer.data[24:], edited[24:])
    assert is_touched(layer)
    assert list(touched_objects(layer).edited) == [9]
    assert list(touched_objects(layer).erased) == []
    layer.undo()
    np.testing.assert_array_equal(layer.data, edited)
    assert is_touched(layer)
    layer.undo()
    assert not is_touched(layer)


def test_a_whole_result_over_edits_can_be_undone() -> None:
    """A new result of the whole image replaces edits, until it is undone."""
    layer = run(squares()).layer
    layer.paint((5, 5), 77)
    edited = layer.data.copy()
    update_layer(layer, run(squares()))
    assert not is_touched(layer)
    layer.undo()
    np.testing.assert_array_equal(layer.data, edited)
    assert is_touched(layer)


def test_layers_that_cannot_be_changed() -> None:
    """A layer that is gone, locked or not in memory is refused with a sentence."""
    viewer = ViewerModel()
    result = run(squares())
    layer = viewer.add_layer(run(squares()).layer)
    check_writable(layer, viewer.layers)
    layer.locked = True
    with pytest.raises(UneticError, match="which is locked; unlock it, or write"):
        update_layer(layer, result)
    layer.locked = False
    layer.editable = False
    with pytest.raises(UneticError, match="which is not editable; make it editable"):
        update_layer(layer, result)
    layer.editable = True
    viewer.layers.remove(layer)
    with pytest.raises(UneticError, match="is not in the viewer any more"):
        update_layer(layer, result, viewer.layers)
    update_layer(layer, result)
    for data, words in (
        ([layer.data, layer.data[::2, ::2]], "has several levels"),
        (dask.array.from_array(layer.data), "is not in memory"),
    ):
        other = Labels(data, multiscale=isinstance(data, list))
        with pytest.raises(UneticError, match=words):
            update_layer(other, result)


def test_another_images_layer() -> None:
    """A result is not written over that of an image of another size or part."""
    result = run(squares())
    before = run(squares()[:24]).layer
    with pytest.raises(UneticError, match="Expected an earlier result of image"):
        update_layer(before, result)
    drawn = Labels(np.zeros((36, 48), np.uint16))
    with pytest.raises(UneticError, match="Expected an earlier result of image"):
        update_layer(drawn, result)
    assert not drawn.data.any()


def test_a_drawn_layer_keeps_its_place() -> None:
    """A layer that the user has moved, coloured or renamed stays so."""
    layer = run(squares()).layer
    layer.name, layer.translate, layer.opacity = "mine", (4, 5), 0.3
    layer.metadata = {**layer.metadata, "note": "keep"}
    update_layer(layer, run(fewer(squares())))
    assert (layer.name, list(layer.translate)) == ("mine", [4, 5])
    assert layer.opacity == 0.3 and layer.metadata["note"] == "keep"


def test_transposed_layers() -> None:
    """A region is found in a layer whose columns come before its rows."""

    def transposed(image: NDArray[Any], **values: Any) -> SegmentedLayer:
        layer = ImageLayer(image.T, name="image", axis_labels=("x", "y"))
        chosen = SegmentSettings(**values)
        return drain(segment_source_steps(layer_source(layer), "nuclei", chosen))

    layer = transposed(squares()).layer
    before = layer.data.copy()
    update_layer(layer, transposed(fewer(squares()), region=(0, 0, 12, 48)))
    np.testing.assert_array_equal(layer.data[:, 12:], before[:, 12:])
    assert set(np.unique(layer.data[:, :12])) == {0, 13, 14, 15}


@pytest.mark.parametrize("values", [{}, {"region": (0, 0, 24, 18)}, {"plane": 1}])
def test_a_prepared_update(values: dict[str, Any]) -> None:
    """What was prepared is written, and leads to what an update does by itself."""
    image = squares(3) if "plane" in values else squares()
    one, other = run(image).layer, run(image).layer
    result = run(fewer(image), **values)
    prepared = prepare_update(one, result)
    np.testing.assert_array_equal(one.data, other.data)
    update_layer(one, result, prepared=prepared)
    update_layer(other, result)
    np.testing.assert_array_equal(one.data, other.data)
    assert one.features.equals(other.features)
    assert one.metadata == other.metadata


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda layer: layer.paint((30, 44), 77), id="painted"),
        pytest.param(lambda layer: layer.undo(), id="undone"),
        pytest.param(
            lambda layer: update_layer(layer, run(fewer(squares()))), id="updated"
        ),
    ],
)
def test_what_was_prepared_too_early(change: Callable[[Labels], Any]) -> None:
    """A stroke between preparing an update and writing it is not lost."""
    layer = run(squares()).layer
    layer.paint((30, 40), 66)
    result = run(fewer(squares()), region=(0, 0, 24, 18))
    prepared = prepare_update(layer, result)
    change(layer)
    changed = layer.data.copy()
    update_layer(layer, result, prepared=prepared)
    np.testing.assert_array_equal(layer.data[24:], changed[24:])


def test_an_object_beyond_the_margin_of_a_region() -> None:
    """Of an object that reaches far beyond a region, all of its pixels count."""
    layer = run(squares()).layer
    layer.data_setitem(np.nonzero(np.ones((36, 48))), 0)
    layer.data_setitem((np.full(48, 5), np.arange(48)), 1)
    layer.data_setitem((np.full(20, 9), np.arange(20)), 2)
    update_layer(layer, run(squares(), region=(0, 0, 12, 12)))
    # 12 of 48 pixels of the first, and 12 of 20 of the second lie in the region.
    assert (layer.data == 1).sum() == 48
    assert (layer.data == 2).sum() == 0
    assert (layer.data == 2 + 1).sum() == 0
    assert (layer.data[3:9, 3:9] > 1).sum() == 30


def test_nothing_keeps_a_layer_alive() -> None:
    """A layer that was updated and watched goes when nobody uses it any more."""
    layer = run(squares()).layer
    update_layer(layer, run(fewer(squares())))
    assert not is_touched(layer)
    alive = weakref.ref(layer)
    del layer
    gc.collect()
    assert alive() is None
