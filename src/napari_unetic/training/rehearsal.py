"""Rehearsal: generated images on which a network is held to what its start says.

A network that learns a new kind of image forgets the old one within a few hundred
steps. Its old images are not at hand, but generated ones of nuclei are, and what the
model it began with makes of them is the truth to hold on to.

References
----------
Li, Hoiem: Learning without Forgetting. ECCV 2016, arXiv 1606.09282, section 3: the old
network's answers as targets, there on the new images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, overload

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.channels import to_channels
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.source import Image
from napari_unetic.samples import nuclei_sample, nuclei_stack
from napari_unetic.training.patches import Sample

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription

N_IMAGES: Final = 16
_SHAPES: Final[dict[str, tuple[int, ...]]] = {"YX": (256, 256), "ZYX": (16, 128, 128)}


class GeneratedSamples(Sequence[Sample]):
    """Generated images of nuclei about as large as a model's network works at.

    They are the same ones each time. Each is made when it is first asked for, which is
    in the process that makes patches: a training does not wait for them.

    Parameters
    ----------
    description : ModelDescription
        Channels, normalisation and working diameter.
    """

    def __init__(self, description: ModelDescription):
        self._description = description
        self._made: dict[int, Sample] = {}

    def __len__(self) -> int:
        return N_IMAGES

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Return one, or several."""
        numbers = range(N_IMAGES)[index]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        if numbers not in self._made:
            self._made[numbers] = _generate(self._description, numbers)
        return self._made[numbers]


def _generate(description: ModelDescription, seed: int) -> Sample:
    n_channels = description.network.in_channels
    size = min(max(description.working_diameter_px, 8.0), 60.0)
    pixels, labels = _generated(description, seed, (0.8 * size, 1.6 * size))
    pixels = description.normalisation.in_range(pixels)
    image = Image(pixels, description.axes, name="generated")
    fitted = fit_normalisation(image, n_channels, spec=description.normalisation)
    window = to_channels(pixels[np.newaxis], n_channels)
    return Sample(fitted.apply(window).astype(np.float16), labels.astype(np.uint16))


def _generated(
    description: ModelDescription, seed: int, diameter: tuple[float, float]
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return an image of what the network is given, and its labels."""
    *planes, height, width = _SHAPES[description.axes]
    if planes:
        return nuclei_stack((planes[0], height, width), seed, diameter=diameter)
    return nuclei_sample((height, width), seed, diameter=diameter)
