"""Look for training images of DSB2018 that show nearly the same as a test image.

Each image is brought to 64 × 64 pixels of log intensity, mean 0 and norm 1; two images
are compared by their largest circular cross-correlation over all shifts, which is 1
for the same picture, also moved or under another gain. Pairs of at least ``--at-least``
are near-duplicates and must not be trained on.

    python benchmarks/near_duplicates.py DATA/dsb2018 --json FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_unetic.image.channels import to_channels
from napari_unetic.pairs.readers import read_pairs

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair

SIDE = 64


def signature(pair: Pair) -> NDArray[np.float32]:
    """Return the image as 64 × 64 log intensities of mean 0 and norm 1."""
    image = pair.image()
    grey = to_channels(image.read(), 1, rgb=image.n_channels == 3)[0]
    small = resize(grey.astype(np.float32), (SIDE, SIDE), anti_aliasing=True)
    small = np.log1p(small - small.min())
    small -= small.mean()
    result: NDArray[np.float32] = small / (np.linalg.norm(small) + 1e-9)
    return result


def main() -> None:
    """Compare every test image with every other one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder dsb2018")
    parser.add_argument("--at-least", type=float, default=0.9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pairs = read_pairs(arguments.data / "stage1_train.zip")
    split = json.loads((arguments.data / "stardist_split.json").read_text())
    test = [pair for pair in pairs if pair.id in set(split["test"])]
    rest = [pair for pair in pairs if pair.id not in set(split["test"])]
    spectra = np.fft.rfft2(np.stack([signature(pair) for pair in rest]))
    found = []
    for pair in test:
        product = spectra * np.conj(np.fft.rfft2(signature(pair)))
        likeness = np.fft.irfft2(product, s=(SIDE, SIDE)).max(axis=(1, 2))
        nearest = int(likeness.argmax())
        found.append((round(float(likeness[nearest]), 3), pair.id, rest[nearest].id))
    found.sort(reverse=True)
    result = {
        "at_least": arguments.at_least,
        "near_duplicates": sorted(b for s, _, b in found if s >= arguments.at_least),
        "nearest": [{"likeness": s, "test": a, "other": b} for s, a, b in found],
    }
    text = json.dumps(result, indent=1)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    print(f"{len(test)} test images against {len(rest)} others")
    print("near-duplicates:", result["near_duplicates"] or "none")
    print("the most alike:", [s for s, _, _ in found[:5]])


if __name__ == "__main__":
    main()
