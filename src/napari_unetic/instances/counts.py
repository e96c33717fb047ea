"""What two label images agree on: counts, and the ratios that follow from them.

One image gives an `ImageScore` of plain counts; counts of several images add up. So
one arithmetic serves an image, a data set and a running validation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.instances.matching import (
    Integers,
    check_same_shape,
    match,
    overlap,
)

IOU_THRESHOLDS: tuple[float, ...] = tuple(p / 100 for p in range(50, 100, 5))
"""The ten thresholds of every score: .50, .55, ..., .95."""

_ZEROS = (0,) * len(IOU_THRESHOLDS)


@dataclass(frozen=True, slots=True)
class ImageScore:
    """Counts of one image, or of several added up; every score follows from them.

    Parameters
    ----------
    tp, fp, fn : tuple of int
        Matched, extra and missed objects at each of `IOU_THRESHOLDS`.
    sum_iou : tuple of float
        Sum of the IoU of the matched pairs at each threshold.
    n_true, n_pred : int
        Number of objects.
    pixel_tp, pixel_fp, pixel_fn : int
        Pixels that are foreground in both, in the prediction only, in the truth only.
    n_pixels : int
        Size of the image.
    name : str
        Which image.

    Notes
    -----
    A ratio of nothing to nothing is 1 where there was nothing to find and nothing was
    found, otherwise 0.
    """

    tp: tuple[int, ...]
    fp: tuple[int, ...]
    fn: tuple[int, ...]
    sum_iou: tuple[float, ...]
    n_true: int
    n_pred: int
    pixel_tp: int
    pixel_fp: int
    pixel_fn: int
    n_pixels: int
    name: str = ""

    def _ratios(
        self,
        above: Iterable[float],
        below: Iterable[float],
    ) -> tuple[float, ...]:
        errors = (p + n for p, n in zip(self.fp, self.fn, strict=True))
        return tuple(
            a / b if b else float(e == 0)
            for a, b, e in zip(above, below, errors, strict=True)
        )

    @property
    def ap(self) -> tuple[float, ...]:
        """Average precision TP / (TP + FP + FN) at each threshold."""
        counts = zip(self.tp, self.fp, self.fn, strict=True)
        return self._ratios(self.tp, (t + p + n for t, p, n in counts))

    @property
    def precision(self) -> tuple[float, ...]:
        """TP / (TP + FP) at each threshold."""
        counts = zip(self.tp, self.fp, strict=True)
        return self._ratios(self.tp, (t + p for t, p in counts))

    @property
    def recall(self) -> tuple[float, ...]:
        """TP / (TP + FN) at each threshold."""
        counts = zip(self.tp, self.fn, strict=True)
        return self._ratios(self.tp, (t + n for t, n in counts))

    @property
    def f1(self) -> tuple[float, ...]:
        """2 TP / (2 TP + FP + FN) at each threshold."""
        counts = zip(self.tp, self.fp, self.fn, strict=True)
        return self._ratios(
            (2 * t for t in self.tp), (2 * t + p + n for t, p, n in counts)
        )

    @property
    def mean_matched_iou(self) -> tuple[float, ...]:
        """Mean IoU of the matched pairs at each threshold."""
        return self._ratios(self.sum_iou, self.tp)

    @property
    def pq(self) -> tuple[float, ...]:
        """Panoptic quality, sum of IoU / (TP + FP / 2 + FN / 2), at each threshold."""
        counts = zip(self.tp, self.fp, self.fn, strict=True)
        return self._ratios(self.sum_iou, (t + (p + n) / 2 for t, p, n in counts))

    @property
    def pixel_iou(self) -> float:
        """Intersection over union of the foreground."""
        union = self.pixel_tp + self.pixel_fp + self.pixel_fn
        return self.pixel_tp / union if union else 1.0

    @property
    def pixel_dice(self) -> float:
        """Dice coefficient of the foreground."""
        total = 2 * self.pixel_tp + self.pixel_fp + self.pixel_fn
        return 2 * self.pixel_tp / total if total else 1.0


def score_image(
    truth: NDArray[Any],
    pred: NDArray[Any],
    reviewed: NDArray[Any] | None = None,
    *,
    name: str = "",
) -> ImageScore:
    """Count what two label images agree on at each of `IOU_THRESHOLDS`.

    Parameters
    ----------
    truth, pred : ndarray of one shape, integer
        Label images of any dimension; 0 is background.
    reviewed : ndarray of the same shape, optional
        Non-zero where the truth can be trusted. Pixels elsewhere count for nothing;
        an unmatched object with more than half of its pixels there is no error.
    name : str
        Which image.

    Returns
    -------
    ImageScore
        The counts.

    Raises
    ------
    UneticError
        If the shapes differ or the labels are not integers from 0 up.
    """
    if reviewed is None:
        pairs = overlap(truth, pred)
        true_counts = np.ones(len(pairs.true_ids), dtype=bool)
        pred_counts = np.ones(len(pairs.pred_ids), dtype=bool)
    else:
        whole = overlap(truth, pred)
        check_same_shape("reviewed area", reviewed.shape, truth.shape)
        inside = reviewed != 0
        pairs = overlap(np.where(inside, truth, 0), np.where(inside, pred, 0))
        true_counts = _mostly_inside(
            pairs.true_ids, pairs.true_areas, whole.true_ids, whole.true_areas
        )
        pred_counts = _mostly_inside(
            pairs.pred_ids, pairs.pred_areas, whole.pred_ids, whole.pred_areas
        )
    matches = [match(pairs, threshold) for threshold in IOU_THRESHOLDS]
    n_true, n_pred = int(true_counts.sum()), int(pred_counts.sum())
    pixel_tp = int(pairs.shared.sum())
    return ImageScore(
        tp=tuple(len(m.iou) for m in matches),
        fp=tuple(n_pred - int(pred_counts[m.pred_index].sum()) for m in matches),
        fn=tuple(n_true - int(true_counts[m.true_index].sum()) for m in matches),
        sum_iou=tuple(float(m.iou.sum()) for m in matches),
        n_true=n_true,
        n_pred=n_pred,
        pixel_tp=pixel_tp,
        pixel_fp=int(pairs.pred_areas.sum()) - pixel_tp,
        pixel_fn=int(pairs.true_areas.sum()) - pixel_tp,
        n_pixels=int(truth.size),
        name=name,
    )


def pool(images: Iterable[ImageScore], name: str = "pooled") -> ImageScore:
    """Add up the counts of several images.

    Parameters
    ----------
    images : iterable of ImageScore
        The images; none gives counts of zero.
    name : str
        Name of the sum.

    Returns
    -------
    ImageScore
        Its scores are the pooled ones: ratios of sums, not means of ratios.
    """
    rows = list(images)

    def each(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(sum(c) for c in zip(*counts, strict=True)) or _ZEROS

    return ImageScore(
        tp=each(r.tp for r in rows),
        fp=each(r.fp for r in rows),
        fn=each(r.fn for r in rows),
        sum_iou=tuple(
            float(sum(r.sum_iou[i] for r in rows)) for i in range(len(IOU_THRESHOLDS))
        ),
        n_true=sum(r.n_true for r in rows),
        n_pred=sum(r.n_pred for r in rows),
        pixel_tp=sum(r.pixel_tp for r in rows),
        pixel_fp=sum(r.pixel_fp for r in rows),
        pixel_fn=sum(r.pixel_fn for r in rows),
        n_pixels=sum(r.n_pixels for r in rows),
        name=name,
    )


def _mostly_inside(
    ids: Integers, areas: Integers, whole_ids: Integers, whole_areas: Integers
) -> NDArray[np.bool_]:
    """Whether at least half of each object is left after cutting."""
    inside: NDArray[np.bool_] = (
        2 * areas >= whole_areas[np.searchsorted(whole_ids, ids)]
    )
    return inside
