"""Batches are decided by seed and step alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.instances.targets import make_targets
from napari_unetic.model.description import ModelDescription
from napari_unetic.networks.presets import preset
from napari_unetic.pairs.cleaning import CLICK
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.training.augment import NO_AUGMENTATION
from napari_unetic.training.object_lesson import pixel_weights
from napari_unetic.training.patches import PatchSource, batches, load_samples
from napari_unetic.training.settings import train_settings

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs


def _described(name: str = "unetic-16") -> ModelDescription:
    return ModelDescription(
        name="x", network=preset(name).spec, channels=("grey",), working_diameter_px=14
    )


def _source(pairs: Pairs, name: str = "unetic-16", **settings: object) -> PatchSource:
    description = _described(name)
    samples = [s for pair in pairs for s in load_samples(pair, description)]
    chosen = train_settings(**{"steps": 1, "batch": 2, "patch_px": 64, **settings})
    return PatchSource(samples, description, chosen)


def test_the_same_step_gives_the_same_batch(pairs: Pairs) -> None:
    """Whatever came before, and in another source of the same seed."""
    first, second = _source(pairs), _source(pairs)
    second[0]
    for name in ("images", "targets", "weights"):
        np.testing.assert_array_equal(getattr(first[5], name), getattr(second[5], name))


def test_other_steps_and_seeds_give_other_batches(pairs: Pairs) -> None:
    """Nothing is repeated by accident."""
    source = _source(pairs)
    assert not np.array_equal(source[0].images, source[1].images)
    assert not np.array_equal(source[0].images, _source(pairs, seed=1)[0].images)


@pytest.mark.parametrize("workers", [0, 1])
def test_workers_do_not_change_the_batches(pairs: Pairs, workers: int) -> None:
    """Made ahead or on demand, from any step on."""
    source = _source(pairs)
    coming = batches(source, 3, workers)
    for step in (3, 4):
        np.testing.assert_array_equal(next(coming).images, source[step].images)
    coming.close()


def test_shapes_follow_the_network(pairs: Pairs) -> None:
    """Valid convolutions get a larger image than the targets that they fill."""
    same = _source(pairs)[0]
    assert same.images.shape == (2, 1, 64, 64)
    assert same.targets.shape == same.weights.shape == (2, 3, 64, 64)
    valid = _source(pairs, "ronneberger2015")[0]
    assert valid.targets.shape == (2, 3, 68, 68)
    assert valid.images.shape == (2, 1, 68 + 184, 68 + 184)


def test_the_middle_of_a_valid_patch_is_its_target(pairs: Pairs) -> None:
    """Bright pixels of the image's middle are the target's foreground."""
    batch = _source(pairs, "ronneberger2015", augmentation=NO_AUGMENTATION)[0]
    middle = batch.images[:, 0, 92:-92, 92:-92] > 0.5
    assert (middle == (batch.targets[:, 0] > 0.5)).mean() > 0.98


def test_small_objects_and_contacts_weigh_more() -> None:
    """An object of 25 pixels weighs more than one of 400; background weighs 1."""
    labels = np.zeros((40, 40), np.int32)
    labels[2:22, 2:22], labels[30:35, 30:35] = 1, 2
    weights = pixel_weights(labels, make_targets(labels))
    assert weights[0, 0, 0] == 1
    assert weights[0, 10, 10] == 1
    assert weights[0, 32, 32] == pytest.approx(np.sqrt(200 / 25))
    labels[2:22, 22:30] = 3
    weights = pixel_weights(labels, make_targets(labels))
    assert weights[0, 10, 21] == pytest.approx(5)
    assert weights[1, 10, 21] == pytest.approx(5)


def test_labels_are_cleaned_where_that_is_asked_for(tmp_path: Path) -> None:
    """Brush stamps and stray pieces are gone, but only then; objects stay."""
    labels = np.zeros((40, 40), np.uint16)
    labels[5:15, 5:15] = 1
    labels[20, 20] = 1
    labels[30:35, 30:35][CLICK] = 2
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", np.zeros((40, 40), np.uint8))
    tifffile.imwrite(tmp_path / "labels" / "a.tif", labels)
    (pair,) = read_pairs(tmp_path)
    description = _described()
    for clean, n_pixels in ((False, 100 + 1 + 21), (True, 100)):
        settings = train_settings(steps=1, clean=clean)
        (sample,) = load_samples(pair, description, settings)
        assert np.count_nonzero(sample.labels) == n_pixels


def test_nothing_to_train_on_is_refused(pairs: Pairs) -> None:
    """One sentence."""
    source = _source(pairs)
    description = ModelDescription(
        name="x",
        network=preset("unetic-16").spec,
        channels=("grey",),
        working_diameter_px=14,
    )
    with pytest.raises(UneticError, match="at least one training image"):
        PatchSource([], description, source.settings)


KILLED = """
import os
import sys

import numpy as np
import psutil

from napari_unetic.training.patches import Batch, batches


class Source:
    def __getitem__(self, step: int) -> Batch:
        large = np.zeros((1, 1, 512, 512), np.float32)
        return Batch(large, large, large)


if __name__ == "__main__":
    coming = batches(Source(), 0, 2)
    next(coming)
    print(*(child.pid for child in psutil.Process().children()), flush=True)
    os.kill(os.getpid(), int(sys.argv[1]))
"""
"""Its workers hold more than a pipe does, so that they wait to be asked for it."""


@pytest.mark.parametrize(
    "name", ["SIGKILL", pytest.param("SIGTERM", marks=pytest.mark.slow)]
)
def test_workers_do_not_outlive_a_killed_training(tmp_path: Path, name: str) -> None:
    """Whatever ends it, those that made its batches end, too."""
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    number = getattr(signal, name)
    killed = subprocess.Popen(
        [sys.executable, str(script), str(int(number))], stdout=subprocess.PIPE
    )
    # Read to the end of the line, not of the pipe: the workers hold that open.
    assert killed.stdout is not None
    numbers = killed.stdout.readline().split()
    left = []
    for pid in map(int, numbers):
        with suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(pid))
    assert killed.wait(60) != 0
    killed.stdout.close()
    assert len(numbers) >= 2
    _, alive = psutil.wait_procs(left, timeout=30)
    for process in alive:
        process.kill()
    assert not alive
