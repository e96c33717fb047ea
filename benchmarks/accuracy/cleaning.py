"""What is wrong in the labels of DSB2018, by rules, with the ids affected.

Clicks and strays are found by `napari_unetic.pairs.cleaning`, in the original and in
the corrected masks. *Unmarked* images are those in which blobs that stand out as
objects do, and are about as large, have no mask, at least three of them and at least
half as many as there are objects. *Near-duplicates* correlate by .9 over all shifts
(``near_duplicates.py``). Looked for and found nowhere: masks that overlap, masks that
occur twice, empty masks, objects of fewer than 21 pixels or of more than a tenth of the
image, and masks that fit better when moved by more than one pixel.

    python benchmarks/accuracy/cleaning.py DATA --json FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dsb import KINDS, dsb_pairs, ids_of_kind
from held_out import ALIKE, likeness, signature
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from napari_unetic.image.channels import LUMA
from napari_unetic.instances.matching import overlap
from napari_unetic.pairs.cleaning import clean_labels

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair

N_UNMARKED = 3
SHIFT_PX = 8


def stretched(pair: Pair) -> NDArray[np.float32]:
    """Return the log of the grey image, slightly smoothed."""
    pixels = pair.image().read().astype(np.float32)
    grey = np.tensordot(LUMA, pixels, axes=1) if len(pixels) == 3 else pixels[0]
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(grey, 1)
    return np.log1p(smooth - smooth.min()).astype(np.float32)


def n_unmarked(bright: NDArray[np.float32], labels: NDArray[np.int32]) -> int:
    """Return how many bright blobs about as large as the objects have no mask.

    Parameters
    ----------
    bright : ndarray of shape (Y, X), float32
        As `stretched` returns it, objects bright.
    labels : ndarray of shape (Y, X), int32
    """
    sizes = np.bincount(labels.ravel())[1:]
    median = float(np.median(sizes[sizes > 0]))
    blobs, _ = ndimage.label(bright > threshold_otsu(bright))
    area = np.bincount(blobs.ravel())[1:]
    marked = np.bincount(blobs.ravel(), (labels > 0).ravel())[1:] / np.maximum(area, 1)
    like_objects = (area > 0.5 * median) & (area < 4 * median)
    return int((like_objects & (marked < 0.1)).sum())


def best_shift(
    bright: NDArray[np.float32], labels: NDArray[np.int32]
) -> tuple[int, int]:
    """Return by how many rows and columns the masks fit the image best."""
    mask = (labels > 0) - np.float32((labels > 0).mean())
    product = np.fft.rfft2(bright - bright.mean()) * np.conj(np.fft.rfft2(mask))
    found = np.fft.irfft2(product, s=mask.shape)
    side = 2 * SHIFT_PX + 1
    near = np.roll(found, (SHIFT_PX, SHIFT_PX), (0, 1))[:side, :side]
    row, column = np.unravel_index(near.argmax(), near.shape)
    return int(row) - SHIFT_PX, int(column) - SHIFT_PX


def look(pairs: list[Pair], *, dark: bool) -> dict[str, dict[str, Any]]:
    """Return what is wrong in each image; those in order are left out.

    Parameters
    ----------
    pairs : list of Pair
    dark : bool
        Whether objects are darker than what is around them.
    """
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        labels, bright = pair.labels(), stretched(pair)
        bright = -bright if dark else bright
        cleaned = clean_labels(labels)
        n = len(overlap(labels, labels).true_ids)
        unmarked, shift = n_unmarked(bright, labels), best_shift(bright, labels)
        wrong: dict[str, Any] = {}
        if cleaned.clicks:
            wrong["clicks"] = len(cleaned.clicks)
        if cleaned.strays:
            wrong["strays"] = len(cleaned.strays)
        if not dark and unmarked >= max(N_UNMARKED, n / 2):
            wrong["unmarked"] = unmarked
        if max(map(abs, shift)) > 1:
            wrong["shift"] = shift
        if wrong:
            found[pair.id] = {"objects": n, **wrong}
    return found


def near_duplicates(pairs: list[Pair]) -> list[tuple[float, str, str]]:
    """Return pairs of images that look alike, with their correlation."""
    alike = np.triu(likeness(np.stack([signature(pair) for pair in pairs])), 1)
    return [
        (round(float(alike[a, b]), 3), pairs[a].id, pairs[b].id)
        for a, b in np.argwhere(alike >= ALIKE)
    ]


def main() -> None:
    """Print and write what is wrong, by kind and masks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds dsb2018/")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    for kind in KINDS:
        ids = ids_of_kind(arguments.data, kind)
        for masks in ("original", "corrected"):
            is_corrected = masks == "corrected"
            pairs = dsb_pairs(arguments.data, ids, corrected=is_corrected)
            found = look(pairs, dark=kind != "fluorescence")
            result[f"{kind}, {masks}"] = found
            sums = {
                what: (
                    sum(what in wrong for wrong in found.values()),
                    sum(w.get(what, 0) for w in found.values() if what != "shift"),
                )
                for what in ("clicks", "strays", "unmarked", "shift")
            }
            print(f"{kind}, {masks}: {len(pairs)} images;", sums, flush=True)
        whole = dsb_pairs(arguments.data, ids)
        result[f"{kind}, near-duplicates"] = near_duplicates(whole)
        print(f"{kind}, near-duplicates:", result[f"{kind}, near-duplicates"])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
