"""What is learnt, by the kind of model: targets, weights, loss, scores, thresholds.

`lesson_of` is the one place of the training that chooses between objects and classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.errors import UneticError
from napari_unetic.image.resample import resample_labels
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.scores import Scores
from napari_unetic.kinds import AnyScores, ClassKind, ObjectKind
from napari_unetic.networks.losses import (
    cross_entropy,
    cross_entropy_and_dice,
    focal,
    instance_loss,
    soft_dice,
    tversky,
)
from napari_unetic.networks.weight_maps import border_weights, class_weights
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.scores import ClassScores
from napari_unetic.training.tune import (
    class_objective,
    objective,
    tune_classes_steps,
    tune_steps,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.steps import Steps
    from napari_unetic.training.patches import Sample
    from napari_unetic.training.settings import LossName, TrainSettings

_REFERENCE_AREA_PX = 200.0

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
class Loss:
    """The loss of a batch and what it is made of.

    Parameters
    ----------
    total : Tensor
        A scalar, which is lowered.
    parts : dict of str to Tensor
        Scalars for the log.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Lesson(ABC):
    """What a network is to learn from pairs, and how well it does."""

    figure: ClassVar[str]
    """Name of the score by which weights are chosen."""

    @property
    @abstractmethod
    def untuned(self) -> DecodeSpec | ClassDecodeSpec:
        """Thresholds with which a network is validated before they are tuned."""

    def sample_weights(
        self, pair: Pair, truth: NDArray[np.int32], size: tuple[int, int] | None
    ) -> NDArray[np.float16] | None:
        """Return weights of the pixels of all planes of a pair; None for all 1.

        Parameters
        ----------
        pair : Pair
            For its objects.
        truth : ndarray of plane axes and (Y, X), int32
            What `Kind.read` says of it.
        size : tuple of int, optional
            Rows and columns that each plane is resized to.
        """
        return None

    def check_samples(self, samples: Sequence[Sample]) -> None:
        """Refuse samples from which the network cannot learn all that it is to.

        Raises
        ------
        UneticError
            If a class never occurs where the labels can be trusted.
        """
        return

    @abstractmethod
    def teach(
        self, truth: NDArray[np.int32], weights: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return targets and weights of a patch.

        Parameters
        ----------
        truth : ndarray of shape (Y, X) or (Z, Y, X), int32
            Labels or classes.
        weights : ndarray of the same shape, float32, or None
            From `sample_weights`.

        Returns
        -------
        targets : ndarray of shape (M, ...), float32
        weights : ndarray of shape (M, ...) or (1, ...), float32
        """

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Loss:
        """Return the loss of a batch, each of shape (B, M, ...); weights also of 1."""

    @abstractmethod
    def numbered(self, truth: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the objects of a plane, by which its working diameter is found."""

    @abstractmethod
    def objective(self, scores: AnyScores) -> float:
        """Return the score by which weights are chosen."""

    @abstractmethod
    def logged(self, scores: AnyScores) -> dict[str, float]:
        """Return the scores of a validation that the log keeps, `figure` first."""

    @abstractmethod
    def summary(self, scores: AnyScores) -> dict[str, Any]:
        """Return the scores of a set of images that a model keeps."""

    @abstractmethod
    def tune_steps(
        self,
        maps: Sequence[NDArray[np.floating]],
        truths: Sequence[NDArray[np.int32]],
        start: DecodeSpec | ClassDecodeSpec,
        areas: Sequence[NDArray[np.bool_] | None],
        is_late: Callable[[], bool],
    ) -> Steps[tuple[DecodeSpec | ClassDecodeSpec, AnyScores]]:
        """Find the best thresholds; see `napari_unetic.training.tune`."""

    @abstractmethod
    def picture(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return targets of shape (M, Y, X) as colours of shape (Y, X, 3), 0 to 1."""


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


def lesson_of(description: ModelDescription, settings: TrainSettings) -> Lesson:
    """Return what a model is to learn.

    Parameters
    ----------
    description : ModelDescription
        Its kind.
    settings : TrainSettings
        Its loss.

    Raises
    ------
    UneticError
        If the loss or its weights are not for this kind of model.
    """
    kind = description.kind
    if isinstance(kind, ClassKind):
        _check_for_classes(kind, settings)
        return ClassLesson(kind, settings)
    _check_for_objects(settings)
    return ObjectLesson(kind)


def _check_for_classes(kind: ClassKind, settings: TrainSettings) -> None:
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


def _check_for_objects(settings: TrainSettings) -> None:
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


def _classes(scores: AnyScores) -> ClassScores:
    assert isinstance(scores, ClassScores)
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
