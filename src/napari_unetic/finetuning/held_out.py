"""Held-out objects: kept out of training for good, to judge by.

Of each image the share is taken that has the lowest hashes of the image's pixels and of
where an object lies, so adding images moves nobody from one side to the other. Where
that leaves too few on a side, the next ones by their hashes are moved. What an earlier
round held out stays held out whatever the hash says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.areas import Mask, within
from napari_unetic.instances.matching import overlap

if TYPE_CHECKING:
    from napari_unetic.finetuning.collected import CollectedPair

FEWEST: Final = 5
"""Objects on each side: to learn from and to judge by."""

Ids: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Objects of one pair, by side.

    Parameters
    ----------
    learn, judge : ndarray of shape (n,), int64
        Numbers of the objects to learn from, and of those held out.
    """

    learn: Ids
    judge: Ids


@dataclass(slots=True)
class _Thing:
    """An object, in one plane or in several."""

    image: str
    rank: float
    was_held_out: bool
    places: list[tuple[int, int]]


def hold_out(pairs: Sequence[CollectedPair], share: float) -> list[Sides]:
    """Choose the objects that are held out.

    Parameters
    ----------
    pairs : sequence of CollectedPair
        Reviewed planes.
    share : float
        About how many of the objects, at least `FEWEST`; 0 for none at all.

    Returns
    -------
    list of Sides
        For each pair. At least `FEWEST` objects are left to learn from.

    Raises
    ------
    UneticError
        If there are too few objects.
    """
    things = _things(pairs)
    fewest = FEWEST if share > 0 else 0
    chosen = _share_of_each(things, share)
    n_before = sum(thing.was_held_out for thing in things)
    things.sort(key=lambda t: (not t.was_held_out, id(t) not in chosen, t.rank))
    n_held = min(max(len(chosen), fewest), len(things) - FEWEST)
    n_held = max(n_held, n_before)
    n_lacking = FEWEST + max(n_held, fewest) - len(things)
    if n_lacking > 0:
        raise UneticError(
            f"Expected at least {FEWEST + fewest} corrected objects, {FEWEST} to learn "
            f"from and {fewest} to judge by, got {len(things)}"
            + (f", {n_before} of them held out before" if n_before else "")
            + f"; correct {n_lacking} more."
        )
    held: list[set[int]] = [set() for _ in pairs]
    for thing in things[:n_held]:
        for k, number in thing.places:
            held[k].add(number)
    return [
        Sides(
            learn=np.array(sorted(set(pair.objects.tolist()) - out), np.int64),
            judge=np.array(sorted(out), np.int64),
        )
        for pair, out in zip(pairs, held, strict=True)
    ]


def _share_of_each(things: Sequence[_Thing], share: float) -> set[int]:
    """Return the identities of the lowest share of the things of each image.

    Objects of an earlier round count first. What is left over of an object is rounded
    by a hash of the image, so that over many images the share comes out.
    """
    images: dict[str, list[_Thing]] = {}
    for thing in things:
        images.setdefault(thing.image, []).append(thing)
    chosen: set[int] = set()
    for image, own in images.items():
        own.sort(key=lambda thing: (not thing.was_held_out, thing.rank))
        n = int(share * len(own) + _rank(image, ())) if share else 0
        n = max(n, sum(thing.was_held_out for thing in own))
        chosen |= {id(thing) for thing in own[:n]}
    return chosen


def learning_area(
    pair: CollectedPair, sides: Sides, diameter: float, contact: float
) -> Mask:
    """Return the pixels that may be learnt from.

    Parameters
    ----------
    pair : CollectedPair
    sides : Sides
        Of this pair.
    diameter : float
        Of the objects, in pixels of the image.
    contact : float
        How far a neighbour shows in the targets of an object, in pixels.

    Returns
    -------
    ndarray of shape (Y, X), bool
        The reviewed area less the held-out objects, the background within half a
        diameter of them, and what of other objects is near enough to tell their edge.
    """
    area = _reviewed(pair)
    if not sides.judge.size:
        return area
    held = np.isin(pair.labels, sides.judge)
    is_object = np.isin(pair.labels, sides.learn)
    leaks = np.where(is_object, within(held, contact), within(held, diameter / 2))
    allowed: Mask = area & ~leaks
    return allowed


def judging_area(pair: CollectedPair, sides: Sides, diameter: float) -> Mask:
    """Return the pixels that are held out: objects, with a rim of half a diameter."""
    held = np.isin(pair.labels, sides.judge)
    near = within(held, diameter / 2)
    background = _reviewed(pair) & ~np.isin(pair.labels, sides.learn)
    area: Mask = held | (near & background)
    return area


def _reviewed(pair: CollectedPair) -> Mask:
    if pair.reviewed is None:
        return np.ones(pair.labels.shape, np.bool_)
    return pair.reviewed


def _things(pairs: Sequence[CollectedPair]) -> list[_Thing]:
    """Return the objects, those of neighbouring planes of one source as one."""
    places: list[tuple[int, int]] = []
    images: list[str] = []
    ranks: list[float] = []
    before: list[bool] = []
    for k, pair in enumerate(pairs):
        ids = pair.objects
        seed = pair.image_hash()
        centres = ndimage.center_of_mass(pair.labels > 0, pair.labels, ids)
        for number, centre in zip(ids.tolist(), centres, strict=True):
            places.append((k, number))
            images.append(seed)
            ranks.append(_rank(seed, centre))
            before.append(_was_held_out(pair, number))
    number_of = {place: i for i, place in enumerate(places)}
    edges = [
        (number_of[a], number_of[b])
        for a, b in _links(pairs)
        if a in number_of and b in number_of
    ]
    n = len(places)
    rows, columns = np.array(edges, np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(n, n))
    which = connected_components(graph, directed=False)[1] if n else []
    things: dict[int, _Thing] = {}
    for i, group in enumerate(which):
        thing = things.setdefault(int(group), _Thing(images[i], 1.0, False, []))
        thing.rank = min(thing.rank, ranks[i])
        thing.was_held_out |= before[i]
        thing.places.append(places[i])
    return list(things.values())


def _links(
    pairs: Sequence[CollectedPair],
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return which objects of neighbouring planes are one: they share half an area."""
    order = sorted(range(len(pairs)), key=lambda k: (pairs[k].source, pairs[k].plane))
    found = []
    for a, b in pairwise(order):
        first, second = pairs[a], pairs[b]
        if not first.plane or first.source != second.source:
            continue
        if first.labels.shape != second.labels.shape:
            continue
        both = overlap(first.labels, second.labels)
        areas = np.minimum(
            both.true_areas[both.true_index], both.pred_areas[both.pred_index]
        )
        for i in np.flatnonzero(2 * both.shared >= areas):
            found.append(
                (
                    (a, int(both.true_ids[both.true_index[i]])),
                    (b, int(both.pred_ids[both.pred_index[i]])),
                )
            )
    return found


def _rank(seed: str, centre: tuple[float, ...]) -> float:
    """Return a number between 0 and 1 that depends on image and place alone."""
    at = ",".join(f"{round(value)}" for value in centre)
    digest = hashlib.sha256(f"{seed}|{at}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _was_held_out(pair: CollectedPair, number: int) -> bool:
    if pair.held_out is None:
        return False
    pixels = pair.held_out[pair.labels == number]
    return bool(2 * pixels.sum() >= pixels.size)
