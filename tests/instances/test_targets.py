"""Labels to target maps."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.instances.decode import decode
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.targets import TargetSpec, make_targets


def test_background_alone_gives_nothing() -> None:
    """An image without objects has empty maps."""
    assert not make_targets(np.zeros((5, 7), int)).any()


def test_an_object_that_touches_none_has_no_contact() -> None:
    """Its foreground is whole and its depth is 1 at the deepest pixel."""
    labels = np.zeros((9, 9), int)
    labels[2:7, 2:7] = 3
    foreground, contact, depth = make_targets(labels)
    np.testing.assert_array_equal(foreground, labels > 0)
    assert not contact.any()
    assert depth[4, 4] == 1
    assert depth[2, 2] == pytest.approx(0.5 / 2.5)


def test_contact_is_1_where_objects_meet_and_falls_with_distance() -> None:
    """Two touching halves: worked by hand for a reach of 4 pixels."""
    labels = np.repeat([[1] * 10 + [2] * 10], 9, axis=0)
    contact = make_targets(labels)[1]
    expected = [0, 0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25, 0]
    assert contact[4, 5:15] == pytest.approx(expected)


def test_contact_reaches_less_far_into_a_thin_object() -> None:
    """An object of three columns between two others keeps a core."""
    labels = np.repeat([[1] * 8 + [2] * 3 + [3] * 8], 9, axis=0)
    contact = make_targets(labels, TargetSpec(contact_share=0.5))[1]
    assert contact[4, 8] == 1 and contact[4, 10] == 1
    assert contact[4, 9] < 0.5


def test_a_gap_of_one_pixel_is_a_contact() -> None:
    """Objects a pixel apart would otherwise run together at the first blur."""
    labels = np.repeat([[1] * 6 + [0] + [2] * 6], 5, axis=0)
    contact = make_targets(labels)[1]
    assert contact[2, 6] == 1


def test_numbers_do_not_matter() -> None:
    """Renumbering the objects changes nothing."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (6, 6)).repeat(5, 0).repeat(5, 1)
    renumbered = np.array([0, 70, 3, 9])[labels]
    np.testing.assert_array_equal(make_targets(labels), make_targets(renumbered))


def test_maps_lie_between_0_and_1() -> None:
    """So that a sigmoid can reach them."""
    labels = np.random.default_rng(0).integers(0, 9, (40, 30))
    maps = make_targets(labels)
    assert maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() <= 1


def test_one_object_that_fills_the_image_is_deep_throughout() -> None:
    """The image's edge is neither background nor a neighbour."""
    maps = make_targets(np.ones((4, 4), int))
    assert maps[:, 0, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize("gap", [2, 3, 4])
def test_a_wider_gap_is_a_contact_where_that_is_asked_for(gap: int) -> None:
    """In its middle, and no wider one."""
    row = [1] * 8 + [0] * gap + [2] * 8
    labels = np.repeat([row], 7, axis=0)
    assert not make_targets(labels)[1].any()
    assert not make_targets(labels, TargetSpec(contact_gap_px=gap - 1.5))[1].any()
    contact = make_targets(labels, TargetSpec(contact_gap_px=gap))[1][3]
    middle = slice(8 + (gap - 1) // 2, 8 + gap // 2 + 1)
    assert (contact[middle] == 1).all() and contact[7] > 0
    assert contact[0] == contact[-1] == 0
    np.testing.assert_allclose(contact, contact[::-1])


def test_objects_a_gap_apart_still_come_back() -> None:
    """What is decoded from the maps is what they were made from."""
    rows, columns = np.indices((60, 90))
    labels = np.zeros(rows.shape, np.int32)
    for number, (y, x) in enumerate([(20, 20), (20, 45), (44, 32), (40, 70)], 1):
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= 11**2] = number
    for gap in (0, 2, 3):
        found = decode(make_targets(labels, TargetSpec(contact_gap_px=gap)))
        matched = match(overlap(labels, found), 0.9)
        assert len(matched.iou) == found.max() == 4
