"""Every preset is what its source says."""

from __future__ import annotations

import pytest
import torch

from napari_unetic.errors import UneticError
from napari_unetic.networks.build import build_network
from napari_unetic.networks.network import Network, n_parameters
from napari_unetic.networks.presets import PRESETS, preset

PARAMETERS = {
    "attention-unet": 8_285_735,
    "attention-unet-3d": 5_864_503,
    "cicek2016": 19_072_291,
    "dense-unet": 6_093_187,
    "keras-128": 31_031_745,
    "keras-dsb2018": 1_941_105,
    "residual-unet": 8_113_667,
    "resnet18-unet": 14_328_209,
    "resnet34-unet": 24_436_369,
    "ronneberger2015": 31_030_658,
    "segnet": 29_441_996,
    "tutorial-1level": 403_777,
    "tutorial-1level-upsampling": 407_809,
    "tutorial-2level": 117_985,
    "unet++": 9_041_601,
    "unetic-16": 483_068,
    "unetic-24": 1_085_172,
    "unetic-32": 1_927_660,
    "unetic-3d": 341_052,
}
"""As published, or as first built here where nothing is (our own, attention, residual,
dense). ResNets: segmentation_models.pytorch, ``Unet("resnet18")`` and 34. U-Net++: the
comment in the authors' Keras code."""


def _empty(name: str) -> Network:
    with torch.device("meta"):
        return build_network(PRESETS[name].spec)


def test_every_preset_is_counted() -> None:
    """No preset is without its exact count above."""
    assert set(PARAMETERS) == set(PRESETS)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_count(name: str) -> None:
    """Weights and biases number exactly as published (or as first built here)."""
    assert n_parameters(_empty(name)) == PARAMETERS[name]


def test_the_3d_unet_has_the_parameters_of_its_paper() -> None:
    """19,069,955 in section 2, which leaves the factors of batch norm out."""
    network = _empty("cicek2016")
    factors = sum(
        module.weight.numel()
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm3d)
    )
    assert n_parameters(network) - factors == 19_069_955


def test_segnet_encodes_like_vgg16() -> None:
    """Section 3: the 13 convolutions of VGG16 (14,714,688 with biases), mirrored."""
    network = _empty("segnet")
    n_weights, n_channels = [], []
    for half in (network.encoder, network.decoder):
        assert isinstance(half, torch.nn.ModuleList)
        found = [m for m in half.modules() if isinstance(m, torch.nn.Conv2d)]
        n_weights.append(sum(m.weight.numel() for m in found))
        n_channels.append(sum(m.out_channels for m in found))
    # Before batch norm a bias does nothing, and there is none here.
    assert n_weights[0] + n_channels[0] == 14_714_688
    # Of what is mirrored, the head has the counterpart of the first convolution.
    assert n_weights[1] == n_weights[0] - 64 * 3 * 9
    assert isinstance(network.head, torch.nn.Conv2d)
    assert network.head.weight.shape == (12, 64, 3, 3)


@pytest.mark.parametrize(
    ("name", "n_values"),
    # torchvision's resnet18 and resnet34, 11,689,512 and 21,797,672 parameters, short
    # of the classifier's 513,000.
    [("resnet18-unet", 11_176_512), ("resnet34-unet", 21_284_672)],
)
def test_the_encoders_are_torchvisions(name: str, n_values: int) -> None:
    """Their parameters have the number and the names that torchvision gives them."""
    encoder = _empty(name).encoder
    assert isinstance(encoder, torch.nn.Module)
    assert n_parameters(encoder) == n_values
    names = set(encoder.state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight"} <= names
    assert {"layer2.0.downsample.0.weight", "layer4.1.bn2.bias"} <= names
    assert "layer1.0.downsample.0.weight" not in names


def test_each_preset_names_its_source() -> None:
    """Somebody can look it up."""
    assert all(len(p.source) > 10 for p in PRESETS.values())


def test_an_unknown_preset_is_refused() -> None:
    """The message lists those that there are."""
    with pytest.raises(UneticError, match=r"unetic-24.*got 'vgg'"):
        preset("vgg")


def test_a_preset_for_volumes_is_not_one_for_planes() -> None:
    """It is refused where planes are asked for, and found where volumes are."""
    with pytest.raises(UneticError, match="'cicek2016', which is for volumes"):
        preset("cicek2016")
    assert preset("cicek2016", dimensions=3).spec.dimensions == 3
    assert preset("cicek2016", dimensions=None).name == "cicek2016"
    with pytest.raises(UneticError, match="'unetic-24', which is for planes"):
        preset("unetic-24", dimensions=3)
