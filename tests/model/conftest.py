"""What the tests of models share: a small one in a folder, and a store."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import save_model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """The folder of a small model named ``tiny``."""
    spec = NetworkSpec(in_channels=1, out_channels=3, widths=(2, 4))
    folder = tmp_path / "given" / "tiny"
    torch.manual_seed(0)
    save_model(
        folder,
        ModelDescription(
            name="tiny", network=spec, channels=("grey",), working_diameter_px=20
        ),
        UNet(spec).state_dict(),
    )
    return folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's models, which does not exist yet."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"
