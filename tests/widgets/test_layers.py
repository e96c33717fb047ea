"""Image layers become labels layers that lie on them; no viewer, no Qt."""

from __future__ import annotations

from itertools import product
from typing import Any

import dask.array
import numpy as np
import pytest
from napari.layers import Image as ImageLayer

from napari_unetic.errors import UneticError
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.results import segment_layer

GREY = np.zeros((6, 8), np.uint8)
GREY[1:3, 1:4] = 9
GREY[4:6, 6:8] = 7
LABELS = np.zeros((6, 8), np.uint16)
LABELS[1:3, 1:4] = 1
LABELS[4:6, 6:8] = 2
TURN = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]


@pytest.mark.parametrize(
    ("shape", "keywords", "axes"),
    [
        pytest.param((6, 8), {}, "YX", id="plane"),
        pytest.param((3, 6, 8), {}, "ZYX", id="stack of three is no colour"),
        pytest.param((2, 3, 6, 8), {}, "TZYX", id="four"),
        pytest.param((2, 3, 2, 6, 8), {}, "TZCYX", id="five"),
        pytest.param((6, 8, 3), {"rgb": True}, "YXC", id="colour"),
        pytest.param((5, 6, 8, 4), {"rgb": True}, "ZYXC", id="colour stack"),
        pytest.param((2, 6, 8), {"axis_labels": tuple("cyx")}, "CYX", id="labels"),
        pytest.param((8, 6), {"axis_labels": ("X", "Y")}, "XY", id="transposed"),
        pytest.param((4, 6, 8), {"axis_labels": tuple("ayx")}, "ZYX", id="unknown"),
        pytest.param((4, 6, 8), {"axis_labels": tuple("tzc")}, "ZYX", id="no rows"),
    ],
)
def test_axes(shape: tuple[int, ...], keywords: dict[str, Any], axes: str) -> None:
    """Axes come from the axis labels if they are letters of TZCYX, else by number."""
    assert layer_source(ImageLayer(np.zeros(shape), **keywords)).axes == axes


def test_axes_given() -> None:
    """Axes that the caller gives win over the layer's own."""
    layer = ImageLayer(np.zeros((3, 6, 8)))
    assert layer_source(layer, "cyx").axes == "CYX"
    with pytest.raises(UneticError, match="Expected 3 axes"):
        layer_source(layer, "YX")


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        pytest.param((3, 0.5, 0.25), "um", {"Z": 3, "Y": 0.5, "X": 0.25}, id="um"),
        pytest.param((3, 500, 250), "nm", {"Z": 0.003, "Y": 0.5, "X": 0.25}, id="nm"),
        pytest.param(
            (3, -1, 1), ("pixel", "um", "um"), {"Y": 1, "X": 1}, id="mixed, flipped"
        ),
        pytest.param((3, 0.5, 0.5), "pixel", {}, id="pixel"),
        pytest.param((1, 2, 3), ("um", "pixel", "um"), {}, id="one unknown"),
    ],
)
def test_pixel_size(scale: tuple[float, ...], units: Any, expected: Any) -> None:
    """Scale and units of length become a pixel size in µm, others none."""
    units = (units,) * 3 if isinstance(units, str) else units
    layer = ImageLayer(np.zeros((3, 6, 8)), scale=scale, units=units)
    size = layer_source(layer).pixel_size
    assert dict(size.sizes) == pytest.approx(expected)
    assert size.unit == ("µm" if expected else "pixel")


@pytest.mark.usefixtures("threshold")
@pytest.mark.parametrize(
    "keywords",
    [
        pytest.param({}, id="plain"),
        pytest.param({"scale": (2, 0.5, 0.25), "translate": (1, -3, 40)}, id="moved"),
        pytest.param({"rotate": TURN, "shear": [0.1, 0.2, 0.3]}, id="turned, sheared"),
        pytest.param({"scale": (1, -0.5, 0.5), "rotate": TURN}, id="flipped"),
        pytest.param(
            {"affine": [[1, 0, 0, 4], [0, 0, -2, 5], [0, 2, 0.5, 6], [0, 0, 0, 1]]},
            id="affine",
        ),
    ],
)
def test_labels_lie_on_the_image(keywords: dict[str, Any]) -> None:
    """Every pixel of the labels is where that pixel of the image is."""
    layer = ImageLayer(
        np.stack([GREY, GREY, GREY]),
        units=("s", "um", "um"),
        axis_labels=tuple("tyx"),
        **keywords,
    )
    labels = segment_layer(layer)
    assert labels.units == layer.units
    assert labels.axis_labels == layer.axis_labels
    for corner in product((0, 2), (0, 5), (0, 7)):
        at = labels.data_to_world(corner)
        np.testing.assert_allclose(at, layer.data_to_world(corner), atol=1e-9)
    np.testing.assert_array_equal(labels.data[0], LABELS)
    np.testing.assert_array_equal(labels.data[2], np.where(LABELS, LABELS + 4, 0))


@pytest.mark.usefixtures("threshold")
def test_leading_channels_are_left_out() -> None:
    """Labels of a (C, Y, X) layer are (Y, X), with the placement of these two."""
    layer = ImageLayer(
        np.stack([np.zeros_like(GREY), GREY]),
        axis_labels=tuple("cyx"),
        scale=(1, 0.5, 0.25),
        translate=(0, 3, 4),
        rotate=TURN,
        shear=[0, 0, 0.3],
        affine=[[1, 0, 0, 0], [0, 2, 1, 5], [0, 0, 3, 6], [0, 0, 0, 1]],
        units=("pixel", "um", "um"),
    )
    labels = segment_layer(layer, channel=1)
    np.testing.assert_array_equal(labels.data, LABELS)
    assert labels.axis_labels == ("y", "x")
    assert labels.units == layer.units[1:]
    for corner in product((0, 5), (0, 7)):
        at = layer.data_to_world((0, *corner))[1:]
        np.testing.assert_allclose(labels.data_to_world(corner), at, atol=1e-9)


@pytest.mark.usefixtures("threshold")
def test_inner_channels_show_the_same_labels() -> None:
    """Labels of a (Z, C, Y, X) layer show at every channel of their plane."""
    data = np.zeros((2, 3, 6, 8), np.uint8)
    data[0, 1] = GREY
    layer = ImageLayer(data, axis_labels=tuple("zcyx"), scale=(2, 5, 1, 1))
    labels = segment_layer(layer, channel=1)
    assert labels.data.shape == (2, 1, 6, 8)
    for plane, channel in product(range(2), range(3)):
        at = labels.world_to_data(layer.data_to_world((plane, channel, 1, 1)))
        index = tuple(round(position) for position in at)
        assert labels.data[index] == (1 if plane == 0 else 0)


@pytest.mark.usefixtures("threshold")
def test_order_of_dimensions_is_kept() -> None:
    """Labels of a layer whose axes stand in another order stand in that order."""
    layer = ImageLayer(np.stack([GREY.T, GREY.T], -1), axis_labels=tuple("xyz"))
    labels = segment_layer(layer).data
    np.testing.assert_array_equal(labels[..., 0], LABELS.T)
    np.testing.assert_array_equal(labels[..., 1] > 0, LABELS.T > 0)


@pytest.mark.usefixtures("threshold")
def test_level_0_of_a_multiscale_layer() -> None:
    """The finest level of a multiscale layer is segmented."""
    labels = segment_layer(ImageLayer([GREY, GREY[::2, ::2]], multiscale=True))
    np.testing.assert_array_equal(labels.data, LABELS)
    assert not labels.multiscale


def test_nothing_is_read_before_it_is_needed() -> None:
    """A look at a lazy layer reads no pixels, and a plane only its own."""
    read: list[Any] = []

    def block(block_info: Any = None) -> Any:
        at = block_info[None]["chunk-location"]
        read.append(at)
        return np.zeros((1, 6, 8))

    data = dask.array.map_blocks(
        block, chunks=((1,) * 4, (6,), (8,)), dtype=float, meta=np.zeros((0, 0, 0))
    )
    layer = ImageLayer(data, contrast_limits=(0, 1))
    read.clear()
    source = layer_source(layer)
    assert source.text() == "Axes ZYX: 4 Z planes of 6 × 8 pixels."
    image = source.image()
    assert read == []
    image.read((2,))
    assert {at[0] for at in read} == {2}


@pytest.mark.parametrize(
    ("shape", "keywords", "text"),
    [
        pytest.param(
            (6, 1200),
            {"scale": (0.3251,) * 2, "units": ("um",) * 2},
            "Axes YX: 6 × 1,200 pixels of 0.325 µm.",
            id="pixel size",
        ),
        pytest.param(
            (6, 8, 3), {"rgb": True}, "Axes YXC: 6 × 8 pixels, colour.", id="colour"
        ),
        pytest.param(
            (2, 3, 4, 6, 8),
            {},
            "Axes TZCYX: 2 T × 3 Z planes of 6 × 8 pixels, 4 channels.",
            id="everything",
        ),
    ],
)
def test_text(shape: tuple[int, ...], keywords: dict[str, Any], text: str) -> None:
    """A line says how a layer is understood."""
    layer = ImageLayer(np.zeros(shape, np.uint8), **keywords)
    assert layer_source(layer).text() == text


def test_too_many_dimensions() -> None:
    """A layer of six dimensions is refused with a sentence, before anything runs."""
    layer = ImageLayer(np.zeros((1, 1, 1, 1, 4, 4)), name="movie")
    with pytest.raises(UneticError, match=r"2 to 5 dimensions, got 6 \(movie\)"):
        layer_source(layer)


@pytest.mark.usefixtures("threshold")
def test_name_features_and_metadata() -> None:
    """The new layer has name, a row an object, and the provenance."""
    layer = ImageLayer(np.stack([GREY, GREY]), name="cells")
    labels = segment_layer(layer, "nuclei")
    assert labels.name == "cells nuclei"
    record = labels.metadata[METADATA_KEY]
    assert record["model_asked"] == "nuclei"
    assert record["source"] == "cells"
    table = labels.features
    assert list(table["index"]) == [1, 2, 3, 4]
    assert list(table["area"]) == [6, 4, 6, 4]
    assert list(table["centroid_z"]) == [0, 0, 1, 1]
    assert list(table["mean_intensity"]) == [9, 7, 9, 7]


@pytest.mark.usefixtures("threshold")
def test_features_of_one_channel() -> None:
    """Intensities are of the channel that was segmented; sizes also in µm."""
    layer = ImageLayer(
        np.stack([GREY, 3 * GREY]),
        axis_labels=tuple("cyx"),
        scale=(1, 0.5, 0.5),
        units=("pixel", "um", "um"),
    )
    table = segment_layer(layer, channel=1).features
    assert list(table["max_intensity"]) == [27, 21]
    assert list(table["area_um2"]) == [1.5, 1.0]
