"""Augmentation: image and labels move together, and only as the draw says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.training.augment import (
    NO_AUGMENTATION,
    Augmentation,
    blank,
    draw_window,
    take,
    vary_intensity,
)


def _disc(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.indices(shape)
    radius = np.hypot(rows - shape[0] * 0.4, columns - shape[1] * 0.6)
    return (radius < 0.25 * shape[0]).astype(np.int32) * 7


@pytest.mark.parametrize("seed", range(12))
def test_image_and_labels_move_together(seed: int) -> None:
    """An image that shows the labels still shows them after any draw."""
    labels = _disc((150, 170))
    rng = np.random.default_rng(seed)
    window = draw_window(labels.shape, 96, rng, Augmentation())
    moved = take(labels, window, order=0)
    image = take((labels > 0).astype(np.float32), window, order=1)
    assert set(np.unique(moved)) <= {0, 7}
    assert ((image > 0.5) == (moved > 0)).mean() > 0.99


def test_free_and_exact_windows_both_occur() -> None:
    """A third of the patches keep their pixels, turned by quarters or flipped."""
    rng = np.random.default_rng(0)
    source = rng.random((64, 64)).astype(np.float32)
    values = set(source.ravel().tolist())
    exact = 0
    for _ in range(200):
        window = draw_window(source.shape, 32, rng, Augmentation())
        patch = take(source, window, order=1)
        is_copied = set(patch.ravel().tolist()) <= values
        assert is_copied or not window.is_exact
        exact += window.is_exact
    assert 40 < exact < 95


def test_all_eight_turns_occur() -> None:
    """Exact patches come in every turn and flip of the square."""
    source = np.arange(25, dtype=np.float32).reshape(5, 5)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        window = draw_window(source.shape, 5, rng, Augmentation())
        if window.is_exact:
            seen.add(take(source, window, order=1).tobytes())
    expected = {
        np.rot90(mirrored, k).tobytes()
        for mirrored in (source, source[::-1])
        for k in range(4)
    }
    assert seen == expected


def test_without_augmentation_patches_are_cut_straight() -> None:
    """Every patch is a piece of the source as it lies there."""
    source = np.arange(30 * 40, dtype=np.float32).reshape(30, 40)
    rng = np.random.default_rng(0)
    for _ in range(20):
        patch = take(
            source, draw_window(source.shape, 16, rng, NO_AUGMENTATION), order=1
        )
        assert (np.diff(patch, axis=0) == 40).all()
        assert (np.diff(patch, axis=1) == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (10, 300), (200, 3)])
def test_small_images_are_reflected(shape: tuple[int, int]) -> None:
    """A patch larger than its source repeats it and adds nothing else."""
    source = np.random.default_rng(0).random(shape).astype(np.float32)
    rng = np.random.default_rng(1)
    for _ in range(10):
        window = draw_window(shape, 64, rng, Augmentation())
        patch = take(source, window, order=0)
        assert patch.shape == (64, 64)
        assert set(patch.ravel().tolist()) <= set(source.ravel().tolist())


def test_intensities_vary_and_stay_finite() -> None:
    """Hardly a draw leaves the image as it is, and none makes infinities."""
    image = np.random.default_rng(0).normal(0.5, 0.4, (1, 40, 40)).astype(np.float32)
    rng = np.random.default_rng(0)
    varied = [vary_intensity(image, rng, Augmentation()) for _ in range(40)]
    assert all(np.isfinite(v).all() and v.dtype == np.float32 for v in varied)
    assert sum(np.array_equal(v, image) for v in varied) < 10


def test_a_blank_has_no_structure() -> None:
    """Noise on a level; neighbouring quarters have about the same mean."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        picture = blank((1, 64, 64), rng)
        quarters = picture.reshape(1, 2, 32, 2, 32).mean((0, 2, 4))
        assert np.ptp(quarters) < 0.3


ONLY = {
    name: NO_AUGMENTATION.model_copy(update={name: 1})
    for name in ("gamma", "light", "blur", "gain", "noise", "invert", "jpeg")
}


@pytest.mark.parametrize("name", sorted(ONLY))
def test_each_variation_of_intensity_does_something_sensible(name: str) -> None:
    """It changes the image, and bright discs stay told apart from the background."""
    labels = _disc((90, 90))
    noise = np.random.default_rng(0).normal(0, 0.02, labels.shape)
    image = (0.8 * (labels > 0) + 0.1 + noise).astype(np.float32)[None]
    for seed in range(5):
        varied = vary_intensity(image, np.random.default_rng(seed), ONLY[name])
        assert not np.array_equal(varied, image)
        assert varied.shape == image.shape and varied.dtype == np.float32
        bright, dark = varied[0][labels > 0].mean(), varied[0][labels == 0].mean()
        assert (bright < dark) if name == "invert" else (bright > dark + 0.2)


@pytest.mark.parametrize("name", ["turn", "bend"])
def test_each_variation_of_geometry_moves_labels_along(name: str) -> None:
    """Turned, zoomed or bent, the image shows what the labels say."""
    shares = NO_AUGMENTATION.model_copy(update={"turn": 1, name: 1})
    labels = _disc((150, 170))
    for seed in range(5):
        window = draw_window(labels.shape, 96, np.random.default_rng(seed), shares)
        moved = take(labels, window, order=0) > 0
        image = take((labels > 0).astype(np.float32), window, order=1)
        assert not window.is_exact
        assert ((image > 0.5) == moved).mean() > 0.99


def test_without_variation_nothing_changes() -> None:
    """All shares at 0 leave the intensities as they are."""
    image = np.random.default_rng(0).random((1, 20, 20)).astype(np.float32)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(vary_intensity(image, rng, NO_AUGMENTATION), image)


def test_inversion_is_exact() -> None:
    """Bright becomes dark and background 1."""
    image = np.array([[[0.0, 0.25, 1.0]]], np.float32)
    varied = vary_intensity(image, np.random.default_rng(0), ONLY["invert"])
    np.testing.assert_allclose(varied, 1 - image)


def test_saturation_cuts_the_brightest_and_no_more() -> None:
    """At most 15 in 100 pixels become 1; the others keep their order and ratios."""
    rng = np.random.default_rng(0)
    image = np.linspace(0, 1.2, 10_000, dtype=np.float32).reshape(1, 100, 100)
    shares = NO_AUGMENTATION.model_copy(update={"saturate": 1.0})
    cut = []
    for _ in range(20):
        found = vary_intensity(image, rng, shares)
        assert found.max() == pytest.approx(1)
        below = found < found.max()
        ratio = found[below][1:] / image[below][1:]
        np.testing.assert_allclose(ratio, ratio[-1], rtol=1e-5)
        cut.append(1 - below.mean())
    assert max(cut) <= 0.1501 and min(cut) < 0.03 and np.std(cut) > 0.02


def test_tints_act_on_each_channel_of_a_colour_image_by_itself() -> None:
    """Channels that were alike are so in a quarter; structure stays where it was."""
    rng = np.random.default_rng(0)
    plane = rng.random((30, 30), dtype=np.float32)
    shares = NO_AUGMENTATION.model_copy(update={"tint": 1.0})
    tinted = [vary_intensity(np.stack([plane] * 3), rng, shares) for _ in range(80)]
    alike = [
        np.allclose(one[0], one[1]) and np.allclose(one[0], one[2]) for one in tinted
    ]
    assert 0.1 < np.mean(alike) < 0.4
    for one in tinted:
        assert one.dtype == np.float32
        assert all(np.corrcoef(c.ravel(), plane.ravel())[0, 1] > 0.999 for c in one)
    grey = plane[None]
    np.testing.assert_array_equal(vary_intensity(grey, rng, shares), grey)


def test_background_alone_is_not_saturated() -> None:
    """Noise is not stretched to the range of objects."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 0.02, (1, 50, 50)).astype(np.float32)
    shares = NO_AUGMENTATION.model_copy(update={"saturate": 1.0})
    np.testing.assert_array_equal(vary_intensity(image, rng, shares), image)
