"""Held-out objects: how many, for good, and out of every pixel that is learnt from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.finetuning import collect_pairs
from napari_unetic.finetuning.held_out import (
    Sides,
    hold_out,
    judging_area,
    learning_area,
)

if TYPE_CHECKING:
    from napari_unetic.finetuning import CollectedPair


def _grid(n: int, seed: int = 0) -> CollectedPair:
    """Return a plane of n squares of 6 × 6, 4 apart."""
    labels = np.zeros((60, 200), np.int32)
    for k in range(n):
        row, column = 10 * (k // 20), 10 * (k % 20)
        labels[row : row + 6, column : column + 6] = k + 1
    image = np.random.default_rng(seed).integers(0, 999, labels.shape, np.uint16)
    (pair,) = collect_pairs(image, labels, name=f"grid{seed}")
    return pair


def _held(pairs: list[CollectedPair], share: float = 0.25) -> set[tuple[str, int]]:
    sides = hold_out(pairs, share)
    return {
        (pair.image_hash(), number)
        for pair, side in zip(pairs, sides, strict=True)
        for number in side.judge.tolist()
    }


@pytest.mark.parametrize(("n", "n_held"), [(10, 5), (12, 5), (15, 5)])
def test_at_least_five_are_held_out(n: int, n_held: int) -> None:
    """Ten objects give five and five."""
    (sides,) = hold_out([_grid(n)], 0.25)
    assert len(sides.judge) == n_held
    assert len(sides.learn) == n - n_held
    assert not set(sides.judge.tolist()) & set(sides.learn.tolist())


def test_about_a_quarter_is_held_out() -> None:
    """Of 100 objects 25, or 26 by the rounding of the image."""
    (sides,) = hold_out([_grid(100)], 0.25)
    assert len(sides.judge) in (25, 26)


def test_few_objects_are_refused_with_what_is_missing() -> None:
    """Seven of ten: three more."""
    with pytest.raises(UneticError, match=r"at least 10 .*got 7; correct 3 more"):
        hold_out([_grid(7)], 0.25)


def test_nothing_is_held_out_if_so_wished() -> None:
    """A share of 0 learns from all."""
    (sides,) = hold_out([_grid(7)], 0)
    assert len(sides.judge) == 0 and len(sides.learn) == 7


def test_adding_images_moves_nobody() -> None:
    """What is held out of one image is held out among three, and chosen by no order."""
    pairs = [_grid(40, seed) for seed in range(3)]
    alone = _held(pairs[:1])
    assert alone < _held(pairs)
    assert _held(pairs) == _held(pairs[::-1])


def test_an_earlier_choice_stands() -> None:
    """Whatever is added to its image, and however its label is renumbered."""
    first = _grid(12)
    (sides,) = hold_out([first], 0.25)
    mask = np.isin(first.labels, sides.judge)
    more = _grid(60)
    more = replace(
        more,
        labels=np.where(more.labels > 0, 61 - more.labels, 0).astype(np.int32),
        held_out=mask,
    )
    (later,) = hold_out([more], 0.25)
    assert {61 - n for n in sides.judge.tolist()} <= set(later.judge.tolist())
    assert 15 <= len(later.judge) <= 16


def test_an_object_in_two_planes_is_on_one_side() -> None:
    """Neighbouring planes show nearly the same; numbers may differ."""
    labels = np.stack([_grid(40).labels, 100 + _grid(40).labels])
    labels[1][labels[1] == 100] = 0
    stack = np.random.default_rng(0).integers(0, 99, labels.shape, np.uint8)
    pairs = collect_pairs(stack, labels, axes="ZYX")
    first, second = hold_out(pairs, 0.25)
    assert (first.judge + 100).tolist() == second.judge.tolist()
    assert len(first.judge) in (10, 11)


def test_the_areas_are_apart() -> None:
    """Nothing within half a diameter of a held-out object is learnt, but other objects.

    Of those the strip next to it, where its contact would show, is left out too.
    """
    labels = np.zeros((40, 60), np.int32)
    labels[10:20, 10:20] = 1
    labels[10:20, 20:30] = 2  # touches 1
    labels[10:20, 40:50] = 3
    (pair,) = collect_pairs(np.ones((40, 60)), labels)
    sides = Sides(np.array([2, 3]), np.array([1]))
    learn = learning_area(pair, sides, diameter=10, contact=3)
    judge = judging_area(pair, sides, diameter=10)
    assert not (learn & judge).any()
    assert judge[labels == 1].all() and judge[6, 15] and not judge[labels == 2].any()
    assert not learn[labels == 1].any() and not learn[5, 15]
    assert learn[4, 15]
    assert not learn[15, 20:23].any() and learn[15, 23:30].all()
    assert learn[labels == 3].all()
