"""Generated nuclei: their truth is exact and their looks are those of a camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_unetic import nuclei_sample, segment
from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import pool, score_image
from napari_unetic.samples import nuclei_stack, nuclei_timelapse

Sample = Callable[..., tuple[np.ndarray, np.ndarray]]
STACKS = [nuclei_stack, nuclei_timelapse]


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


def n_neighbours(labels: np.ndarray, axis: int) -> int:
    """Return how many pairs of nuclei touch along an axis."""
    low, high = np.delete(labels, -1, axis), np.delete(labels, 0, axis)
    both = (low > 0) & (high > 0) & (low != high)
    return len(set(zip(low[both].tolist(), high[both].tolist(), strict=True)))


@pytest.mark.parametrize("sample", STACKS)
def test_stacks_have_planes_of_the_type_asked_for(sample: Sample) -> None:
    """Image uint16 and labels int32, of the shape asked for, numbered without gaps."""
    image, labels = sample((5, 90, 130), 1)
    assert (image.dtype, image.shape) == (np.uint16, (5, 90, 130))
    assert (labels.dtype, labels.shape) == (np.int32, (5, 90, 130))
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert labels.max() > 3


@pytest.mark.parametrize("sample", STACKS)
def test_the_same_seed_gives_the_same_stack(sample: Sample) -> None:
    """A seed fixes images and labels; another seed gives others."""
    first, again, other = (sample((4, 70, 80), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()
    assert (first[1] != other[1]).any()


def test_each_nucleus_of_a_stack_is_one_piece() -> None:
    """Connected by its faces, over several planes, most of the volume of a nucleus."""
    _, labels = nuclei_stack(seed=2)
    heights = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[box] == number
        assert ndimage.label(mask)[1] == 1
        heights.append(mask.shape[0])
    assert np.median(heights) >= 4


def test_nuclei_of_a_stack_touch_in_all_directions() -> None:
    """They lie beside and above each other; without touching they keep apart."""
    labels = nuclei_stack(seed=0)[1]
    assert [n_neighbours(labels, axis) >= 10 for axis in range(3)] == [True] * 3
    apart = nuclei_stack(seed=0, touching=0)[1]
    assert [n_neighbours(apart, axis) for axis in range(3)] == [0, 0, 0]


def test_deep_planes_are_darker() -> None:
    """Light is lost on the way through the specimen."""
    image, labels = nuclei_stack(seed=1)
    means = [
        plane[inside > 0].mean() - plane[inside == 0].mean()
        for plane, inside in zip(image, labels, strict=True)
    ]
    assert np.mean(means[-5:]) < 0.8 * np.mean(means[:5])


def test_numbers_stay_over_time() -> None:
    """In each frame a number is one piece, and it never jumps far."""
    _, labels = nuclei_timelapse(seed=0, speed=2.5)
    assert n_neighbours(labels[0], 0) + n_neighbours(labels[0], 1) > 3
    steps = []
    for number in range(1, labels.max() + 1):
        mask = labels == number
        for frame in mask:
            assert ndimage.label(frame)[1] <= 1
        inside = [m[5:-5, 5:-5].sum() == m.sum() > 0 for m in mask]
        for k in range(len(mask) - 1):
            if inside[k] and inside[k + 1]:
                here, there = (np.argwhere(m).mean(axis=0) for m in mask[k : k + 2])
                steps.append(np.hypot(*(there - here)))
    assert len(steps) > 100
    assert 1 < np.median(steps) < 4
    assert max(steps) < 12


def test_a_speed_of_0_leaves_nuclei_where_they_are() -> None:
    """But for nuclei that push each other aside in the first frames."""
    image, labels = nuclei_timelapse((8, 120, 120), 0, speed=0)
    assert (labels[-1] == labels[-2]).mean() > 0.999
    assert (image[-1] != image[-2]).any()


def test_the_dye_bleaches() -> None:
    """Later frames are darker."""
    image, _ = nuclei_timelapse((16, 120, 120), 0, speed=0)
    assert image[-1].mean() < 0.95 * image[0].mean()


def test_textures_move_with_their_nuclei() -> None:
    """Frames brought over each other by the truth agree better than by their place."""
    image, labels = nuclei_timelapse((2, 200, 200), 5, speed=4)
    same, moved = [], []
    for number in range(1, labels.max() + 1):
        here, there = (np.argwhere(frame == number) for frame in labels)
        if min(len(here), len(there)) < 200:
            continue
        y, x = np.rint(there.mean(axis=0) - here.mean(axis=0)).astype(int)
        shifted = np.roll(image[1], (-y, -x), (0, 1))
        at = tuple(here.T)
        same.append(np.corrcoef(image[0][at], image[1][at])[0, 1])
        moved.append(np.corrcoef(image[0][at], shifted[at])[0, 1])
    assert np.mean(moved) > np.mean(same) + 0.1


@pytest.mark.parametrize("sample", STACKS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 50), (3, 7, 200), (1, 60, 60)])
def test_any_stack_works(sample: Sample, shape: tuple[int, ...]) -> None:
    """Shapes too small for a nucleus give what fits."""
    image, labels = sample(shape, 0, n_nuclei=5)
    assert image.shape == labels.shape == shape


@pytest.mark.parametrize("sample", STACKS)
def test_empty_and_crowded_stacks(sample: Sample) -> None:
    """No nucleus leaves haze and noise; where there is no room fewer are placed."""
    assert not sample((3, 60, 60), 0, n_nuclei=0)[1].any()
    assert 2 < sample((3, 60, 60), 0, n_nuclei=1000)[1].max() < 80


@pytest.mark.parametrize("sample", STACKS)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        pytest.param({"shape": (64, 64)}, "s, rows and columns, got", id="2-D"),
        pytest.param({"shape": (5, 0, 5)}, "s, rows and columns, got", id="empty"),
        pytest.param({"n_nuclei": -1}, "0 or more, got -1", id="number"),
        pytest.param({"diameter": (2, 20)}, "diameter", id="diameter"),
    ],
)
def test_senseless_stacks_are_refused(
    sample: Sample, keywords: dict[str, Any], message: str
) -> None:
    """Each is a sentence with what was expected and what came."""
    with pytest.raises(UneticError, match=message):
        sample(**keywords)


def test_senseless_shares_and_speeds_are_refused() -> None:
    """What only one of them knows is checked as well."""
    with pytest.raises(UneticError, match="from 0 to 1, got -1"):
        nuclei_stack(touching=-1)
    for speed in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UneticError, match="a speed of 0 or more, got"):
            nuclei_timelapse(speed=speed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample", "axes", "least"),
    [(nuclei_stack, "ZYX", 0.8), (nuclei_timelapse, "TYX", 0.85)],
)
def test_the_bundled_model_segments_each_plane(
    sample: Sample, axes: str, least: float
) -> None:
    """The nuclei of each plane are found, as those of the plane alone are."""
    image, labels = sample()
    found = segment(image, axes=axes)
    scores = [score_image(t, f) for t, f in zip(labels, found, strict=True)]
    assert pool(scores).ap[0] > least
    assert min(score.ap[0] for score in scores) > 0.7
