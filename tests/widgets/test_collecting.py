"""From image and labels layers to pairs: grids, areas, planes, levels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Shapes

from napari_unetic.errors import UneticError
from napari_unetic.instances.footprint import Footprint
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain
from napari_unetic.widgets.accepting import accept, is_accepted, take_back
from napari_unetic.widgets.collecting import collect_steps, what_is_there
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.results import segment_layer, segment_source_steps
from napari_unetic.widgets.saving import open_labels, save_labels
from napari_unetic.widgets.touching import watch
from napari_unetic.widgets.updates import update_layer

if TYPE_CHECKING:
    from napari_unetic.finetuning.collected import CollectedPair

pytestmark = pytest.mark.usefixtures("threshold")

TURNED: dict[str, Any] = {
    "scale": (0.5, 0.25),
    "rotate": 30.0,
    "translate": (-7, 40),
    "units": ("um", "um"),
}


def dots(rows: int = 40, columns: int = 60, seed: int = 0) -> Any:
    """Return an image of bright squares of 4 × 4 on a grid of 10, each with a value."""
    image = np.random.default_rng(seed).integers(0, 5, (rows, columns), np.uint8)
    for y in range(3, rows - 4, 10):
        for x in range(3, columns - 4, 10):
            image[y : y + 4, x : x + 4] = 100 + (y + x) // 2
    return image


@pytest.fixture(autouse=True)
def _model(monkeypatch: pytest.MonkeyPatch, whole_package: None) -> None:
    """A model without weights stands in for every other."""
    from napari_unetic.model import registry
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.networks.presets import preset

    class Toy:
        description = ModelDescription(
            name="toy",
            network=preset("unetic-16").spec,
            channels=("any",),
            working_diameter_px=4,
            weights_sha256="0" * 64,
        )

    monkeypatch.setattr(registry, "load_model", lambda model: Toy())


def collect(image: ImageLayer, labels: Labels, area: Any, **more: Any) -> Any:
    """Return the pairs, as a worker would."""
    pairs: list[CollectedPair] = drain(collect_steps(image, labels, area, **more))
    return pairs


def accept_number(layer: Labels, number: int, plane: tuple[int, ...] = ()) -> None:
    """Accept an object as the review does."""
    where = np.nonzero(layer.data[plane] == number)
    box = tuple(slice(int(w.min()), int(w.max()) + 1) for w in where)
    accept(layer, Footprint.of(layer.data[plane], number, box, plane))  # type: ignore[arg-type]


def test_what_was_touched_is_counted_and_collected() -> None:
    """One edited, one added, one accepted, one erased; the others are left out."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    assert labels.data.max() == 24
    labels.data[3:8, 3:7] = 1  # one row more
    labels.data[33:37, 8:12] = 30
    labels.data[labels.data == 12] = 0
    accept_number(labels, 6)
    found = what_is_there(image, labels, "touched")
    assert (found.n_objects, found.n_planes) == (3, 1)
    assert (found.edited, found.added, found.accepted, found.erased) == (1, 1, 1, 1)
    assert found.text == "3 objects: 1 edited, 1 added, 1 accepted, 1 erased"
    (pair,) = collect(image, labels, "touched")
    assert pair.objects.tolist() == [1, 6, 30]
    np.testing.assert_array_equal(pair.image.data, image.data)
    area = pair.reviewed
    assert area[labels.data == 6].all() and area[2, 53]  # accepted, with a rim
    assert area[13:17, 53:57].all()  # erased: background
    untouched = ~np.isin(labels.data, [0, 1, 6, 30])
    assert not area[untouched].any()


def test_fewer_than_ten_objects_do_not_suffice() -> None:
    """The sentence says how many more; what was collected elsewhere counts."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    for number in range(1, 5):
        accept_number(labels, number)
    assert "got 4; correct or accept 6 more" in (
        what_is_there(image, labels, "touched").missing
    )
    assert "2 more" in what_is_there(image, labels, "touched", n_collected=4).missing
    assert not what_is_there(image, labels, "touched", n_collected=6).missing
    assert not what_is_there(image, labels, "all").missing
    assert what_is_there(image, labels, "all").text == (
        "24 objects: 4 accepted, 20 as found"
    )


def test_nothing_touched_is_missing_and_refused() -> None:
    """Before any correction there is nothing to learn from."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    found = what_is_there(image, labels, "touched")
    assert found.n_objects == 0 and "got none yet; paint" in found.missing
    with pytest.raises(UneticError, match="correct some"):
        collect(image, labels, "touched")


def test_drawn_labels_have_no_prediction() -> None:
    """All of them can be taken; what was touched cannot be told."""
    image = ImageLayer(dots(), name="dots")
    labels = Labels((dots() > 99).astype(np.uint8) * 3)
    found = what_is_there(image, labels, "all")
    assert (found.n_objects, found.text) == (1, "1 object")
    assert "what was predicted" in what_is_there(image, labels, "touched").missing


def test_an_accepted_object_that_is_painted_is_edited() -> None:
    """And accepted again when the stroke is undone."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    accept_number(labels, 6)
    labels.selected_label = 6
    labels.data_setitem((np.array([8]), np.array([54])), 6)
    found = what_is_there(image, labels, "touched")
    assert (found.edited, found.accepted) == (1, 0)
    labels.undo()
    found = what_is_there(image, labels, "touched")
    assert (found.edited, found.accepted) == (0, 1)


def test_acceptance_survives_saving(tmp_path: Path) -> None:
    """What our writer wrote and our reader opens has the same accepted objects."""
    image = ImageLayer(dots(), name="dots", scale=(0.5, 0.5), units=("um", "um"))
    labels = segment_layer(image)
    accept_number(labels, 6)
    written = save_labels(labels, tmp_path / "labels.ome.tif")
    for path in written:
        found = what_is_there(image, open_labels(path), "touched")
        assert (found.n_objects, found.accepted) == (1, 1)


def test_acceptance_outlives_another_result_and_undo() -> None:
    """It goes with the pixels of an object, not with the run that found it."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    accept_number(labels, 6)
    settings = segment_settings(region=[0, 0, 40, 18])
    again = drain(segment_source_steps(layer_source(image), "toy", settings))
    update_layer(labels, again)
    assert what_is_there(image, labels, "touched").accepted == 1
    accept_number(labels, int(labels.data[4, 14]))
    labels.undo()
    watch(labels).settle()
    assert what_is_there(image, labels, "touched").accepted == 2
    labels.redo()
    watch(labels).settle()
    assert what_is_there(image, labels, "touched").accepted == 2


def test_what_is_taken_back_is_not_accepted() -> None:
    """And leaves nothing in the record."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    before = dict(labels.metadata[METADATA_KEY])
    accept_number(labels, 6)
    footprint = Footprint.of(labels.data, 6, (slice(3, 7), slice(53, 57)))
    assert is_accepted(labels, footprint)
    take_back(labels, footprint)
    assert not is_accepted(labels, footprint)
    assert labels.metadata[METADATA_KEY] == before


def test_damaged_acceptances_are_left_out() -> None:
    """A file may have been edited by hand, or labels cropped since."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    accept_number(labels, 6)
    record = dict(labels.metadata[METADATA_KEY])
    (good,) = record["accepted"]
    record["accepted"] = [
        {},
        good | {"mask": "x"},
        good | {"plane": [7]},
        good | {"start": [900, 900]},
        good,
    ]
    labels.metadata = {METADATA_KEY: record}
    assert what_is_there(image, labels, "touched").accepted == 1


@pytest.mark.parametrize("level", [0, 1, 2])
def test_labels_of_a_level_come_with_the_pixels_of_that_level(level: int) -> None:
    """Of a multiscale image the level is taken that the labels lie on."""
    fine = dots(80, 120)
    levels = [fine, fine[::2, ::2], fine[::4, ::4]]
    image = ImageLayer(levels, multiscale=True, name="pyramid", **TURNED)
    source = layer_source(image, None, level)
    usual = segment_settings(diameter="usual")
    labels = drain(segment_source_steps(source, "toy", usual)).layer
    drawn = Labels(
        labels.data, **{k: getattr(labels, k) for k in ("scale", "rotate", "translate")}
    )
    for layer in (labels, drawn):
        (pair,) = collect(image, layer, "all")
        np.testing.assert_array_equal(pair.image.data, levels[level])
        np.testing.assert_array_equal(pair.labels, labels.data)


@pytest.mark.parametrize("keywords", [{}, TURNED], ids=["plain", "turned"])
def test_labels_of_a_part_come_with_the_pixels_below_them(keywords: Any) -> None:
    """Whether a record, or its place alone, says where they lie."""
    image = ImageLayer(dots(), name="dots", **keywords)
    whole = segment_layer(image)
    source = layer_source(image)
    place = source.placement({"Y": 10, "X": 20})
    part = Labels(whole.data[10:30, 20:50], name="part", **place)
    (pair,) = collect(image, part, "all")
    np.testing.assert_array_equal(pair.image.data, image.data[10:30, 20:50])
    expected = pytest.approx(tuple(np.percentile(image.data, (1, 99.8))))
    assert pair.image.intensity_range == (expected,)
    record = whole.metadata[METADATA_KEY] | {
        "layer": {"axes": "YX", "start": [10, 20], "shape": [20, 30]}
    }
    del record["predicted"]
    lost = Labels(part.data, metadata={METADATA_KEY: record})
    (pair,) = collect(image, lost, "all")
    np.testing.assert_array_equal(pair.image.data, image.data[10:30, 20:50])


def test_labels_beyond_the_image_are_cut() -> None:
    """As napari makes new labels: over all layers that there are."""
    image = ImageLayer(dots(), name="dots", translate=(0, 5))
    data = np.zeros((50, 80), np.uint8)
    data[3:7, 8:12] = 4
    data[45:, 70:] = 5
    (pair,) = collect(image, Labels(data), "all")
    np.testing.assert_array_equal(pair.labels, data[:40, 5:65])
    assert pair.objects.tolist() == [4]


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        pytest.param({"translate": (0.5, 0)}, "do not fit", id="between pixels"),
        pytest.param(
            {"scale": (2, 2), "translate": (2, 2)}, "do not fit", id="coarser"
        ),
        pytest.param({"rotate": 20}, "do not fit", id="turned"),
        pytest.param({"translate": (200, 0)}, "lies beside", id="beside"),
    ],
)
def test_labels_on_other_pixels_are_refused(
    keywords: dict[str, Any], words: str
) -> None:
    """The sentence names the layers; nothing is resampled behind one's back."""
    image = ImageLayer(dots(), name="dots")
    labels = Labels(np.ones((40, 60), np.uint8), name="mine", **keywords)
    found = what_is_there(image, labels, "all")
    assert words in found.missing and "mine" in found.missing
    with pytest.raises(UneticError, match=words):
        collect(image, labels, "all")


def test_labels_of_another_size_are_refused() -> None:
    """Smaller ones without a place may be of anything."""
    image = ImageLayer(dots(), name="dots")
    assert (
        "do not fit"
        in what_is_there(image, Labels(np.ones((20, 30), np.uint8)), "all").missing
    )
    stack = ImageLayer(np.stack([dots()] * 3), name="stack")
    flat = what_is_there(stack, Labels(np.ones((40, 60), np.uint8)), "all")
    assert "plane for each plane" in flat.missing


def test_labels_without_a_place_fit_an_image_of_their_size() -> None:
    """As when napari wrote them to a file and opened it again."""
    image = ImageLayer(dots(), name="dots", **TURNED)
    (pair,) = collect(image, Labels(np.ones((40, 60), np.uint8)), "all")
    assert pair.n_objects == 1


def test_only_planes_with_corrections_are_read(counted: Any) -> None:
    """Of a lazy time series: plane 1 of 4 was corrected, plane 3 was accepted."""
    series = np.stack([dots(seed=k) for k in range(4)])
    labels = segment_layer(
        ImageLayer(series, name="series", axis_labels=("t", "y", "x"))
    )
    labels.data[1, 8:10, 3:7] = 25
    accept_number(labels, 73, (3,))
    lazy = counted(series)
    image = ImageLayer(
        lazy, name="series", axis_labels=("t", "y", "x"), contrast_limits=(0, 255)
    )
    lazy.read[:] = 0
    found = what_is_there(image, labels, "touched")
    assert not lazy.read.any()
    assert (found.n_planes, found.edited, found.accepted) == (2, 1, 1)
    assert found.text == "2 objects in 2 planes: 1 edited, 1 accepted"
    pairs = collect(image, labels, "touched")
    assert [pair.id for pair in pairs] == ["series t001", "series t003"]
    assert lazy.largest <= series[0].size
    for pair in pairs:
        np.testing.assert_array_equal(pair.image.data, series[pair.plane])
        assert pair.n_objects == 1 and pair.source == "series"


def test_lazy_labels_are_taken() -> None:
    """Labels that are a dask array, as large results are."""
    image = ImageLayer(np.stack([dots()] * 2), name="stack")
    labels = Labels(da.from_array(np.stack([dots() > 99] * 2).astype(np.uint8)))
    assert len(collect(image, labels, "all")) == 2


def test_a_channel_is_chosen() -> None:
    """Of an image with channels; the labels have none."""
    image = ImageLayer(
        np.stack([dots(), dots(seed=1)]), name="two", axis_labels=("c", "y", "x")
    )
    labels = segment_layer(image)
    (both,) = collect(image, labels, "all")
    (second,) = collect(image, labels, "all", channel=1)
    assert both.image.axes == "CYX"
    np.testing.assert_array_equal(second.image.data, image.data[1])
    with pytest.raises(UneticError, match="channel from 0 to 1"):
        collect(image, labels, "all", channel=2)


@pytest.mark.parametrize("keywords", [{}, TURNED], ids=["plain", "turned"])
def test_shapes_say_what_was_reviewed(keywords: Any) -> None:
    """A rectangle over the first two columns of objects."""
    image = ImageLayer(dots(), name="dots", **keywords)
    labels = segment_layer(image)
    box = np.array([[0, 0], [0, 18], [40, 18], [40, 0]])
    shapes = Shapes([box], shape_type="rectangle", **keywords)
    (pair,) = collect(image, labels, shapes)
    assert pair.n_objects == 8
    expected = np.zeros((40, 60), bool)
    expected[:, :18] = True
    np.testing.assert_array_equal(pair.reviewed, expected)
    assert "draw one around" in what_is_there(image, labels, Shapes(ndim=2)).missing
    away = Shapes([box + 500], shape_type="rectangle", name="away", **keywords)
    assert "in away, got none" in what_is_there(image, labels, away).missing


def test_shapes_of_a_plane_are_of_that_plane() -> None:
    """Flat ones are of all planes."""
    image = ImageLayer(np.stack([dots()] * 3), name="stack")
    labels = segment_layer(image)
    box = np.array([[0, 0], [0, 18], [40, 18], [40, 0]], float)
    inside = np.column_stack([np.full(4, 2.0), box])
    (pair,) = collect(image, labels, Shapes([inside], shape_type="polygon"))
    assert (pair.plane, pair.n_objects) == ((2,), 8)
    assert len(collect(image, labels, Shapes([box], shape_type="polygon"))) == 3


def test_a_painted_mask_says_what_was_reviewed() -> None:
    """Of the labels' size, coarser, or larger than they are."""
    image = ImageLayer(dots(), name="dots", scale=(2, 2))
    labels = segment_layer(image)
    painted = np.zeros((40, 60), np.uint8)
    painted[:, :18] = 1
    same = Labels(painted, scale=(2, 2))
    coarse = Labels(painted[::2, ::2], scale=(4, 4), translate=(1, 1))
    larger = Labels(np.pad(painted, 5), scale=(2, 2), translate=(-10, -10))
    for mask in (same, coarse, larger):
        (pair,) = collect(image, labels, mask)
        np.testing.assert_array_equal(pair.reviewed, painted > 0)
    turned = Labels(painted, scale=(2, 2), rotate=10, name="askew")
    assert "askew, which is turned" in what_is_there(image, labels, turned).missing


def test_a_mask_of_a_plane_is_of_that_plane() -> None:
    """A flat mask is of all planes."""
    image = ImageLayer(np.stack([dots()] * 3), name="stack")
    labels = segment_layer(image)
    painted = np.zeros((3, 40, 60), np.uint8)
    painted[1, :, :18] = 1
    (pair,) = collect(image, labels, Labels(painted))
    assert (pair.plane, pair.n_objects) == ((1,), 8)
    assert len(collect(image, labels, Labels(painted[1]))) == 3


def test_beyond_the_segmented_region_nothing_is_known() -> None:
    """All of a result of a region is that region, and what was drawn beside it."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image, region=[0, 0, 40, 18])
    labels.data[33:37, 50:54] = 40
    (pair,) = collect(image, labels, "all")
    expected = (labels.data > 0) | (np.arange(60) < 18)
    np.testing.assert_array_equal(pair.reviewed, expected)
    assert pair.n_objects == 9


def test_held_out_objects_stay_held_out() -> None:
    """In a second round from the same layers."""
    from dataclasses import replace

    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    (pair,) = collect(image, labels, "all")
    first = replace(pair, held_out=pair.labels == 3)
    (again,) = collect(image, labels, "all", before=[first])
    np.testing.assert_array_equal(again.held_out, pair.labels == 3)


def test_collecting_changes_no_layer() -> None:
    """It runs in a thread, where layers may only be read."""
    image = ImageLayer(dots(), name="dots")
    labels = segment_layer(image)
    drawn = Labels(labels.data.copy())
    events: list[Any] = []
    for layer in (image, labels, drawn):
        layer.events.connect(events.append)
    collect(image, labels, "all")
    what_is_there(image, drawn, "touched")
    assert not events
    assert METADATA_KEY not in drawn.metadata
