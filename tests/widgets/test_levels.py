"""Which level of a multiscale layer is segmented, and where its labels come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.model.registry import BUNDLED, load_model
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.levels import (
    best_level,
    level_factors,
    level_offsets,
    settings_on_level,
)
from napari_unetic.widgets.results import segment_layer, segment_source_steps
from napari_unetic.widgets.tables import add_shape_features

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription

TURNED: dict[str, Any] = {
    "scale": (0.5, 0.25),
    "rotate": 30.0,
    "shear": [0.2],
    "translate": (-7, 40),
    "units": ("um", "um"),
}


def mean_of(image: NDArray[Any], factor: int, *, whole: bool) -> NDArray[Any]:
    """Return a level of a mean pyramid; a rest at the end is left out or padded."""
    rows, columns = image.shape[-2:]
    if whole:
        pad = [(0, -rows % factor), (0, -columns % factor)]
        image = np.pad(image, [(0, 0)] * (image.ndim - 2) + pad, "edge")
        rows, columns = image.shape[-2:]
    image = image[..., : rows // factor * factor, : columns // factor * factor]
    shape = (*image.shape[:-2], rows // factor, factor, columns // factor, factor)
    return image.reshape(shape).mean((-3, -1)).astype(image.dtype)


def pyramid(image: NDArray[Any], *, whole: bool = False) -> ImageLayer:
    """Return a layer of three levels that halve."""
    half = mean_of(image, 2, whole=whole)
    return ImageLayer([image, half, mean_of(half, 2, whole=whole)], multiscale=True)


def description(**values: Any) -> ModelDescription:
    """Return the bundled model's description with other sizes."""
    own = load_model(BUNDLED / "nuclei").description
    update = {"working_diameter_px": 20.0, "input_diameter_px": None, **values}
    return own.model_copy(update=update)


@pytest.mark.parametrize(
    ("sizes", "factors"),
    [
        pytest.param((64, 32, 16), (1, 2, 4), id="even"),
        pytest.param((1023, 511, 255), (1, 2, 4), id="rest left out"),
        pytest.param((1023, 512, 256), (1, 2, 4), id="rest padded"),
        pytest.param((1001, 501, 250), (1, 2, 4), id="both"),
        pytest.param((9, 4, 2), (1, 2, 4), id="tiny"),
        pytest.param((90, 30, 10), (1, 3, 9), id="thirds"),
        pytest.param((100, 66, 44), (1, 100 / 66, 100 / 44), id="no whole number"),
    ],
)
def test_factors(sizes: tuple[int, ...], factors: tuple[float, ...]) -> None:
    """A level's factor is that of its pyramid, whatever became of an odd rest."""
    levels = [np.zeros((size, size), np.uint8) for size in sizes]
    layer = ImageLayer(levels, multiscale=True)
    found = [level_factors(layer, level) for level in range(3)]
    assert found == [(factor, factor) for factor in factors]


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        pytest.param({}, 0, id="the model's own"),
        pytest.param({"diameter": 30}, 0, id="not twice as large"),
        pytest.param({"diameter": 37}, 1, id="nearly twice as large"),
        pytest.param({"diameter": 40}, 1, id="twice as large"),
        pytest.param({"diameter": 70}, 1, id="three times"),
        pytest.param({"diameter": 80}, 2, id="four times"),
        pytest.param({"diameter": 900}, 2, id="larger than on any level"),
        pytest.param({"diameter": 5}, 0, id="smaller"),
        pytest.param({"pixel_size": 0.25}, 1, id="by pixel size"),
    ],
)
def test_best_level(settings: dict[str, Any], level: int) -> None:
    """The coarsest level is taken on which objects have the model's diameter."""
    layer = pyramid(np.zeros((64, 64), np.uint8))
    own = description(pixel_size_um=0.5)
    assert best_level(layer, own, SegmentSettings(**settings)) == level


def test_best_level_by_the_usual_diameter() -> None:
    """Without a diameter, objects are taken to have the model's usual one."""
    layer = pyramid(np.zeros((64, 64), np.uint8))
    assert (
        best_level(layer, description(input_diameter_px=80.0), SegmentSettings()) == 2
    )


def test_planes_are_not_thinned_out() -> None:
    """A level that has fewer planes is not taken: each plane is to be segmented."""
    levels = [np.zeros((8 // n, 64 // n, 64 // n), np.uint8) for n in (1, 2)]
    layer = ImageLayer(levels, multiscale=True)
    assert best_level(layer, description(), SegmentSettings(diameter=80)) == 0


def test_no_such_level() -> None:
    """A level that is not there is refused with a sentence."""
    with pytest.raises(UneticError, match="Expected a level from 0 to 2"):
        layer_source(pyramid(np.zeros((64, 64), np.uint8)), level=3)


def test_offsets_of_means_and_of_every_second_pixel() -> None:
    """A pixel of means lies amid those it covers, a picked one where it was picked."""
    image = np.random.default_rng(0).integers(0, 200, (101, 103), np.uint8)
    picked = image[::2, ::2]
    assert level_offsets(image, mean_of(image, 2, whole=True), (2, 2)) == (0.5, 0.5)
    assert level_offsets(image, mean_of(image, 4, whole=False), (4, 4)) == (1.5, 1.5)
    assert level_offsets(image, picked, (2, 2)) == (0, 0)
    assert level_offsets(image, image, (1, 1)) == (0, 0)


def test_offsets_where_the_middle_is_empty() -> None:
    """An empty middle tells nothing, so other windows are looked at."""
    image = np.zeros((400, 400), np.uint8)
    image[90:110, 90:110] = np.random.default_rng(0).integers(0, 200, (20, 20))
    assert level_offsets(image, image[::2, ::2], (2, 2)) == (0, 0)
    assert level_offsets(image, mean_of(image, 2, whole=True), (2, 2)) == (0.5, 0.5)


def test_settings_on_a_level() -> None:
    """What is given in pixels is given in those of level 0, and converted."""
    settings = SegmentSettings(
        axes="YX", smallest=40, region=Region.box(10, 20, 50, 60), sensitivity=0.7
    )
    found = settings_on_level(settings, description(), (2, 4), (0.5, 1.5))
    assert found.region == Region.box(4.75, 4.625, 24.75, 14.625)
    assert found.smallest == 5
    assert found.diameter == pytest.approx(20 / 8**0.5)
    assert found.sensitivity == 0.7
    assert found.axes is None
    by_size = settings_on_level(
        SegmentSettings(pixel_size=0.5), description(), (2, 2), (0.5, 0.5)
    )
    assert (by_size.pixel_size, by_size.given_diameter) == (1.0, None)


def centres(labels: Labels, image: ImageLayer) -> NDArray[np.float64]:
    """Return the centroids of objects in pixels of an image's level 0."""
    ids = np.unique(labels.data[labels.data > 0])
    found = ndimage.center_of_mass(labels.data > 0, labels.data, ids)
    return np.array([image.world_to_data(labels.data_to_world(at)) for at in found])


@pytest.mark.parametrize(
    ("whole", "level", "where"),
    [
        pytest.param(True, 1, {}, id="half, rest padded"),
        pytest.param(False, 2, {}, id="quarter, rest left out"),
        pytest.param(False, 1, TURNED, id="half, turned, rest left out"),
        pytest.param(True, 2, TURNED, id="quarter, turned, rest padded"),
    ],
)
def test_labels_of_a_level_lie_on_level_0(
    whole: bool, level: int, where: dict[str, Any]
) -> None:
    """Objects found on a coarse level lie where those of level 0 do.

    Without the half pixel that pixels of a level are shifted by, they would be off by
    .5 pixels of level 0 on level 1, and by 1.5 on level 2.
    """
    factor, seed = 2**level, 3
    diameter = 20 * factor
    image, _ = nuclei_sample(
        (121 * factor + 1, 131 * factor - 1),
        seed,
        n_nuclei=18,
        diameter=(0.9 * diameter, 1.2 * diameter),
        touching=0,
    )
    fine = ImageLayer(image, **where)
    levels = pyramid(image, whole=whole)
    coarse = ImageLayer(levels.data, multiscale=True, **where)
    from_coarse = segment_layer(coarse, diameter=diameter)
    assert from_coarse.metadata[METADATA_KEY]["level"] == level
    assert from_coarse.data.shape == levels.data[level].shape
    truth = centres(segment_layer(fine, diameter=diameter), fine)
    found = centres(from_coarse, coarse)
    distance, nearest = KDTree(truth).query(found)
    same = distance < diameter / 4
    assert same.sum() > 10
    off = (found[same] - truth[nearest[same]]).mean(axis=0)
    # Well below the half pixel of the level; objects at a padded edge grow a little.
    assert np.abs(off).max() < 0.25 * level


@pytest.mark.usefixtures("threshold")
def test_picked_levels_lie_on_level_0() -> None:
    """Labels of every fourth pixel lie on the pixels that were picked."""
    image = np.zeros((80, 96), np.uint8)
    image[8:41, 16:49] = 9
    levels = [image, image[::2, ::2], image[::4, ::4]]
    layer = ImageLayer(levels, multiscale=True, scale=(0.5, 2))
    labels = segment_layer(layer, diameter=400)
    assert labels.data.shape == (20, 24)
    assert centres(labels, layer)[0] == pytest.approx((24, 32))


@pytest.mark.usefixtures("threshold")
def test_a_region_on_a_level() -> None:
    """A region in pixels of level 0 is the same part of the image on every level."""
    image = np.zeros((80, 96), np.uint8)
    for row in (8, 48):
        image[row : row + 24, 16:40] = 9
    layer = pyramid(image)
    labels = segment_layer(layer, diameter=400, region=(40, 0, 80, 96))
    assert labels.data.shape == (20, 24)
    assert centres(labels, layer)[0] == pytest.approx((59.5, 27.5))
    record = labels.metadata[METADATA_KEY]
    assert record["settings"]["region"] == [40, 0, 80, 96]
    assert record["settings"]["diameter"] == 400


@pytest.mark.usefixtures("threshold")
def test_physical_columns_of_a_level() -> None:
    """Sizes in µm are the same on every level; those in pixels are not."""
    image = np.zeros((80, 96), np.uint8)
    image[8:40, 16:48] = 9
    where: dict[str, Any] = {"scale": (0.5, 0.5), "units": ("um", "um")}
    fine = segment_layer(ImageLayer(image, **where)).features
    layer = ImageLayer(pyramid(image).data, multiscale=True, **where)
    labels = segment_layer(layer, diameter=400)
    coarse = labels.features
    assert list(coarse["area"]) == [64]
    assert list(coarse["area_um2"]) == list(fine["area_um2"]) == [256]
    add_shape_features(labels, layer)
    assert list(labels.features["area_um2"]) == [256]
    assert "solidity" in labels.features


@pytest.mark.usefixtures("threshold")
def test_a_level_that_is_asked_for() -> None:
    """The source may be made of another level than the best one."""
    image = np.zeros((80, 96), np.uint8)
    image[8:40, 16:48] = 9
    layer = pyramid(image)
    source = layer_source(layer, level=1)
    assert source.text() == "Axes YX: 40 × 48 pixels (level 1)."
    labels = drain(segment_source_steps(source)).layer
    assert centres(labels, layer)[0] == pytest.approx((23.5, 31.5))
