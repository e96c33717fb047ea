"""Scores of many images: AP, F1, PQ, IoU and Dice, as a mapping and as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, Literal, TypeAlias

from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import IOU_THRESHOLDS, ImageScore, pool

ObjectScore: TypeAlias = Literal[
    "ap", "precision", "recall", "f1", "mean_matched_iou", "pq"
]
"""The scores that an `ImageScore` has at each threshold."""


@dataclass(frozen=True)
class Scores:
    """Scores of several images, pooled over them and as the mean per image.

    Parameters
    ----------
    images : tuple of ImageScore
        One for each image, at least one.
    seconds : tuple of float, optional
        Time from normalising to labels for each image, without reading.
    threads : int, optional
        CPU threads of the network.
    notices : tuple of str
        Sentences the user should read (predictions without a truth, ...).

    Raises
    ------
    UneticError
        If there is no image.
    """

    images: tuple[ImageScore, ...]
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
    def total(self) -> ImageScore:
        """Counts added up over the images."""
        return pool(self.images)

    def pooled(self, score: ObjectScore) -> dict[str, float]:
        """Return the score of the added counts, by threshold ("0.50")."""
        values: tuple[float, ...] = getattr(self.total, score)
        return _by_threshold(values)

    def per_image(self, score: ObjectScore) -> dict[str, float]:
        """Return the mean over images of each image's score, by threshold."""
        values: list[tuple[float, ...]] = [getattr(i, score) for i in self.images]
        return _by_threshold([fmean(v) for v in zip(*values, strict=True)])

    @property
    def mean_ap_pooled_9(self) -> float:
        """Mean of pooled AP over the thresholds .50 to .90."""
        return fmean(self.total.ap[:9])

    @property
    def mean_ap_per_image_10(self) -> float:
        """Mean of AP over images and over the thresholds .50 to .95."""
        return fmean(self.per_image("ap").values())

    @property
    def seconds_per_megapixel(self) -> float | None:
        """Seconds of all images by a million of their pixels, where timed."""
        if self.seconds is None or not self.total.n_pixels:
            return None
        return 1e6 * sum(self.seconds) / self.total.n_pixels

    def to_json(self) -> dict[str, Any]:
        """Return all scores as a mapping that `json` can write."""
        total = self.total
        out: dict[str, Any] = {
            "n_images": len(self.images),
            "n_objects": total.n_true,
            "n_predicted": total.n_pred,
        }
        for score in _OBJECT_SCORES:
            out[f"{score}_pooled"] = self.pooled(score)
            out[f"{score}_per_image"] = self.per_image(score)
        out |= {
            "mean_ap_pooled_9": self.mean_ap_pooled_9,
            "mean_ap_per_image_10": self.mean_ap_per_image_10,
            "pixel_iou_pooled": total.pixel_iou,
            "pixel_iou_per_image": fmean(i.pixel_iou for i in self.images),
            "pixel_dice_pooled": total.pixel_dice,
            "pixel_dice_per_image": fmean(i.pixel_dice for i in self.images),
        }
        if self.seconds is not None:
            out["seconds_per_megapixel"] = self.seconds_per_megapixel
        if self.threads is not None:
            out["threads"] = self.threads
        out["notices"] = list(self.notices)
        seconds = self.seconds or (None,) * len(self.images)
        out["images"] = [
            _row(image, took) for image, took in zip(self.images, seconds, strict=True)
        ]
        return out

    def table(self) -> str:
        """Return the scores as text: a line for each threshold, then totals."""
        total, n = self.total, len(self.images)
        columns = [self.pooled(score) for score in _OBJECT_SCORES]
        columns += [self.per_image("ap"), self.per_image("f1")]
        lines = [
            f"{n} image{'s' if n > 1 else ''}, {total.n_true} true objects, "
            f"{total.n_pred} predicted",
            "",
            f"{'':6}{'pooled over all objects':53}| mean per image",
            " IoU      AP  precision  recall      F1  mean IoU      PQ  |    AP     F1",
        ]
        for key in columns[0]:
            values = [f"{column[key]:.3f}" for column in columns]
            widths = (8, 11, 8, 8, 10, 8)
            cells = [f"{v:>{w}}" for v, w in zip(values, widths, strict=False)]
            lines.append(f"{key}{''.join(cells)}  | {values[-2]}  {values[-1]}")
        lines += [
            "",
            f"mean AP .50 to .90, pooled     {self.mean_ap_pooled_9:.3f}",
            f"mean AP .50 to .95, per image  {self.mean_ap_per_image_10:.3f}",
            f"pixel IoU, pooled              {total.pixel_iou:.3f}",
            f"pixel Dice, pooled             {total.pixel_dice:.3f}",
        ]
        if self.seconds_per_megapixel is not None:
            lines.append(
                f"seconds per megapixel          {self.seconds_per_megapixel:.3f}"
            )
        if self.threads is not None:
            lines.append(f"threads                        {self.threads}")
        return "\n".join(lines)


_OBJECT_SCORES: tuple[ObjectScore, ...] = (
    "ap",
    "precision",
    "recall",
    "f1",
    "mean_matched_iou",
    "pq",
)


def _by_threshold(values: Iterable[float]) -> dict[str, float]:
    return {f"{t:.2f}": v for t, v in zip(IOU_THRESHOLDS, values, strict=True)}


def _row(image: ImageScore, seconds: float | None) -> dict[str, Any]:
    """Return one image's row of the JSON report."""
    row: dict[str, Any] = {
        "name": image.name,
        "n_objects": image.n_true,
        "n_predicted": image.n_pred,
        "megapixels": image.n_pixels / 1e6,
        "ap": _by_threshold(image.ap),
        "f1": _by_threshold(image.f1),
        "pq": _by_threshold(image.pq),
        "tp": _by_threshold(image.tp),
        "fp": _by_threshold(image.fp),
        "fn": _by_threshold(image.fn),
        "mean_ap_10": fmean(image.ap),
        "pixel_iou": image.pixel_iou,
        "pixel_dice": image.pixel_dice,
    }
    if seconds is not None:
        row["seconds"] = seconds
    return row
