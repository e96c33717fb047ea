"""Memory: what the network takes, as foretold."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_unetic.image.tiles import tiles
from napari_unetic.maps.memory import fitting_tile, largest_read, network_bytes
from napari_unetic.networks.build import build_network
from napari_unetic.networks.folding import fold_norms
from napari_unetic.networks.presets import PRESETS

PLANAR = sorted(name for name in PRESETS if PRESETS[name].spec.dimensions == 2)


class _Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._sizes:
                self._sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(tensor, self._forget, storage._cdata)
        return out

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)


@pytest.mark.parametrize("name", PLANAR)
def test_the_estimate_holds_what_the_network_keeps(name: str) -> None:
    """It is above the sum of the live tensors, and not more than thrice as much."""
    with torch.device("meta"):
        network = build_network(PRESETS[name].spec).eval()
        fold_norms(network)
    tile = next(tiles((512, 512), 512, network.spec.tile_rules))
    x = torch.zeros(1, network.spec.in_channels, *tile.window, device="meta")
    with torch.no_grad(), _Peak() as counted:
        torch.sigmoid(network(x))
    estimate = network_bytes(network.spec, x[0, 0].numel())
    assert counted.peak + x.nbytes < estimate < 3 * (counted.peak + x.nbytes)


@pytest.mark.parametrize("box", [((0, 5000), (0, 3000)), ((1003, 1200), (5, 2999))])
def test_a_tile_fits_into_what_is_free(
    box: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    """Unless not even the smallest does."""
    spec = PRESETS["unetic-24"].spec
    part = slice(*box[0]), slice(*box[1])
    for free in (10**10, 10**8, 3 * 10**7):
        tile = fitting_tile((5000, 3000), part, spec, free)
        n_pixels = largest_read((5000, 3000), part, tile, spec)
        assert network_bytes(spec, n_pixels) <= free
        assert n_pixels <= 1536**2
    assert fitting_tile((5000, 3000), part, spec, 0) == 64
