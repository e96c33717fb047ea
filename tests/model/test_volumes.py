"""Models for volumes: kept like all others, refused where planes are worked on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetic import segment
from napari_unetic.errors import ModelError
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import load_model_folder, save_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.training.record import describe
from napari_unetic.training.settings import train_settings


def _save(folder: Path, axes: str) -> ModelDescription:
    spec = preset("attention-unet-3d", dimensions=3).spec
    spec = spec.model_copy(update={"widths": (2, 4)})
    description = ModelDescription(
        name="deep",
        network=spec,
        axes=axes,  # type: ignore[arg-type]
        channels=("grey",),
        working_diameter_px=20,
    )
    return save_model(folder, description, build_network(spec).state_dict())


def test_planes_are_refused(tmp_path: Path) -> None:
    """Segmenting and training say that the model takes volumes."""
    _save(tmp_path / "deep", "ZYX")
    model = load_model_folder(tmp_path / "deep")
    assert model.description.axes == "ZYX"
    with pytest.raises(ModelError, match="got 'deep', which takes volumes"):
        segment(np.zeros((8, 9, 10), np.uint8), model, axes="ZYX")
    with pytest.raises(ModelError, match="got 'deep', which takes volumes"):
        describe(model, train_settings(steps=1), "new")


def test_axes_and_network_must_agree(tmp_path: Path) -> None:
    """A description that says planes of a network for volumes is refused."""
    _save(tmp_path / "deep", "YX")
    with pytest.raises(ModelError, match="a network for the axes YX, got 3 dim"):
        load_model_folder(tmp_path / "deep")
