"""A model for volumes on a layer: one layer of objects through the planes."""

from __future__ import annotations

import numpy as np
import torch
from napari.layers import Image as ImageLayer

from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.widgets.results import segment_layer


def _model() -> Model:
    """A network that is a threshold: bright voxels are foreground."""
    spec = NetworkSpec(
        dimensions=3,
        in_channels=1,
        out_channels=3,
        widths=(1,),
        convolutions=1,
        norm="none",
    )
    network = build_network(spec).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.bottom[0].weight[0, 0, 1, 1, 1] = 1  # type: ignore[index, union-attr]
        network.head.weight[::2, 0] = 20  # type: ignore[index]
        network.head.bias[:] = -10  # type: ignore[index]
    description = ModelDescription(
        name="deep",
        network=spec,
        axes="ZYX",
        channels=("grey",),
        working_diameter_px=8,
    )
    return Model(description, network)


def test_a_stack_becomes_one_layer_of_solid_objects() -> None:
    """Numbers go through the planes, and objects are measured as volumes."""
    image = np.zeros((10, 40, 50), np.uint16)
    image[1:4, 4:12, 4:12] = image[6:9, 4:12, 4:12] = 1000
    layer = ImageLayer(
        image,
        axis_labels=tuple("zyx"),
        scale=(2, 0.5, 0.5),
        units=("um", "um", "um"),
        name="stack",
    )
    labels = segment_layer(layer, _model(), device="cpu")
    assert labels.data.shape == image.shape
    assert np.unique(labels.data[2]).tolist() == [0, 1]
    assert np.unique(labels.data[7]).tolist() == [0, 2]
    table = labels.features
    assert table["volume"].tolist() == [192, 192]
    assert table["centroid_z"].tolist() == [2, 7]
    assert table["volume_um3"].tolist() == [192 * 0.5] * 2
