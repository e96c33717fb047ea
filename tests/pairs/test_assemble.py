"""The rule by which masks become a label image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.pairs.assemble import assemble_masks, is_binary, take_labels


def mask(*rows: str) -> np.ndarray:
    """Return rows of ``#`` and ``.`` as a mask of 255 and 0."""
    return np.array([[255 * (c == "#") for c in row] for row in rows], np.uint8)


def labels(*rows: str) -> np.ndarray:
    """Return rows of digits as a label image."""
    return np.array([[int(c) for c in row] for row in rows], np.int32)


def test_each_mask_is_an_object() -> None:
    """Masks are numbered from 1 in their order."""
    found = assemble_masks([mask("##..", "##.."), mask("....", "...#")])
    np.testing.assert_array_equal(found.labels, labels("1100", "1102"))
    assert found.labels.dtype == np.int32
    assert found.notices == ()


def test_masks_that_touch_stay_apart() -> None:
    """A shared border joins nothing."""
    found = assemble_masks([mask("##.."), mask("..##")])
    np.testing.assert_array_equal(found.labels, labels("1122"))


def test_object_in_several_pieces_stays_one() -> None:
    """What the data set calls one object is one label, however many pieces it has."""
    found = assemble_masks([mask("#.#", "...", "#.#"), mask("...", ".#.", "...")])
    np.testing.assert_array_equal(found.labels, labels("101", "020", "101"))


@pytest.mark.parametrize("reverse", [False, True])
def test_overlap_goes_to_the_smaller_object(reverse: bool) -> None:
    """Whatever the order of the files, the smaller object keeps all its pixels."""
    large, small = mask("####."), mask("...##")
    masks = [small, large] if reverse else [large, small]
    found = assemble_masks(masks).labels
    expected = labels("22211") if reverse else labels("11122")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_object_inside_another_does_not_disappear(reverse: bool) -> None:
    """A nucleus drawn inside another is an object of its own."""
    outer, inner = mask("###", "###", "###"), mask("...", ".#.", "...")
    found = assemble_masks([inner, outer] if reverse else [outer, inner])
    assert len(np.unique(found.labels)) == 2
    assert found.labels[1, 1] != found.labels[0, 0]
    assert found.notices == ()


def test_overlap_at_equal_area_goes_to_the_later() -> None:
    """Where size decides nothing, the order of the files does."""
    found = assemble_masks([mask("##."), mask(".##")])
    np.testing.assert_array_equal(found.labels, labels("122"))


def test_masks_that_are_no_objects_are_counted() -> None:
    """Empty masks, and such as smaller ones cover, are left out with a notice."""
    masks = [mask("...."), mask("##.."), mask("#..."), mask(".#.."), mask("...#")]
    found = assemble_masks(masks, "nuclei")
    assert len(np.unique(found.labels)) - 1 == 3
    assert found.notices == (
        "nuclei: masks left out because they are empty: 1.",
        "nuclei: masks left out because smaller ones cover them: 1.",
    )


def test_masks_of_two_shapes_are_refused() -> None:
    """The sentence names both shapes and the image."""
    with pytest.raises(UneticError, match=r"cells, got \(1, 3\) and \(1, 4\)"):
        assemble_masks([mask("#.."), mask("#...")], "cells")


def test_no_masks_are_refused() -> None:
    """Without a mask the shape is not even known."""
    with pytest.raises(UneticError, match="at least one mask"):
        assemble_masks([])


@pytest.mark.parametrize("one", [1, 255])
def test_binary_mask_is_taken_apart_with_a_notice(one: int) -> None:
    """A binary mask names no objects, so its connected pieces are the objects."""
    array = (mask("##.#", "....", "...#") > 0) * np.uint8(one)
    found = take_labels(array, "cells")
    np.testing.assert_array_equal(found.labels, labels("1102", "0000", "0003"))
    assert found.notices == (
        "cells: a binary mask, so its 3 connected pieces are taken as the objects.",
    )


def test_pixels_that_touch_at_a_corner_are_connected() -> None:
    """Pieces are connected over edges and corners."""
    found = take_labels(mask("#..", ".#.", "..#"))
    assert found.labels.max() == 1
    assert found.notices == ()


def test_label_image_is_taken_as_it_is() -> None:
    """Labels keep their numbers and pieces, gaps between numbers and all."""
    array = np.array([[9, 0, 9], [0, 4, 0]], np.uint16)
    found = take_labels(array)
    np.testing.assert_array_equal(found.labels, array)
    assert found.labels.dtype == np.int32
    assert found.notices == ()


def test_sole_object_with_a_number_of_its_own_stays_one() -> None:
    """A crop that holds one object of a larger label image is no binary mask."""
    array = np.array([[37, 0, 37]], np.uint16)
    np.testing.assert_array_equal(take_labels(array).labels, array)


def test_numbers_beyond_int32_are_renumbered() -> None:
    """Every object stays, and background stays background."""
    array = np.array([[0, 2**32 - 2, 3]], np.uint32)
    np.testing.assert_array_equal(take_labels(array).labels, labels("021"))
    full = np.array([[2**32 - 2, 3]], np.uint32)
    np.testing.assert_array_equal(take_labels(full).labels, labels("21"))


def test_no_object_is_no_object() -> None:
    """An empty label image has no objects, and needs no notice."""
    found = take_labels(np.zeros((2, 3), np.uint8))
    assert found.labels.max() == 0
    assert found.notices == ()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(np.array([0, 1], np.uint16), True, id="one"),
        pytest.param(np.array([0, 255], np.uint16), True, id="255"),
        pytest.param(np.array([0, 65_535], np.uint16), True, id="full"),
        pytest.param(np.array([255, 255], np.uint8), True, id="all foreground"),
        pytest.param(np.array([0, 2], np.uint8), False, id="another number"),
        pytest.param(np.array([0, 1, 255], np.uint8), False, id="two numbers"),
        pytest.param(np.array([0, 0], np.uint8), False, id="nothing"),
    ],
)
def test_what_is_a_binary_mask(array: Any, expected: bool) -> None:
    """One number besides 0, and it is 1 or the largest of a type."""
    assert is_binary(array) == expected


def test_volume_is_taken_apart_in_three_dimensions() -> None:
    """Pieces of a binary stack are connected over planes."""
    array = np.zeros((3, 2, 3), np.uint8)
    array[:, 0, 0] = 255
    array[2, :, 2] = 255
    found = take_labels(array).labels
    assert found.max() == 2
    assert (found[:, 0, 0] == found[0, 0, 0]).all()
