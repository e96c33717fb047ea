"""From the objects that were found at some size to the diameter that they are for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SCORE_POWER = 3
_SIZE_SPREAD = 0.9
_BANDWIDTH = 0.25
_LIKE_FACTOR = 1.8
_FEW = 3


@dataclass(frozen=True, slots=True)
class DiameterEstimate:
    """How large objects seem to be.

    Parameters
    ----------
    diameter : float or None
        Median diameter in pixels of the image, of circles of the objects' areas; None
        where no object was found.
    n_objects : int
        Objects of about that size that it rests on; one that was found in two runs
        counts twice.
    sure : float
        From 0 to 1: the share of the votes that are for about this diameter, times the
        mean score of these objects, less where they are few.
    seconds : float
        That it took.
    are_dark : bool
        Whether they are darker than what is around them, as stains in transmitted
        light.
    """

    diameter: float | None
    n_objects: int
    sure: float
    seconds: float
    are_dark: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Objects that were found in one run or several.

    Parameters
    ----------
    diameters : ndarray of shape (n,), float64
        In pixels of the image.
    on_grid : ndarray of shape (n,), float64
        In working diameters, at the size that the network saw.
    scores : ndarray of shape (n,), float64
        Of `napari_unetic.instances.objects.score_objects`.
    """

    diameters: NDArray[np.float64]
    on_grid: NDArray[np.float64]
    scores: NDArray[np.float64]

    def and_those(self, other: Found) -> Found:
        """Return the objects of both."""
        return Found(
            np.concatenate([self.diameters, other.diameters]),
            np.concatenate([self.on_grid, other.on_grid]),
            np.concatenate([self.scores, other.scores]),
        )


def measured(
    labels: NDArray[np.int32],
    scores: NDArray[np.floating],
    pixel: float,
    working: float,
) -> Found:
    """Return the objects in labels, without those that the edge cuts if it leaves two.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), int32
        Numbered from 1.
    scores : ndarray of shape (n,)
        Of objects 1 to n.
    pixel : float
        Pixels of the image that one of the labels is wide.
    working : float
        Working diameter in pixels of the image, at the size that the network saw.
    """
    area = np.bincount(labels.ravel(), minlength=scores.size + 1)[1:]
    diameters = 2 * np.sqrt(area / np.pi) * pixel
    whole = np.ones(scores.size + 1, np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        whole[edge] = False
    kept = whole[1:] if whole[1:].sum() >= 2 else np.ones(scores.size, np.bool_)
    return Found(
        diameters=diameters[kept],
        on_grid=diameters[kept] / working,
        scores=scores[kept].astype(np.float64),
    )


def vote(found: Found) -> DiameterEstimate:
    """Return the diameter that objects are for; its seconds are 0.

    Parameters
    ----------
    found : Found
        Objects of all runs.

    Returns
    -------
    DiameterEstimate
        Votes are score³ × area × a bell over the logarithm of the size on the grid.
        Their density over the logarithm of the diameter has its peak somewhere; the
        median diameter of the objects within a factor of 1.8 of it is taken, in which
        an object counts by its vote without its area, as in a plain median.
    """
    area = found.diameters**2
    size = np.log(np.maximum(found.on_grid, 1e-9))
    trust = found.scores**_SCORE_POWER * np.exp(-(size**2) / (2 * _SIZE_SPREAD**2))
    votes = trust * area
    if not votes.sum() > 0:
        return DiameterEstimate(None, 0, 0.0, 0.0)
    logs = np.log(found.diameters)
    grid = np.linspace(logs.min(), logs.max(), 80)
    bells = np.exp(-((grid[:, None] - logs) ** 2) / (2 * _BANDWIDTH**2))
    peak = grid[(bells * votes).sum(axis=1).argmax()]
    near = np.abs(logs - peak) < np.log(_LIKE_FACTOR)
    if not trust[near].sum() > 0:
        return DiameterEstimate(None, 0, 0.0, 0.0)
    n = int(near.sum())
    score = float(np.average(found.scores[near], weights=area[near]))
    share = float(votes[near].sum() / votes.sum())
    return DiameterEstimate(
        diameter=_median(found.diameters[near], trust[near]),
        n_objects=n,
        sure=share * score * n / (n + _FEW),
        seconds=0.0,
    )


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value below and above which lies half of the weight."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
