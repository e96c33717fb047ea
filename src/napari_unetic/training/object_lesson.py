"""What a network learns of objects: foreground, contact and depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.scores import Scores
from napari_unetic.networks.losses import (
    instance_loss,
)
from napari_unetic.training.lesson import Lesson, Loss
from napari_unetic.training.tune import (
    objective,
    tune_steps,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.kinds import AnyScores, ObjectKind
    from napari_unetic.semantic.decode import ClassDecodeSpec
    from napari_unetic.steps import Steps
    from napari_unetic.training.settings import TrainSettings

_REFERENCE_AREA_PX = 200.0


@dataclass(frozen=True, slots=True)
class ObjectLesson(Lesson):
    """Objects, by foreground, contact and depth.

    Parameters
    ----------
    kind : ObjectKind
        Of the model.
    """

    kind: ObjectKind
    figure: ClassVar[str] = "ap"

    @property
    def untuned(self) -> DecodeSpec:
        """As usual, but for specks, which would drown the AP of a young network."""
        return DecodeSpec(smallest_px=15)

    def teach(
        self, truth: NDArray[np.int32], weights: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the three maps and their weights, `pixel_weights`."""
        targets = self.kind.make_targets(truth)
        return targets, pixel_weights(truth, targets)

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Loss:
        """Return the loss of the three maps."""
        found = instance_loss(logits, targets, weights)
        return Loss(
            found.total,
            {
                "foreground": found.foreground,
                "contact": found.contact,
                "depth": found.depth,
            },
        )

    def numbered(self, truth: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the labels as they are."""
        return truth

    def objective(self, scores: AnyScores) -> float:
        """Return the pooled AP, mean over IoU .50 to .90."""
        return objective(_objects(scores))

    def logged(self, scores: AnyScores) -> dict[str, float]:
        """Return that, and the AP at IoU .50."""
        return {
            "ap": self.objective(scores),
            "ap_50": _objects(scores).pooled("ap")["0.50"],
        }

    def summary(self, scores: AnyScores) -> dict[str, Any]:
        """Return AP in several ways."""
        pooled = _objects(scores).pooled("ap")
        return {
            "n_images": len(scores.images),
            "ap_pooled_0.50": round(pooled["0.50"], 4),
            "ap_pooled_0.75": round(pooled["0.75"], 4),
            "mean_ap_pooled_9": round(_objects(scores).mean_ap_pooled_9, 4),
            "mean_ap_per_image_10": round(_objects(scores).mean_ap_per_image_10, 4),
        }

    def tune_steps(
        self,
        maps: Sequence[NDArray[np.floating]],
        truths: Sequence[NDArray[np.int32]],
        start: DecodeSpec | ClassDecodeSpec,
        areas: Sequence[NDArray[np.bool_] | None],
        is_late: Callable[[], bool],
    ) -> Steps[tuple[DecodeSpec, Scores]]:
        """Tune all thresholds on AP."""
        assert isinstance(start, DecodeSpec)
        result = yield from tune_steps(maps, truths, start, areas, is_late=is_late)
        return result

    def picture(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return depth as green, contact as red, foreground as blue."""
        return np.stack([targets[1], 0.8 * targets[2], 0.6 * targets[0]], axis=-1)


def check_for_objects(settings: TrainSettings) -> None:
    """Refuse settings that are not for objects.

    Raises
    ------
    UneticError
        If the loss or its weights do not fit.
    """
    if settings.loss not in (None, "instances"):
        raise UneticError(
            f"Expected the loss 'instances' for a model of objects, got "
            f"{settings.loss!r}; leave it out, or name classes to learn."
        )
    for name, what in (("class_weights", "class weights"), ("border_weight", "border")):
        if getattr(settings, name):
            raise UneticError(
                f"Expected no {what} for a model of objects, which weighs pixels by "
                "itself, got some; leave them out, or name classes to learn."
            )


def _objects(scores: AnyScores) -> Scores:
    assert isinstance(scores, Scores)
    return scores


def pixel_weights(
    labels: NDArray[np.int32], targets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the weight of each pixel in each map.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X), int32
    targets : ndarray of shape (3, ...), float32

    Returns
    -------
    ndarray of the targets' shape, float32
        Foreground: 1, more in small objects (an object counts as one, whatever its
        area) and where objects touch. Contact: 1 on objects and contacts, five times
        that at a contact, little elsewhere. Depth: 1 on objects, little elsewhere.
    """
    area = np.bincount(labels.ravel()).astype(np.float32)
    by_object = np.sqrt(_REFERENCE_AREA_PX / np.maximum(area, 1)).clip(1, 3)
    by_object[0] = 1
    weights = np.empty_like(targets)
    weights[0] = by_object[labels] + 4 * targets[1]
    on_objects = np.maximum(targets[0], targets[1] > 0)
    weights[1] = 0.1 + 0.9 * on_objects + 4 * targets[1]
    weights[2] = 0.2 + 0.8 * targets[0]
    return weights
