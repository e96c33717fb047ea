"""What a microscope and its camera make of the light of nuclei."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]


def chromatin(
    random: np.random.Generator, shape: Sequence[int], z_scale: float = 1.0
) -> Floats:
    """Return a texture around 1: clumps, grains, and dark holes as of nucleoli.

    Parameters
    ----------
    random : numpy.random.Generator
    shape : sequence of int
        Rows and columns, with planes before them in a stack.
    z_scale : float
        Size of a plane's step in pixels.

    Returns
    -------
    ndarray of `shape`, float64
    """
    clumps = noise(random, shape, 3.2, z_scale)
    grains = noise(random, shape, 1.3, z_scale)
    holes = np.clip(noise(random, shape, 2.6, z_scale) - 1.5, 0, 1.2)
    return np.clip(1 + 0.09 * clumps + 0.11 * grains - 0.35 * holes, 0.25, None)


def noise(
    random: np.random.Generator,
    shape: Sequence[int],
    sigma: float,
    z_scale: float = 1.0,
) -> Floats:
    """Return smooth noise of mean 0 and standard deviation 1 with grains of `sigma`."""
    if len(shape) == 2:
        smooth: Floats = ndimage.gaussian_filter(
            random.standard_normal(shape), sigma, mode="wrap"
        )
        # By theory rather than by measuring, which fails on one pixel.
        return smooth * (2 * math.sqrt(math.pi) * sigma)
    # Planes further apart than a grain are independent, those nearer are mixed.
    planes = np.stack([noise(random, shape[1:], sigma) for _ in range(shape[0])])
    mixing = math.exp(-0.5 * (z_scale / sigma) ** 2)
    for above, plane in pairwise(planes):
        plane *= math.sqrt(1 - mixing**2)
        plane += mixing * above
    return planes


def illumination(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return the lamp's light: brightest off the middle, down to about half."""
    centre = random.uniform(0.35, 0.65, 2)
    rows = (np.arange(shape[0]) + 0.5)[:, np.newaxis] / shape[0] - centre[0]
    columns = (np.arange(shape[1]) + 0.5)[np.newaxis, :] / shape[1] - centre[1]
    field: Floats = np.exp(-0.9 * (rows**2 + columns**2))
    return field


def photograph(random: np.random.Generator, light: Floats) -> NDArray[np.uint16]:
    """Return what the camera makes of the light: noise, gain and offset."""
    photons = random.poisson(260.0 * light)
    counts = 4.0 * photons + random.normal(100.0, 9.0, light.shape)
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
