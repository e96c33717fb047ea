"""Models with random weights, images without meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.instances.targets import MAP_NAMES
from napari_unetic.maps import pace
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import PRESETS

MakeModel = Callable[..., Model]
MakeImage = Callable[..., NDArray[np.uint16]]


def _random_model(
    name: str = "unetic-16", n_levels: int | None = None, **changes: object
) -> Model:
    spec = PRESETS[name].spec
    widths = tuple(4 * 2**k for k in range(n_levels or len(spec.widths)))
    update = {"out_channels": len(MAP_NAMES), "widths": widths, "dropout": ()}
    spec = spec.model_copy(update=update)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(spec).eval()
    description = ModelDescription(
        name=name,
        network=spec,
        channels=("grey",) * spec.in_channels,
        working_diameter_px=20,
        # Not saved, so that bfloat16 is not tried and maps are exact on all machines.
        weights_sha256="",
    ).model_copy(update=changes)
    return Model(description, network)


def _smooth_image(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint16]:
    noise = np.random.default_rng(seed).normal(0, 1, shape)
    smooth = noise.cumsum(-1).cumsum(-2)
    scaled = (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-9)
    return (60_000 * scaled).astype(np.uint16)


@pytest.fixture(scope="session")
def random_model() -> MakeModel:
    """Makes a narrow preset whose maps are neither flat nor saturated."""
    return _random_model


@pytest.fixture(scope="session")
def smooth_image() -> MakeImage:
    """Makes an image of a shape and a seed."""
    return _smooth_image


@pytest.fixture(autouse=True)
def paces(monkeypatch: pytest.MonkeyPatch) -> Iterator[pace.Paces]:
    """Paces that know nothing, in place of those of the process."""
    fresh = pace.Paces()
    for module in ("pace", "plan", "preparation"):
        monkeypatch.setattr(f"napari_unetic.maps.{module}.PACES", fresh)
    yield fresh
