"""Sample data for napari's File menu."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unetic.fetch.example import read_example
from napari_unetic.samples import PIXEL_SIZE, nuclei_sample

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Return a generated image of nuclei and its true labels, as layers.

    Returns
    -------
    list of (data, keywords, kind of layer)
        The image, and the labels hidden so that they do not cover it.
    """
    image, labels = nuclei_sample()
    placement = {
        "scale": [PIXEL_SIZE.sizes[letter] for letter in "YX"],
        "units": ["micrometer", "micrometer"],
        "axis_labels": ["y", "x"],
    }
    return [
        (labels, {"name": "nuclei truth", "visible": False, **placement}, "labels"),
        (image, {"name": "nuclei", **placement}, "image"),
    ]


def dsb2018() -> list[LayerData]:
    """Return real nuclei out of the fetched data and their true labels, as layers.

    Nothing is downloaded here, where it would hold up the window.

    Returns
    -------
    list of (data, keywords, kind of layer)
        The image, and the labels hidden so that they do not cover it.

    Raises
    ------
    UneticError
        If no data set has been fetched; it names the command that does.
    """
    example = read_example()
    image = np.asarray(example.image.data)
    keywords: dict[str, Any] = {"name": "DSB2018"}
    if example.image.rgb:
        image, keywords["rgb"] = np.moveaxis(image, 0, -1), True
    truth = {"name": "DSB2018 truth", "visible": False}
    return [(example.labels, truth, "labels"), (image, keywords, "image")]
