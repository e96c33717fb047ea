"""Maps to labels: the inverse of `napari_unetic.instances.targets`.

Foreground away from contacts falls into cores; each core is an object and takes back
the foreground around it, the nearest core first. Four ways to find cores were compared
on 67 validation images: `docs/models/nuclei.md`, why contacts.
"""

from __future__ import annotations

import math
from itertools import cycle, product

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage


class DecodeSpec(BaseModel):
    """Thresholds of decoding; tuned on validation images and kept with the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    foreground: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Foreground",
        description="Pixels whose foreground map is above this belong to objects; "
        "lower finds more and larger objects.",
    )
    contact: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Contact",
        description="Pixels whose contact map is below this belong to cores; lower "
        "splits more.",
    )
    peak: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Depth of a core",
        description="A core whose depth map nowhere reaches this is no object of its "
        "own and goes to its neighbours.",
    )
    smallest_px: int = Field(
        0,
        ge=0,
        title="Smallest object",
        description="Objects of fewer pixels are dropped (area at the working size).",
    )
    largest_hole_px: int = Field(
        100,
        ge=0,
        title="Largest hole",
        description="Holes of up to this many pixels inside one object are filled.",
    )


def decode(
    maps: NDArray[np.floating], spec: DecodeSpec | None = None
) -> NDArray[np.int32]:
    """Return the label image that target maps stand for.

    Parameters
    ----------
    maps : ndarray of shape (3, Y, X) or (3, Z, Y, X), float
        Foreground, contact and depth, each between 0 and 1.
    spec : DecodeSpec, optional
        Thresholds.

    Returns
    -------
    ndarray of shape (Y, X) or (Z, Y, X), int32
        0 is background; objects are numbered from 1 by their first pixel, row by row.

    Notes
    -----
    Where two cores are equally near, the higher label number takes the pixel.
    Foreground that holds no core is an object by itself.
    """
    spec = spec or DecodeSpec()
    foreground = maps[0] > spec.foreground
    cores, n_cores = _label(foreground & (maps[1] < spec.contact))
    if spec.peak > 0 and n_cores:
        kept = np.zeros(n_cores + 1, np.bool_)
        kept[cores[maps[2] >= spec.peak]] = True
        kept[0] = False
        if not kept[1:].all():
            _replace(cores, (np.cumsum(kept) * kept).astype(np.int32))
        n_cores = int(kept.sum())
    labels = grow(cores, foreground)
    left_over = foreground & (labels == 0)
    if left_over.any():
        left, _ = _label(left_over)
        at = np.flatnonzero(left_over)
        labels.ravel()[at] = left.ravel()[at] + np.int32(n_cores)
    labels = fill_holes(labels, spec.largest_hole_px)
    return renumber(labels, smallest_px=spec.smallest_px)


def _label(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label components that are connected along the axes."""
    labels = np.zeros(mask.shape, np.int32)
    n = ndimage.label(mask, output=labels)
    return labels, int(n)


def _replace(labels: NDArray[np.int32], number: NDArray[np.int32]) -> None:
    """Give each label another number, in place; 0 stays 0.

    Only pixels that have a label are written: a quarter of a usual image.
    """
    flat = labels.ravel()
    at = np.flatnonzero(flat)
    flat[at] = number[flat[at]]


def grow(cores: NDArray[np.int32], foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Grow cores through the foreground, one pixel a round, the nearest core first.

    Parameters
    ----------
    cores : ndarray of shape (Y, X) or (Z, Y, X), int32
    foreground : ndarray of the same shape, bool
        Where labels may go; cores outside it are kept.

    Returns
    -------
    ndarray of the same shape, int32
        Foreground not connected to a core stays 0.

    Notes
    -----
    Rounds take turns between the neighbours along the axes and all neighbours, so that
    fronts are octagons, a fair stand-in for circles over the few pixels that there are
    to grow; in volumes what is like them. Only pixels
    still without a label are looked at, which makes the cost that of the contacts.
    """
    padded = np.pad(cores, 1)
    flat = padded.ravel()
    todo = np.flatnonzero(np.pad(foreground, 1).ravel() & (flat == 0))
    straight, diagonal = _steps(padded.shape)
    for diagonals_too in cycle((False, True)):
        best = np.zeros(todo.size, np.int32)
        for offset in straight + (diagonal if diagonals_too else ()):
            np.maximum(best, flat[todo + offset], out=best)
        found = best > 0
        flat[todo[found]] = best[found]
        todo = todo[~found]
        if todo.size == 0 or (diagonals_too and not found.any()):
            break
    return flat.reshape(padded.shape)[(slice(1, -1),) * padded.ndim].copy()


def _steps(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how far neighbours along the axes, and all others, are in flat order."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    steps = [step for step in product((-1, 0, 1), repeat=len(shape)) if any(step)]
    straight, diagonal = (
        tuple(
            sum(k * stride for k, stride in zip(step, strides, strict=True))
            for step in steps
            if (sum(map(abs, step)) == 1) is along
        )
        for along in (True, False)
    )
    return straight, diagonal


def fill_holes(labels: NDArray[np.int32], largest_px: int) -> NDArray[np.int32]:
    """Fill the background that one object alone encloses.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X), int32
    largest_px : int
        Holes of more pixels stay open.

    Returns
    -------
    ndarray of the same shape, int32
        A hole that touches the image's edge or two objects stays open.
    """
    if largest_px == 0:
        return labels
    holes, n_holes = _label(labels == 0)
    at_edge = np.zeros(n_holes + 2, np.bool_)
    for axis in range(holes.ndim):
        at_edge[holes.take((0, -1), axis)] = True
    # Number 1 is almost always all the background there is, less the holes.
    at = np.flatnonzero(holes > at_edge[1])
    area = np.bincount(holes.ravel()[at], minlength=n_holes + 1)
    small = (area <= largest_px) & ~at_edge[:-1]
    at = at[small[holes.ravel()[at]]]
    if not at.size:
        return labels
    flat, hole = labels.ravel(), holes.ravel()[at]
    # No such pixel lies at the edge, so its neighbours are in the image.
    around = np.stack([flat[at + step] for step in _steps(labels.shape)[0]])
    highest = np.zeros(n_holes + 1, np.int32)
    lowest = np.full(n_holes + 1, np.iinfo(np.int32).max, np.int32)
    np.maximum.at(highest, hole, around.max(axis=0))
    around[around == 0] = lowest[0]
    np.minimum.at(lowest, hole, around.min(axis=0))
    owner = np.where(highest == lowest, highest, 0)
    filled = flat.copy()
    filled[at] = owner[hole]
    return filled.reshape(labels.shape)


def renumber(labels: NDArray[np.int32], *, smallest_px: int = 0) -> NDArray[np.int32]:
    """Return labels numbered from 1 by first pixel, less those that are too small.

    Parameters
    ----------
    labels : ndarray of any shape, int32
        0 is background.
    smallest_px : int
        Objects of fewer pixels are dropped.

    Returns
    -------
    ndarray of the same shape, int32
    """
    flat = labels.ravel()
    inside = np.flatnonzero(flat)
    own = flat[inside]
    area = np.bincount(own, minlength=1)
    kept = np.flatnonzero(area >= max(1, smallest_px))
    first = np.full(area.size, flat.size, np.intp)
    # Written from the last pixel to the first, so that the first one stays.
    first[own[::-1]] = inside[::-1]
    number = np.zeros(area.size, np.int32)
    number[kept[np.argsort(first[kept])]] = np.arange(1, kept.size + 1, dtype=np.int32)
    result = np.zeros(flat.size, np.int32)
    result[inside] = number[own]
    return result.reshape(labels.shape)
