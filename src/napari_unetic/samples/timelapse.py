"""Nuclei that move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.errors import UneticError
from napari_unetic.samples.camera import chromatin, illumination, photograph
from napari_unetic.samples.nucleus import Floats, Nucleus, check_wishes
from napari_unetic.samples.plane import Field, crowd, glow

FRAME_MINUTES = 5.0
"""Minutes from frame to frame that the time series pretends to."""

_MARGIN = 40
_TOUCHING = 0.25
_PATCH = 96
_BLEACHING = 0.012


def nuclei_timelapse(
    shape: tuple[int, int, int] = (16, 256, 256),
    seed: int = 0,
    *,
    n_nuclei: int | None = None,
    diameter: tuple[float, float] = (20.0, 35.0),
    speed: float = 2.5,
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return a generated time series of moving nuclei, and its exact labels.

    Nuclei wander, turn, push each other aside, and enter and leave the image; the dye
    bleaches.

    Parameters
    ----------
    shape : tuple of int
        Frames, rows and columns; pixels of `PIXEL_SIZE`, frames of `FRAME_MINUTES`.
    seed : int
        The same seed gives the same images.
    n_nuclei : int, optional
        How many to place in and just outside the image; one for 2700 pixels if None.
        Fewer where there is no room.
    diameter : tuple of float
        Smallest and largest usual diameter, in pixels.
    speed : float
        Pixels that a usual nucleus moves from frame to frame.

    Returns
    -------
    image : ndarray of shape (T, Y, X), uint16
        The images.
    labels : ndarray of shape (T, Y, X), int32
        Number of the nucleus at each pixel, 1, 2, ..., the same in all frames, and 0
        where there is none. In a frame each is one piece (by its edges).

    Raises
    ------
    UneticError
        If the shape, the diameters or the speed make no sense.

    Examples
    --------
    >>> image, labels = nuclei_timelapse((3, 64, 64), seed=1)
    >>> image.shape, image.dtype.name, labels.dtype.name
    ((3, 64, 64), 'uint16', 'int32')
    """
    axes, example = ("frames", "rows", "columns"), (16, 256, 256)
    check_wishes(shape, axes, example, n_nuclei, diameter)
    if not (math.isfinite(speed) and speed >= 0):
        raise UneticError(
            f"Expected a speed of 0 or more, got {speed}; give the pixels a frame, for "
            "example 2.5."
        )
    random = np.random.default_rng(seed)
    around = (shape[1] + 2 * _MARGIN, shape[2] + 2 * _MARGIN)
    nuclei = crowd(random, around, n_nuclei, diameter, _TOUCHING).nuclei
    textures = [chromatin(random, (_PATCH, _PATCH)) for _ in nuclei]
    lamp = illumination(random, shape[1:])
    image = np.zeros(shape, np.uint16)
    labels = np.zeros(shape, np.int32)
    paths = _walk(random, nuclei, shape[0], speed)
    for frame, moved in enumerate(paths):
        labels[frame], light = _frame(moved, textures, shape[1:])
        light *= lamp * math.exp(-_BLEACHING * frame)
        image[frame] = photograph(random, light)
    seen = np.bincount(labels.ravel(), minlength=len(nuclei) + 1) > 0
    seen[0] = False
    return image, (np.cumsum(seen) * seen).astype(np.int32)[labels]


def _walk(
    random: np.random.Generator,
    nuclei: Sequence[Nucleus],
    n_frames: int,
    speed: float,
) -> list[list[Nucleus]]:
    """Return the nuclei of each frame, moved and turned."""
    n = len(nuclei)
    places = np.array([nucleus.centre for nucleus in nuclei]).reshape(n, 2)
    radii = np.array([math.sqrt(math.prod(nucleus.radii)) for nucleus in nuclei])
    angles = np.array([nucleus.angle for nucleus in nuclei])
    # Persistent: most of a step is that of the frame before.
    keep = 0.8
    spread = speed / math.sqrt(math.pi / 2)
    steps = random.normal(0, spread, (n, 2))
    frames = []
    for _ in range(n_frames):
        frames.append(
            [
                replace(nucleus, centre=(float(y), float(x)), angle=float(angle))
                for nucleus, (y, x), angle in zip(nuclei, places, angles, strict=True)
            ]
        )
        steps = keep * steps + random.normal(0, spread * math.sqrt(1 - keep**2), (n, 2))
        places = _pushed_apart(places + steps, radii)
        angles = angles + random.normal(0, 0.015 * speed, n)
    return frames


def _pushed_apart(places: Floats, radii: Floats) -> Floats:
    """Return places moved so that few nuclei overlap much."""
    least = 0.98 * (radii[:, np.newaxis] + radii)
    for _ in range(4):
        away = places[:, np.newaxis] - places
        distance = np.hypot(away[..., 0], away[..., 1])
        np.fill_diagonal(distance, np.inf)
        push = 0.5 * np.clip(least - distance, 0, None) / np.maximum(distance, 1.0)
        places = places + (push[..., np.newaxis] * away).sum(axis=1)
    return places


def _frame(
    nuclei: Sequence[Nucleus], textures: Sequence[Floats], shape: tuple[int, int]
) -> tuple[NDArray[np.int32], Floats]:
    """Return labels (the nuclei from 1 on) and light of one frame."""
    field = Field((shape[0] + 2 * _MARGIN, shape[1] + 2 * _MARGIN))
    for nucleus in nuclei:
        field.put(nucleus)
    labels, kept = field.labels()
    texture = np.ones(field.shape)
    for number, index in enumerate(kept, start=1):
        nucleus = field.nuclei[index]
        window = nucleus.window(field.shape)
        mine = labels[window] == number
        texture[window][mine] = _carried(nucleus, textures[index], window)[mine]
    light = glow(labels, [nuclei[i] for i in kept], field.depth, texture)
    inner = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    numbers = np.array([0, *(index + 1 for index in kept)], np.int32)
    return numbers[labels[inner]], light[inner]


def _carried(nucleus: Nucleus, texture: Floats, window: tuple[slice, slice]) -> Floats:
    """Return the texture as it lies in a window, moved and turned with the nucleus."""
    down = np.arange(window[0].start, window[0].stop)[:, np.newaxis] - nucleus.centre[0]
    right = np.arange(window[1].start, window[1].stop) - nucleus.centre[1]
    sine, cosine = math.sin(nucleus.angle), math.cos(nucleus.angle)
    at = np.stack([cosine * down - sine * right, sine * down + cosine * right])
    carried: Floats = ndimage.map_coordinates(
        texture, at + 0.5 * _PATCH, order=1, mode="grid-wrap"
    )
    return carried
