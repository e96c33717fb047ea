"""The optimisers are torch's own, without what only its compiler needs."""

from __future__ import annotations

import sys

import pytest
import torch

from napari_unetic.networks.build import build_network
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.training.optimiser import (
    load_optimiser,
    make_optimiser,
    optimiser_state,
)
from napari_unetic.training.settings import train_settings

SPEC = NetworkSpec(in_channels=1, out_channels=1, widths=(2, 4))
TORCH = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}),
    "adam": (torch.optim.Adam, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.8}),
}


def _stepped(optimiser: torch.optim.Optimizer, network: torch.nn.Module) -> None:
    for number in range(3):
        optimiser.zero_grad(set_to_none=True)
        network(torch.full((1, 1, 8, 8), number - 0.5)).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize("name", TORCH)
def test_steps_are_those_of_torch_without_its_compiler(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The same weights and state after three, and torch._dynamo is never imported.

    Importing it takes one or two seconds of the start of each training.
    """
    ours, theirs = build_network(SPEC), build_network(SPEC)
    theirs.load_state_dict(ours.state_dict())
    kind, own = TORCH[name]
    reference = kind(theirs.parameters(), lr=0.01, **own)
    _stepped(reference, theirs)

    settings = train_settings(
        steps=3, optimiser=name, learning_rate=0.01, weight_decay=0.1, momentum=0.8
    )
    # Whoever imports it gets an ImportError.
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    optimiser = make_optimiser(ours, settings)
    assert isinstance(optimiser, kind)
    _stepped(optimiser, ours)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
        for value, wanted in zip(
            optimiser.state[mine].values(), reference.state[other].values(), strict=True
        ):
            assert torch.equal(value, wanted)

    again = make_optimiser(ours, settings)
    load_optimiser(again, optimiser_state(optimiser))
    assert optimiser_state(again).keys() == optimiser_state(optimiser).keys()
