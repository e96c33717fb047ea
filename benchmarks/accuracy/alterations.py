"""Images as they come from worse microscopes, and at other sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from napari_unetic.image.resample import resample, resample_labels, scaled_shape

Plane: TypeAlias = NDArray[Any]
Labels: TypeAlias = NDArray[np.int32]
Alteration: TypeAlias = Callable[[Plane, Labels], tuple[Plane, Labels]]

SEED = 0


def zoomed(image: Plane, labels: Labels, factor: float) -> tuple[Plane, Labels]:
    """Return an image and its labels resampled by a factor.

    Parameters
    ----------
    image : ndarray of shape (Y, X), uint8 or uint16
        By area where it becomes smaller, bilinear where larger.
    labels : ndarray of shape (Y, X), int32
        By nearest neighbour.
    factor : float
        Above 1 magnifies.
    """
    old = (image.shape[0], image.shape[1])
    new = scaled_shape(old, factor)
    plane = resample(image[np.newaxis].astype(np.float32), old, new)[0]
    return _as(image, plane), resample_labels(labels, old, new)


def _as(image: Plane, values: NDArray[np.floating]) -> Plane:
    """Return values in an image's dtype, cut where it ends."""
    info = np.iinfo(image.dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(image.dtype)


def _range(image: Plane) -> float:
    """Return the range of intensities that the normalisation sees."""
    low, high = np.percentile(image, (1, 99.8))
    return float(high - low)


def _blur(sigma: float) -> Alteration:
    def altered(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
        smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma)
        return _as(image, smooth), labels

    return altered


def _noise(share: float) -> Alteration:
    def altered(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
        noise = np.random.default_rng(SEED).standard_normal(image.shape)
        # In 16 bits on a pedestal, so that neither rounding nor black cuts it.
        noisy = 100 * (image.astype(float) + share * _range(image) * noise) + 10_000
        return np.clip(np.rint(noisy), 0, 2**16 - 1).astype(np.uint16), labels

    return altered


def _contrast(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    mean = image.mean()
    return _as(image, mean + 0.25 * (image - mean)), labels


def _saturated(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    return np.minimum(image, _as(image, np.percentile(image, [95]))[0]), labels


def _gradient(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    return _as(image, image * np.linspace(1, 0.25, image.shape[1])), labels


def _inverted(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    return np.iinfo(image.dtype).max - image, labels


def _jpeg(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    file = BytesIO()
    Pillow.fromarray(image).save(file, "JPEG", quality=50)
    return np.asarray(Pillow.open(file)), labels


def _dim(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    low, high = int(image.min()), int(image.max())
    share = (image - float(low)) / max(high - low, 1)
    return np.rint(0.01 * (2**16 - 1) * share).astype(np.uint16), labels


def _dead_pixel(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    found = image.astype(np.uint16)
    found[image.shape[0] // 3, image.shape[1] // 3] = 2**16 - 1
    return found, labels


def _bordered(image: Plane, labels: Labels) -> tuple[Plane, Labels]:
    share = (1 / math.sqrt(0.75) - 1) / 2
    widths = [(round(share * n), round(share * n)) for n in image.shape]
    return np.pad(image, widths), np.pad(labels, widths)


ALTERATIONS: dict[str, Alteration] = {
    "blur, sigma 1 px": _blur(1),
    "blur, sigma 2 px": _blur(2),
    "noise, 5 % of the range": _noise(0.05),
    "noise, 10 % of the range": _noise(0.1),
    "contrast × .25": _contrast,
    "top 5 % saturated": _saturated,
    "illumination 4 : 1": _gradient,
    "inverted": _inverted,
    "JPEG, quality 50": _jpeg,
    "16 bit at 1 % of the range": _dim,
    "one bright dead pixel": _dead_pixel,
    "black border, a quarter of the image": _bordered,
}
"""What an image goes through, in words. The range is that from percentile 1 to 99.8;
contrast is around the mean, in 8 bits; the border is added around the image."""
