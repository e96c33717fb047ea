"""Measurements: hand-worked objects, and another implementation on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError
from napari_unetic.instances.measure import measure

LABELS = np.array(
    [
        [7, 7, 0, 0],
        [7, 7, 0, 3],
        [0, 0, 0, 3],
    ]
)
IMAGE = np.arange(12, dtype=np.uint16).reshape(3, 4)


def test_hand_worked_objects():
    """A square of four and a bar of two, ascending by label."""
    table = measure(LABELS, IMAGE)
    expected = {
        "index": [3, 7],
        "area": [2, 4],
        "centroid_y": [1.5, 0.5],
        "bbox_min_y": [1, 0],
        "bbox_max_y": [3, 2],
        "centroid_x": [3, 0.5],
        "bbox_min_x": [3, 0],
        "bbox_max_x": [4, 2],
        "equivalent_diameter": [np.sqrt(8 / np.pi), np.sqrt(16 / np.pi)],
        "mean_intensity": [9, 2.5],
        "min_intensity": [7, 0],
        "max_intensity": [11, 5],
    }
    assert list(table) == list(expected)
    for name, column in expected.items():
        assert table[name].tolist() == pytest.approx(column), name


def test_physical_columns_follow_the_pixel_size():
    """Areas scale with both sizes, positions each with its own, and unit is ASCII."""
    table = measure(LABELS, pixel_size=PixelSize({"Y": 0.5, "X": 2.0}, "µm"))
    assert table["area_um2"].tolist() == [2, 4]
    assert table["centroid_y_um"].tolist() == [0.75, 0.25]
    assert table["centroid_x_um"].tolist() == [6, 1]
    assert table["equivalent_diameter_um"] == pytest.approx(
        np.sqrt([8 / np.pi, 16 / np.pi])
    )


@pytest.mark.parametrize(
    "pixel_size", [PixelSize(), PixelSize({"Y": 2, "X": 2}, "pixel"), None]
)
def test_an_unknown_pixel_size_adds_no_column(pixel_size):
    """Without a unit there are pixel columns only."""
    assert list(measure(LABELS, pixel_size=pixel_size)) == list(measure(LABELS))


def test_a_size_of_one_axis_gives_positions_along_it_only():
    """An area needs the sizes of all axes."""
    table = measure(LABELS, pixel_size=PixelSize({"X": 2.0}, "nm"))
    assert table["centroid_x_nm"].tolist() == [6, 1]
    assert "centroid_y_nm" not in table
    assert "area_nm2" not in table


def test_volumes_have_a_volume():
    """With Z the size is a volume and the diameter that of a ball."""
    labels = np.stack([LABELS, LABELS])
    table = measure(labels, pixel_size=PixelSize({"Z": 3, "Y": 1, "X": 1}, "um"))
    assert table["volume"].tolist() == [4, 8]
    assert table["centroid_z"].tolist() == [0.5, 0.5]
    assert table["volume_um3"].tolist() == [12, 24]
    assert table["equivalent_diameter"] == pytest.approx(
        np.cbrt([24 / np.pi, 48 / np.pi])
    )


def test_planar_objects_of_a_stack_have_an_area():
    """Objects of one plane each keep their area, with the plane as centroid."""
    labels = np.stack([LABELS, np.where(LABELS > 0, LABELS + 10, 0)])
    size = PixelSize({"Z": 3, "Y": 0.5, "X": 0.5}, "µm")
    table = measure(labels, pixel_size=size, is_planar=True)
    assert table["area"].tolist() == [2, 4, 2, 4]
    assert table["centroid_z"].tolist() == [0, 0, 1, 1]
    assert table["centroid_z_um"].tolist() == [0, 0, 3, 3]
    assert table["area_um2"].tolist() == [0.5, 1, 0.5, 1]
    assert not any("volume" in name for name in table)


def test_each_channel_has_its_columns():
    """Channels before Y and X are measured one by one, planes or not."""
    image = np.stack([IMAGE, 2 * IMAGE])
    table = measure(LABELS, image)
    assert table["mean_intensity_c0"].tolist() == [9, 2.5]
    assert table["max_intensity_c1"].tolist() == [22, 10]
    stack = measure(np.stack([LABELS] * 2), np.stack([image] * 2))
    assert stack["mean_intensity_c1"].tolist() == [18, 5]


@pytest.mark.parametrize("shape", [(9, 14), (3, 6, 7)])
@pytest.mark.parametrize("factor", [1, 1000, 2**20])
def test_measures_agree_with_regionprops(shape, factor):
    """Areas, centroids, boxes and intensities are those of scikit-image."""
    random = np.random.default_rng(len(shape) + factor)
    labels = random.integers(0, 8, shape) * factor
    image = random.normal(size=shape).astype(np.float32)
    table = measure(labels, image)
    regions = regionprops(labels, image)
    assert table["index"].tolist() == [r.label for r in regions]
    assert table["area" if len(shape) == 2 else "volume"].tolist() == [
        r.area for r in regions
    ]
    for axis, letter in enumerate("zyx"[-len(shape) :]):
        for name, of in {
            f"centroid_{letter}": lambda r, axis=axis: r.centroid[axis],
            f"bbox_min_{letter}": lambda r, axis=axis: r.bbox[axis],
            f"bbox_max_{letter}": lambda r, axis=axis: r.bbox[axis + len(shape)],
        }.items():
            assert table[name] == pytest.approx([of(r) for r in regions]), name
    for name in ("mean", "min", "max"):
        column = [getattr(r, f"intensity_{name}") for r in regions]
        assert table[f"{name}_intensity"] == pytest.approx(column, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, bool])
def test_no_objects_give_empty_columns(dtype):
    """An image without objects has the columns and no row."""
    table = measure(np.zeros((3, 4), dtype), IMAGE)
    assert list(table) == list(measure(LABELS, IMAGE))
    assert {len(column) for column in table.values()} == {0}


@pytest.mark.parametrize(
    ("labels", "image", "sentence"),
    [
        (
            LABELS.astype(float),
            None,
            "Expected labels of whole numbers, got .* float64",
        ),
        (-LABELS, None, "Expected labels from 0 up, got -7"),
        (LABELS, IMAGE.T, r"Expected an image of the labels' shape \(3, 4\)"),
        (
            LABELS,
            IMAGE.astype(complex),
            "Expected an image of integers or real numbers",
        ),
        (LABELS[0], None, "Expected 1 axes"),
    ],
)
def test_what_does_not_fit_is_refused(labels, image, sentence):
    """Wrong types and shapes are refused in a sentence."""
    with pytest.raises(UneticError, match=sentence):
        measure(labels, image)
