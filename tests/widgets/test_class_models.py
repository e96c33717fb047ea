"""Models of classes in napari: told apart from those that find objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from napari.layers import Image as ImageLayer

from napari_unetic.errors import ModelError
from napari_unetic.home import user_folder
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import save_model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import semantic_target
from napari_unetic.steps import drain
from napari_unetic.widgets.lookup import _find_steps
from napari_unetic.widgets.results import segment_layer


@pytest.fixture
def tissue() -> str:
    """A model of classes among the user's own."""
    spec = NetworkSpec(in_channels=1, out_channels=1, widths=(2, 4))
    description = ModelDescription(
        name="tissue",
        network=spec,
        channels=("grey",),
        target=semantic_target(["tissue"]),
        decoding=ClassDecodeSpec(),
        working_diameter_px=20,
    )
    with torch.random.fork_rng(devices=[]):
        weights = UNet(spec).state_dict()
    save_model(user_folder("models") / "tissue", description, weights)
    return "tissue"


def test_docks_offer_models_of_objects(tissue: str) -> None:
    """One of classes is there, and not among them."""
    from napari_unetic.model.registry import list_models

    names = [m.name for m in list_models()]
    assert tissue in names
    offered = [m.name for m in drain(_find_steps()).models]
    assert offered == [name for name in names if name != tissue]


def test_a_layer_is_not_segmented_into_classes(tissue: str) -> None:
    """The sentence names the model."""
    layer = ImageLayer(np.zeros((40, 50), np.uint8))
    with pytest.raises(ModelError, match="of objects, got 'tissue'"):
        segment_layer(layer, tissue)
