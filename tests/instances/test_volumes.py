"""Targets and decoding of volumes: as in planes, with Z as a third direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_unetic.instances.counts import score_image
from napari_unetic.instances.decode import DecodeSpec, decode, fill_holes, grow
from napari_unetic.instances.link import link
from napari_unetic.instances.targets import make_targets
from napari_unetic.samples import nuclei_stack
from napari_unetic.samples.stack import VOXEL_SIZE


def _box() -> NDArray[np.int32]:
    labels = np.zeros((9, 11, 11), np.int32)
    labels[2:7, 3:8, 3:8] = 1
    return labels


def test_one_plane_is_a_plane() -> None:
    """A volume of one plane has the maps of that plane, and decodes like it."""
    labels = np.zeros((12, 14), np.int32)
    labels[2:10, 2:6], labels[2:10, 6:12] = 1, 2
    flat = make_targets(labels)
    deep = make_targets(labels[np.newaxis])
    np.testing.assert_array_equal(deep[:, 0], flat)
    np.testing.assert_array_equal(decode(deep)[0], decode(flat))


def test_depth_rises_along_all_axes() -> None:
    """In a cube of five the middle is 1, and above and beside it alike."""
    depth = make_targets(_box())[2]
    assert depth[4, 5, 5] == depth.max() == 1
    assert depth[3, 5, 5] == depth[4, 4, 5] == depth[4, 5, 4] == pytest.approx(0.6)
    assert depth[1, 5, 5] == 0


def test_planes_that_are_far_apart_count_for_more() -> None:
    """With planes three pixels apart, sides are nearer than what is above."""
    depth = make_targets(_box(), anisotropy=3)[2]
    # 2.5 pixels from the sides at the middle; one plane above it that is the nearest.
    assert depth[4, 5, 5] == 1
    assert depth[3, 5, 5] == pytest.approx(1.0)
    assert depth[4, 4, 5] == pytest.approx(1.5 / 2.5)


def test_objects_meet_above_each_other() -> None:
    """Where one lies on another there is a contact, and they come back as two."""
    labels = np.zeros((10, 12, 12), np.int32)
    labels[1:5, 2:10, 2:10], labels[5:9, 2:10, 2:10] = 1, 2
    maps = make_targets(labels)
    assert maps[1, 4, 5, 5] == maps[1, 5, 5, 5] == 1
    assert maps[1, 1, 5, 5] < maps[1, 3, 5, 5] < 1
    np.testing.assert_array_equal(decode(maps), labels)


def test_growing_goes_up_and_down() -> None:
    """The nearest core takes a voxel, along Z as along Y and X."""
    cores = np.zeros((7, 3, 3), np.int32)
    cores[0, 1, 1], cores[6, 1, 1] = 1, 2
    grown = grow(cores, np.ones(cores.shape, np.bool_))
    assert (grown[:3] == 1).all() and (grown[4:] == 2).all()


def test_a_hole_must_be_closed_on_all_sides() -> None:
    """One that is closed in a plane alone, but open above, stays open."""
    labels = _box()
    labels[4, 5, 5] = 0
    assert fill_holes(labels, 10)[4, 5, 5] == 1
    labels[4:7, 5, 5] = 0
    assert fill_holes(labels, 10)[4, 5, 5] == 0


def test_volumes_are_linked_along_time_alone() -> None:
    """Objects keep their planes; those of the next frame get their numbers."""
    frames = np.stack([np.where(_box(), 3, 0), np.where(_box(), 8, 0)])
    frames[:, 8, 0, 0] = 5
    linked = link(frames, "TZYX", is_planar=False)
    np.testing.assert_array_equal(linked[0], linked[1])
    assert linked.max() == 2
    alone = link(frames[0], "ZYX", is_planar=False)
    np.testing.assert_array_equal(alone > 0, frames[0] > 0)
    assert alone.max() == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_generated_stacks_come_back(seed: int) -> None:
    """Nine of ten nuclei, half of which touch, with an IoU of .5 or more."""
    labels = nuclei_stack((16, 128, 128), seed)[1]
    anisotropy = VOXEL_SIZE.anisotropy
    assert anisotropy == pytest.approx(3.08, abs=0.01)
    found = decode(make_targets(labels, anisotropy=anisotropy))
    score = score_image(labels, found)
    assert score.n_true >= 15
    assert score.ap[0] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "anisotropy"), [("ovule_nuclei_3d", 2.24), ("mouse_embryo_3d", 2.19)]
)
def test_real_stacks_come_back(data_folder: Path, name: str, anisotropy: float) -> None:
    """Of labelled nuclei nearly all, with an IoU of .75 or more."""
    for path in sorted((data_folder / name / "labels").glob("*.tif")):
        labels = tifffile.imread(path).astype(np.int32)
        maps = make_targets(labels, anisotropy=anisotropy)
        score = score_image(labels, decode(maps, DecodeSpec()))
        assert score.ap[5] >= 0.9, (path.name, score)
