"""Resampling keeps edges where they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.networks.resize import resize, resize_labels, scaled_shape


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 3.0])
def test_the_centre_of_mass_stays(factor: float) -> None:
    """A blob's centre moves by the factor, half-pixel centres counted."""
    rows, columns = np.mgrid[:64, :64]
    blob = np.exp(-((rows - 40) ** 2 + (columns - 22) ** 2) / 50).astype(np.float32)
    shape = scaled_shape((64, 64), factor)
    small = resize(blob[None], shape)[0]
    at = np.indices(shape)
    centre = [(axis * small).sum() / small.sum() for axis in at]
    assert centre == pytest.approx(
        [(40.5) * factor - 0.5, 22.5 * factor - 0.5], abs=0.05
    )


def test_labels_are_not_blended() -> None:
    """Only labels that were there come out, and doubling is exact."""
    labels = np.array([[0, 9], [5, 5]], np.int32)
    doubled = resize_labels(labels, (4, 4))
    np.testing.assert_array_equal(doubled, labels.repeat(2, 0).repeat(2, 1))
    assert doubled.dtype == labels.dtype
    np.testing.assert_array_equal(resize_labels(doubled, (2, 2)), labels)


def test_an_image_never_vanishes() -> None:
    """However small the factor, a pixel is left."""
    assert scaled_shape((3, 900), 0.01) == (1, 9)
