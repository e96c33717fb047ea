"""From corrections to pairs: planes, reviewed areas, channels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.finetuning import collect_pairs
from napari_unetic.finetuning.collect import touched_area
from napari_unetic.image.source import as_image

PREDICTED = np.zeros((40, 60), np.int32)
PREDICTED[4:12, 4:12] = 1
PREDICTED[4:12, 14:22] = 2
PREDICTED[24:32, 40:48] = 3
IMAGE = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)


def test_everything_is_reviewed_where_asked_for() -> None:
    """One plane, no mask, all objects count."""
    (pair,) = collect_pairs(IMAGE, PREDICTED, name="a")
    assert pair.id == "a" and pair.reviewed is None
    assert pair.objects.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(pair.image.data, IMAGE)


def test_touched_is_an_object_with_a_rim_less_untouched_ones() -> None:
    """Object 1 grew by a column; its neighbour, untouched, is left out."""
    labels = PREDICTED.copy()
    labels[4:12, 12] = 1
    (pair,) = collect_pairs(
        IMAGE, labels, predicted=PREDICTED, reviewed="touched", diameter=8
    )
    area = pair.reviewed
    assert area is not None and pair.objects.tolist() == [1]
    assert area[labels == 1].all()
    assert not area[labels > 1].any()
    assert area[8, 13] and area[15, 8] and not area[16, 8]  # the rim is 4 pixels
    assert not area[24:, 30:].any()


def test_an_erased_object_is_background() -> None:
    """Its area, without a rim, and no object of that plane."""
    labels = np.where(PREDICTED == 3, 0, PREDICTED)
    area = touched_area(PREDICTED, labels, 8)
    assert area is not None
    np.testing.assert_array_equal(area, PREDICTED == 3)


def test_nothing_touched_is_refused() -> None:
    """The sentence says what to do."""
    with pytest.raises(UneticError, match="got none; correct some"):
        collect_pairs(IMAGE, PREDICTED, predicted=PREDICTED, reviewed="touched")


def test_touched_needs_the_prediction() -> None:
    """Without it nobody knows what was changed."""
    with pytest.raises(UneticError, match="what was predicted"):
        collect_pairs(IMAGE, PREDICTED, reviewed="touched")


def test_a_mask_limits_the_objects() -> None:
    """Objects count that have half of their area in it."""
    mask = np.zeros(PREDICTED.shape, np.uint8)
    mask[:, :18] = 1
    (pair,) = collect_pairs(IMAGE, PREDICTED, reviewed=mask)
    assert pair.objects.tolist() == [1, 2]
    mask[:, 17] = 0
    (pair,) = collect_pairs(IMAGE, PREDICTED, reviewed=mask)
    assert pair.objects.tolist() == [1]


@pytest.mark.parametrize("way", ["touched", "mask", "all"])
def test_only_reviewed_planes_of_a_stack_are_pairs(way: str) -> None:
    """Plane 2 of 4 was corrected, or masked, or has objects; no other is used."""
    before = np.stack([PREDICTED] * 4)
    labels = before.copy()
    labels[2, 20:30, 4:14] = 9
    reviewed: object = "touched"
    if way == "mask":
        reviewed = np.zeros(labels.shape, bool)
        reviewed[2] = True  # type: ignore[index]
    elif way == "all":
        labels[[0, 1, 3]] = 0
        reviewed = "all"
    stack = np.stack([IMAGE + 100 * k for k in range(4)]).astype(np.uint16)
    (pair,) = collect_pairs(
        stack,
        labels,
        name="s",
        axes="ZYX",
        predicted=before,
        reviewed=reviewed,  # type: ignore[arg-type]
    )
    assert (pair.id, pair.plane, pair.source) == ("s z002", (2,), "s")
    np.testing.assert_array_equal(pair.image.data, stack[2])
    assert pair.image.intensity_range is not None
    low, high = np.percentile(stack, (1, 99.8))
    assert pair.image.intensity_range[0] == pytest.approx((low, high), rel=1e-6)


def test_channels_are_kept_or_chosen() -> None:
    """All by default, one where asked for; colours stay colours."""
    two = np.stack([IMAGE, IMAGE + 1])
    (both,) = collect_pairs(two, PREDICTED, axes="CYX")
    (second,) = collect_pairs(two, PREDICTED, axes="CYX", channel=1)
    (colour,) = collect_pairs(np.stack([IMAGE] * 3, axis=-1), PREDICTED, axes="YXC")
    assert both.image.axes == "CYX" and both.image.n_channels == 2
    assert second.image.axes == "YX" and second.image.data[0, 0] == 1
    assert colour.image.rgb and colour.image.n_channels == 3


def test_shapes_must_fit() -> None:
    """Labels of another image are refused."""
    with pytest.raises(UneticError, match="shape"):
        collect_pairs(as_image(IMAGE), PREDICTED[:-1])


def test_what_was_held_out_goes_with_the_image() -> None:
    """A later collection of the same plane remembers it; another plane does not."""
    from dataclasses import replace

    (first,) = collect_pairs(IMAGE, PREDICTED)
    first = replace(first, held_out=PREDICTED == 2)
    (again,) = collect_pairs(IMAGE, PREDICTED, before=[first])
    (other,) = collect_pairs(IMAGE + 1, PREDICTED, before=[first])
    np.testing.assert_array_equal(again.held_out, PREDICTED == 2)
    assert other.held_out is None


def test_accepted_objects_are_reviewed() -> None:
    """With a rim, as edited ones; an edited one is not accepted any more."""
    labels = PREDICTED.copy()
    labels[4:12, 12] = 1
    for accepted in ([3], [1, 3, 9]):
        (pair,) = collect_pairs(
            IMAGE,
            labels,
            predicted=PREDICTED,
            reviewed="touched",
            accepted={(): accepted},
            diameter=8,
        )
        assert pair.objects.tolist() == [1, 3]
        assert pair.reviewed is not None
        assert pair.reviewed[28, 51] and not pair.reviewed[labels == 2].any()
    area = touched_area(PREDICTED, PREDICTED, 8, accepted=[2])
    assert area is not None and not area[PREDICTED == 1].any()
    assert area[PREDICTED == 2].all()
    assert touched_area(PREDICTED, PREDICTED, 8, accepted=[9]) is None


def test_the_rim_is_that_of_a_plane() -> None:
    """Half the median diameter of the plane, however many planes an object is in."""
    labels = np.zeros((30, 40, 60), np.int32)
    labels[:, 10:18, 10:18] = 1
    before = labels.copy()
    before[3, 10, 10] = 0
    (pair,) = collect_pairs(
        np.stack([IMAGE] * 30).astype(np.uint16)
        + np.arange(30, dtype=np.uint16)[:, None, None],
        labels,
        axes="ZYX",
        predicted=before,
        reviewed="touched",
    )
    assert pair.reviewed is not None
    rows = np.flatnonzero(pair.reviewed[:, 14])
    assert (rows.min(), rows.max()) == (6, 21)  # 9.03 / 2 pixels on each side


def test_huge_numbers_become_small_ones() -> None:
    """Numbers that a script made; each object stays one."""
    (pair,) = collect_pairs(IMAGE, PREDICTED.astype(np.int64) * 400_000_000)
    assert pair.objects.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(pair.labels, PREDICTED)


def test_what_is_known_of_a_pair_goes_with_its_arrays() -> None:
    """Nothing is worked out twice, and nothing is taken for another plane's."""
    from dataclasses import replace

    (pair,) = collect_pairs(IMAGE, PREDICTED)
    same = replace(pair, held_out=PREDICTED == 2)
    assert same.objects is pair.objects
    assert same.image_hash() is pair.image_hash()
    fewer = replace(pair, labels=np.where(PREDICTED == 2, 0, PREDICTED))
    assert fewer.objects.tolist() == [1, 3]
    assert pair.objects.tolist() == [1, 2, 3]
    other = replace(pair, image=as_image(IMAGE + 1))
    assert other.image_hash() != pair.image_hash()
    (again,) = collect_pairs(IMAGE + 1, PREDICTED)
    assert other.image_hash() == again.image_hash()
