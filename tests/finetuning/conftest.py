"""Discs to fine-tune on, and a model that knows other discs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.finetuning import CollectedPair, collect_pairs
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import save_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset


def discs(
    seed: int, *, radius: float = 7.0, side: int = 96
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return an image of bright discs on a grid, some moved, and its labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    rows, columns = np.indices(labels.shape)
    number = 0
    step = int(2.6 * radius)
    for y in range(step // 2, side - step // 3, step):
        for x in range(step // 2, side - step // 3, step):
            number += 1
            at = y + rng.uniform(-2, 2), x + rng.uniform(-2, 2)
            labels[np.hypot(rows - at[0], columns - at[1]) < radius] = number
    image = 1000 + 3000 * (labels > 0) + rng.normal(0, 150, labels.shape)
    return image.astype(np.uint16), labels


@pytest.fixture
def pairs() -> list[CollectedPair]:
    """Two planes of 25 discs each, reviewed throughout."""
    return [
        pair
        for seed in range(2)
        for pair in collect_pairs(*discs(seed), name=f"discs{seed}")
    ]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that takes one channel and discs of 14 pixels."""
    import torch

    spec = preset("unetic-16").spec.model_copy(update={"out_channels": 3})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = build_network(spec)
    folder = tmp_path_factory.mktemp("models") / "base"
    save_model(
        folder,
        ModelDescription(
            name="base", network=spec, channels=("grey",), working_diameter_px=14
        ),
        network.state_dict(),
    )
    return folder
