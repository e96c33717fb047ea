"""Every preset is what its source says, and keeps the contract of a network."""

from __future__ import annotations

import pytest
import torch

from napari_unetic.errors import UneticError
from napari_unetic.model.folder import folded
from napari_unetic.networks.presets import PRESETS, preset
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet, n_parameters

PARAMETERS = {
    "keras-dsb2018": 1_941_105,
    "ronneberger2015": 31_030_658,
    "unetic-16": 483_068,
    "unetic-24": 1_085_172,
    "unetic-32": 1_927_660,
}


def test_every_preset_is_counted() -> None:
    """No preset is without its exact count below."""
    assert set(PARAMETERS) == set(PRESETS)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameter_count(name: str) -> None:
    """Weights and biases number exactly as published (or as first built here)."""
    assert n_parameters(UNet(preset(name).spec)) == PARAMETERS[name]


def test_each_preset_names_its_source() -> None:
    """Somebody can look it up."""
    assert all(len(p.source) > 10 for p in PRESETS.values())


def test_an_unknown_preset_is_refused() -> None:
    """The message lists those that there are."""
    with pytest.raises(UneticError, match=r"unetic-24.*got 'vgg'"):
        preset("vgg")


def _narrow(spec: NetworkSpec) -> NetworkSpec:
    """The same shape with few filters, so that a test is quick."""
    widths = tuple(2 * 2**k for k in range(len(spec.widths)))
    return spec.model_copy(update={"widths": widths})


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_output_is_smaller_than_the_input_by_the_context(name: str) -> None:
    """Any size that the tile rule allows gives a map of that size less the context."""
    spec = _narrow(preset(name).spec)
    rule = spec.tile_rule
    network = UNet(spec).eval()
    for k in (1, 3):
        rows = rule.stride * k + rule.remainder
        columns = rule.stride * (k + 1) + rule.remainder
        x = torch.rand(
            2, spec.in_channels, rows + 2 * rule.context, columns + 2 * rule.context
        )
        assert network(x).shape == (2, spec.out_channels, rows, columns)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_nothing_beyond_the_reach_matters(name: str) -> None:
    """The gradient of a pixel reaches no further than `reach` says, on any offset."""
    spec = _narrow(preset(name).spec)
    network = UNet(spec).double().eval()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    rule = spec.tile_rule
    size = rule.stride * 24 + rule.remainder
    x = torch.ones(
        1, spec.in_channels, size + 2 * rule.context, 64 + 2 * rule.context
    ).double()
    if rule.remainder:
        x = x[..., : rule.stride * 3 + rule.remainder + 2 * rule.context]
    x.requires_grad_(True)
    for row in range(size // 2, size // 2 + rule.stride, 5):
        (gradient,) = torch.autograd.grad(network(x)[0, :, row].sum(), x)
        touched = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
        centre = row + rule.context
        assert centre - spec.reach <= int(touched.min())
        assert int(touched.max()) <= centre + spec.reach
    if rule.halo:
        assert rule.halo >= spec.reach


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_one_step_lowers_the_loss(name: str) -> None:
    """The network learns: a step down the gradient lowers the error on its batch."""
    torch.manual_seed(0)
    spec = _narrow(preset(name).spec).model_copy(update={"dropout": ()})
    network = UNet(spec)
    rule = spec.tile_rule
    size = 2 * rule.stride + rule.remainder
    x = torch.rand(2, spec.in_channels, *[size + 2 * rule.context] * 2)
    y = torch.ones(2, spec.out_channels, size, size)

    def loss() -> torch.Tensor:
        return ((network(x) - y) ** 2).mean()

    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)
    before = loss()
    before.backward()
    optimiser.step()
    assert loss() < before


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_folding_batch_norm_changes_nothing(name: str) -> None:
    """The folded network agrees with the trained one to rounding."""
    torch.manual_seed(1)
    spec = _narrow(preset(name).spec)
    network = UNet(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    network.eval()
    rule = spec.tile_rule
    size = rule.stride + rule.remainder + 2 * rule.context
    x = torch.rand(1, spec.in_channels, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network)(x), network(x))


def test_dropout_rates_must_fit_the_depth() -> None:
    """Three widths have five blocks."""
    with pytest.raises(ValueError, match="expected 5 dropout rates"):
        NetworkSpec(in_channels=1, out_channels=1, widths=(2, 4, 8), dropout=(0.1,))
