"""What a network is to learn from pairs, whatever the kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.kinds import AnyScores
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.semantic.decode import ClassDecodeSpec
    from napari_unetic.steps import Steps
    from napari_unetic.training.patches import Sample


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
