"""The verdict: old and new model on the held-out objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from napari_unetic.finetuning.held_out import FEWEST, Ids
from napari_unetic.instances.counts import IOU_THRESHOLDS
from napari_unetic.instances.matching import Overlap, match, overlap

if TYPE_CHECKING:
    from napari_unetic.finetuning.areas import Mask

VERDICT_FILE: Final = "verdict.json"

N_RESAMPLES: Final = 2000
SURE: Final = 0.8
"""Share of the resamples in which the new model must be better."""


class Figures(BaseModel):
    """A model on the held-out objects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ap_50: float = Field(title="AP at IoU .50")
    mean_ap: float = Field(title="Mean AP over IoU .50 to .95")
    found: int = Field(title="Held-out objects found, at IoU .50")
    missed: int = Field(title="Held-out objects missed")
    extra: int = Field(title="Predictions in the held-out area that are no object")


class Verdict(BaseModel):
    """Whether the new model is better than the old one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["kept", "not better", "too few to tell"]
    n_objects: int
    old: Figures
    new: Figures
    share_better: float = Field(
        ge=0,
        le=1,
        title="Share of the resamples in which the new model was better",
    )

    @property
    def is_kept(self) -> bool:
        """Whether the new model was proved better."""
        return self.verdict == "kept"

    @property
    def sentence(self) -> str:
        """Return one line for people."""
        if self.n_objects == 0:
            return "no held-out objects: too few to tell"
        ends = {
            "kept": "kept",
            "not better": "not better, old model kept",
            "too few to tell": "too few to tell",
        }
        objects = "object" if self.n_objects == 1 else "objects"
        return (
            f"AP {self.old.ap_50:.2f} → {self.new.ap_50:.2f} on {self.n_objects} "
            f"held-out {objects}: {ends[self.verdict]}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What a model makes of held-out objects, one row an object.

    Parameters
    ----------
    hits : ndarray of shape (n, T), bool
        Whether it is found at each of `IOU_THRESHOLDS`.
    extras : ndarray of shape (n, T), int64
        Predictions near it that are no object.
    """

    hits: NDArray[np.bool_]
    extras: NDArray[np.int64]

    @classmethod
    def joined(cls, tallies: list[Tally]) -> Tally:
        """Return the tally of several planes."""
        n = len(IOU_THRESHOLDS)
        return cls(
            np.concatenate([np.zeros((0, n), np.bool_), *(t.hits for t in tallies)]),
            np.concatenate([np.zeros((0, n), np.int64), *(t.extras for t in tallies)]),
        )

    def ap(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return AP at each threshold with each object taken so many times.

        Parameters
        ----------
        weights : ndarray of shape (B, n), int64

        Returns
        -------
        ndarray of shape (B, T), float64
        """
        found, extra = weights @ self.hits.astype(np.int64), weights @ self.extras
        n = weights.sum(axis=1, keepdims=True)
        ratios: NDArray[np.float64] = found / np.maximum(n + extra, 1)
        return ratios

    @property
    def figures(self) -> Figures:
        """Return the figures of all objects."""
        n = len(self.hits)
        ap = self.ap(np.ones((1, n), np.int64))[0]
        found = int(self.hits[:, 0].sum())
        return Figures(
            ap_50=round(float(ap[0]), 4),
            mean_ap=round(float(ap.mean()), 4),
            found=found,
            missed=n - found,
            extra=int(self.extras[:, 0].sum()),
        )


def tally(
    truth: NDArray[np.int32], predicted: NDArray[np.int32], held_out: Ids, area: Mask
) -> Tally:
    """Count what a prediction makes of the held-out objects of a plane.

    Parameters
    ----------
    truth, predicted : ndarray of shape (Y, X), int32
        All labels, also those of other objects.
    held_out : ndarray of shape (n,), int64
        Numbers of the objects in `truth` to judge by, ascending.
    area : ndarray of shape (Y, X), bool
        The held-out reviewed area.

    Returns
    -------
    Tally
        A prediction counts if it is matched to a held-out object, or else lies mostly
        inside the area: then it is extra, near the object that most of it is nearest
        to. The rest are ignored.
    """
    both = overlap(truth, predicted)
    row = np.full(len(both.true_ids), -1)
    row[np.searchsorted(both.true_ids, held_out)] = np.arange(held_out.size)
    near = _nearest(truth, predicted, held_out, area, both)
    hits = np.zeros((held_out.size, len(IOU_THRESHOLDS)), np.bool_)
    extras = np.zeros(hits.shape, np.int64)
    for k, threshold in enumerate(IOU_THRESHOLDS):
        matches = match(both, threshold)
        rows = row[matches.true_index]
        hits[rows[rows >= 0], k] = True
        unmatched = near.copy()
        unmatched[matches.pred_index] = -1
        np.add.at(extras[:, k], unmatched[unmatched >= 0], 1)
    return Tally(hits, extras)


def _nearest(
    truth: NDArray[np.int32],
    predicted: NDArray[np.int32],
    held_out: Ids,
    area: Mask,
    both: Overlap,
) -> NDArray[np.int64]:
    """Return for each prediction that lies mostly inside the area the nearest object.

    -1 for those that do not.
    """
    near = np.full(len(both.pred_ids), -1, np.int64)
    if not held_out.size or not near.size:
        return near
    inside = np.bincount(predicted[area], minlength=int(both.pred_ids[-1]) + 1)
    counts = 2 * inside[both.pred_ids] > both.pred_areas
    at = ndimage.distance_transform_edt(
        ~np.isin(truth, held_out), return_distances=False, return_indices=True
    )
    zone = np.searchsorted(held_out, truth[tuple(at)])
    here = area & (predicted > 0)
    votes = np.zeros((near.size, held_out.size), np.int64)
    rows = np.searchsorted(both.pred_ids, predicted[here])
    np.add.at(votes, (rows, zone[here]), 1)
    near[counts] = votes[counts].argmax(axis=1)
    return near


def judge(old: Tally, new: Tally) -> Verdict:
    """Return the verdict on two models that were tallied on the same objects.

    The objects are drawn again with replacement, for both models alike. In a resample
    the new model is better if its AP at IoU .50 is higher, or the same with a higher
    mean AP.

    Parameters
    ----------
    old, new : Tally
        Of the same objects.

    References
    ----------
    Efron, Tibshirani: An Introduction to the Bootstrap (1993), chapter 16.
    """
    n = len(old.hits)
    better = 0.0
    if n:
        rng = np.random.default_rng(0)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)
        before, after = old.ap(weights), new.ap(weights)
        gain = after[:, 0] - before[:, 0]
        gain = np.where(
            np.abs(gain) < 1e-9, after.mean(axis=1) - before.mean(axis=1), gain
        )
        better = float((gain > 1e-9).mean())
    kind: Literal["kept", "not better", "too few to tell"]
    if n < FEWEST:
        kind = "too few to tell"
    else:
        kind = "kept" if better >= SURE else "not better"
    return Verdict(
        verdict=kind,
        n_objects=n,
        old=old.figures,
        new=new.figures,
        share_better=round(better, 4),
    )
