"""Segment all images of a folder, write label images and a table of counts.

    python segment_folder.py [FOLDER [RESULTS]]

Without FOLDER, two images of nuclei are generated.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import tifffile

from napari_unetic import drain, load_model, nuclei_sample, read_image, segment_steps


def generate(folder: Path) -> None:
    """Write two generated images."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(2):
        image, _ = nuclei_sample((256, 256), seed)
        tifffile.imwrite(folder / f"nuclei_{seed}.tif", image)


def main() -> None:
    """Write ``NAME_labels.tif`` for each image, and ``counts.csv``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "generated")
    results = Path(sys.argv[2] if len(sys.argv) > 2 else "results")
    if len(sys.argv) < 2:
        generate(folder)
    results.mkdir(parents=True, exist_ok=True)
    model = load_model("nuclei")

    rows = []
    for path in sorted(folder.glob("*.tif")):
        found = drain(segment_steps(read_image(path), model))
        labels_path = results / f"{path.stem}_labels.tif"
        tifffile.imwrite(labels_path, found.labels, compression="zlib")
        rows.append([path.name, found.n_objects, round(found.seconds, 2)])
        print(f"{path.name}: {found.n_objects} objects in {found.seconds:.2f} s")

    with (results / "counts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "objects", "seconds"], *rows])


if __name__ == "__main__":
    main()
