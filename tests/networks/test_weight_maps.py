"""Weights of classes and of borders."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_unetic.errors import UneticError
from napari_unetic.networks.weight_maps import border_weights, class_weights


def test_each_pixel_has_the_weight_of_its_class() -> None:
    """Background .5, the first class 1, the second 4."""
    classes = np.array([[0, 1], [2, 0]], np.uint8)
    found = class_weights(classes, (0.5, 1, 4))
    np.testing.assert_array_equal(found, np.array([[0.5, 1], [4, 0.5]], np.float32))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("by_class", "message"),
    [
        ((1, -2), "got 1, -2"),
        ((1, math.nan), "got 1, nan"),
        ((), "got none"),
        ((1,), "Expected classes from 0 to 0, as many as weights, got 0 to 1"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    by_class: tuple[float, ...], message: str
) -> None:
    """The message says which there are."""
    with pytest.raises(UneticError, match=message):
        class_weights(np.array([0, 1]), by_class)


def test_the_gap_between_two_objects_counts_more() -> None:
    """In a gap of three pixels the distances to the two sides sum to 4 everywhere."""
    labels = np.array([[1, 0, 0, 0, 2]])
    gap = 1 + 10 * math.exp(-(4**2) / (2 * 5**2))
    expected = np.array([[1, gap, gap, gap, 1]], np.float32)
    np.testing.assert_allclose(border_weights(labels), expected, rtol=1e-6)
    flat = border_weights(labels, height=0)
    np.testing.assert_array_equal(flat, np.ones((1, 5), np.float32))


def test_one_object_alone_has_no_border() -> None:
    """A second one is needed, and one far away is none."""
    labels = np.zeros((9, 90), np.int32)
    labels[2:5, 2:5] = 7
    assert (border_weights(labels) == 1).all()
    labels[2:5, 80:] = 3
    assert (border_weights(labels) == 1).all()
    assert (border_weights(0 * labels) == 1).all()


@pytest.mark.parametrize("shape", [(40, 50), (12, 16, 20)])
def test_windows_lose_nothing(shape: tuple[int, ...]) -> None:
    """The map is that of distances over the whole image, object by object."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint16)
    for number in range(1, 9):
        corner = [rng.integers(0, size - 3) for size in shape]
        labels[tuple(slice(c, c + 3) for c in corner)] = number
    distances = [
        ndimage.distance_transform_edt(labels != number)
        for number in range(1, 9)
        if (labels == number).any()
    ]
    nearest, second = np.sort(distances, axis=0)[:2]
    expected = 1 + 4 * np.exp(-((nearest + second) ** 2) / (2 * 3**2))
    expected[labels > 0] = 1
    found = border_weights(labels, height=4, width_px=3)
    np.testing.assert_allclose(found, expected, atol=1.1e-3)
    assert found.max() > 2
