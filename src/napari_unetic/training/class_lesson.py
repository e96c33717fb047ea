"""What a network learns of classes of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.errors import UneticError
from napari_unetic.image.resample import resample_labels
from napari_unetic.networks.losses import (
    cross_entropy,
    cross_entropy_and_dice,
    focal,
    soft_dice,
    tversky,
)
from napari_unetic.networks.weight_maps import border_weights, class_weights
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.scores import ClassScores
from napari_unetic.training.lesson import Lesson, Loss
from napari_unetic.training.tune import (
    class_objective,
    tune_classes_steps,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.kinds import AnyScores, ClassKind
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.steps import Steps
    from napari_unetic.training.patches import Sample
    from napari_unetic.training.settings import LossName, TrainSettings

_CLASS_LOSSES: Final[dict[LossName, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "bce": cross_entropy,
    "cross-entropy": cross_entropy,
    "dice": soft_dice,
    "bce-dice": cross_entropy_and_dice,
    "focal": focal,
    "tversky": tversky,
}
"""Losses of models of classes, by name."""

DEFAULT_CLASS_LOSS: Final[LossName] = "bce-dice"


@dataclass(frozen=True, slots=True)
class ClassLesson(Lesson):
    """Classes of pixels.

    Parameters
    ----------
    kind : ClassKind
        Of the model.
    settings : TrainSettings
        Loss, weights of classes and of borders.
    """

    kind: ClassKind
    settings: TrainSettings
    figure: ClassVar[str] = "iou"

    @property
    def untuned(self) -> ClassDecodeSpec:
        """The most probable class."""
        return ClassDecodeSpec()

    def sample_weights(
        self, pair: Pair, truth: NDArray[np.int32], size: tuple[int, int] | None
    ) -> NDArray[np.float16] | None:
        """Return Ronneberger's weights of borders, where they are asked for.

        Objects are those of the labels; with several classes, connected pieces of what
        is not background. In volumes gaps are those within each plane.
        """
        if not self.settings.border_weight:
            return None
        is_one = self.kind.n_classes == 2
        objects = pair.annotation().labels if is_one else None
        made = []
        for plane in np.ndindex(truth.shape[:-2]):
            own = self.numbered(truth[plane]) if objects is None else objects[plane]
            if size is not None:
                own = resample_labels(own, own.shape, size)
            weights = border_weights(
                own,
                height=self.settings.border_weight,
                width_px=self.settings.border_px,
            )
            made.append(weights.astype(np.float16))
        return np.stack(made).reshape(*truth.shape[:-2], *made[0].shape)

    def check_samples(self, samples: Sequence[Sample]) -> None:
        """Refuse samples that lack a class."""
        found = np.zeros(self.kind.n_classes, bool)
        # Nothing need be background.
        found[0] = True
        for sample in samples:
            area = ... if sample.reviewed is None else sample.reviewed
            found[np.unique(sample.labels[area])] = True
        missing = [
            one.name
            for one, is_there in zip(self.kind.target.classes, found, strict=True)
            if not is_there
        ]
        if missing:
            raise UneticError(
                "Expected pixels of every class in the training masks, got none of "
                f"{', '.join(missing)}; label some, or leave the class out."
            )

    def teach(
        self, truth: NDArray[np.int32], weights: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return one-hot maps and one map of weights: of classes times of borders."""
        by_class = self.settings.class_weights or (1.0,) * self.kind.n_classes
        found = class_weights(truth, by_class)
        if weights is not None:
            found *= weights
        return self.kind.make_targets(truth), found[np.newaxis]

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Loss:
        """Return the loss that was chosen."""
        name = self.settings.loss or DEFAULT_CLASS_LOSS
        return Loss(_CLASS_LOSSES[name](logits, targets, weights))

    def numbered(self, truth: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the connected pieces of what is not background."""
        pieces: NDArray[np.int32] = ndimage.label(
            truth > 0, np.ones((3,) * truth.ndim)
        )[0]
        return pieces

    def objective(self, scores: AnyScores) -> float:
        """Return the mean IoU."""
        return class_objective(_classes(scores))

    def logged(self, scores: AnyScores) -> dict[str, float]:
        """Return mean IoU and mean Dice."""
        return {"iou": self.objective(scores), "dice": _classes(scores).mean_dice}

    def summary(self, scores: AnyScores) -> dict[str, Any]:
        """Return IoU and Dice of each class, pooled, and their means."""
        found = _classes(scores)
        by_class = {
            f"{score}_pooled": {k: round(v, 4) for k, v in found.pooled(score).items()}
            for score in ("iou", "dice")
        }
        return {
            "n_images": len(found.images),
            "mean_iou_pooled": round(found.mean_iou, 4),
            "mean_dice_pooled": round(found.mean_dice, 4),
            **by_class,
        }

    def tune_steps(
        self,
        maps: Sequence[NDArray[np.floating]],
        truths: Sequence[NDArray[np.int32]],
        start: DecodeSpec | ClassDecodeSpec,
        areas: Sequence[NDArray[np.bool_] | None],
        is_late: Callable[[], bool],
    ) -> Steps[tuple[ClassDecodeSpec, ClassScores]]:
        """Tune the threshold on mean IoU."""
        assert isinstance(start, ClassDecodeSpec)
        result = yield from tune_classes_steps(
            maps, truths, self.kind.target, start, areas, is_late=is_late
        )
        return result

    def picture(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the colours of the legend."""
        shown = self.kind.target.classes[-len(targets) :]
        colours = np.array(
            [[int(one.colour[k : k + 2], 16) for k in (1, 3, 5)] for one in shown]
        )
        mixed: NDArray[np.float32] = np.tensordot(
            targets, (colours / 255).astype(np.float32), axes=(0, 0)
        )
        return mixed


def check_for_classes(kind: ClassKind, settings: TrainSettings) -> None:
    """Refuse settings that are not for classes.

    Raises
    ------
    UneticError
        If the loss, its weights or rehearsal do not fit.
    """
    if settings.loss == "instances":
        raise UneticError(
            "Expected a loss for classes, got 'instances', which is for objects; "
            f"choose one out of {', '.join(_CLASS_LOSSES)}."
        )
    n = len(settings.class_weights)
    if n not in (0, kind.n_classes):
        raise UneticError(
            f"Expected {kind.n_classes} class weights, the background's first, got "
            f"{n}; give one for each class."
        )
    if settings.rehearsal:
        raise UneticError(
            "Expected a model of objects for rehearsal, which shows generated nuclei, "
            "got one of classes; set it to 0."
        )


def _classes(scores: AnyScores) -> ClassScores:
    assert isinstance(scores, ClassScores)
    return scores
