"""The review queue: which objects a person should look at first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.finetuning.areas import renumbered, sizes_of
from napari_unetic.instances.record import touched
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.image.source import ArrayLike

_ROWS = 64


@dataclass(frozen=True, slots=True)
class Doubt:
    """An object to look at.

    Parameters
    ----------
    plane : tuple of int
        The plane of the labels where it has most pixels.
    number : int
        Of the object.
    score : float
        How sure the network is of it, from 0 to 1; not-a-number if that is not known.
    box : tuple of slice
        Rows and columns that hold all of it in that plane.
    """

    plane: tuple[int, ...]
    number: int
    score: float
    box: tuple[slice, slice]


def review_order(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return objects in the order in which they are worth a look.

    Parameters
    ----------
    scores : ndarray of shape (n,), float
        How sure the network is of each (`score_objects`).

    Returns
    -------
    ndarray of shape (n,), intp
        Positions, the least sure first, those without a score last; equal ones in the
        order given.

    Notes
    -----
    By ``benchmarks/review_order.py``, of 2,470 objects that the bundled nuclei model
    finds in the 67 validation images of DSB2018, 5.0 % are wrong: false, merged or cut.
    Of the first 10 % of each image's queue 23 % are (5.6 % in random order), of the
    first 25 % 15 % (5.1 %), which are 53 % and 79 % of all that are wrong. To weigh
    in size or solidity finds one in a hundred more, so the score stands alone.
    """
    return np.argsort(scores, kind="stable")


def review_steps(
    labels: ArrayLike,
    predicted: ArrayLike,
    scores: Mapping[int, float],
    accepted: Mapping[tuple[int, ...], Collection[int]] | None = None,
) -> Steps[list[Doubt]]:
    """Find the objects that nobody has touched or accepted, the doubtful ones first.

    Parameters
    ----------
    labels, predicted : array-like of plane axes and (Y, X), integer
        As they are, and as they were predicted. They may be lazy: they are read plane
        by plane.
    scores : mapping of int to float
        Number of an object to how sure the network is of it.
    accepted : mapping of tuple of int to collection of int, optional
        Plane to the numbers of its objects that are right as they were predicted.

    Yields
    ------
    Step
        One a plane.

    Returns
    -------
    list of Doubt
        One for each object, however many planes it is in; in the order of
        `review_order`, then of planes and numbers.

    Raises
    ------
    UneticError
        If the shapes differ or the labels are not integers from 0 up.
    """
    seen: set[int] = set()
    found: dict[int, tuple[int, Doubt]] = {}
    planes = list(np.ndindex(*labels.shape[:-2]))
    for n_done, plane in enumerate(planes):
        yield Step(n_done, len(planes), "looking for doubtful objects")
        numbers = np.asarray(labels[plane])
        changes = touched(np.asarray(predicted[plane]), numbers)
        seen.update(changes.edited.tolist(), changes.added.tolist())
        seen.update((accepted or {}).get(plane, ()))
        for number, size, box in _boxes(numbers, changes.untouched):
            if number not in found or size > found[number][0]:
                score = scores.get(number, float("nan"))
                found[number] = size, Doubt(plane, number, score, box)
    doubts = [doubt for number, (_, doubt) in found.items() if number not in seen]
    doubts.sort(key=lambda doubt: (doubt.plane, doubt.number))
    order = review_order(np.array([doubt.score for doubt in doubts], np.float64))
    return [doubts[k] for k in order]


def _boxes(
    labels: NDArray[np.integer], ids: NDArray[np.int64]
) -> list[tuple[int, int, tuple[slice, slice]]]:
    """Return number, pixels and bounding box of some objects of a plane."""
    present, sizes = sizes_of(labels)
    low = np.full((present.size, 2), np.iinfo(np.int64).max)
    high = np.zeros((present.size, 2), np.int64)
    # In parts, which do not keep the window waiting.
    for first in range(0, labels.shape[0], _ROWS):
        band = labels[first : first + _ROWS]
        some, _ = sizes_of(band)
        if not some.size:
            continue
        # Compact numbers, since there is a slice for each up to the highest.
        boxes = ndimage.find_objects(renumbered(band, some))
        corners = np.array(
            [(r.start, c.start, r.stop, c.stop) for r, c in boxes], np.int64
        )
        corners[:, ::2] += first
        at = np.searchsorted(present, some)
        low[at] = np.minimum(low[at], corners[:, :2])
        high[at] = np.maximum(high[at], corners[:, 2:])
    wanted = np.isin(present, ids)
    return [
        (int(present[k]), int(sizes[k]), _slices(low[k].tolist(), high[k].tolist()))
        for k in np.flatnonzero(wanted)
    ]


def _slices(low: list[int], high: list[int]) -> tuple[slice, slice]:
    return slice(low[0], high[0]), slice(low[1], high[1])
