"""Scores of class masks: IoU and Dice of each class, pooled and per image.

An image gives counts, and those of several images add up; see
`napari_unetic.instances.counts` for the same thing with objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Counts of pixels of one image, or of several added up.

    Parameters
    ----------
    tp, fp, fn : tuple of int
        For each class from 0, the background: pixels that are of it in both masks, in
        the prediction only, in the truth only.
    n_pixels : int
        Size of the image; the counts are of its reviewed part.
    name : str
        Which image.

    Notes
    -----
    A class that neither mask has scores 1.
    """

    tp: tuple[int, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]
    n_pixels: int
    name: str = ""

    @property
    def iou(self) -> tuple[float, ...]:
        """Intersection over union of each class."""
        counts = zip(self.tp, self.fp, self.fn, strict=True)
        return tuple(t / (t + p + n) if t + p + n else 1.0 for t, p, n in counts)

    @property
    def dice(self) -> tuple[float, ...]:
        """Dice coefficient of each class."""
        return tuple(2 * iou / (1 + iou) for iou in self.iou)

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes besides the background."""
        return fmean(self.iou[1:])

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient of the classes besides the background."""
        return fmean(self.dice[1:])


def score_classes(
    truth: NDArray[Any],
    pred: NDArray[Any],
    n_classes: int,
    reviewed: NDArray[Any] | None = None,
    *,
    name: str = "",
) -> ClassScore:
    """Count the pixels on which two class masks agree.

    Parameters
    ----------
    truth, pred : ndarray of one shape, integers from 0
        Class of each pixel.
    n_classes : int
        Classes, the background included.
    reviewed : ndarray of the same shape, optional
        Non-zero where the truth can be trusted; pixels elsewhere count for nothing.
    name : str
        Which image.

    Raises
    ------
    UneticError
        If the shapes differ or a number is no class.
    """
    for what, array in (("prediction", pred), ("reviewed area", reviewed)):
        if array is not None and array.shape != truth.shape:
            raise UneticError(
                f"Expected a {what} of shape {truth.shape} as the truth, got shape "
                f"{array.shape}; compare masks of the same image."
            )
    for array in (truth, pred):
        if array.size and not 0 <= array.min() <= array.max() < n_classes:
            raise UneticError(
                f"Expected classes from 0 to {n_classes - 1}, got {array.min()} to "
                f"{array.max()}; name as many classes as there are."
            )
    is_counted = slice(None) if reviewed is None else reviewed.ravel() != 0
    true, found = (a.ravel()[is_counted].astype(np.int64) for a in (truth, pred))
    pairs = np.bincount(n_classes * true + found, minlength=n_classes**2)
    table = pairs.reshape(n_classes, n_classes)
    hit = np.diagonal(table)
    return ClassScore(
        tp=tuple(int(n) for n in hit),
        fp=tuple(int(n) for n in table.sum(axis=0) - hit),
        fn=tuple(int(n) for n in table.sum(axis=1) - hit),
        n_pixels=int(truth.size),
        name=name,
    )


def pool_classes(images: Iterable[ClassScore], name: str = "pooled") -> ClassScore:
    """Add up the counts of several images, at least one."""
    rows = list(images)

    def each(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(sum(c) for c in zip(*counts, strict=True))

    return ClassScore(
        tp=each(r.tp for r in rows),
        fp=each(r.fp for r in rows),
        fn=each(r.fn for r in rows),
        n_pixels=sum(r.n_pixels for r in rows),
        name=name,
    )


@dataclass(frozen=True)
class ClassScores:
    """Scores of several images, pooled over them and as the mean per image.

    Parameters
    ----------
    images : tuple of ClassScore
        One for each image, at least one.
    names : tuple of str
        Of the classes, the background first.
    seconds : tuple of float, optional
        Time from normalising to classes for each image, without reading.
    threads : int, optional
        CPU threads of the network.
    notices : tuple of str
        Sentences the user should read.

    Raises
    ------
    UneticError
        If there is no image.
    """

    images: tuple[ClassScore, ...]
    names: tuple[str, ...]
    seconds: tuple[float, ...] | None = None
    threads: int | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.images:
            raise UneticError(
                "Expected at least one image to score, got none; "
                "check the folder and the ids."
            )

    @cached_property
    def total(self) -> ClassScore:
        """Counts added up over the images."""
        return pool_classes(self.images)

    def pooled(self, score: str) -> dict[str, float]:
        """Return the IoU or Dice ("iou", "dice") of the added counts, by class."""
        return self._by_class(getattr(self.total, score))

    def per_image(self, score: str) -> dict[str, float]:
        """Return the mean over images of each image's IoU or Dice, by class."""
        values = [getattr(image, score) for image in self.images]
        return self._by_class([fmean(v) for v in zip(*values, strict=True)])

    def _by_class(self, values: Iterable[float]) -> dict[str, float]:
        return dict(zip(self.names, values, strict=True))

    @property
    def mean_iou(self) -> float:
        """Mean over the classes besides the background of the pooled IoU."""
        return self.total.mean_iou

    @property
    def mean_dice(self) -> float:
        """The same of the Dice coefficient."""
        return self.total.mean_dice

    @property
    def seconds_per_megapixel(self) -> float | None:
        """Seconds of all images by a million of their pixels, where timed."""
        if self.seconds is None or not self.total.n_pixels:
            return None
        return 1e6 * sum(self.seconds) / self.total.n_pixels

    def to_json(self) -> dict[str, Any]:
        """Return all scores as a mapping that `json` can write."""
        out: dict[str, Any] = {
            "n_images": len(self.images),
            "classes": list(self.names),
            "iou_pooled": self.pooled("iou"),
            "iou_per_image": self.per_image("iou"),
            "dice_pooled": self.pooled("dice"),
            "dice_per_image": self.per_image("dice"),
            "mean_iou_pooled": self.mean_iou,
            "mean_iou_per_image": fmean(i.mean_iou for i in self.images),
            "mean_dice_pooled": self.mean_dice,
            "mean_dice_per_image": fmean(i.mean_dice for i in self.images),
        }
        if self.seconds is not None:
            out["seconds_per_megapixel"] = self.seconds_per_megapixel
        if self.threads is not None:
            out["threads"] = self.threads
        out["notices"] = list(self.notices)
        seconds = self.seconds or (None,) * len(self.images)
        out["images"] = [
            self._row(image, took)
            for image, took in zip(self.images, seconds, strict=True)
        ]
        return out

    def _row(self, image: ClassScore, seconds: float | None) -> dict[str, Any]:
        row: dict[str, Any] = {
            "name": image.name,
            "megapixels": image.n_pixels / 1e6,
            "iou": self._by_class(image.iou),
            "dice": self._by_class(image.dice),
        }
        return row if seconds is None else row | {"seconds": seconds}

    def table(self) -> str:
        """Return the scores as text: a line for each class, then the means."""
        n, width = len(self.images), max(10, *map(len, self.names))
        columns = [
            of(score) for of in (self.pooled, self.per_image) for score in _SCORES
        ]
        lines = [
            f"{n} image{'s' if n > 1 else ''}, {len(self.names) - 1} "
            f"class{'es' if len(self.names) > 2 else ''} besides the background",
            "",
            f"{'':{width}}  pooled          | mean per image",
            f"{'class':{width}}     IoU    Dice  |    IoU    Dice",
        ]
        for name in self.names:
            first, second, third, fourth = (f"{c[name]:.3f}" for c in columns)
            lines.append(f"{name:{width}}   {first}   {second}  |  {third}   {fourth}")
        lines += [
            "",
            f"mean IoU, pooled, without the background   {self.mean_iou:.3f}",
            f"mean Dice, pooled, without the background  {self.mean_dice:.3f}",
        ]
        if self.seconds_per_megapixel is not None:
            lines.append(
                f"seconds per megapixel                      "
                f"{self.seconds_per_megapixel:.3f}"
            )
        if self.threads is not None:
            lines.append(f"threads                                    {self.threads}")
        return "\n".join(lines)


_SCORES = ("iou", "dice")
