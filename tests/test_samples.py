"""Generated nuclei: their truth is exact and their looks are those of a camera."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unetic import nuclei_sample
from napari_unetic.errors import UneticError


@pytest.mark.parametrize("seed", range(4))
def test_each_nucleus_is_one_piece(seed: int) -> None:
    """Labels count from 1 without gaps, and each is connected by its edges."""
    _, labels = nuclei_sample((300, 400), seed)

    present = np.unique(labels)
    np.testing.assert_array_equal(present, np.arange(labels.max() + 1))
    assert labels.max() > 20
    for number in present[1:]:
        assert ndimage.label(labels == number)[1] == 1


def test_the_same_seed_gives_the_same_image() -> None:
    """A seed fixes image and labels; another seed gives others."""
    first, again, other = (nuclei_sample((100, 120), seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_types_and_shape() -> None:
    """The image is uint16, the labels int32, both of the shape asked for."""
    image, labels = nuclei_sample((90, 130), 1)

    assert (image.dtype, image.shape) == (np.uint16, (90, 130))
    assert (labels.dtype, labels.shape) == (np.int32, (90, 130))


def test_sizes_are_those_of_nuclei() -> None:
    """Most nuclei inside the image have a diameter of 20 to 35 pixels."""
    _, labels = nuclei_sample(seed=0)

    edge = np.unique(np.r_[labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    areas = np.bincount(labels.ravel())
    inside = np.setdiff1d(np.arange(1, labels.max() + 1), edge)
    diameters = 2 * np.sqrt(areas[inside] / np.pi)
    assert np.mean((diameters > 18) & (diameters < 38)) > 0.8
    assert 22 < np.median(diameters) < 32


def test_some_nuclei_touch() -> None:
    """Some nuclei touch another, none where it is not wanted."""

    def n_contacts(labels: np.ndarray) -> int:
        pairs = set()
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            both = (a > 0) & (b > 0) & (a != b)
            pairs |= {tuple(sorted(p)) for p in zip(a[both], b[both], strict=True)}
        return len(pairs)

    assert n_contacts(nuclei_sample(seed=0)[1]) >= 10
    assert n_contacts(nuclei_sample(seed=0, touching=0)[1]) == 0


def test_nuclei_are_bright_and_unlike() -> None:
    """Nuclei stand out from the background and differ in brightness."""
    image, labels = nuclei_sample(seed=0)

    means = ndimage.mean(image, labels, np.arange(1, labels.max() + 1))
    background = image[labels == 0]
    assert np.percentile(means, 5) > np.median(background) + 3 * background.std() / 3
    assert np.std(means) / np.mean(means) > 0.25
    assert image.min() > 0
    assert image.max() < 65_535


def test_noise_is_that_of_photons_and_camera() -> None:
    """Without nuclei what is left is the camera's offset and its noise."""
    image, labels = nuclei_sample((200, 200), 0, n_nuclei=0)

    assert not labels.any()
    assert 100 < image.mean() < 200
    assert 5 < image.std() < 40


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 300)])
def test_any_shape_works(shape: tuple[int, int]) -> None:
    """Shapes too small for a nucleus give what fits."""
    image, labels = nuclei_sample(shape, 0, n_nuclei=5)

    assert image.shape == labels.shape == shape


def test_crowded_images_end() -> None:
    """Where there is no room fewer nuclei are placed."""
    _, labels = nuclei_sample((64, 64), 0, n_nuclei=1000)

    assert 3 < labels.max() < 30


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        pytest.param({"shape": (0, 5)}, "a shape of rows and columns", id="empty"),
        pytest.param({"shape": (5, 5, 5)}, "a shape of rows", id="3-D"),
        pytest.param({"n_nuclei": -1}, "0 or more, got -1", id="number"),
        pytest.param({"diameter": (30, 20)}, "diameter", id="diameter"),
        pytest.param({"touching": 2}, "from 0 to 1, got 2", id="touching"),
    ],
)
def test_senseless_wishes_are_refused(
    keywords: dict[str, object], message: str
) -> None:
    """Each is a sentence with what was expected and what came."""
    with pytest.raises(UneticError, match=message):
        nuclei_sample(**keywords)  # type: ignore[arg-type]
