"""Maps to labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.instances.decode import (
    DecodeSpec,
    decode,
    fill_holes,
    grow,
    renumber,
)
from napari_unetic.instances.targets import make_targets


def test_nothing_in_nothing_out() -> None:
    """Empty maps give no object; all foreground gives one."""
    maps = np.zeros((3, 6, 5), np.float32)
    assert not decode(maps).any()
    maps[0] = maps[2] = 1
    assert (decode(maps) == 1).all()


def test_touching_objects_come_apart_and_keep_their_pixels() -> None:
    """Two touching squares are given back pixel by pixel."""
    labels = np.zeros((12, 22), np.int32)
    labels[1:11, 1:11], labels[1:11, 11:21] = 1, 2
    np.testing.assert_array_equal(decode(make_targets(labels)), labels)


def test_numbering_goes_by_the_first_pixel() -> None:
    """Objects are numbered row by row, without gaps."""
    maps = np.zeros((3, 5, 9), np.float32)
    maps[0, 0, 6:8] = maps[0, 2, 0:2] = maps[0, 2, 4:8] = 1
    found = decode(maps)
    assert (found[0, 6], found[2, 0], found[2, 4]) == (1, 2, 3)


def test_cores_grow_by_the_nearest() -> None:
    """Foreground between two cores is shared in the middle."""
    cores = np.zeros((3, 10), np.int32)
    cores[:, 0], cores[:, 9] = 1, 2
    grown = grow(cores, np.ones((3, 10), bool))
    assert grown[1].tolist() == [1] * 5 + [2] * 5


def test_growth_stays_in_the_foreground_and_off_unconnected_parts() -> None:
    """A part of the foreground without a core stays 0."""
    foreground = np.array([[1, 1, 0, 1, 1]], bool)
    assert grow(np.array([[1, 0, 0, 0, 0]], np.int32), foreground).tolist() == [
        [1, 1, 0, 0, 0]
    ]


def test_growth_does_not_wrap_around_the_edge() -> None:
    """The end of a row is no neighbour of the start of the next."""
    cores = np.zeros((4, 4), np.int32)
    cores[0, 3] = 1
    foreground = np.zeros((4, 4), bool)
    foreground[0, 3] = foreground[1, 0] = True
    assert grow(cores, foreground).sum() == 1


def test_a_shallow_core_goes_to_its_neighbour() -> None:
    """With a peak threshold a core without depth is no object of its own."""
    maps = np.zeros((3, 3, 11), np.float32)
    maps[0] = 1
    maps[1, :, 6] = 1
    maps[2, :, :6], maps[2, :, 7:] = 0.9, 0.2
    assert decode(maps, DecodeSpec(peak=0.1)).max() == 2
    assert (decode(maps, DecodeSpec(peak=0.5)) == 1).all()


@pytest.mark.parametrize(("smallest", "n"), [(4, 2), (5, 1), (10, 0)])
def test_small_objects_are_dropped(smallest: int, n: int) -> None:
    """An object of exactly the smallest area is kept."""
    maps = np.zeros((3, 6, 12), np.float32)
    maps[0, 1:3, 1:3] = maps[0, 1:4, 6:9] = 1
    assert decode(maps, DecodeSpec(smallest_px=smallest)).max() == n


def test_holes_of_one_object_are_filled() -> None:
    """Not those at the edge, between objects, or too large."""
    ring = np.zeros((7, 7), np.int32)
    ring[1:6, 1:6] = 4
    ring[3, 3] = 0
    filled = fill_holes(ring, 1)
    assert filled[3, 3] == 4
    assert filled[0, 0] == 0
    assert fill_holes(ring, 0)[3, 3] == 0
    ring[2:5, 2:5] = 0
    assert fill_holes(ring, 8)[3, 3] == 0
    assert fill_holes(ring, 9)[3, 3] == 4


def test_a_hole_between_two_objects_stays_open() -> None:
    """It belongs to neither."""
    labels = np.array(
        [[1, 1, 1, 2, 2, 2], [1, 1, 0, 0, 2, 2], [1, 1, 1, 2, 2, 2]], np.int32
    )
    np.testing.assert_array_equal(fill_holes(labels, 10), labels)


def test_renumbering_works_in_any_dimension() -> None:
    """Stacks are numbered plane by plane."""
    labels = np.array([[[0, 9]], [[4, 9]]], np.int32)
    assert renumber(labels).tolist() == [[[0, 1]], [[2, 1]]]
