"""What comes back of a segmentation: a layer in its place, a table, a record."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import dask.array
import numpy as np
import psutil
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic import predict
from napari_unetic.errors import UneticError
from napari_unetic.instances.record import pack_labels, unpack_labels
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.results import (
    SegmentedLayer,
    decode_layer_steps,
    segment_layer,
    segment_source_steps,
)
from napari_unetic.widgets.tables import add_shape_features

TURN = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
PLACES = [
    pytest.param({}, id="plain"),
    pytest.param({"scale": (2, 0.5, 0.25), "translate": (1, -3, 40)}, id="moved"),
    pytest.param({"rotate": TURN, "shear": [0.1, 0.2, 0.3]}, id="turned, sheared"),
    pytest.param({"scale": (1, -0.5, 0.5), "rotate": TURN}, id="flipped"),
    pytest.param(
        {"affine": [[1, 0, 0, 4], [0, 0, -2, 5], [0, 2, 0.5, 6], [0, 0, 0, 1]]},
        id="affine",
    ),
]
PARTS = [
    pytest.param({"plane": 2}, id="plane"),
    pytest.param({"region": (6, 10, 30, 40)}, id="box"),
    pytest.param(
        {"region": [[(5, 5), (5, 44), (30, 44)]], "plane": 1}, id="triangle in a plane"
    ),
]


def stack() -> NDArray[np.uint8]:
    """Return four planes of 36 × 48 with a grid of bright squares, each its own."""
    image = np.zeros((4, 36, 48), np.uint8)
    for plane, row, column in product(range(4), range(3), range(4)):
        top, left = 2 + 12 * row + plane, 3 + 12 * column
        image[plane, top : top + 5, left : left + 4] = (
            10 + 12 * plane + 4 * row + column
        )
    return image


def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the free memory be 8 kB, so that whole labels are an eighth of it or more."""
    real = psutil.virtual_memory()
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: real._replace(available=8 * 1024)
    )


@pytest.mark.usefixtures("threshold")
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "cropped"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("where", PLACES)
def test_parts_come_out_in_place(
    where: dict[str, Any],
    part: dict[str, Any],
    is_whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each object lies, in the world, where the pixels are that it was found on."""
    image = stack()
    layer = ImageLayer(
        image, axis_labels=tuple("zyx"), units=("um", "um", "nm"), **where
    )
    if not is_whole:
        little_memory(monkeypatch)
    labels = segment_layer(layer, **part)
    assert (labels.data.shape == image.shape) is is_whole
    assert labels.units == layer.units
    assert labels.axis_labels == layer.axis_labels
    table = labels.features
    assert len(table) == labels.data.max() > 3
    for row in table.itertuples():
        at = ndimage.center_of_mass(labels.data == row.index)
        world = labels.data_to_world(at)
        in_image = layer.world_to_data(world)
        np.testing.assert_allclose(
            in_image, (row.centroid_z, row.centroid_y, row.centroid_x), atol=1e-6
        )
        # Each square has a brightness of its own.
        value = image[tuple(np.round(in_image).astype(int))]
        truth = ndimage.center_of_mass(image == value)
        np.testing.assert_allclose(in_image, truth, atol=2.5 if "region" in part else 0)
        assert row.mean_intensity == value


@pytest.mark.usefixtures("threshold")
def test_a_part_of_a_large_image_is_a_small_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where whole labels would take over an eighth of the memory, a part is shown."""
    little_memory(monkeypatch)
    layer = ImageLayer(stack(), scale=(3, 2, 1), translate=(1, 1, 1))
    result = drain(
        segment_source_steps(layer_source(layer), "nuclei", SegmentSettings(plane=(2,)))
    )
    assert result.layer.data.shape == (1, 36, 48)
    assert result.start == (2, 0, 0)
    assert list(result.layer.translate) == [7, 1, 1]
    packed = result.layer.metadata[METADATA_KEY]["predicted"]
    np.testing.assert_array_equal(unpack_labels(packed), result.layer.data)


@pytest.mark.usefixtures("threshold")
def test_features_are_read_by_windows(
    counted: Callable[[NDArray[Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring reads only the part that was segmented, and no window twice."""
    data = counted(stack())
    layer = ImageLayer(
        dask.array.zeros((4, 36, 48), np.uint8), contrast_limits=(0, 255)
    )
    source = layer_source(layer)
    object.__setattr__(source, "data", data)
    object.__setattr__(source, "levels", (data,))
    segment = predict.segment_steps
    settings = SegmentSettings(plane=(1,), region=(0, 0, 12, 48))

    def forget(*args: Any, **keywords: Any) -> Any:
        found = yield from segment(*args, **keywords)
        data.read[:] = 0
        return found

    monkeypatch.setattr(predict, "segment_steps", forget)
    table = drain(segment_source_steps(source, "nuclei", settings)).layer.features
    assert len(table) == 4
    assert data.read[[0, 2, 3]].sum() == data.read[1, 14:].sum() == 0
    assert data.read[1, 2:8].min() == 1
    # The first pixel is read once more, to know the type.
    assert data.read.max() <= 2 and (data.read == 2).sum() <= 1


@pytest.mark.usefixtures("threshold")
@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_data(kind: str) -> None:
    """A dask or zarr layer gives the labels and the table of an array."""
    image, made = stack(), []
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        data = zarr.array(image, chunks=(1, 18, 24))
    else:
        data = dask.array.map_blocks(
            lambda block: (made.append(block.shape), block)[1],
            dask.array.from_array(image, chunks=(1, 18, 24)),
            meta=np.zeros((0, 0, 0), np.uint8),
        )
    lazy = ImageLayer(data, contrast_limits=(0, 255))
    made.clear()
    found = segment_layer(lazy, plane=3)
    assert kind == "zarr" or len(made) <= 4 + 4 + 1
    expected = segment_layer(ImageLayer(image), plane=3)
    np.testing.assert_array_equal(found.data, expected.data)
    assert found.features.equals(expected.features)


@pytest.mark.usefixtures("threshold")
def test_linked_objects_are_rows_of_volumes() -> None:
    """Where planes were linked an object is one row, with a volume."""
    image = np.repeat(stack()[:1], 3, axis=0)
    layer = ImageLayer(image)

    def linked(*args: Any, **keywords: Any) -> Any:
        from napari_unetic.instances.link import link

        steps = threshold_steps(*args, **keywords)
        found = drain(steps)
        yield from ()
        labels = link(found.labels, found.axes).astype(np.uint16)
        from dataclasses import replace

        return replace(found, labels=labels, n_objects=12, scores=found.scores[:12])

    from napari_unetic import predict

    threshold_steps = predict.segment_steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "segment_steps", linked)
        table = segment_layer(layer, link=True).features
    assert list(table["volume"]) == [60] * 12
    assert list(table["centroid_z"]) == [1] * 12


@pytest.mark.usefixtures("threshold")
def test_record() -> None:
    """The layer says what it was made with and what was predicted, as JSON."""
    layer = ImageLayer(stack()[0], name="cells")
    labels = segment_layer(layer, sensitivity=0.7, region=(0, 0, 36, 40))
    record = labels.metadata[METADATA_KEY]
    assert json.loads(json.dumps(record)) == record
    assert record["model"] == record["model_asked"] == "nuclei"
    assert record["settings"] == {
        "sensitivity": 0.7,
        "region": [0, 0, 36, 40],
        "decoding": {"foreground": 0.5},
    }
    assert record["layer"] == {"axes": "YX", "start": [0, 0], "shape": [36, 48]}
    assert record["predicted"] == pack_labels(labels.data)
    assert labels.name == "cells nuclei"
    # float32, as the network has them
    assert list(labels.features["score"]) == pytest.approx(
        np.linspace(0.5, 1, len(labels.features))
    )


def test_every_setting_is_a_keyword() -> None:
    """`segment_layer` has the keywords of `SegmentSettings`, in order, as defaults."""
    parameters = list(inspect.signature(segment_layer).parameters.values())
    assert [p.name for p in parameters[:2]] == ["layer", "model"]
    assert {p.kind for p in parameters[2:]} == {inspect.Parameter.KEYWORD_ONLY}
    keywords = {p.name: p.default for p in parameters[2:]}
    fields = SegmentSettings.model_fields.items()
    assert list(keywords.items()) == [(name, field.default) for name, field in fields]


def test_every_setting_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keyword of `segment_layer` reaches `segment_steps`."""
    values: dict[str, Any] = {
        "axes": "CYX",
        "channel": 1,
        "plane": 0,
        "region": (1, 2, 30, 40),
        "diameter": 12.0,
        "pixel_size": 0.5,
        "sensitivity": 0.1,
        "splitting": 0.2,
        "smallest": 3,
        "fill_holes": False,
        "drop_border": True,
        "link": True,
        "device": "cpu",
        "precision": "float32",
        "tile": 128,
    }
    assert list(values) == list(SegmentSettings.model_fields)
    seen: dict[str, Any] = {}

    class Seen(Exception):
        pass

    def steps(image: Any, model: Any, **settings: Any) -> Any:
        seen.update(settings)
        raise Seen

    monkeypatch.setattr(predict, "segment_steps", steps)
    layer = ImageLayer(stack()[:2])
    for name, value in values.items():
        with pytest.raises(Seen):
            segment_layer(layer, **{name: value})
        expected = getattr(SegmentSettings(**{name: value}), name)
        assert seen[name] == (None if name == "axes" else expected)


def test_same_as_segment(tmp_path: Any) -> None:
    """A layer's labels are those of `segment` with the same settings."""
    image, _ = nuclei_sample((128, 160))
    values: dict[str, Any] = {
        "sensitivity": 0.7,
        "smallest": 60,
        "drop_border": True,
        "region": (10, 10, 120, 100),
        "diameter": 20,
    }
    labels = segment_layer(ImageLayer(image), **values)
    np.testing.assert_array_equal(labels.data, predict.segment(image, **values))
    assert labels.data.max() > 3


def test_decoding_again_gives_the_layer_of_a_new_run() -> None:
    """Kept maps with other thresholds give what a run with them would, table too."""
    image, _ = nuclei_sample((128, 160), diameter=(40, 60))
    layer = ImageLayer([image, image[::2, ::2]], multiscale=True, scale=(2, 2))
    source = layer_source(layer, level=1)
    first = drain(segment_source_steps(source, keep_maps_bytes=2**30))
    other = SegmentSettings(sensitivity=0.8, smallest=400, drop_border=True)
    again = drain(decode_layer_steps(first, other)).layer
    new = drain(segment_source_steps(source, "nuclei", other)).layer
    np.testing.assert_array_equal(again.data, new.data)
    assert again.features.equals(new.features)
    assert list(again.translate) == list(new.translate)
    ours, theirs = again.metadata[METADATA_KEY], new.metadata[METADATA_KEY]
    assert ours["settings"] == theirs["settings"]
    assert ours["settings"]["smallest"] == 400
    assert ours["predicted"] == theirs["predicted"]
    np.testing.assert_array_less(99, again.features["area"])


@pytest.mark.usefixtures("threshold")
def test_shape_features() -> None:
    """Eccentricity and solidity are added to all objects that are there now."""
    layer = ImageLayer(stack()[0], scale=(0.5, 0.5), units=("um", "um"))
    labels = segment_layer(layer)
    labels.data[:, 24:] = 0
    labels.data[30:34, 30:38] = 40
    labels.features = labels.features.assign(kind="round")
    add_shape_features(labels, layer)
    table = labels.features.set_index("index")
    assert list(table.index) == [1, 2, 5, 6, 9, 10, 40]
    assert table["solidity"].to_numpy() == pytest.approx(1)
    # sqrt(1 - b²/a²) of moments (n² - 1) / 12: sides of 5 and 4, and of 8 and 4
    assert table["eccentricity"][1] == pytest.approx((1 - 15 / 24) ** 0.5)
    assert table["eccentricity"][40] == pytest.approx((1 - 15 / 63) ** 0.5)
    assert table["area_um2"][40] == 8
    assert table["kind"][1] == "round" and np.isnan(table["score"][40])


@pytest.mark.usefixtures("threshold")
def test_shape_features_of_another_image() -> None:
    """Labels that do not fit an image are not measured on it."""
    labels = segment_layer(ImageLayer(stack()[0]))
    with pytest.raises(UneticError, match="Expected labels of the size of other"):
        add_shape_features(labels, ImageLayer(np.zeros((20, 20)), name="other"))


@pytest.mark.usefixtures("threshold")
def test_shape_features_of_labels_drawn_by_hand() -> None:
    """Labels without any record are measured if they have the image's size."""
    image = ImageLayer(stack())
    labels = Labels((stack() > 0).astype(np.uint8))
    add_shape_features(labels, image)
    assert list(labels.features["index"]) == [1]
    assert "eccentricity" in labels.features


@pytest.mark.usefixtures("threshold")
def test_layers_fit_into_a_viewer() -> None:
    """A viewer takes image and labels for one another's: same extent, same units."""
    viewer = ViewerModel()
    image = viewer.add_image(
        stack(), scale=(3, 0.5, 0.5), units=("um",) * 3, rotate=TURN
    )
    labels = viewer.add_layer(segment_layer(image))
    np.testing.assert_allclose(labels.extent.world, image.extent.world)
    assert viewer.layers.extent.units == image.units


def test_result_of_a_step() -> None:
    """A result says how many objects there are, and what the user should read."""
    image, _ = nuclei_sample((64, 64))
    result = drain(segment_source_steps(layer_source(ImageLayer(image))))
    assert isinstance(result, SegmentedLayer)
    assert result.n_objects == result.layer.data.max()
    assert result.seconds > 0 and result.notices == ()


def test_needs_no_qt() -> None:
    """`segment_layer` is there on a machine without any Qt."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('qtpy', 'PyQt6', 'superqt')))\n"
        "from napari_unetic import segment_layer\n"
        "from napari_unetic.widgets import recipes, saving, updates\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
