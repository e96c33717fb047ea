"""The pixels of one object, told again later."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.footprint import Footprint

LABELS = np.zeros((12, 14), np.uint16)
LABELS[3:8, 4:9] = 7
LABELS[5, 4] = 0
LABELS[0:2, 0:3] = 3
BOX = slice(3, 8), slice(4, 9)


def changed(**at: int) -> Any:
    """Return the labels with another number at a pixel, given as ``r3c9=7``."""
    labels = LABELS.copy()
    for place, number in at.items():
        row, column = place[1:].split("c")
        labels[int(row), int(column)] = number
    return labels


@pytest.mark.parametrize(
    ("labels", "number"),
    [
        pytest.param(LABELS, 7, id="as it was"),
        pytest.param(np.where(LABELS == 7, 9, LABELS), 9, id="renumbered"),
        pytest.param(changed(r5c4=7), 0, id="filled"),
        pytest.param(changed(r3c4=0), 0, id="a corner lost"),
        pytest.param(changed(r2c8=7), 0, id="grown up"),
        pytest.param(changed(r8c8=7), 0, id="grown down"),
        pytest.param(changed(r7c3=7), 0, id="grown left"),
        pytest.param(changed(r3c9=7), 0, id="grown right"),
        pytest.param(changed(r6c6=8), 0, id="painted over"),
        pytest.param(changed(r8c8=8), 7, id="a neighbour"),
        pytest.param(np.zeros_like(LABELS), 0, id="erased"),
        pytest.param(LABELS[:7], 0, id="cropped"),
    ],
)
def test_an_object_is_told_by_its_pixels(labels: Any, number: int) -> None:
    """It has the same number of pixels in the same places, and no more."""
    assert Footprint.of(LABELS, 7, BOX).number_in(labels) == number


def test_objects_at_the_edge_have_no_more_around_them() -> None:
    """The box ends where the image does."""
    box = slice(0, 2), slice(0, 3)
    assert Footprint.of(LABELS, 3, box).number_in(LABELS) == 3
    whole = np.ones((4, 5), np.uint8)
    assert Footprint.of(whole, 1, (slice(0, 4), slice(0, 5))).number_in(whole) == 1


def test_it_goes_through_json() -> None:
    """In a few bytes."""
    footprint = Footprint.of(LABELS, 7, BOX, (2, 5))
    text = json.dumps(footprint.as_json())
    again = Footprint.from_json(json.loads(text))
    assert (again.plane, again.start) == ((2, 5), (3, 4))
    np.testing.assert_array_equal(again.mask, footprint.mask)
    assert len(text) < 150


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"plane": [], "start": [0, 0], "mask": "x"},
        {"plane": [], "start": [0], "mask": ""},
        {"plane": [-1], "start": [0, 0], "mask": None},
        [],
        "text",
    ],
)
def test_damaged_ones_are_refused(value: Any) -> None:
    """Files come from anywhere."""
    with pytest.raises(UneticError, match=r"accept the object again|segment the image"):
        Footprint.from_json(value)
