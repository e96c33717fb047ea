"""Linking: what overlaps in neighbouring planes gets one number, what does not, none.

The true labels of real volumes are cut plane by plane, renumbered at random and linked.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unetic import nuclei_sample
from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.link import FRAME_SHARE, PLANE_SHARE, link, link_planes
from napari_unetic.samples import nuclei_stack, nuclei_timelapse


def discs(*places: tuple[float, float, float, int]) -> np.ndarray:
    """Return a plane with discs of (row, column, radius, number)."""
    rows, columns = np.mgrid[:60, :60]
    plane = np.zeros((60, 60), np.int32)
    for row, column, radius, number in places:
        plane[np.hypot(rows - row, columns - column) < radius] = number
    return plane


def renumbered(
    truth: np.ndarray, random: np.random.Generator, missing: float = 0.0
) -> np.ndarray:
    """Return the labels with new numbers in each plane, and a share of them dropped."""
    out = np.zeros(truth.shape, np.int64)
    for plane, section in zip(out, truth, strict=True):
        ids = np.unique(section)
        kept = ids[(ids > 0) & (random.random(len(ids)) >= missing)]
        table = np.zeros(int(truth.max()) + 1, np.int64)
        table[kept] = 1 + random.permutation(len(kept))
        plane[:] = table[section]
    return out


def links(labels: np.ndarray, truth: np.ndarray) -> set[tuple[int, int, int]]:
    """Return (plane, true number there, true number in the next) of one number."""
    sections = [
        dict(zip(plane[plane > 0], section[plane > 0], strict=True))
        for plane, section in zip(labels, truth, strict=True)
    ]
    return {
        (index, int(here[n]), int(there[n]))
        for index, (here, there) in enumerate(pairwise(sections))
        for n in here.keys() & there.keys()
    }


def found_and_true(truth: np.ndarray, linked: np.ndarray) -> tuple[float, float]:
    """Return the share of true links that were made, and of those made that are true.

    Between neighbouring planes, of the sections that are left.
    """
    there = links(np.where(linked > 0, truth, 0), truth)
    made = links(linked, truth)
    both = len(there & made)
    return both / len(there), both / len(made)


def test_hand_worked_planes() -> None:
    """Sections that overlap get one number, by plane and then by number there."""
    planes = np.stack(
        [
            discs((15, 15, 8, 7), (45, 45, 6, 2)),
            discs((15, 16, 7, 1)),
            discs((16, 16, 4, 5), (40, 12, 5, 3)),
        ]
    )
    linked = link(planes, "ZYX")
    assert linked.dtype == np.int32
    expected = [
        discs((15, 15, 8, 2), (45, 45, 6, 1)),
        discs((15, 16, 7, 2)),
        discs((16, 16, 4, 2), (40, 12, 5, 3)),
    ]
    np.testing.assert_array_equal(linked, expected)


def test_numbers_given_say_nothing() -> None:
    """Any renumbering of the planes gives the same objects, also with equal numbers."""
    truth = nuclei_stack((6, 96, 96), 3)[1]
    random = np.random.default_rng(0)
    first, again = (link(renumbered(truth, random), "ZYX") for _ in range(2))
    assert score_image(first, again).ap[-1] == 1
    assert score_image(first, link(truth, "ZYX")).ap[-1] == 1


def test_objects_stay_and_numbers_have_no_gaps() -> None:
    """Linking changes numbers, never outlines."""
    truth = nuclei_stack((6, 96, 96), 4)[1]
    cut = renumbered(truth, np.random.default_rng(0), missing=0.1)
    linked = link(cut, "ZYX")
    np.testing.assert_array_equal(np.unique(linked), np.arange(linked.max() + 1))
    for plane, before in zip(linked, cut, strict=True):
        assert score_image(before, plane).ap[-1] == 1


def test_one_to_one() -> None:
    """Of two sections on one the better is linked, the other is new."""
    planes = np.stack([discs((30, 30, 12, 1)), discs((30, 24, 8, 1), (30, 40, 4, 2))])
    linked = link(planes, "ZYX")
    assert linked[1, 30, 22] == linked[0, 30, 30] == 1
    assert linked[1, 30, 40] == 2


def test_the_end_of_one_is_not_taken_by_the_next() -> None:
    """A nucleus's small last section stays its own where another begins beside it."""
    planes = np.stack([discs((30, 26, 10, 1)), discs((30, 38, 9, 1), (30, 26, 4, 2))])
    linked = link(planes, "ZYX")
    assert linked[1, 30, 26] == linked[0, 30, 26]
    assert linked[1, 30, 42] != linked[0, 30, 26]


def test_a_missing_section_is_bridged() -> None:
    """One plane without the object does not end it, two do; nor if told not to."""
    here, nothing = discs((30, 30, 8, 4)), discs()
    one = np.stack([here, nothing, here])
    assert link(one, "ZYX").max() == 1
    assert link_planes(one, bridge_iou=None).max() == 2
    assert link(np.stack([here, nothing, nothing, here]), "ZYX").max() == 2


def test_bridges_link_what_ended_only() -> None:
    """An object that goes on elsewhere gives no second one its number."""
    planes = np.stack(
        [
            discs((30, 20, 8, 1)),
            discs((30, 24, 8, 1)),
            discs((30, 32, 8, 1), (30, 14, 6, 2)),
        ]
    )
    linked = link(planes, "TYX")
    assert linked[2, 30, 34] == 1
    assert linked[2, 30, 14] == 2


def test_caps_apart_are_not_bridged() -> None:
    """The last section of one nucleus and the first of one far below stay apart."""
    planes = np.stack([discs((30, 30, 8, 1)), discs(), discs((35, 35, 4, 1))])
    assert link(planes, "ZYX").max() == 2


def test_frames_allow_for_movement_that_planes_do_not() -> None:
    """A shift by a radius is a moving object in time, another one in depth."""
    planes = np.stack([discs((30, 25, 8, 1)), discs((30, 33, 8, 1))])
    assert link(planes, "TYX").max() == 1
    assert link(planes, "ZYX").max() == 2
    assert FRAME_SHARE < 0.39 < PLANE_SHARE


def test_a_fast_mover_gets_a_new_number() -> None:
    """What moves by its diameter overlaps nothing: overlap cannot follow it."""
    planes = np.stack([discs((30, 15, 8, 1)), discs((30, 32, 8, 1))])
    assert link(planes, "TYX").max() == 2


def test_who_takes_the_place_takes_the_number() -> None:
    """Where neighbours move up by one place, they are taken for each other."""
    planes = np.stack(
        [
            discs((30, 15, 8, 1), (30, 33, 8, 2)),
            discs((30, 33, 8, 1), (30, 51, 8, 2)),
        ]
    )
    linked = link(planes, "TYX")
    assert linked[1, 30, 33] == linked[0, 30, 33] == 2
    assert linked[1, 30, 51] == 3


def test_a_division_passes_the_number_to_one_daughter() -> None:
    """The daughter that overlaps more keeps it; the other is new, and both stay."""
    apart = discs((30, 20, 7, 1), (30, 41, 7, 2))
    planes = np.stack(
        [discs((30, 30, 11, 1)), discs((30, 23, 8, 1), (30, 39, 7, 2)), apart, apart]
    )
    linked = link(planes, "TYX")
    assert [p[30, 20] for p in linked[1:]] == [1, 1, 1]
    assert [p[30, 41] for p in linked[1:]] == [2, 2, 2]


def test_a_merger_keeps_the_better_number() -> None:
    """Where two objects become one, the larger one's number goes on."""
    planes = np.stack([discs((30, 20, 9, 2), (30, 36, 5, 1)), discs((30, 24, 13, 1))])
    linked = link(planes, "TYX")
    assert linked[1, 30, 24] == linked[0, 30, 20] == 2


def test_planes_are_linked_before_frames() -> None:
    """In a time series of stacks a nucleus has one number over all Z and T."""
    truth = nuclei_stack((5, 80, 80), 1)[1]
    series = np.stack([truth, np.roll(truth, 2, axis=2), np.roll(truth, 4, axis=2)])
    random = np.random.default_rng(0)
    cut = np.stack([renumbered(frame, random) for frame in series])
    linked = link(cut, "TZYX")
    for frame, stack in zip(linked, series, strict=True):
        assert score_image(link(stack, "ZYX"), frame).ap[-1] == 1
    middle = linked[:, 2]
    assert found_and_true(series[:, 2], middle) == (1, 1)


def test_a_single_plane_is_renumbered() -> None:
    """Without a neighbour, objects are numbered 1, 2, ... in their order."""
    labels = np.array([[9, 0, 4], [9, 0, 4]])
    np.testing.assert_array_equal(link(labels, "YX"), [[2, 0, 1], [2, 0, 1]])
    np.testing.assert_array_equal(link(labels[None], "ZYX")[0], [[2, 0, 1]] * 2)


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 5)])
def test_nothing_to_link(shape: tuple[int, ...]) -> None:
    """No plane, no pixel and no object give labels of the same shape."""
    linked = link(np.zeros(shape, np.uint16), "ZYX")
    assert linked.shape == shape
    assert not linked.any()


@pytest.mark.parametrize(
    ("labels", "axes", "sentence"),
    [
        (np.zeros((2, 3, 4), int), "CYX", "axes YX, ZYX, TYX or TZYX to link, got CYX"),
        (np.zeros((2, 3, 4), int), "YX", "Expected 3 axes"),
        (np.zeros((2, 3, 4)), "ZYX", "whole numbers, got dtype float64"),
        (np.full((1, 3, 4), -2), "ZYX", "from 0 up, got -2"),
    ],
)
def test_what_cannot_be_linked_is_refused(
    labels: np.ndarray, axes: str, sentence: str
) -> None:
    """Other axes and what are no labels are refused in a sentence."""
    with pytest.raises(UneticError, match=sentence):
        link(labels, axes)


def test_generated_stacks() -> None:
    """Of touching nuclei in planes far apart 99 % of the links are right."""
    truth = nuclei_stack(seed=0)[1]
    linked = link(renumbered(truth, np.random.default_rng(0)), "ZYX")
    found, true = found_and_true(truth, linked)
    assert found > 0.99
    assert true > 0.99
    assert score_image(truth, linked).ap[0] > 0.92


@pytest.mark.parametrize(("speed", "least"), [(2.5, 0.95), (5.0, 0.85)])
def test_generated_frames(speed: float, least: float) -> None:
    """Nuclei of 28 pixels keep their number at 2.5 and mostly at 5 pixels a frame."""
    truth = nuclei_timelapse((12, 256, 256), 1, speed=speed)[1]
    linked = link(renumbered(truth, np.random.default_rng(0)), "TYX")
    found, true = found_and_true(truth, linked)
    assert min(found, true) > 0.99
    assert score_image(truth, linked).ap[0] > least


@pytest.mark.parametrize(
    ("folder", "axes", "n_links"),
    [
        ("ovule_nuclei_3d", "ZYX", 705),
        ("mouse_embryo_3d", "ZYX", 113),
        ("yeast_timelapse", "TYX", 8),
    ],
)
def test_real_volumes_are_put_together_again(
    data_folder: Path, folder: str, axes: str, n_links: int
) -> None:
    """All true links are found, none is false, and the volumes are the true ones."""
    truth = tifffile.imread(next((data_folder / folder / "labels").glob("*.tif")))
    assert len(links(truth, truth)) == n_links
    linked = link(renumbered(truth, np.random.default_rng(0)), axes)
    assert found_and_true(truth, linked) == (1, 1)
    assert score_image(truth, linked).ap[0] == 1


def test_real_volumes_in_fewer_planes(data_folder: Path) -> None:
    """With every second to fourth plane of the ovule 99 % of the links are right."""
    folder = data_folder / "ovule_nuclei_3d" / "labels"
    truth = tifffile.imread(next(folder.glob("*.tif")))
    for every in (2, 3, 4):
        some = truth[::every]
        linked = link(renumbered(some, np.random.default_rng(0)), "ZYX")
        found, true = found_and_true(some, linked)
        assert found == 1, every
        assert true > 0.99, every
        assert score_image(some, linked).ap[0] > 0.95, every


def test_real_volumes_with_sections_missing(data_folder: Path) -> None:
    """With 5 % of the ovule's sections missing bridges raise AP from .58 to .86."""
    folder = data_folder / "ovule_nuclei_3d" / "labels"
    truth = tifffile.imread(next(folder.glob("*.tif")))
    cut = renumbered(truth, np.random.default_rng(0), missing=0.05)
    linked = link(cut, "ZYX")
    assert found_and_true(truth, linked) == (1, 1)
    assert score_image(truth, linked).ap[0] > 0.8
    assert score_image(truth, link_planes(cut, bridge_iou=None)).ap[0] < 0.65


def test_linking_by_iou_alone_loses_the_ends(data_folder: Path) -> None:
    """Why the rule is no IoU: the ends of nuclei are smaller than their neighbours."""
    folder = data_folder / "ovule_nuclei_3d" / "labels"
    truth = tifffile.imread(next(folder.glob("*.tif")))
    cut = renumbered(truth, np.random.default_rng(0))
    found, _ = found_and_true(truth, link_planes(cut, share=0, iou=0.25))
    assert found < 0.95


@pytest.mark.slow
def test_predicted_planes() -> None:
    """What the bundled model finds plane by plane becomes most of the true volumes."""
    from napari_unetic import segment

    for (image, truth), axes in (
        (nuclei_stack(), "ZYX"),
        (nuclei_timelapse(), "TYX"),
    ):
        linked = link(segment(image, axes=axes), axes)
        assert score_image(truth, linked).ap[0] > 0.7


def test_many_objects() -> None:
    """A plane of hundreds of nuclei over itself is linked one to one."""
    labels = nuclei_sample((900, 900))[1]
    assert labels.max() > 250
    linked = link(renumbered(np.stack([labels] * 3), np.random.default_rng(0)), "ZYX")
    assert linked.max() == labels.max()
    np.testing.assert_array_equal(linked[0], linked[2])
