"""Small pictures of results: hit, missed and extra objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.overlay import outlines

HIT, MISSED, EXTRA = (86, 180, 233), (230, 159, 0), (204, 121, 167)
"""Sky blue, orange, reddish purple, of the palette of `instances.overlay`."""


def stretched(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a plane as grey of three channels, gamma .6 so that faint objects show."""
    low, high = np.percentile(image, (0.5, 99.8))
    grey = np.clip((image - low) / max(high - low, 1e-9), 0, 1) ** 0.6
    return np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=2)


def judged(
    image: NDArray[Any], truth: NDArray[Any], labels: NDArray[Any], threshold: float
) -> NDArray[np.uint8]:
    """Return the image with outlines: predicted hits, true missed, predicted extra.

    Parameters
    ----------
    image : ndarray of shape (Y, X)
    truth, labels : ndarray of shape (Y, X), integer
    threshold : float
        IoU of a hit.
    """
    pairs = overlap(truth, labels)
    found = match(pairs, threshold)
    hit = np.isin(labels, pairs.pred_ids[found.pred_index]) & (labels > 0)
    seen = np.isin(truth, pairs.true_ids[found.true_index])
    picture = stretched(image)
    picture[outlines(labels) & hit] = HIT
    picture[outlines(labels) & ~hit] = EXTRA
    picture[outlines(np.where(seen, 0, truth))] = MISSED
    return picture


def side_by_side(
    image: NDArray[Any], truth: NDArray[Any], labels: NDArray[Any]
) -> NDArray[np.uint8]:
    """Return the image without and with its judged outlines at IoU .5."""
    return np.concatenate(
        [stretched(image), judged(image, truth, labels, 0.5)],
        axis=1 if image.shape[1] < 1.5 * image.shape[0] else 0,
    )


def sheet(
    pictures: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    file: Path,
    *,
    columns: int = 3,
    side: int = 520,
) -> None:
    """Write pictures under their captions as one file, each at most `side` wide."""
    cells = []
    for picture, caption in zip(pictures, captions, strict=True):
        scale = side / max(picture.shape[:2])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        cell = Pillow.new("RGB", (side, size[1] + 14), "white")
        cell.paste(
            Pillow.fromarray(picture).resize(size, Pillow.Resampling.NEAREST), (0, 14)
        )
        ImageDraw.Draw(cell).text((2, 1), caption, fill="black")
        cells.append(cell)
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    whole = Pillow.new("RGB", (columns * side, sum(heights)), "white")
    for n, row in enumerate(rows):
        for k, cell in enumerate(row):
            whole.paste(cell, (k * side, sum(heights[:n])))
    whole.save(file)
