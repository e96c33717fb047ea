"""Measurements: hand-worked objects, and another implementation on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops
from skimage.morphology import convex_hull_image

from napari_unetic import nuclei_sample
from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError
from napari_unetic.instances import tally
from napari_unetic.instances.measure import measure, measure_planes
from napari_unetic.samples import nuclei_stack

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
@pytest.mark.parametrize("shape", [False, True])
def test_no_objects_give_empty_columns(dtype, shape):
    """An image without objects has the columns and no row."""
    table = measure(np.zeros((3, 4), dtype), IMAGE, shape=shape)
    full = measure(LABELS, IMAGE, shape=shape)
    assert list(table) == list(full)
    assert {len(column) for column in table.values()} == {0}
    assert [c.dtype for c in table.values()] == [c.dtype for c in full.values()]


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 3, 4), (2, 3, 0)])
def test_no_pixels_give_no_rows(shape):
    """Labels of no pixels have no objects."""
    table = measure(np.zeros(shape, int), shape=True)
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


def test_objects_of_several_frames_have_the_mean_area():
    """A linked object's size is that of a frame; position and intensity are of all."""
    labels = np.stack([LABELS, np.where(LABELS == 7, 7, 0)])
    labels[1, 1, :2] = 0
    table = measure(labels, axes="TYX", pixel_size=PixelSize({"Y": 2, "X": 2}, "µm"))
    assert table["index"].tolist() == [3, 7]
    assert table["area"].tolist() == [2, 3]
    assert table["area_um2"].tolist() == [8, 12]
    assert table["bbox_min_t"].tolist() == [0, 0]
    assert table["bbox_max_t"].tolist() == [1, 2]
    assert table["centroid_t"] == pytest.approx([0, 1 / 3])
    assert table["centroid_y"] == pytest.approx([1.5, 1 / 3])
    assert table["equivalent_diameter"] == pytest.approx(
        np.sqrt([8 / np.pi, 12 / np.pi])
    )


def test_volumes_over_time_are_those_of_a_frame():
    """Planes add up within a frame, frames do not."""
    labels = np.zeros((2, 3, 4, 4), int)
    labels[0, :, 1:3, 1:3] = 1
    labels[1, 1, 1:3, 1:3] = 1
    assert measure(labels, axes="TZYX")["volume"].tolist() == [(12 + 4) / 2]
    assert measure(labels, axes="TZYX", is_planar=True)["area"].tolist() == [8]


def test_shape_of_hand_worked_objects():
    """A line is all eccentric, a square and a pixel not; only a bay costs solidity."""
    labels = np.zeros((9, 12), int)
    labels[0, :5] = 1
    labels[2:5, 1:4] = 2
    labels[2, 8] = 3
    labels[5:9, 6:10] = 4
    labels[5:8, 7:9] = 0
    labels[6:9, 0] = labels[8, 1] = labels[8, 2] = 5
    table = measure(labels, shape=True)
    assert table["eccentricity"][:3].tolist() == [1, 0, 0]
    assert table["solidity"][:4].tolist() == [1, 1, 1, 10 / 16]
    # The corners (6, 0), (8, 0), (8, 2) enclose six pixels, of which five are there.
    assert table["solidity"][4] == pytest.approx(5 / 6)


@pytest.mark.parametrize("factor", [1, 2**20])
def test_shapes_agree_with_scikit_image(factor):
    """Eccentricity is that of regionprops, and solidity counts the hull's pixels."""
    random = np.random.default_rng(3)
    speckles = random.integers(0, 4, (14, 17))
    for labels in (nuclei_sample((150, 200))[1], speckles):
        table = measure(labels * factor, shape=True)
        regions = regionprops(labels)
        expected = [region.eccentricity for region in regions]
        assert table["eccentricity"] == pytest.approx(expected, abs=1e-6)
        hulls = [
            convex_hull_image(region.image, offset_coordinates=False).sum()
            for region in regions
        ]
        areas = [region.area for region in regions]
        assert table["solidity"] == pytest.approx(np.divide(areas, hulls))


def test_shape_far_from_the_origin_is_the_same():
    """No digits are lost where coordinates are large."""
    labels = np.zeros((30, 40), np.uint8)
    labels[3:12, 5:9] = labels[8:12, 9:20] = 1
    near = measure(labels, shape=True)
    far = measure(np.pad(labels, ((5000, 0), (9000, 0))), shape=True)
    for name in ("eccentricity", "solidity"):
        assert far[name] == pytest.approx(near[name], abs=1e-12)


def test_shape_of_a_volume_is_that_of_its_sections():
    """The mean over sections, each weighing as many pixels as it has."""
    bar, square = np.zeros((2, 6, 8), int)
    bar[0, :8], square[2:4, 2:4] = 1, 1
    table = measure(np.stack([bar, square]), shape=True)
    assert table["volume"].tolist() == [12]
    assert table["eccentricity"].tolist() == [(8 * 1 + 4 * 0) / 12]
    assert list(measure(np.stack([bar, square]))) == [
        name for name in table if name not in ("eccentricity", "solidity")
    ]


@pytest.mark.parametrize("channels", [None, 3])
def test_planes_measured_one_by_one_are_the_whole(channels, monkeypatch):
    """Windows of a few rows give the table of the whole image, shapes included."""
    image, labels = nuclei_stack((4, 90, 70), 2)
    if channels:
        image = np.stack([image * (c + 1) for c in range(channels)], axis=1)
    size = PixelSize({"Z": 2.0, "Y": 0.5, "X": 0.5}, "µm")
    whole = measure(labels, image, size, shape=True)
    seen = np.zeros(labels.shape, int)

    def read(plane, rows, columns):
        seen[(*plane, rows, columns)] += 1
        return image[(*plane, ..., rows, columns)]

    monkeypatch.setattr(tally, "_WINDOW_PX", 70 * 20)
    table = measure_planes(labels, read, size, shape=True)
    assert list(table) == list(whole)
    for name, column in whole.items():
        assert table[name] == pytest.approx(column), name
        assert table[name].dtype == column.dtype, name
    seen[0, 0, 0] -= 1
    assert seen.max() == 1
    assert (seen[labels > 0] == 1).all()


def test_windows_without_objects_are_not_read(monkeypatch):
    """Of a large image with one object only the rows around it are read."""
    monkeypatch.setattr(tally, "_WINDOW_PX", 40 * 10)
    labels = np.zeros((3, 100, 40), np.uint16)
    labels[1, 34:38, 5:9] = 8
    calls = []

    def read(plane, rows, columns):
        calls.append((plane, rows.start, rows.stop))
        return np.ones((rows.stop - rows.start, columns.stop - columns.start))

    table = measure_planes(labels, read)
    assert table["index"].tolist() == [8]
    assert calls == [((0,), 0, 1), ((1,), 30, 40)]


def test_lazy_labels_are_taken_by_window(monkeypatch):
    """Labels too are sliced, never converted as a whole."""
    monkeypatch.setattr(tally, "_WINDOW_PX", 4)

    class Lazy:
        shape, ndim, dtype = LABELS.shape, LABELS.ndim, LABELS.dtype

        def __getitem__(self, key):
            assert LABELS[key].size <= 4
            return LABELS[key]

    assert measure_planes(Lazy())["area"].tolist() == [2, 4]


@pytest.mark.parametrize("planes", [[2, 0, 1], [1, 2, 0]])
def test_the_order_of_planes_changes_places_only(planes):
    """Shuffled planes give the same rows, but for positions along their axis."""
    image, labels = nuclei_stack((3, 80, 80), 5)
    table = measure(labels, image, shape=True)
    other = measure(labels[planes], image[planes], shape=True)
    for name in set(table) - {"centroid_z", "bbox_min_z", "bbox_max_z"}:
        assert other[name] == pytest.approx(table[name]), name


def test_not_a_number_is_measured_as_such():
    """An object with a pixel that is no number has no mean; the others have."""
    image = IMAGE.astype(float)
    image[0, 0] = np.nan
    image[1, 3] = np.inf
    image[2, 2] = -np.inf
    table = measure(LABELS, image)
    assert table["mean_intensity"][0] == np.inf
    assert np.isnan(table["mean_intensity"][1])


def test_small_integers_do_not_overflow():
    """Sums of many uint8 and float16 pixels are exact."""
    labels = np.ones((300, 400), np.uint8)
    for dtype in (np.uint8, np.float16):
        table = measure(labels, np.full(labels.shape, 200, dtype))
        assert table["mean_intensity"].tolist() == [200]
        assert table["max_intensity"].dtype == dtype


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"axes": "YXZ"}, "Expected labels with Y and X last, got axes YXZ"),
        (
            {"read": lambda plane, rows, columns: np.zeros((1, 1))},
            r"Expected a window of \(3, 4\) pixels, got shape \(1, 1\)",
        ),
    ],
)
def test_planes_that_do_not_fit_are_refused(arguments, sentence):
    """Axes in another order and windows of another size are refused in a sentence."""
    with pytest.raises(UneticError, match=sentence):
        measure_planes(np.stack([LABELS] * 2), **arguments)
