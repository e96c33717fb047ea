"""The network on its device, without a trace in torch's global state."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import torch
from numpy.typing import NDArray

from napari_unetic.model.folder import Model, folded
from napari_unetic.networks.banded import can_be_banded, run_banded
from napari_unetic.networks.network import memory_format

if TYPE_CHECKING:
    import numpy as np

    from napari_unetic.networks.device import Device
    from napari_unetic.networks.network import Network
    from napari_unetic.networks.spec import NetworkSpec

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precision to its type."""


def network_on(model: Model, device: Device, precision: str = "float32") -> Network:
    """Return the folded network on a device, kept for the next image.

    Parameters
    ----------
    model : Model
        The network and the hash of its weights.
    device : Device
        Where to.
    precision : {"float32", "bfloat16"}
        Of weights and of all that is computed from them.
    """
    return _folded_on(
        model.description.weights_sha256, str(device.torch), precision, model.network
    )


@lru_cache(maxsize=3)
def _folded_on(
    weights_sha256: str, device: str, precision: str, network: Network
) -> Network:
    # A caller's default dtype may have made the parameters float64.
    copy = folded(network).to(torch.device(device), DTYPES[precision])
    # Convolutions of this size run faster with channels last on CPU and tensor cores.
    order = memory_format(network.spec.dimensions)
    moved: Network = copy.to(memory_format=order)  # type: ignore[call-overload]
    return moved


def forget_networks() -> None:
    """Give back the memory of networks that were kept for the next image."""
    _folded_on.cache_clear()


def run_network(
    network: Network,
    windows: NDArray[np.float32],
    device: Device,
    activation: Literal["sigmoid", "softmax"] = "sigmoid",
) -> NDArray[np.float32]:
    """Return the maps of a batch of windows.

    Parameters
    ----------
    network : Network
        As `network_on` returns it.
    windows : ndarray of shape (B, C, Y, X) or (B, C, Z, Y, X), float32
        Of a size that the network takes.
    device : Device
        Where the network is.
    activation : {"sigmoid", "softmax"}
        What makes maps of its logits: each by itself, or so that they sum to 1.

    Returns
    -------
    ndarray of shape (B, M, ...), float32
        Between 0 and 1.

    Notes
    -----
    Whatever the caller has set, the network runs in its own precision and without
    gradients; both are settings of this thread alone, and as before when it returns or
    fails.
    """
    kind, dtype = device.torch.type, next(network.parameters()).dtype
    with torch.inference_mode(), torch.autocast(kind, enabled=False):
        x = torch.from_numpy(windows)
        if device.name == "cuda":
            # From pinned memory the copy needs no second one and no waiting for.
            x = x.pin_memory().to(device.torch, non_blocking=True)
        order = memory_format(network.spec.dimensions)
        x = x.to(device.torch, dtype, memory_format=order)
        is_banded = runs_banded(network.spec, device)
        logits = run_banded(network, x) if is_banded else network(x)
        logits = logits.float()
        made = logits.sigmoid_() if activation == "sigmoid" else logits.softmax(dim=1)
        maps: NDArray[np.float32] = made.cpu().numpy()
    return maps


def runs_banded(spec: NetworkSpec, device: Device) -> bool:
    """Whether a network runs band by band: on a CPU, for its caches and its memory."""
    return device.name == "cpu" and can_be_banded(spec)
