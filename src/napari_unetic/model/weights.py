"""Weights: safetensors to a network, checked before memory is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from safetensors import SafetensorError, deserialize
from safetensors.torch import load as load_tensors
from torch import Tensor

from napari_unetic.errors import ModelError
from napari_unetic.networks.build import build_network

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network
    from napari_unetic.networks.spec import NetworkSpec

MAX_PARAMETERS: Final = 200_000_000
"""More values than this are refused; the largest preset has about 31 million."""

_HEADER_BYTES = 1_000_000
"""Room for the header of a safetensors file: the names and shapes of its tensors."""

_REALS = frozenset({"F64", "F32", "F16", "BF16"})
_INTEGERS = frozenset({"I64", "I32"})


def shape_network(spec: NetworkSpec, place: str) -> Network:
    """Return the network without memory for its values: names and shapes only.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    place : str
        Where the description is, for the message.

    Returns
    -------
    Network
        On torch's device ``meta``; no random number was drawn.

    Raises
    ------
    ModelError
        If it has more than `MAX_PARAMETERS` values.
    """
    with torch.device("meta"):
        network = build_network(spec)
    count = _n_values(network)
    if count > MAX_PARAMETERS:
        raise ModelError(
            f"Expected a network of at most {MAX_PARAMETERS:,} parameters in {place}, "
            f"got one of {count:,}; train one with smaller widths."
        )
    return network


def weights_limit(network: Network) -> int:
    """Return the most bytes that a file with the weights of `network` can have."""
    return 8 * _n_values(network) + _HEADER_BYTES


def fill_network(network: Network, data: bytes, place: str) -> Network:
    """Give a network of `shape_network` its weights.

    Parameters
    ----------
    network : Network
        Changed in place.
    data : bytes
        A safetensors file. Real numbers of another width are converted.
    place : str
        The model, for messages.

    Returns
    -------
    Network
        The same network, on the CPU, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is damaged, holds other tensors than the network has, or values
        that are not finite.
    """
    problem = _misfit(network, data)
    if problem:
        raise ModelError(
            f"Expected weights that fit model.json in {place}, got others ({problem}); "
            "copy the model again."
        )
    try:
        network.to_empty(device="cpu")
        network.load_state_dict(load_tensors(data))
    except (MemoryError, RuntimeError) as error:
        raise ModelError(
            f"Expected room in memory for the {len(data):,} bytes of weights in "
            f"{place}, got too little; close other programs."
        ) from error
    for name, value in network.state_dict().items():
        if not _is_usable(name, value):
            raise ModelError(
                f"Expected finite weights (variances of 0 and more) in {place}, got "
                f"others in {name!r}; train the model again."
            )
    return network.eval()


def _n_values(network: Network) -> int:
    return sum(int(value.numel()) for value in network.state_dict().values())


def _misfit(network: Network, data: bytes) -> str:
    """Say how the tensors of a file differ from a network's; empty if they fit."""
    try:
        found = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        return shortened(str(error))
    expected = network.state_dict()
    for name in sorted(expected.keys() ^ found.keys()):
        what = "missing" if name in expected else "not in this network"
        return f"{shortened(name)} is {what}"
    for name, like in expected.items():
        kind, shape = found[name]["dtype"], tuple(found[name]["shape"])
        kinds = _REALS if like.dtype.is_floating_point else _INTEGERS
        if kind not in kinds or shape != tuple(like.shape):
            return f"{name} is {kind} of shape {shape}, not {tuple(like.shape)}"
    return ""


def _is_usable(name: str, value: Tensor) -> bool:
    # The root of a negative variance is not a number.
    lowest = 0.0 if name.endswith("running_var") else float("-inf")
    return bool(torch.isfinite(value).all() and (value >= lowest).all())


def shortened(text: str, length: int = 100) -> str:
    """Return text of a file as a part of a sentence: one line, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text[: length + 1])
    return line if len(text) <= length else f"{line[:length]}…"
