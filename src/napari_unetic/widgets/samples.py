"""Sample data for napari's File menu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic import samples
from napari_unetic.fetch.example import read_example

if TYPE_CHECKING:
    from napari_unetic.axes import PixelSize

LayerData = tuple[Any, dict[str, Any], str]


def nuclei() -> list[LayerData]:
    """Return a generated image of nuclei and its true labels, as layers.

    Returns
    -------
    list of (data, keywords, kind of layer)
        The image, and the labels hidden so that they do not cover it.
    """
    image, labels = samples.nuclei_sample()
    return _with_truth("nuclei", image, labels, samples.PIXEL_SIZE)


def nuclei_stack() -> list[LayerData]:
    """Return a generated z-stack of nuclei and its true labels in 3-D, as layers.

    Returns
    -------
    list of (data, keywords, kind of layer)
        As of `nuclei`, with voxels that are longer than wide.
    """
    image, labels = samples.nuclei_stack()
    return _with_truth("nuclei stack", image, labels, samples.VOXEL_SIZE)


def nuclei_timelapse() -> list[LayerData]:
    """Return a generated time series of nuclei and its true labels, as layers.

    Returns
    -------
    list of (data, keywords, kind of layer)
        As of `nuclei`, with minutes along the first axis.
    """
    image, labels = samples.nuclei_timelapse()
    layers = _with_truth("nuclei time series", image, labels, samples.PIXEL_SIZE)
    for _, keywords, _ in layers:
        keywords["scale"] = [samples.FRAME_MINUTES, *keywords["scale"]]
        keywords["units"] = ["minute", *keywords["units"]]
        keywords["axis_labels"] = ["t", *keywords["axis_labels"]]
    return layers


def _with_truth(
    name: str, image: NDArray[Any], labels: NDArray[Any], size: PixelSize
) -> list[LayerData]:
    """Return the layers, placed along the axes of a size in µm."""

    def placement() -> dict[str, Any]:
        return {
            "scale": list(size.sizes.values()),
            "units": ["micrometer" for _ in size.sizes],
            "axis_labels": [letter.lower() for letter in size.sizes],
        }

    truth = {"name": f"{name} truth", "visible": False, **placement()}
    return [
        (labels, truth, "labels"),
        (image, {"name": name, **placement()}, "image"),
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
