"""A network for other channels says the same on images that show the same."""

from __future__ import annotations

import pytest
import torch

from napari_unetic.finetuning.channels import adapt_channels
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset


@pytest.mark.parametrize("name", ["unetic-16", "ronneberger2015"])
def test_equal_channels_are_seen_as_one(name: str) -> None:
    """Three equal channels give the maps that one gave, with a stem and without."""
    spec = preset(name).spec.model_copy(update={"widths": (8, 16), "in_channels": 1})
    network = build_network(spec).eval()
    adapted, weights = adapt_channels(network.state_dict(), spec, 3)
    wider = build_network(adapted).eval()
    wider.load_state_dict(weights)
    size = 64 if spec.padding == "same" else 188
    x = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, got = network(x), wider(x.repeat(1, 3, 1, 1))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
