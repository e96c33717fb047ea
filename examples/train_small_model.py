"""Train a small model on a folder of images with labels, and segment with it.

    python train_small_model.py [DATA [STEPS]]

DATA holds ``images/`` and ``labels/``. Without it, a few images of nuclei are
generated; a few steps only show how it is done, real training takes some thousand.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tifffile

from napari_unetic import nuclei_sample, segment, train
from napari_unetic.pairs import read_split
from napari_unetic.training import TrainSettings


def generate(folder: Path) -> None:
    """Write five generated images with their labels."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for seed in range(5):
        image, labels = nuclei_sample((128, 128), seed)
        tifffile.imwrite(folder / "images" / f"{seed}.tif", image)
        tifffile.imwrite(folder / "labels" / f"{seed}.tif", labels)


def main() -> None:
    """Train, then say where the model is and what it finds."""
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "generated-pairs")
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    if len(sys.argv) < 2:
        generate(data)

    train_pairs, validation_pairs = read_split(data, val_fraction=0.2, seed=0)
    settings = TrainSettings(preset="unetic-16", steps=steps, batch=2, patch_px=64)
    model = train(train_pairs, validation_pairs, "run", settings)

    labels = segment(validation_pairs[0].image(), model)
    print(f"model: {model}")
    print(f"objects found in {validation_pairs[0].id}: {labels.max()}")


if __name__ == "__main__":
    main()
