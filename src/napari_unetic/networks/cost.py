"""What a network costs, counted and not timed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_unetic.networks.build import build_network
from napari_unetic.networks.geometry import receptive_field
from napari_unetic.networks.network import n_parameters

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

_TILE_PX = {2: 1024, 3: 128}
"""A side of the tile, by dimensions."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Figures of a network.

    Parameters
    ----------
    n_parameters : int
        Weights and biases, those of norms counted.
    receptive_field_px : tuple of int
        The most pixels along each axis, Z first in volumes, that an output pixel
        depends on.
    gflop_per_megapixel : float
        Billions of multiplications and additions in all convolutions, to one million
        pixels (voxels) of maps, computed in one tile of 1024 × 1024 pixels (128 × 128 ×
        128 voxels) or the next smaller size that the network can have. What tiles
        overlap is not counted.
    """

    n_parameters: int
    receptive_field_px: tuple[int, ...]
    gflop_per_megapixel: float


@lru_cache(maxsize=64)
def cost(spec: NetworkSpec) -> Cost:
    """Return what a network costs; nothing is computed and no memory taken.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    """
    rules, side = spec.tile_rules, _TILE_PX[spec.dimensions]
    sides = [side - (side - rule.remainder) % rule.stride for rule in rules]
    with torch.device("meta"):
        network = build_network(spec).eval()
        read = [n + 2 * rule.context for n, rule in zip(sides, rules, strict=True)]
        x = torch.empty(1, spec.in_channels, *read)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    flop = counter.get_total_flops()
    return Cost(
        n_parameters=n_parameters(network),
        receptive_field_px=receptive_field(spec),
        gflop_per_megapixel=flop / math.prod(sides) / 1e3,
    )
