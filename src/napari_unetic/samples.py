"""Generated images of nuclei whose true outlines are known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError

PIXEL_SIZE = PixelSize({"Y": 0.65, "X": 0.65}, "µm")
"""Pixel size that the samples pretend to: a 10 × objective, nuclei of 13 to 23 µm."""

_AREA_PER_NUCLEUS = 2700.0
_MIN_VISIBLE_PX = 30
_FOCUS_SIGMAS = (0.9, 1.5, 2.4)
_FOCUS_SHARES = (0.72, 0.18, 0.10)
_BRIGHT_SHARE = 0.04
_ATTEMPTS = 60

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Nucleus:
    """Place, outline and looks of one nucleus.

    `amplitudes` and `phases` are those of the outline's harmonics 2, 3, ...; sizes are
    in pixels.
    """

    centre: tuple[float, float]
    radii: tuple[float, float]
    angle: float
    amplitudes: Floats
    phases: Floats
    brightness: float
    focus: int

    @property
    def reach(self) -> int:
        """Half the side of a window that holds all of it."""
        return math.ceil(max(self.radii) * (1 + float(self.amplitudes.sum()))) + 2

    def outline(self, angle: Any) -> Any:
        """Return the distance from centre to outline in the directions `angle`."""
        along, across = self.radii
        turned = angle - self.angle
        ellipse = (
            along * across / np.hypot(across * np.cos(turned), along * np.sin(turned))
        )
        wave = sum(
            amplitude * np.cos(order * turned + phase)
            for order, (amplitude, phase) in enumerate(
                zip(self.amplitudes, self.phases, strict=True), start=2
            )
        )
        return ellipse * (1 + wave)


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
    _check(shape, n_nuclei, diameter, touching)
    random = np.random.default_rng(seed)
    if n_nuclei is None:
        n_nuclei = round(shape[0] * shape[1] / _AREA_PER_NUCLEUS)
    field = _Field(shape)
    for _ in range(n_nuclei):
        for _ in range(_ATTEMPTS):
            at_other = bool(field.nuclei) and random.random() < touching
            nucleus = _random_nucleus(random, field, diameter, at_other=at_other)
            if field.add(nucleus, may_touch=at_other):
                break
        else:
            # The image is full.
            break
    labels, kept = field.labels()
    light = _light(random, field, labels, kept)
    return _photograph(random, light), labels


def _check(
    shape: Sequence[int],
    n_nuclei: int | None,
    diameter: tuple[float, float],
    touching: float,
) -> None:
    if len(shape) != 2 or min(shape) < 1:
        raise UneticError(
            f"Expected a shape of rows and columns, got {tuple(shape)}; give for "
            "example (512, 512)."
        )
    if n_nuclei is not None and n_nuclei < 0:
        raise UneticError(
            f"Expected a number of nuclei of 0 or more, got {n_nuclei}; leave it out "
            "for the usual number."
        )
    if not 4 <= diameter[0] <= diameter[1]:
        raise UneticError(
            f"Expected a smallest and a largest diameter of 4 pixels or more, got "
            f"{diameter}; give for example (20, 35)."
        )
    if not 0 <= touching <= 1:
        raise UneticError(
            f"Expected a share of touching nuclei from 0 to 1, got {touching}; give "
            "for example 0.35."
        )


class _Field:
    """The nuclei placed so far, and which of them each pixel belongs to.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.nuclei: list[_Nucleus] = []
        self.shape = shape
        self._owner = np.zeros(shape, dtype=np.int32)
        self.depth = np.full(shape, np.inf)

    def add(self, nucleus: _Nucleus, *, may_touch: bool) -> bool:
        """Place a nucleus if there is room, and say whether there was.

        Where two overlap a little, a pixel goes to the one it lies deeper in.
        """
        window, depth = _depth(nucleus, self.shape)
        inside = depth < 1
        taken = self._owner[window] > 0
        if np.count_nonzero(inside & ~taken) < _MIN_VISIBLE_PX:
            return False
        if may_touch:
            if np.count_nonzero(inside & taken) > 0.1 * np.count_nonzero(inside):
                return False
        elif (taken & (depth < 1.2)).any():
            return False
        self.nuclei.append(nucleus)
        wins = inside & (depth < self.depth[window])
        self._owner[window][wins] = len(self.nuclei)
        self.depth[window][wins] = depth[wins]
        return True

    def labels(self) -> tuple[NDArray[np.int32], list[_Nucleus]]:
        """Return the labels, numbered from 1 without gaps, and their nuclei.

        Of a nucleus that another has cut in two, the largest piece remains.
        """
        labels = np.zeros(self.shape, dtype=np.int32)
        kept: list[_Nucleus] = []
        windows = ndimage.find_objects(self._owner, max_label=len(self.nuclei))
        for number, window in enumerate(windows, start=1):
            if window is None:
                continue
            pieces, n_pieces = ndimage.label(self._owner[window] == number)
            areas = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:]
            if areas.max() < _MIN_VISIBLE_PX:
                continue
            kept.append(self.nuclei[number - 1])
            labels[window][pieces == 1 + int(areas.argmax())] = len(kept)
        return labels, kept


def _random_nucleus(
    random: np.random.Generator,
    field: _Field,
    diameter: tuple[float, float],
    *,
    at_other: bool,
) -> _Nucleus:
    """Return a nucleus of random looks, at random or against one that is there."""
    size = random.uniform(*diameter) * math.exp(random.normal(0, 0.06))
    elongation = math.sqrt(random.uniform(1.1, 1.9))
    brightness = math.exp(random.normal(0, 0.38))
    if random.random() < _BRIGHT_SHARE:
        # Dividing cells: condensed, small and bright.
        size, elongation, brightness = 0.65 * size, 1.5, 2.2 * brightness
    orders = np.arange(2, 6)
    nucleus = _Nucleus(
        centre=(
            random.uniform(-0.2 * size, field.shape[0] + 0.2 * size),
            random.uniform(-0.2 * size, field.shape[1] + 0.2 * size),
        ),
        radii=(0.5 * size * elongation, 0.5 * size / elongation),
        angle=random.uniform(0, math.pi),
        amplitudes=np.abs(random.normal(0, 0.21, len(orders))) / orders**1.7,
        phases=random.uniform(0, 2 * math.pi, len(orders)),
        brightness=brightness,
        focus=int(random.choice(len(_FOCUS_SIGMAS), p=_FOCUS_SHARES)),
    )
    if not at_other:
        return nucleus
    other = field.nuclei[int(random.integers(len(field.nuclei)))]
    towards = random.uniform(0, 2 * math.pi)
    gap = float(other.outline(towards) + nucleus.outline(towards + math.pi))
    gap *= random.uniform(0.88, 1.0)
    return _Nucleus(
        centre=(
            other.centre[0] + gap * math.sin(towards),
            other.centre[1] + gap * math.cos(towards),
        ),
        radii=nucleus.radii,
        angle=nucleus.angle,
        amplitudes=nucleus.amplitudes,
        phases=nucleus.phases,
        brightness=other.brightness * math.exp(random.normal(0, 0.25)),
        focus=nucleus.focus,
    )


def _depth(
    nucleus: _Nucleus, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], Floats]:
    """Return a window and, in it, distance from the centre: 1 at the outline."""
    window = tuple(
        slice(
            min(max(math.floor(at) - nucleus.reach, 0), size),
            min(max(math.ceil(at) + nucleus.reach + 1, 0), size),
        )
        for at, size in zip(nucleus.centre, shape, strict=True)
    )
    rows = np.arange(window[0].start, window[0].stop)[:, np.newaxis]
    columns = np.arange(window[1].start, window[1].stop)[np.newaxis, :]
    down, right = rows - nucleus.centre[0], columns - nucleus.centre[1]
    depth = np.hypot(down, right) / nucleus.outline(np.arctan2(down, right))
    return (window[0], window[1]), depth


def _light(
    random: np.random.Generator,
    field: _Field,
    labels: NDArray[np.int32],
    nuclei: list[_Nucleus],
) -> Floats:
    """Return the light that arrives at each pixel, a usual nucleus being about 1."""
    looks = [(0.0, 0), *((nucleus.brightness, nucleus.focus) for nucleus in nuclei)]
    brightness = np.array([look[0] for look in looks])[labels]
    focus = np.array([look[1] for look in looks])[labels]
    inner = np.where(labels > 0, np.minimum(field.depth, 1.0), 1.0)
    # Between a slab and a dome: nuclei of spread cells are flat.
    emitted = brightness * (0.62 + 0.38 * np.sqrt(1 - inner**2))
    emitted *= _chromatin(random, field.shape)
    seen: Floats = np.zeros(field.shape)
    for index, sigma in enumerate(_FOCUS_SIGMAS):
        seen += ndimage.gaussian_filter(
            np.where(focus == index, emitted, 0.0), sigma, mode="nearest"
        )
    halo = ndimage.gaussian_filter(emitted, 6.0, mode="nearest")
    haze = ndimage.gaussian_filter(emitted, 30.0, mode="nearest")
    seen = 0.85 * seen + 0.10 * halo + 0.16 * haze + 0.04
    return seen * _illumination(random, field.shape)


def _chromatin(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return a texture around 1: clumps, grains, and dark holes as of nucleoli."""
    clumps = _noise(random, shape, 3.2)
    grains = _noise(random, shape, 1.3)
    holes = np.clip(_noise(random, shape, 2.6) - 1.5, 0, 1.2)
    return np.clip(1 + 0.09 * clumps + 0.11 * grains - 0.35 * holes, 0.25, None)


def _noise(random: np.random.Generator, shape: tuple[int, int], sigma: float) -> Floats:
    """Return smooth noise of mean 0 and standard deviation 1 with grains of `sigma`."""
    smooth: Floats = ndimage.gaussian_filter(
        random.standard_normal(shape), sigma, mode="wrap"
    )
    # By theory rather than by measuring, which fails on one pixel.
    return smooth * (2 * math.sqrt(math.pi) * sigma)


def _illumination(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return the lamp's light: brightest off the middle, down to about half."""
    centre = random.uniform(0.35, 0.65, 2)
    rows = (np.arange(shape[0]) + 0.5)[:, np.newaxis] / shape[0] - centre[0]
    columns = (np.arange(shape[1]) + 0.5)[np.newaxis, :] / shape[1] - centre[1]
    field: Floats = np.exp(-0.9 * (rows**2 + columns**2))
    return field


def _photograph(random: np.random.Generator, light: Floats) -> NDArray[np.uint16]:
    """Return what the camera makes of the light: noise, gain and offset."""
    photons = random.poisson(260.0 * light)
    counts = 4.0 * photons + random.normal(100.0, 9.0, light.shape)
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
