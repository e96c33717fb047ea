"""Models for volumes: kept like all others, refused where planes are worked on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_unetic import segment
from napari_unetic.errors import ModelError
from napari_unetic.finetuning.making import begin_run
from napari_unetic.finetuning.settings import finetune_settings
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import load_model_folder, save_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.device import choose_device
from napari_unetic.networks.presets import preset
from napari_unetic.predict.diameter import estimate_diameter_steps
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain


def _save(folder: Path, axes: str) -> ModelDescription:
    spec = preset("unetic-3d", dimensions=3).spec
    spec = spec.model_copy(update={"widths": (2, 4)})
    description = ModelDescription(
        name="deep",
        network=spec,
        axes=axes,  # type: ignore[arg-type]
        channels=("grey",),
        working_diameter_px=20,
        anisotropy=3,
    )
    return save_model(folder, description, build_network(spec).state_dict())


@pytest.mark.parametrize("axes", ["YX", "TYX"])
def test_images_without_planes_are_refused(tmp_path: Path, axes: str) -> None:
    """The sentence names the model, says what it takes and what came."""
    _save(tmp_path / "deep", "ZYX")
    model = load_model_folder(tmp_path / "deep")
    assert model.description.axes == "ZYX" and model.description.anisotropy == 3
    image = np.zeros((8, 9, 10)[-len(axes) :], np.uint8)
    said = f"along Z for 'deep', which takes volumes, got the axes {axes}"
    with pytest.raises(ModelError, match=said):
        segment(image, model, axes=axes)


def test_what_goes_plane_by_plane_refuses_it(tmp_path: Path) -> None:
    """Fine-tuning and the estimate of the diameter say that it takes volumes."""
    _save(tmp_path / "deep", "ZYX")
    model = load_model_folder(tmp_path / "deep")
    said = "a model for planes, got 'deep', which takes volumes"
    with pytest.raises(ModelError, match=said):
        drain(
            estimate_diameter_steps(
                np.zeros((8, 9, 10), np.uint8), model, segment_settings(axes="ZYX")
            )
        )
    with pytest.raises(ModelError, match=said):
        begin_run(
            tmp_path / "run",
            model,
            [],
            finetune_settings(steps=1),
            0.25,
            "new",
            choose_device("cpu"),
        )


def test_axes_and_network_must_agree(tmp_path: Path) -> None:
    """A description that says planes of a network for volumes is refused."""
    _save(tmp_path / "deep", "YX")
    with pytest.raises(ModelError, match="a network for the axes YX, got 3 dim"):
        load_model_folder(tmp_path / "deep")
