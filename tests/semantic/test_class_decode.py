"""Probabilities become classes at a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.semantic.decode import ClassDecodeSpec, decode_classes


def _softmax(seed: int = 0) -> np.ndarray:
    maps = np.exp(np.random.default_rng(seed).normal(0, 2, (4, 20, 30)))
    return (maps / maps.sum(axis=0)).astype(np.float32)


def test_one_class_is_above_the_threshold() -> None:
    """Not at it."""
    maps = np.array([[[0.2, 0.5, 0.50001, 0.9]]], np.float32)
    np.testing.assert_array_equal(decode_classes(maps), [[0, 0, 1, 1]])
    low = ClassDecodeSpec(threshold=0.1)
    np.testing.assert_array_equal(decode_classes(maps, low), [[1, 1, 1, 1]])


def test_of_several_the_most_probable_counts() -> None:
    """At a threshold of one half that is the background, too."""
    maps = _softmax()
    np.testing.assert_array_equal(decode_classes(maps), maps.argmax(axis=0))


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_two_maps_decode_as_one(threshold: float) -> None:
    """Softmax over two classes with p and 1 - p is a sigmoid with p."""
    p = np.random.default_rng(1).random((1, 30, 30))
    spec = ClassDecodeSpec(threshold=threshold)
    np.testing.assert_array_equal(
        decode_classes(np.concatenate([1 - p, p]), spec), decode_classes(p, spec)
    )


def test_a_lower_threshold_finds_more_of_the_same() -> None:
    """Classes only spread into the background, and never into each other."""
    low, high = (
        decode_classes(_softmax(), ClassDecodeSpec(threshold=t)) for t in (0.2, 0.7)
    )
    assert (low > 0).sum() > (high > 0).sum() > 0
    np.testing.assert_array_equal(low[high > 0], high[high > 0])
