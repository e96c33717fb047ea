"""Score a segmentation against ground truth.

    python score_against_truth.py [PRED TRUTH]

PRED and TRUTH are label images, or folders of them with the same names. Without them, a
generated image is segmented, whose true outlines are known.
"""

from __future__ import annotations

import sys

from napari_unetic import nuclei_sample, score, segment


def main() -> None:
    """Print average precision at two thresholds, then the whole table."""
    if len(sys.argv) > 2:
        scores = score(sys.argv[1], sys.argv[2])
    else:
        image, truth = nuclei_sample(seed=1)
        scores = score(segment(image), truth)

    ap = scores.pooled("ap")
    print(f"AP at IoU .50: {ap['0.50']:.3f}, at .75: {ap['0.75']:.3f}")
    print(scores.table())


if __name__ == "__main__":
    main()
