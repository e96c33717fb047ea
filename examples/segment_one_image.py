"""Segment one image and list its objects.

    python segment_one_image.py [IMAGE]

Without IMAGE, an image of nuclei is generated.
"""

from __future__ import annotations

import sys

import numpy as np

from napari_unetic import nuclei_sample, read_image, segment


def main() -> None:
    """Print the number of objects and the sizes of the largest."""
    image = read_image(sys.argv[1]) if len(sys.argv) > 1 else nuclei_sample()[0]

    labels = segment(image, "nuclei")

    areas = np.bincount(labels.ravel())[1:]
    print(f"{len(areas)} objects")
    for label in 1 + np.argsort(areas)[::-1][:3]:
        print(f"object {label}: {areas[label - 1]} pixels")


if __name__ == "__main__":
    main()
