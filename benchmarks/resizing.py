"""What is lost where every image is brought to one size, as tutorials do.

    python benchmarks/resizing.py DATA [--out FILE]

No network is in it: the true masks of the 67 validation images are brought to N × N
pixels and back, as the masks that such a network learns and the maps that it returns
are, and scored against themselves. A network that makes no mistake scores this much and
none scores more: pixels (IoU, Dice), objects as connected pieces of them, and objects
where each kept its own number. Beside them the same without any change of size.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from _common import write_json
from _pages import number, table
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.image.resample import resample, resample_labels
from napari_unetic.instances.counts import ImageScore, score_image
from napari_unetic.instances.scores import Scores

sys.path.append(str(Path(__file__).resolve().parent / "accuracy"))

from dsb import dsb_pairs, validation_ids

SIDES = (None, 128, 256, 512)


def pieces(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the connected pieces of a mask as objects."""
    return np.asarray(ndimage.label(mask, np.ones((3, 3)))[0], np.int32)


def there_and_back(
    truth: NDArray[np.int32], side: int | None
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return mask and labels after a change to `side`² and back."""
    if side is None:
        return truth > 0, truth
    small = resample_labels(truth, truth.shape, (side, side))
    # As a map of probabilities comes back, cut at .5; labels as they are.
    mask = resample((small > 0)[None].astype(np.float32), small.shape, truth.shape)
    return mask[0] > 0.5, resample_labels(small, small.shape, truth.shape)


def row(truths: list[NDArray[np.int32]], side: int | None) -> dict[str, object]:
    """Score what is left at a size."""
    of_pieces: list[ImageScore] = []
    of_labels: list[ImageScore] = []
    for truth in truths:
        mask, labels = there_and_back(truth, side)
        of_pieces.append(score_image(truth, pieces(mask)))
        of_labels.append(score_image(truth, labels))
    by_pieces, by_labels = Scores(tuple(of_pieces)), Scores(tuple(of_labels))
    return {
        "side": side,
        "pixel_iou": round(by_pieces.total.pixel_iou, 4),
        "pixel_dice": round(by_pieces.total.pixel_dice, 4),
        "pieces_ap_50": round(by_pieces.pooled("ap")["0.50"], 4),
        "pieces_mean_ap_9": round(by_pieces.mean_ap_pooled_9, 4),
        "labels_ap_50": round(by_labels.pooled("ap")["0.50"], 4),
        "labels_mean_ap_9": round(by_labels.mean_ap_pooled_9, 4),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with dsb2018/")
    parser.add_argument("--out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    pairs = dsb_pairs(arguments.data, validation_ids(arguments.data))
    truths = [np.asarray(pair.labels(), np.int32) for pair in pairs]
    found = [row(truths, side) for side in SIDES]
    keys = list(found[0])[1:]
    lines = [
        [
            "none" if one["side"] is None else f"to {one['side']}²",
            *(number(float(str(one[key]))) for key in keys),
        ]
        for one in found
    ]
    print(table(["change", *(key.replace("_", " ") for key in keys)], lines))
    write_json(arguments.out, {"n_images": len(truths), "rows": found})


if __name__ == "__main__":
    main()
