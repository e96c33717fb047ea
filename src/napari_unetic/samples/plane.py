"""Nuclei in one plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.axes import PixelSize
from napari_unetic.samples.camera import chromatin, illumination, photograph
from napari_unetic.samples.nucleus import (
    ATTEMPTS,
    MIN_VISIBLE_PX,
    Floats,
    Nucleus,
    check_touching,
    check_wishes,
    random_nucleus,
)

PIXEL_SIZE = PixelSize({"Y": 0.65, "X": 0.65}, "µm")
"""Pixel size that the samples pretend to: a 10 × objective, nuclei of 13 to 23 µm."""

_AREA_PER_NUCLEUS = 2700.0
_FOCUS_SIGMAS = (0.9, 1.5, 2.4)


def nuclei_sample(
    shape: tuple[int, int] = (512, 512),
    seed: int = 0,
    *,
    n_nuclei: int | None = None,
    diameter: tuple[float, float] = (20.0, 35.0),
    touching: float = 0.35,
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return a generated fluorescence image of nuclei, and its exact labels.

    Nuclei vary in size, shape, brightness, texture and focus, and some touch. The
    camera adds uneven light, haze, an offset, photon noise and read noise.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    seed : int
        The same seed gives the same image.
    n_nuclei : int, optional
        How many to place; one for 2700 pixels if None. Fewer where there is no room.
    diameter : tuple of float
        Smallest and largest usual diameter, in pixels.
    touching : float
        Share of the nuclei that are placed against another, 0 to 1.

    Returns
    -------
    image : ndarray of shape (Y, X), uint16
        The image.
    labels : ndarray of shape (Y, X), int32
        Number of the nucleus at each pixel, 1, 2, ..., and 0 where there is none. Each
        is one piece (by its edges) and none overlaps another.

    Raises
    ------
    UneticError
        If the shape, the diameters or the share make no sense.

    Examples
    --------
    >>> image, labels = nuclei_sample((128, 128), seed=1)
    >>> image.shape, image.dtype.name, labels.dtype.name
    ((128, 128), 'uint16', 'int32')
    """
    check_wishes(shape, ("rows", "columns"), (512, 512), n_nuclei, diameter)
    check_touching(touching)
    random = np.random.default_rng(seed)
    field = crowd(random, shape, n_nuclei, diameter, touching)
    labels, kept = field.labels()
    nuclei = [field.nuclei[index] for index in kept]
    texture = chromatin(random, shape)
    light = glow(labels, nuclei, field.depth, texture) * illumination(random, shape)
    return photograph(random, light), labels


class Field:
    """The nuclei placed so far, and which of them each pixel belongs to.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.nuclei: list[Nucleus] = []
        self.shape = shape
        self.depth = np.full(shape, np.inf)
        self._owner = np.zeros(shape, dtype=np.int32)

    def add(self, nucleus: Nucleus, *, may_touch: bool) -> bool:
        """Place a nucleus if there is room, and say whether there was."""
        window = nucleus.window(self.shape)
        depth = nucleus.depth(window)
        inside = depth < 1
        taken = self._owner[window] > 0
        if np.count_nonzero(inside & ~taken) < MIN_VISIBLE_PX:
            return False
        if may_touch:
            if np.count_nonzero(inside & taken) > 0.1 * np.count_nonzero(inside):
                return False
        elif (taken & (depth < 1.2)).any():
            return False
        self._write(nucleus, window, depth)
        return True

    def put(self, nucleus: Nucleus) -> None:
        """Place a nucleus whether there is room or not."""
        window = nucleus.window(self.shape)
        self._write(nucleus, window, nucleus.depth(window))

    def _write(
        self, nucleus: Nucleus, window: tuple[slice, slice], depth: Floats
    ) -> None:
        """Write a nucleus; where two overlap the one a pixel lies deeper in wins."""
        self.nuclei.append(nucleus)
        wins = (depth < 1) & (depth < self.depth[window])
        self._owner[window][wins] = len(self.nuclei)
        self.depth[window][wins] = depth[wins]

    def labels(self) -> tuple[NDArray[np.int32], list[int]]:
        """Return the labels, numbered from 1 without gaps, and whose each is.

        Of a nucleus that another has cut in two, the largest piece remains.
        """
        labels = np.zeros(self.shape, dtype=np.int32)
        kept: list[int] = []
        windows = ndimage.find_objects(self._owner, max_label=len(self.nuclei))
        for index, window in enumerate(windows):
            if window is None:
                continue
            pieces, n_pieces = ndimage.label(self._owner[window] == index + 1)
            areas = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:]
            if areas.max() < MIN_VISIBLE_PX:
                continue
            kept.append(index)
            labels[window][pieces == 1 + int(areas.argmax())] = len(kept)
        return labels, kept


def crowd(
    random: np.random.Generator,
    shape: tuple[int, int],
    n_nuclei: int | None,
    diameter: tuple[float, float],
    touching: float,
) -> Field:
    """Return a field of nuclei, fewer than asked for where there is no room."""
    if n_nuclei is None:
        n_nuclei = round(shape[0] * shape[1] / _AREA_PER_NUCLEUS)
    field = Field(shape)
    for _ in range(n_nuclei):
        for _ in range(ATTEMPTS):
            at_other = bool(field.nuclei) and random.random() < touching
            nucleus = random_nucleus(random, shape, diameter)
            if at_other:
                nucleus = _against_another(random, nucleus, field.nuclei)
            if field.add(nucleus, may_touch=at_other):
                break
        else:
            # The image is full.
            break
    return field


def _against_another(
    random: np.random.Generator, nucleus: Nucleus, others: Sequence[Nucleus]
) -> Nucleus:
    """Return the nucleus moved against one that is there, and about as bright."""
    other = others[int(random.integers(len(others)))]
    towards = random.uniform(0, 2 * math.pi)
    gap = float(other.outline(towards) + nucleus.outline(towards + math.pi))
    gap *= random.uniform(0.88, 1.0)
    return replace(
        nucleus,
        centre=(
            other.centre[0] + gap * math.sin(towards),
            other.centre[1] + gap * math.cos(towards),
        ),
        brightness=other.brightness * math.exp(random.normal(0, 0.25)),
    )


def glow(
    labels: NDArray[np.int32],
    nuclei: Sequence[Nucleus],
    depth: Floats,
    texture: Floats,
) -> Floats:
    """Return the light that arrives at each pixel, a usual nucleus being about 1.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), int32
        Nucleus 1, 2, ... at each pixel.
    nuclei : sequence of Nucleus
        The first of them is number 1.
    depth : ndarray of shape (Y, X), float64
        Distance from the nucleus's centre, 1 at the outline.
    texture : ndarray of shape (Y, X), float64
        Of the chromatin, around 1.

    Returns
    -------
    ndarray of shape (Y, X), float64
    """
    looks = [(0.0, 0), *((nucleus.brightness, nucleus.focus) for nucleus in nuclei)]
    brightness = np.array([look[0] for look in looks])[labels]
    focus = np.array([look[1] for look in looks])[labels]
    inner = np.where(labels > 0, np.minimum(depth, 1.0), 1.0)
    # Between a slab and a dome: nuclei of spread cells are flat.
    emitted = brightness * (0.62 + 0.38 * np.sqrt(1 - inner**2))
    emitted *= texture
    seen: Floats = np.zeros(labels.shape)
    for index, sigma in enumerate(_FOCUS_SIGMAS):
        seen += ndimage.gaussian_filter(
            np.where(focus == index, emitted, 0.0), sigma, mode="nearest"
        )
    halo = ndimage.gaussian_filter(emitted, 6.0, mode="nearest")
    haze = ndimage.gaussian_filter(emitted, 30.0, mode="nearest")
    light: Floats = 0.85 * seen + 0.10 * halo + 0.16 * haze + 0.04
    return light
