"""The optimiser: a rate for each part, its state as tensors, the pull."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network
    from napari_unetic.training.settings import TrainSettings

_ENCODER = ("encoder.", "bottom.")

_KINDS: Final[dict[str, type[torch.optim.Optimizer]]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}

_PREPARED: Final = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
"""Methods that torch wraps so that ``torch.compile`` can handle them."""


def make_optimiser(network: Network, settings: TrainSettings) -> torch.optim.Optimizer:
    """Return the optimiser of the network's parameters, as settings say.

    Parameters
    ----------
    network : Network
        With an encoder's rate of 0 its encoder and bottom stop taking gradients, which
        saves their time.
    settings : TrainSettings
        Which one; rates, weight decay of AdamW, momentum of SGD.

    Returns
    -------
    Optimizer
        Two groups, decoder and encoder. ``share`` of each is what its learning rate is
        of the schedule's.
    """
    parts: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in network.named_parameters():
        is_encoder = name.startswith(_ENCODER)
        if is_encoder and settings.encoder_rate == 0:
            parameter.requires_grad_(False)
        parts[is_encoder].append(parameter)
    shares = {False: 1.0, True: settings.encoder_rate}
    groups = [
        {"params": parameters, "share": shares[is_encoder]}
        for is_encoder, parameters in parts.items()
        if parameters
    ]
    own: dict[str, dict[str, float]] = {
        "sgd": {"momentum": settings.momentum},
        "adam": {},
        "adamw": {"weight_decay": settings.weight_decay},
    }
    make: Any = _uncompiled(settings.optimiser)
    found: torch.optim.Optimizer = make(
        groups, lr=settings.learning_rate, **own[settings.optimiser]
    )
    return found


@cache
def _uncompiled(name: str) -> type[torch.optim.Optimizer]:
    """Return the optimiser of a name, which does not load ``torch.compile``.

    At their first call torch's optimisers import ``torch._dynamo`` and sympy, only to
    tell a compiler that is not used to leave them alone. That takes one or two seconds
    of the start of each training.
    """
    kind = _KINDS[name]
    members: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name)) for name in _PREPARED
    }
    # What torch wraps this in has gradients off for it, too.
    members["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), members)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its share of a learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten the optimiser's state: number of the parameter, name of the value."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    """Undo `optimiser_state`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, value = name.partition(".")
        state.setdefault(int(number), {})[value] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def set_training(network: Network, settings: TrainSettings) -> None:
    """Put a network into training mode; its norms only where they are to learn."""
    network.train()
    if settings.norms == "keep":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.eval()


@torch.no_grad()
def pull(network: Network, start: dict[str, Tensor], share: float) -> None:
    """Move the parameters towards those of the start.

    Parameters
    ----------
    network : Network
        Changed in place.
    start : dict of str to Tensor
        Values by the names of the parameters.
    share : float
        Of the way; 1 goes all of it.

    References
    ----------
    The penalty is L2-SP (Li, Grandvalet, Davoine 2018, arXiv 1802.01483, section 3.2),
    apart from the gradient as weight decay is in AdamW (arXiv 1711.05101).
    """
    for name, parameter in network.named_parameters():
        parameter.lerp_(start[name], min(share, 1.0))
