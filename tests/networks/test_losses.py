"""Losses: hand-worked values and gradients, nothing learnt from what has no weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from napari_unetic.networks.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_and_dice,
    focal,
    instance_loss,
    soft_dice,
    tversky,
)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "binary cross-entropy": binary_cross_entropy,
    "cross-entropy": cross_entropy,
    "Dice": soft_dice,
    "cross-entropy and Dice": cross_entropy_and_dice,
    "focal": focal,
    "focal, gamma .5": partial(focal, gamma=0.5),
    "Tversky": tversky,
}

LN2, LN3 = math.log(2), math.log(3)


def _row(*values: float) -> Tensor:
    """One map of one image of one row of pixels."""
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def _pixels(*classes: tuple[float, ...]) -> Tensor:
    """One image of one row of pixels, the values of all maps given for each."""
    return torch.tensor(classes, dtype=torch.float64).T[None, :, None]


# Sigmoids .75, .5 and .25; of the three pixels the middle one is background, twice.
LOGITS = _row(LN3, 0, -LN3)
TARGETS = _row(1, 0, 1)
WEIGHTS = _row(1, 2, 1)

ONE_MAP: dict[str, tuple[Loss, float, tuple[float, float, float]]] = {
    # -ln .75 - 2 ln .5 - ln .25 over 4; the gradient is w (p - t) over 4.
    "cross-entropy": (
        cross_entropy,
        (-math.log(0.75) + 2 * LN2 + 2 * LN2) / 4,
        (-0.25 / 4, 2 * 0.5 / 4, -0.75 / 4),
    ),
    # Hit 1, missed 1, false 1: 1 - 1.5 / 2.5. The gradient by p is -(w t D - N w / 2)
    # over D squared, with N = 1.5 and D = 2.5; p (1 - p) is .1875, .25, .1875.
    "Dice": (
        soft_dice,
        0.4,
        (-0.28 * 0.1875, 0.24 * 0.25, -0.28 * 0.1875),
    ),
    # 1 - 1.5 / (1 + .8 + .4 + .5).
    "Tversky": (
        partial(tversky, missed=0.8, false=0.4),
        1 - 1.5 / 2.7,
        (
            -(2.7 - 1.5 * 0.2) / 2.7**2 * 0.1875,
            1.5 * 0.8 / 2.7**2 * 0.25,
            -(2.7 - 1.5 * 0.2) / 2.7**2 * 0.1875,
        ),
    ),
    # (1 - p)^2 times the cross-entropy; gradient as in appendix B of Lin 2017.
    "focal": (
        focal,
        (-0.0625 * math.log(0.75) + 2 * 0.25 * LN2 + 0.5625 * 2 * LN2) / 4,
        (
            0.0625 * (1.5 * math.log(0.75) - 0.25) / 4,
            -2 * 0.25 * (-LN2 - 0.5) / 4,
            0.5625 * (-0.5 * 2 * LN2 - 0.75) / 4,
        ),
    ),
}


@pytest.mark.parametrize("name", ONE_MAP)
def test_one_map(name: str) -> None:
    """Value and gradient over three pixels are those worked out by hand."""
    loss, value, slopes = ONE_MAP[name]
    logits = LOGITS.clone().requires_grad_(True)
    found = loss(logits, TARGETS, WEIGHTS)
    found.backward()
    assert found.item() == pytest.approx(value)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx(slopes)


def test_cross_entropy_of_three_classes() -> None:
    """Shares .5, .25, .25 cost ln 2, thirds ln 3; the gradient is w (p - t) over w."""
    logits = _pixels((LN2, 0, 0), (0, 0, 0)).requires_grad_(True)
    loss = cross_entropy(logits, _pixels((1, 0, 0), (0, 0, 1)), _row(1, 3))
    loss.backward()
    assert loss.item() == pytest.approx((LN2 + 3 * LN3) / 4)
    expected = _pixels((-0.5, 0.25, 0.25), (1, 1, -2)) / 4
    torch.testing.assert_close(logits.grad, expected)


def test_dice_of_two_classes() -> None:
    """The mean over classes: hits .75 and .5, missed .25 and .5, false .5 and .25."""
    loss = soft_dice(_pixels((LN3, 0), (0, 0)), _pixels((1, 0), (0, 1)), _row(1, 1))
    first, second = 1.25 / (0.75 + 0.375 + 0.5), 1 / (0.5 + 0.375 + 0.5)
    assert loss.item() == pytest.approx(1 - (first + second) / 2)


def test_focal_of_three_classes() -> None:
    """The right class has .5 and a third: the easier pixel counts less."""
    logits = _pixels((LN2, 0, 0), (0, 0, 0))
    loss = focal(logits, _pixels((1, 0, 0), (0, 0, 1)), _row(1, 1))
    assert loss.item() == pytest.approx((0.25 * LN2 + (2 / 3) ** 2 * LN3) / 2)


def test_maps_of_their_own_may_overlap() -> None:
    """Binary cross-entropy takes each map by itself, with weights for each."""
    logits, targets = _pixels((LN3, LN3)), _pixels((1, 0))
    both = binary_cross_entropy(logits, targets, _pixels((1, 1)))
    assert float(both) == pytest.approx((-math.log(0.75) + 2 * LN2) / 2)
    first = binary_cross_entropy(logits, targets, _pixels((1, 0)))
    assert float(first) == pytest.approx(-math.log(0.75))


@pytest.mark.parametrize("n_maps", [1, 3])
def test_what_the_losses_are_to_each_other(n_maps: int) -> None:
    """Gamma 0 is the cross-entropy, half and half is Dice, the sum is the sum."""
    logits, targets, weights = _random(n_maps)
    entropy = cross_entropy(logits, targets, weights)
    dice = soft_dice(logits, targets, weights)
    torch.testing.assert_close(focal(logits, targets, weights, gamma=0), entropy)
    half = tversky(logits, targets, weights, missed=0.5, false=0.5)
    torch.testing.assert_close(half, dice)
    both = cross_entropy_and_dice(logits, targets, weights)
    torch.testing.assert_close(both, entropy + dice)


def _random(n_maps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets of 0 and 1, and weights of a small batch."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 4, 3)
    logits = torch.randn(
        2, n_maps, *shape[1:], generator=generator, dtype=torch.float64
    )
    classes = torch.randint(max(2, n_maps), shape, generator=generator)
    targets = torch.nn.functional.one_hot(classes, max(2, n_maps)).movedim(-1, 1)
    weights = torch.rand(2, 1, *shape[1:], generator=generator, dtype=torch.float64)
    return logits, targets[:, -n_maps:].double(), weights


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n_maps", [1, 3])
def test_the_gradient_is_that_of_the_value(name: str, n_maps: int) -> None:
    """Finite differences agree with what training descends along."""
    logits, targets, weights = _random(n_maps)
    torch.autograd.gradcheck(
        lambda x: LOSSES[name](x, targets, weights), logits.requires_grad_(True)
    )


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n_maps", [1, 3])
def test_what_is_not_reviewed_is_as_good_as_cut_off(name: str, n_maps: int) -> None:
    """Pixels of weight 0 change neither value nor gradient, whatever they hold."""
    logits, targets, weights = _random(n_maps)
    weights[..., :2, :] = 0
    logits[..., :2, :] *= 50
    logits.requires_grad_(True)
    loss = LOSSES[name](logits, targets, weights)
    loss.backward()
    rest = LOSSES[name](logits[..., 2:, :], targets[..., 2:, :], weights[..., 2:, :])
    torch.testing.assert_close(loss, rest)
    assert logits.grad is not None
    assert not logits.grad[..., :2, :].any()
    assert (logits.grad[..., 2:, :] != 0).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n_maps", [1, 3])
def test_sure_and_right_is_free(name: str, n_maps: int) -> None:
    """Logits far on the right side cost nothing, and their gradient is a number."""
    _, targets, weights = _random(n_maps)
    logits = (400 * (targets - 0.5)).float().requires_grad_(True)
    loss = LOSSES[name](logits, targets.float(), weights.float())
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None and bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("name", LOSSES)
def test_no_weight_at_all_is_no_loss(name: str) -> None:
    """A patch outside the reviewed area costs nothing rather than not-a-number."""
    logits, targets, weights = _random(3)
    assert float(LOSSES[name](logits, targets, 0 * weights)) == 0


def test_volumes_are_taken_like_planes() -> None:
    """Another axis changes nothing but the number of pixels."""
    logits, targets, weights = _random(3)
    for loss in LOSSES.values():
        torch.testing.assert_close(
            loss(logits[..., None], targets[..., None], weights[..., None]),
            loss(logits, targets, weights),
        )


def _batch(value: float) -> Tensor:
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


def test_no_weight_in_any_map_is_no_loss() -> None:
    """A patch outside the reviewed area costs nothing rather than not-a-number."""
    parts = instance_loss(_batch(3), _batch(0), _batch(0))
    assert float(parts.total) == 0
