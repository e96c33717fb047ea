"""Resampling keeps edges where they are, and any window of it is that of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_unetic.image.resample import (
    needed,
    resample,
    resample_labels,
    scaled_shape,
)

FACTORS = [0.03, 0.13, 0.5, 0.77, 1.0, 1.3, 2.0, 3.3]


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 3.0])
def test_the_centre_of_mass_stays(factor: float) -> None:
    """A blob's centre moves by the factor, half-pixel centres counted."""
    rows, columns = np.mgrid[:64, :64]
    blob = np.exp(-((rows - 40) ** 2 + (columns - 22) ** 2) / 50).astype(np.float32)
    shape = scaled_shape((64, 64), factor)
    small = resample(blob[None], (64, 64), shape)[0]
    at = np.indices(shape)
    centre = [(axis * small).sum() / small.sum() for axis in at]
    assert centre == pytest.approx(
        [(40.5) * factor - 0.5, 22.5 * factor - 0.5], abs=0.05
    )


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", [(101, 77), (5, 3), (1, 1), (1, 7)])
def test_it_is_the_bilinear_interpolation_of_torch(
    factor: float, shape: tuple[int, int]
) -> None:
    """With antialiasing; torch finds its weights in single precision."""
    values = np.random.default_rng(0).random((2, *shape), np.float32)
    new = scaled_shape(shape, factor)
    expected = functional.interpolate(
        torch.from_numpy(values)[None],
        size=new,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )[0].numpy()
    found = resample(values, shape, new)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_window_is_cut_from_the_whole(factor: float) -> None:
    """Out of just the pixels that are needed come just the numbers of the whole."""
    old, rng = (101, 77), np.random.default_rng(0)
    new = scaled_shape(old, factor)
    values = rng.random((2, *old), np.float32)
    labels = rng.integers(0, 9000, old).astype(np.uint16)
    whole = resample(values, old, new)
    whole_labels = resample_labels(labels, old, new)
    for _ in range(20):
        starts = [int(rng.integers(0, n)) for n in new]
        stops = [
            int(rng.integers(s + 1, n + 1)) for s, n in zip(starts, new, strict=True)
        ]
        part = tuple(map(slice, starts, stops))
        rows, columns = (needed(old[k], new[k], part[k]) for k in range(2))
        origin = rows.start, columns.start
        found = resample(values[:, rows, columns], old, new, part, origin)
        np.testing.assert_array_equal(found, whole[(slice(None), *part)])
        cut = resample_labels(labels[rows, columns], old, new, part, origin)
        np.testing.assert_array_equal(cut, whole_labels[part])


def test_labels_are_not_blended() -> None:
    """Only labels that were there come out, and doubling is exact."""
    labels = np.array([[0, 9], [5, 5]], np.int32)
    doubled = resample_labels(labels, (2, 2), (4, 4))
    np.testing.assert_array_equal(doubled, labels.repeat(2, 0).repeat(2, 1))
    assert doubled.dtype == labels.dtype
    np.testing.assert_array_equal(resample_labels(doubled, (4, 4), (2, 2)), labels)


def test_an_image_never_vanishes() -> None:
    """However small the factor, a pixel is left."""
    assert scaled_shape((3, 900), 0.01) == (1, 9)
