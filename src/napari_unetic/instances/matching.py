"""Which predicted object is which true one: overlaps, and the best assignment."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unetic.errors import UneticError

Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """Objects of two label images and the pixels they share; background left out.

    Parameters
    ----------
    true_ids, pred_ids : ndarray of shape (T,) and (P,), int64
        The labels, ascending.
    true_areas, pred_areas : ndarray of shape (T,) and (P,), int64
        Pixels of each object.
    true_index, pred_index : ndarray of shape (K,), int64
        The pairs that share a pixel, as positions in `true_ids` and `pred_ids`.
    shared : ndarray of shape (K,), int64
        Pixels that each pair shares.
    """

    true_ids: Integers
    pred_ids: Integers
    true_areas: Integers
    pred_areas: Integers
    true_index: Integers
    pred_index: Integers
    shared: Integers

    @property
    def union(self) -> Integers:
        """Pixels in either object of each pair."""
        return (
            self.true_areas[self.true_index]
            + self.pred_areas[self.pred_index]
            - self.shared
        )


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """A one-to-one assignment of objects.

    Parameters
    ----------
    true_index, pred_index : ndarray of shape (M,), int64
        The matched pairs, as positions in the ids of the `Overlap`.
    iou : ndarray of shape (M,), float64
        Intersection over union of each pair.
    """

    true_index: Integers
    pred_index: Integers
    iou: NDArray[np.float64]


def overlap(truth: NDArray[Any], pred: NDArray[Any]) -> Overlap:
    """Return the objects of two label images and the pixels that they share.

    Parameters
    ----------
    truth, pred : ndarray of one shape, integer
        Label images of any dimension; 0 is background.

    Returns
    -------
    Overlap
        Areas, and the pairs that share at least one pixel.

    Raises
    ------
    UneticError
        If the shapes differ or the labels are not integers from 0 up.
    """
    _check_labels(truth, pred)
    # Neighbouring pixels mostly agree, so all that follows counts runs, not pixels.
    flat_true, flat_pred = truth.ravel(), pred.ravel()
    change = (flat_true[1:] != flat_true[:-1]) | (flat_pred[1:] != flat_pred[:-1])
    starts = np.append([0], np.flatnonzero(change) + 1)[: flat_true.size]
    lengths = np.diff(starts, append=flat_true.size)
    true_ids, true_areas, true_runs = _objects(flat_true[starts], lengths)
    pred_ids, pred_areas, pred_runs = _objects(flat_pred[starts], lengths)
    both = (true_runs >= 0) & (pred_runs >= 0)
    codes, inverse = np.unique(
        true_runs[both] * len(pred_ids) + pred_runs[both], return_inverse=True
    )
    true_index, pred_index = np.divmod(codes, max(len(pred_ids), 1))
    return Overlap(
        true_ids=true_ids,
        pred_ids=pred_ids,
        true_areas=true_areas,
        pred_areas=pred_areas,
        true_index=true_index,
        pred_index=pred_index,
        shared=_sums(inverse, lengths[both], len(codes)),
    )


def match(pairs: Overlap, threshold: float = 0.5) -> Matches:
    """Match true to predicted objects one to one, as many as possible.

    Parameters
    ----------
    pairs : Overlap
        What `overlap` returned.
    threshold : float
        Smallest IoU of a match, above 0 and up to 1; a pair exactly at it is a match.

    Returns
    -------
    Matches
        The largest assignment; among the largest, one of the highest total IoU.

    Raises
    ------
    UneticError
        If the threshold is not above 0 and up to 1.

    Notes
    -----
    Compared in whole numbers, so that 7 shared pixels of 10 reach .70. From .5 up two
    candidates for one object exist only where it is cut into exact halves.
    """
    if not 0 < threshold <= 1:
        raise UneticError(
            f"Expected an IoU threshold above 0 and up to 1, got {threshold}; "
            "0.5 is usual."
        )
    limit = Fraction(threshold).limit_denominator(10_000)
    union = pairs.union
    hit = pairs.shared * limit.denominator >= limit.numerator * union
    rows, columns = pairs.true_index[hit], pairs.pred_index[hit]
    iou = pairs.shared[hit] / union[hit]
    keep = _assign(rows, columns, iou)
    return Matches(rows[keep], columns[keep], iou[keep])


def _check_labels(truth: NDArray[Any], pred: NDArray[Any]) -> None:
    for role, labels in (("true", truth), ("predicted", pred)):
        if labels.dtype.kind not in "bui":
            raise UneticError(
                f"Expected {role} labels of whole numbers, got dtype {labels.dtype}; "
                "convert them to integers first."
            )
        if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
            raise UneticError(
                f"Expected {role} labels from 0 up, got {labels.min()}; "
                "set pixels without an object to 0."
            )
    check_same_shape("predicted labels", pred.shape, truth.shape)


def check_same_shape(what: str, got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Raise a `UneticError` where `what` has not the shape of the true labels."""
    if got != wanted:
        raise UneticError(
            f"Expected {what} of the true labels' shape {wanted}, got {got}; "
            "compare results of the same image at the same size."
        )


def _objects(
    values: NDArray[Any], lengths: Integers
) -> tuple[Integers, Integers, Integers]:
    """Return ids, areas and each run's position in the ids (-1 for background)."""
    ids, runs = np.unique(values, return_inverse=True)
    areas = _sums(runs, lengths, len(ids))
    runs = runs.astype(np.int64)
    if len(ids) and ids[0] == 0:
        ids, areas, runs = ids[1:], areas[1:], runs - 1
    return ids.astype(np.int64), areas, runs


def _sums(groups: NDArray[Any], values: Integers, n: int) -> Integers:
    # The weights of bincount are float64: exact up to 2**53 pixels.
    return np.bincount(groups, weights=values, minlength=n).astype(np.int64)


def _assign(
    rows: Integers, columns: Integers, iou: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return which candidate edges make the largest, then heaviest assignment."""
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    contested = (np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)
    keep = [np.flatnonzero(~contested)]
    edges = np.flatnonzero(contested)
    if len(edges):
        n_rows, n_columns = int(rows.max()) + 1, int(columns.max()) + 1
        n = n_rows + n_columns
        ends = (rows[edges], columns[edges] + n_rows)
        graph = coo_array((np.ones(len(edges)), ends), shape=(n, n))
        component = connected_components(graph, directed=False)[1][rows[edges]]
        order = np.argsort(component, kind="stable")
        cuts = np.flatnonzero(np.diff(component[order])) + 1
        for group in np.split(edges[order], cuts):
            keep.append(
                group[_assign_component(rows[group], columns[group], iou[group])]
            )
    return np.sort(np.concatenate(keep))


def _assign_component(
    rows: Integers, columns: Integers, iou: NDArray[np.float64]
) -> NDArray[np.int64]:
    row_ids, i = np.unique(rows, return_inverse=True)
    column_ids, j = np.unique(columns, return_inverse=True)
    edge = np.full((len(row_ids), len(column_ids)), -1, dtype=np.int64)
    edge[i, j] = np.arange(len(rows))
    profit = np.zeros(edge.shape)
    # All IoU together weigh less than one match, so the number of matches comes first.
    profit[i, j] = 1 + iou / (2 * min(edge.shape))
    chosen = edge[linear_sum_assignment(profit, maximize=True)]
    found: NDArray[np.int64] = chosen[chosen >= 0]
    return found
