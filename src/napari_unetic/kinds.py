"""The kinds of model: what its maps stand for, objects or classes.

Whatever depends on that is asked of a `Kind`, and `kind_of` alone chooses which. What
goes beyond one plane in memory has its own choice by kind, one each, where it belongs:
`napari_unetic.predict.by_kind` and `napari_unetic.training.lessons`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Tag

from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import ImageScore, pool, score_image
from napari_unetic.instances.decode import DecodeSpec, decode
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.objects import score_objects
from napari_unetic.instances.scores import Scores
from napari_unetic.instances.targets import TargetSpec, make_targets
from napari_unetic.pairs.assemble import Annotation, take_labels
from napari_unetic.semantic.decode import ClassDecodeSpec, decode_classes
from napari_unetic.semantic.masks import take_classes
from napari_unetic.semantic.scores import (
    ClassScore,
    ClassScores,
    pool_classes,
    score_classes,
)
from napari_unetic.semantic.targets import SemanticTargetSpec, make_class_targets

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.settings import SegmentSettings


def _tag(value: Any) -> str:
    """Return the kind of a specification; the first ones did not say theirs."""
    if isinstance(value, dict):
        return str(value.get("kind", "instances"))
    return str(getattr(value, "kind", "instances"))


Target: TypeAlias = Annotated[
    Annotated[TargetSpec, Tag("instances")]
    | Annotated[SemanticTargetSpec, Tag("semantic")],
    Discriminator(_tag),
]
"""How labels become target maps, by the kind of model."""

Decoding: TypeAlias = Annotated[
    Annotated[DecodeSpec, Tag("instances")]
    | Annotated[ClassDecodeSpec, Tag("semantic")],
    Discriminator(_tag),
]
"""How maps become labels, by the kind of model."""

Row: TypeAlias = ImageScore | ClassScore
AnyScores: TypeAlias = Scores | ClassScores


class Kind(ABC):
    """What the maps of a model stand for."""

    noun: ClassVar[str]
    """What labels number: ``objects`` or ``classes``."""

    @abstractmethod
    def read(self, pair: Pair) -> tuple[Image, NDArray[np.int32]]:
        """Return image and truth of a pair; see `napari_unetic.pairs.pair.Pair`."""

    @abstractmethod
    def annotation(self, pair: Pair) -> Annotation:
        """Return the truth of a pair, not checked against the image."""

    @abstractmethod
    def take(self, array: NDArray[Any], name: str) -> Annotation:
        """Return the truth that an array from a file holds."""

    @abstractmethod
    def make_targets(self, truth: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return the maps, a first axis more, that the truth of a plane stands for."""

    @abstractmethod
    def decode(self, maps: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return what maps of a plane stand for, at the model's thresholds."""

    @abstractmethod
    def finish(
        self, maps: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return what `decode` does, and a score for each object."""

    @abstractmethod
    def moved(
        self, settings: SegmentSettings, zoom: float, zoom_z: float = 1.0
    ) -> DecodeSpec | ClassDecodeSpec:
        """Return the thresholds as settings move them; refuse settings unknown here."""

    @abstractmethod
    def count_alike(
        self, first: NDArray[np.int32], second: NDArray[np.int32], iou: float
    ) -> tuple[int, int]:
        """Return how many objects or classes agree with at least an IoU, out of all."""

    @abstractmethod
    def score(
        self,
        truth: NDArray[Any],
        found: NDArray[Any],
        reviewed: NDArray[np.bool_] | None = None,
        *,
        name: str = "",
    ) -> Row:
        """Return the counts of one image."""

    @abstractmethod
    def scores(
        self,
        rows: Sequence[Row],
        *,
        seconds: tuple[float, ...] | None = None,
        threads: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> AnyScores:
        """Return the scores of several images."""

    @abstractmethod
    def add(self, total: Row | None, row: Row) -> Row:
        """Return counts with those of one more image; None before the first."""

    @abstractmethod
    def so_far(self, total: Row) -> dict[str, float]:
        """Return the figure to show while images are scored."""


@dataclass(frozen=True, slots=True)
class ObjectKind(Kind):
    """Objects, each with a number of its own.

    Parameters
    ----------
    target : TargetSpec
    decoding : DecodeSpec
    anisotropy : float
        How many pixels the planes of volumes are apart.
    """

    target: TargetSpec = field(default_factory=TargetSpec)
    decoding: DecodeSpec = field(default_factory=DecodeSpec)
    anisotropy: float = 1.0
    noun: ClassVar[str] = "objects"

    def read(self, pair: Pair) -> tuple[Image, NDArray[np.int32]]:
        """Return image and labels."""
        return pair.read()

    def annotation(self, pair: Pair) -> Annotation:
        """Return the labels."""
        return pair.annotation()

    def take(self, array: NDArray[Any], name: str) -> Annotation:
        """Return labels, of a binary mask its pieces."""
        return take_labels(array, name)

    def make_targets(self, truth: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return foreground, contact and depth."""
        return make_targets(truth, self.target, self.anisotropy)

    def decode(self, maps: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return labels."""
        return decode(maps, self.decoding)

    def finish(
        self, maps: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return labels and how sure the network is of each object."""
        labels = self.decode(maps)
        return labels, score_objects(labels, maps)

    def moved(
        self, settings: SegmentSettings, zoom: float, zoom_z: float = 1.0
    ) -> DecodeSpec:
        """Return the thresholds as sensitivity, splitting and the rest move them."""
        return settings.decoding(self.decoding, zoom, zoom_z)

    def count_alike(
        self, first: NDArray[np.int32], second: NDArray[np.int32], iou: float
    ) -> tuple[int, int]:
        """Return how many objects are matched, out of the larger number of objects."""
        n = int(max(first.max(initial=0), second.max(initial=0)))
        return match(overlap(first, second), iou).iou.size, n

    def score(
        self,
        truth: NDArray[Any],
        found: NDArray[Any],
        reviewed: NDArray[np.bool_] | None = None,
        *,
        name: str = "",
    ) -> ImageScore:
        """Match objects."""
        return score_image(truth, found, reviewed, name=name)

    def scores(
        self,
        rows: Sequence[Row],
        *,
        seconds: tuple[float, ...] | None = None,
        threads: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> Scores:
        """Return AP, F1, PQ and the rest."""
        own = tuple(row for row in rows if isinstance(row, ImageScore))
        return Scores(own, seconds=seconds, threads=threads, notices=notices)

    def add(self, total: Row | None, row: Row) -> Row:
        """Return the sum of both."""
        return pool(r for r in (total, row) if isinstance(r, ImageScore))

    def so_far(self, total: Row) -> dict[str, float]:
        """Return the pooled AP at IoU .50."""
        assert isinstance(total, ImageScore)
        return {"ap": total.ap[0]}


@dataclass(frozen=True, slots=True)
class ClassKind(Kind):
    """Classes of pixels; 0 is the background.

    Parameters
    ----------
    target : SemanticTargetSpec
    decoding : ClassDecodeSpec
    """

    target: SemanticTargetSpec
    decoding: ClassDecodeSpec = field(default_factory=ClassDecodeSpec)
    noun: ClassVar[str] = "classes"

    @property
    def n_classes(self) -> int:
        """Classes, the background included."""
        return len(self.target.classes)

    def read(self, pair: Pair) -> tuple[Image, NDArray[np.int32]]:
        """Return image and class mask."""
        return pair.read_classes(self.n_classes)

    def annotation(self, pair: Pair) -> Annotation:
        """Return the class mask."""
        return Annotation(pair.classes(self.n_classes))

    def take(self, array: NDArray[Any], name: str) -> Annotation:
        """Return the class mask, by the rule of `napari_unetic.semantic.masks`."""
        return Annotation(take_classes(array, self.n_classes, name))

    def make_targets(self, truth: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return one-hot maps."""
        return make_class_targets(truth, self.target)

    def decode(self, maps: NDArray[np.floating]) -> NDArray[np.int32]:
        """Return classes."""
        return decode_classes(maps, self.decoding)

    def finish(
        self, maps: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return classes; there are no objects to score."""
        return self.decode(maps), np.zeros(0, np.float32)

    def moved(
        self, settings: SegmentSettings, zoom: float, zoom_z: float = 1.0
    ) -> ClassDecodeSpec:
        """Return the threshold as the sensitivity moves it."""
        return settings.class_decoding(self.decoding)

    def count_alike(
        self, first: NDArray[np.int32], second: NDArray[np.int32], iou: float
    ) -> tuple[int, int]:
        """Return how many classes agree, out of those besides the background met."""
        found = score_classes(first, second, self.n_classes)
        counts = list(zip(found.tp, found.fp, found.fn, strict=True))[1:]
        is_there = [any(count) for count in counts]
        alike = zip(is_there, found.iou[1:], strict=True)
        return sum(met and value >= iou for met, value in alike), sum(is_there)

    def score(
        self,
        truth: NDArray[Any],
        found: NDArray[Any],
        reviewed: NDArray[np.bool_] | None = None,
        *,
        name: str = "",
    ) -> ClassScore:
        """Compare classes pixel by pixel."""
        return score_classes(truth, found, self.n_classes, reviewed, name=name)

    def scores(
        self,
        rows: Sequence[Row],
        *,
        seconds: tuple[float, ...] | None = None,
        threads: int | None = None,
        notices: tuple[str, ...] = (),
    ) -> ClassScores:
        """Return IoU and Dice of each class."""
        return ClassScores(
            tuple(row for row in rows if isinstance(row, ClassScore)),
            tuple(one.name for one in self.target.classes),
            seconds=seconds,
            threads=threads,
            notices=notices,
        )

    def add(self, total: Row | None, row: Row) -> Row:
        """Return the sum of both."""
        return pool_classes(r for r in (total, row) if isinstance(r, ClassScore))

    def so_far(self, total: Row) -> dict[str, float]:
        """Return the pooled mean IoU."""
        assert isinstance(total, ClassScore)
        return {"iou": total.mean_iou}


def kind_of(
    target: TargetSpec | SemanticTargetSpec,
    decoding: DecodeSpec | ClassDecodeSpec,
    anisotropy: float | None = None,
) -> ObjectKind | ClassKind:
    """Return the kind of a model.

    Parameters
    ----------
    target, decoding, anisotropy
        Of its description.

    Raises
    ------
    UneticError
        If the two are of different kinds.
    """
    if isinstance(target, TargetSpec) and isinstance(decoding, DecodeSpec):
        return ObjectKind(target, decoding, anisotropy or 1.0)
    if isinstance(target, SemanticTargetSpec) and isinstance(decoding, ClassDecodeSpec):
        return ClassKind(target, decoding)
    raise UneticError(
        f"Expected targets and decoding of one kind, got {type(target).__name__} with "
        f"{type(decoding).__name__}; correct the description."
    )
