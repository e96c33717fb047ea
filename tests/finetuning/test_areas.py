"""Areas: tile by tile as in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unetic.finetuning import areas
from napari_unetic.finetuning.areas import members, sizes_of, within


@pytest.mark.parametrize("distance", [0.0, 1.0, 5.5, 40.0])
def test_tiles_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, distance: float
) -> None:
    """Near is what is near in the whole image."""
    monkeypatch.setattr(areas, "_TILE_PX", 16)
    mask = np.zeros((190, 231), bool)
    mask[[3, 60, 61, 100], [200, 17, 140, 90]] = True
    near = within(mask, distance)
    assert mask.any() and not near.all()
    expected = ndimage.distance_transform_edt(~mask) <= distance
    np.testing.assert_array_equal(near, expected)
    assert not within(np.zeros((9, 9), bool), distance).any()


@pytest.mark.parametrize("factor", [1, 400_000_000], ids=["small", "huge"])
def test_objects_are_counted_and_found(factor: int) -> None:
    """Whatever their numbers; background is none of them."""
    labels = np.array([[0, 2, 2], [5, 0, 2]]) * factor
    ids, sizes = sizes_of(labels)
    assert ids.tolist() == [2 * factor, 5 * factor] and sizes.tolist() == [3, 1]
    found = members(labels, np.array([5 * factor, 7 * factor]))
    np.testing.assert_array_equal(found, labels == 5 * factor)
    assert not members(labels, np.array([], np.int64)).any()
    assert sizes_of(np.zeros((2, 2), np.int32))[0].size == 0
