"""Normalisation is fitted once per image and applied per tile."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import to_channels
from napari_unetic.image.normalise import (
    DivisionSpec,
    NormalisationSpec,
    fit_normalisation,
)
from napari_unetic.image.source import Image, as_image


def test_percentiles_become_0_and_1() -> None:
    """The low percentile is mapped to 0, the high one to 1."""
    values = np.arange(1001, dtype=np.float32).reshape(7, 143)
    fitted = fit_normalisation(as_image(values, "YX"), 1)
    assert fitted.offset == pytest.approx((10.0,))
    assert fitted.offset[0] + fitted.scale[0] == pytest.approx(998.0)
    assert fitted.apply(np.full((1, 1, 1), 504.0)) == pytest.approx(0.5)


def test_all_planes_share_one_fit() -> None:
    """A dim plane of a stack stays dim."""
    stack = np.zeros((2, 50, 50), np.uint16)
    stack[0, :, :25], stack[1, :, :25] = 100, 1000
    fitted = fit_normalisation(as_image(stack, "ZYX"), 1)
    dim = fitted.apply(as_image(stack, "ZYX").read((0,)))
    assert dim.max() == pytest.approx(0.1)


def test_a_constant_image_becomes_0() -> None:
    """Without contrast nothing is divided by nothing."""
    fitted = fit_normalisation(as_image(np.full((9, 9), 7, np.uint8)), 1)
    assert not fitted.apply(np.full((1, 9, 9), 7, np.uint8)).any()


def test_what_is_not_a_number_becomes_background() -> None:
    """Not-a-number and infinity neither move the fit nor survive it."""
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    clean = fit_normalisation(as_image(values), 1)
    values[3, 3], values[4, 4] = np.nan, np.inf
    fitted = fit_normalisation(as_image(values), 1)
    assert fitted.offset == pytest.approx(clean.offset, abs=0.01)
    assert fitted.apply(values[None])[0, 3, 3] == 0
    assert fitted.apply(values[None])[0, 4, 4] == 0


def test_an_image_of_nothing_finite_is_refused() -> None:
    """The message says what was expected and what to do."""
    with pytest.raises(UneticError, match="finite values, got none in dark"):
        fit_normalisation(as_image(np.full((4, 4), np.nan), name="dark"), 1)


def test_a_dead_pixel_is_cut() -> None:
    """One very bright pixel does not reach the network as such."""
    values = np.random.default_rng(0).normal(100, 10, (100, 100))
    values[50, 50] = 1e9
    fitted = fit_normalisation(as_image(values), 1)
    assert fitted.apply(values[None]).max() == NormalisationSpec().highest


def test_large_images_are_sampled() -> None:
    """A sample of the pixels gives nearly the percentiles of all."""
    values = np.random.default_rng(0).normal(0, 1, (600, 700))
    whole = fit_normalisation(as_image(values), 1)
    sampled = fit_normalisation(as_image(values), 1, max_samples=20_000)
    assert sampled.offset == pytest.approx(whole.offset, abs=0.1)
    assert sampled.scale == pytest.approx(whole.scale, rel=0.05)


def test_what_float32_cannot_hold_is_background() -> None:
    """Values beyond the range of float32 count as infinite, without a warning."""
    pixels = np.array([[0.0, 1.0, 2.0, 3.0, 1e300, -1e300, np.inf, np.nan]])
    fitted = fit_normalisation(as_image(pixels), 1)
    assert fitted.offset[0] == pytest.approx(0.03)
    np.testing.assert_array_equal(fitted.apply(pixels[None])[0, 0, 4:], 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_bad_pixels_of_a_colour_image_are_background(dtype: str) -> None:
    """Where colours become grey, too, no bad pixel gets through or warns."""
    pixels = np.random.default_rng(0).random((8, 9, 3)).astype(dtype)
    pixels[0, 0] = np.inf, -np.inf, np.nan
    if dtype == "float64":
        pixels[1, 1] = 1e300
    image = as_image(pixels)
    grey = to_channels(image.read(), 1, rgb=image.rgb)
    normalised = fit_normalisation(image, 1).apply(grey)
    assert normalised[0, 0, 0] == 0
    assert np.isfinite(normalised).all()


def test_a_part_is_seen_as_the_whole() -> None:
    """By what it knows of the whole, of one channel for each that the model takes."""
    known = ((0.0, 100.0), (50.0, 150.0))
    both = Image(np.full((2, 4, 4), 50, np.uint8), "CYX", intensity_range=known)
    seen = fit_normalisation(both, 2).apply(both.read())
    np.testing.assert_allclose(seen[:, 0, 0], [0.5, 0])
    second = fit_normalisation(both, 3, channel=1)
    assert (second.offset, second.scale) == ((50.0,) * 3, (100.0,) * 3)
    grey = Image(np.full((4, 4), 50, np.uint8), "YX", intensity_range=known[:1])
    assert fit_normalisation(grey, 3).scale == (100.0,) * 3


def test_a_part_in_colour_is_fitted_where_a_model_takes_grey() -> None:
    """What is known of red, green and blue says nothing of grey."""
    pixels = np.random.default_rng(0).integers(0, 200, (3, 8, 8)).astype(np.uint8)
    known = ((0.0, 9.0),) * 3
    colours = Image(pixels, "CYX", rgb=True, intensity_range=known)
    plain = Image(pixels, "CYX", rgb=True)
    assert fit_normalisation(colours, 1) == fit_normalisation(plain, 1)
    assert fit_normalisation(colours, 3).scale == (9.0,) * 3


def test_a_division_looks_at_no_pixel() -> None:
    """255 becomes 1 in every channel, whatever the image; nothing is cut."""
    pixels = np.array([[0, 51], [255, 510]], np.uint16)

    class Unread:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was asked for")

    fitted = fit_normalisation(Unread(), 3, spec=DivisionSpec())  # type: ignore[arg-type]
    found = fitted.apply(np.stack([pixels] * 3))
    assert fitted.scale == (255.0,) * 3
    np.testing.assert_allclose(found[2], [[0, 0.2], [1, 2]])
    assert found.dtype == np.float32


def test_generated_images_come_in_the_usual_range() -> None:
    """What is divided by 255 goes up to 255; percentiles take any range."""
    pixels = np.array([[0, 60_000]], np.uint16)
    assert NormalisationSpec().in_range(pixels) is pixels
    np.testing.assert_allclose(DivisionSpec().in_range(pixels), [[0, 255]])
