"""Band by band is the same as in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_unetic.model.folder import folded
from napari_unetic.networks import banded
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import PRESETS
from napari_unetic.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network

SPEC = NetworkSpec(in_channels=2, out_channels=3, widths=(4, 8, 12))

SHAPES = {
    "plain": {},
    "stem": {"stem": 2},
    "residual": {"block": "residual", "convolutions": 3},
    "dense": {"block": "dense"},
    "added": {"skip": "add", "up": "nearest"},
    "nearest": {"up": "nearest", "norm": "none", "activation": "elu"},
    "unequal": {"convolutions": (1, 2, 3)},
    "before": {"doubling": "before"},
}


def _network(**changes: object) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        spec = NetworkSpec.model_validate(SPEC.model_dump() | changes)
        network = build_network(spec)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias.data.uniform_(-1, 1)
    return folded(network)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("n", "size"), [(1, (8, 8)), (2, (120, 24)), (1, (168, 8))])
def test_bands_equal_one_piece(
    name: str, size: tuple[int, int], n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any size, at the image's edges and where bands meet, to rounding."""
    monkeypatch.setattr(banded, "BAND_BYTES", 1)
    network = _network(**SHAPES[name])
    assert banded.can_be_banded(network.spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        x = torch.randn(n, 2, *size)
    with torch.no_grad():
        whole, found = network(x), banded.run_banded(network, x)
    assert found.shape == whole.shape and whole.std() > 0.01
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5 * float(whole.std() + 1))


def test_a_band_that_is_read_too_narrow_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows beyond a band are needed, which the test above would notice."""
    monkeypatch.setattr(banded, "BAND_BYTES", 1)
    network = _network(convolutions=3)
    x = torch.linspace(-300, 300, 2 * 64 * 32).sin().reshape(1, 2, 64, 32)
    with torch.no_grad():
        whole = network(x)
        # Two rows are read for a reach of three.
        monkeypatch.setattr(NetworkSpec, "convolutions_at", lambda self, level: 2)
        assert (banded.run_banded(network, x) - whole).abs().max() > 1e-3


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_say_themselves_whether_they_can(name: str) -> None:
    """Networks that shrink, gate or nest run in one piece."""
    spec = PRESETS[name].spec
    usual = (spec.kind, spec.encoder, spec.padding, spec.dimensions)
    expected = usual == ("unet", "blocks", "same", 2) and spec.skip != "attention"
    assert banded.can_be_banded(spec) == expected
