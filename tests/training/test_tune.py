"""Thresholds are tuned on instance AP."""

from __future__ import annotations

import numpy as np

from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.targets import make_targets
from napari_unetic.steps import drain
from napari_unetic.training.tune import objective, tune_steps


def _maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 60), np.int32)
    rows, columns = np.indices(labels.shape)
    for number in range(1, 9):
        at = rng.uniform(5, 55, 2)
        labels[np.hypot(rows - at[0], columns - at[1]) < 6] = number
    return make_targets(labels), labels


def test_a_timid_network_gets_a_low_threshold() -> None:
    """If the foreground never exceeds .5, the threshold goes below it."""
    maps, truths = zip(*(_maps(seed) for seed in range(3)), strict=True)
    timid = [np.stack([0.42 * m[0], m[1], m[2]]) for m in maps]
    spec, scores = drain(tune_steps(timid, truths))
    assert spec.foreground < 0.42
    assert objective(scores) > 0.85


def test_specks_are_dropped() -> None:
    """Wrong specks of nine pixels raise the smallest area."""
    maps, truths = zip(*(_maps(seed) for seed in range(3)), strict=True)
    for m, truth in zip(maps, truths, strict=True):
        for row in range(0, 60, 8):
            if not truth[row : row + 4, :4].any():
                m[0, row : row + 3, :3] = 1
    spec, _ = drain(tune_steps(maps, truths))
    assert spec.smallest_px >= 10


def test_a_tie_moves_nothing() -> None:
    """Perfect maps leave the thresholds where the search began."""
    maps, truths = zip(*(_maps(seed) for seed in range(2)), strict=True)
    start = DecodeSpec(foreground=0.5, contact=0.5)
    spec, _ = drain(tune_steps(maps, truths, start))
    assert (spec.foreground, spec.smallest_px) == (0.5, 0)
