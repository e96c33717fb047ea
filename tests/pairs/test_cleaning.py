"""Labels lose clicks and strays, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.pairs.cleaning import CLICK, clean_labels


def test_a_click_is_taken_out() -> None:
    """One stamp of the brush goes; its neighbour keeps its number and pixels."""
    labels = np.zeros((20, 20), np.uint16)
    labels[2:7, 3:8][CLICK] = 4
    labels[10:16, 10:16] = 9
    found = clean_labels(labels)
    assert found.clicks == (4,) and found.strays == ()
    assert found.labels.dtype == np.uint16
    np.testing.assert_array_equal(found.labels, np.where(labels == 9, 9, 0))
    assert (labels == 4).any(), "what came in is left alone"


@pytest.mark.parametrize("change", ["one pixel more", "one pixel less", "at the edge"])
def test_what_only_looks_like_a_click_stays(change: str) -> None:
    """The shape must be the brush's to the pixel."""
    labels = np.zeros((20, 20), np.int32)
    if change == "at the edge":
        labels[:4, 3:8][CLICK[1:]] = 1
    else:
        labels[2:7, 3:8][CLICK] = 1
        labels[4, 8] = change == "one pixel more"
        labels[4, 3] = change != "one pixel less"
    found = clean_labels(labels)
    assert found.clicks == ()
    np.testing.assert_array_equal(found.labels, labels)


def test_a_stray_is_taken_out() -> None:
    """The largest piece stays, with what touches it at a corner only."""
    labels = np.zeros((20, 20), np.int32)
    labels[2:10, 2:10] = 3
    labels[10, 10] = 3
    expected = labels.copy()
    labels[15:17, 15:17] = 3
    found = clean_labels(labels)
    assert found.strays == (3,) and found.clicks == ()
    np.testing.assert_array_equal(found.labels, expected)


def test_nothing_to_clean() -> None:
    """An image without objects comes back as it is."""
    found = clean_labels(np.zeros((5, 5), np.int32))
    assert not found.labels.any() and found.clicks == found.strays == ()
