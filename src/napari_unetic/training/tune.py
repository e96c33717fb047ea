"""Tune thresholds on AP or IoU over validation images, from maps computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.instances.counts import score_image
from napari_unetic.instances.decode import DecodeSpec, decode
from napari_unetic.instances.scores import Scores
from napari_unetic.kinds import ClassKind
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.semantic.scores import ClassScores
    from napari_unetic.semantic.targets import SemanticTargetSpec

GRID: dict[str, tuple[float, ...]] = {
    "foreground": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7),
    "contact": (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7),
    "peak": (0.0, 0.2, 0.3, 0.4, 0.5, 0.6),
    "smallest_px": (0, 10, 15, 20, 25, 30, 40, 50),
}
"""Values tried for each threshold."""

CLASS_THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
"""Values tried for the threshold of a model of classes."""

_ROUNDS = 2


def tune_steps(
    maps: Sequence[NDArray[np.floating]],
    truths: Sequence[NDArray[np.int32]],
    start: DecodeSpec | None = None,
    areas: Sequence[NDArray[np.bool_] | None] | None = None,
    *,
    is_late: Callable[[], bool] = lambda: False,
) -> Steps[tuple[DecodeSpec, Scores]]:
    """Find the thresholds with the best mean AP, one at a time, twice around.

    Parameters
    ----------
    maps : sequence of ndarray of shape (3, Y, X)
        Predicted for each validation plane.
    truths : sequence of ndarray of shape (Y, X), int32
        True labels of the same planes.
    start : DecodeSpec, optional
        Where the search begins.
    areas : sequence of ndarray of shape (Y, X), bool, or None, optional
        Where the labels of each plane can be trusted; None means everywhere.
    is_late : callable
        Asked before each decoding; once it says yes the best so far is returned.

    Yields
    ------
    Step
        A decoding of all planes each; ``values`` holds the AP.

    Returns
    -------
    DecodeSpec, Scores
        The best thresholds and their scores. Of equal ones the value nearest to where
        the search began wins, so that a tie does not move a threshold to an extreme.
    """
    start = start or DecodeSpec()
    areas = areas or [None] * len(maps)
    known: dict[DecodeSpec, Scores] = {}
    total = _ROUNDS * sum(len(values) for values in GRID.values())

    def scored(spec: DecodeSpec) -> Scores:
        if spec not in known:
            known[spec] = Scores(
                tuple(
                    score_image(truth, decode(m.astype(np.float32), spec), area)
                    for m, truth, area in zip(maps, truths, areas, strict=True)
                )
            )
        return known[spec]

    best, done = start, 0
    for _ in range(_ROUNDS):
        for name, values in GRID.items():
            origin = getattr(start, name)
            for value in sorted(values, key=lambda v: abs(v - origin)):
                if is_late():
                    return best, scored(best)
                tried = best.model_copy(update={name: value})
                if objective(scored(tried)) > objective(scored(best)):
                    best = tried
                done += 1
                yield Step(done, total, "tuning", {"ap": objective(known[best])})
    return best, scored(best)


def objective(scores: Scores) -> float:
    """Return what is maximised: pooled AP, mean over IoU .50 to .90."""
    return scores.mean_ap_pooled_9


def tune_classes_steps(
    maps: Sequence[NDArray[np.floating]],
    truths: Sequence[NDArray[np.int32]],
    target: SemanticTargetSpec,
    start: ClassDecodeSpec | None = None,
    areas: Sequence[NDArray[np.bool_] | None] | None = None,
    *,
    is_late: Callable[[], bool] = lambda: False,
) -> Steps[tuple[ClassDecodeSpec, ClassScores]]:
    """Find the threshold of a model of classes with the best mean IoU.

    Parameters
    ----------
    maps : sequence of ndarray of shape (M, Y, X)
        Predicted for each validation plane.
    truths : sequence of ndarray of shape (Y, X), int32
        True classes of the same planes.
    target : SemanticTargetSpec
        Which classes there are.
    start, areas, is_late
        As for `tune_steps`.

    Yields
    ------
    Step
        A decoding of all planes each; ``values`` holds the IoU.

    Returns
    -------
    ClassDecodeSpec, ClassScores
        The best threshold and its scores; of equal ones that nearest to the start.
    """
    start = start or ClassDecodeSpec()
    areas = areas or [None] * len(maps)

    def scored(spec: ClassDecodeSpec) -> ClassScores:
        kind = ClassKind(target, spec)
        return kind.scores(
            [
                kind.score(truth, kind.decode(m.astype(np.float32)), area)
                for m, truth, area in zip(maps, truths, areas, strict=True)
            ]
        )

    best, scores = start, scored(start)
    values = sorted(CLASS_THRESHOLDS, key=lambda v: abs(v - start.threshold))
    for done, value in enumerate(values, start=1):
        if is_late():
            break
        tried = start.model_copy(update={"threshold": value})
        found = scored(tried)
        if class_objective(found) > class_objective(scores):
            best, scores = tried, found
        yield Step(done, len(values), "tuning", {"iou": class_objective(scores)})
    return best, scores


def class_objective(scores: ClassScores) -> float:
    """Return what is maximised: pooled IoU, mean over classes."""
    return scores.mean_iou
