"""Losses: hand-worked values, and nothing learnt from what has no weight."""

from __future__ import annotations

import math

import pytest
import torch

from napari_unetic.networks.losses import instance_loss


def _batch(value: float) -> torch.Tensor:
    return torch.full((1, 3, 4, 4), float(value))


def test_undecided_maps_cost_what_they_must() -> None:
    """Logits of 0 against full foreground: entropy ln 2, Dice 1 - 17/25, depth .5."""
    targets = torch.stack([torch.ones(4, 4), torch.zeros(4, 4), torch.ones(4, 4)])[None]
    parts = instance_loss(_batch(0), targets, _batch(1))
    assert float(parts.foreground) == pytest.approx(math.log(2) + 1 - 17 / 25)
    assert float(parts.contact) == pytest.approx(math.log(2))
    assert float(parts.depth) == pytest.approx(0.5)
    assert float(parts.total) == pytest.approx(
        float(parts.foreground + 2 * parts.contact + parts.depth)
    )


def test_right_maps_cost_nothing() -> None:
    """Sure and right is free."""
    targets = (torch.arange(48).reshape(1, 3, 4, 4) % 2).float()
    parts = instance_loss(200 * (targets - 0.5), targets, _batch(1))
    assert float(parts.total) == pytest.approx(0, abs=1e-5)


def test_what_has_no_weight_has_no_gradient() -> None:
    """A pixel of weight 0 moves nothing; its neighbours do."""
    logits = torch.randn(1, 3, 4, 4, generator=torch.manual_seed(0), requires_grad=True)
    weights = _batch(1)
    weights[..., :2] = 0
    instance_loss(logits, _batch(1), weights).total.backward()
    assert logits.grad is not None
    assert not logits.grad[..., :2].any()
    assert (logits.grad[..., 2:] != 0).all()


def test_no_weight_at_all_is_no_loss() -> None:
    """A patch outside the reviewed area costs nothing rather than not-a-number."""
    parts = instance_loss(_batch(3), _batch(0), _batch(0))
    assert float(parts.contact) == 0 and float(parts.depth) == 0
    assert torch.isfinite(parts.total)
