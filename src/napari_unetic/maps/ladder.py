"""What to try when memory runs out: fewer tiles, smaller tiles, then the CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from napari_unetic.maps.memory import SMALLEST_TILE_PX
from napari_unetic.networks.device import Device

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

SMALLEST_GPU_TILE_PX = 256
"""Where this is too large for a GPU, the CPU is not slower than with smaller ones."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to run the network.

    Parameters
    ----------
    device : Device
        Where.
    tile : int
        Pixels a side computed at a time.
    batch : int
        Tiles at a time.
    """

    device: Device
    tile: int
    batch: int


def step_down(rung: Rung, spec: NetworkSpec, host_tile: int) -> tuple[Rung, str] | None:
    """Return the next way that takes less memory, and the sentence that says so.

    Parameters
    ----------
    rung : Rung
        What took too much.
    spec : NetworkSpec
        The network, whose stride tiles are multiples of.
    host_tile : int
        Pixels a side to begin with on the CPU.

    Returns
    -------
    tuple of (Rung, str), or None
        Half the batch; with a batch of one half the tile; with the smallest tile of a
        GPU the CPU. None where nothing is left to try.
    """
    name, is_cpu = rung.device.reason.split(":")[0], rung.device.name == "cpu"
    if rung.batch > 1:
        batch = rung.batch // 2
        return replace(rung, batch=batch), (
            f"{name}: too little memory for {rung.batch} tiles at a time; trying "
            f"{batch}."
        )
    smallest = SMALLEST_TILE_PX if is_cpu else SMALLEST_GPU_TILE_PX
    half = -(-rung.tile // (2 * spec.stride)) * spec.stride
    if smallest <= half < rung.tile:
        return replace(rung, tile=half), (
            f"{name}: too little memory for tiles of {rung.tile:,} pixels; trying "
            f"{half:,}."
        )
    if is_cpu:
        return None
    cpu = Device(torch.device("cpu"), f"CPU: too little memory on {name}")
    return Rung(cpu, host_tile, 1), f"{name}: too little memory; going on on the CPU."
