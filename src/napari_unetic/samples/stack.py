"""Nuclei in a thick specimen, plane by plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

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
    span,
)

VOXEL_SIZE = PixelSize({"Z": 2.0, "Y": 0.65, "X": 0.65}, "µm")
"""Voxel size that the stack pretends to: planes three times as far apart as pixels."""

_Z_SCALE = VOXEL_SIZE.sizes["Z"] / VOXEL_SIZE.sizes["X"]
_VOXELS_PER_NUCLEUS = 11_000.0
_THICKNESS = (0.6, 0.9)
_LARGEST_TILT = 0.5
_DEPTH_OF_LIGHT = 60.0
_Window = tuple[slice, slice, slice]


def nuclei_stack(
    shape: tuple[int, int, int] = (20, 256, 256),
    seed: int = 0,
    *,
    n_nuclei: int | None = None,
    diameter: tuple[float, float] = (20.0, 35.0),
    touching: float = 0.5,
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return a generated z-stack of nuclei, and its exact labels in 3-D.

    Nuclei lie beside and above each other, and some touch; those of neighbouring
    planes shine through, and deep planes are darker.

    Parameters
    ----------
    shape : tuple of int
        Planes, rows and columns, of `VOXEL_SIZE`.
    seed : int
        The same seed gives the same image.
    n_nuclei : int, optional
        How many to place; one for 11,000 voxels if None. Fewer where there is no room.
    diameter : tuple of float
        Smallest and largest usual diameter within a plane, in pixels.
    touching : float
        Share of the nuclei that are placed against another, 0 to 1.

    Returns
    -------
    image : ndarray of shape (Z, Y, X), uint16
        The image.
    labels : ndarray of shape (Z, Y, X), int32
        Number of the nucleus at each voxel, 1, 2, ..., and 0 where there is none. Each
        is one piece (by its faces) and none overlaps another.

    Raises
    ------
    UneticError
        If the shape, the diameters or the share make no sense.

    Examples
    --------
    >>> image, labels = nuclei_stack((6, 64, 64), seed=1)
    >>> image.shape, image.dtype.name, labels.dtype.name
    ((6, 64, 64), 'uint16', 'int32')
    """
    axes, example = ("planes", "rows", "columns"), (20, 256, 256)
    check_wishes(shape, axes, example, n_nuclei, diameter)
    check_touching(touching)
    random = np.random.default_rng(seed)
    if n_nuclei is None:
        n_nuclei = round(math.prod(shape) / _VOXELS_PER_NUCLEUS)
    heap = _Heap(shape)
    for _ in range(n_nuclei):
        for _ in range(ATTEMPTS):
            at_other = bool(heap.solids) and random.random() < touching
            solid = _random_solid(random, shape, diameter)
            if at_other:
                solid = _against_another(random, solid, heap.solids)
            if heap.add(solid, may_touch=at_other):
                break
        else:
            # The stack is full.
            break
    labels, brightness = heap.labels()
    light = _light(random, labels, brightness, heap.depth)
    return photograph(random, light), labels


@dataclass(frozen=True, slots=True)
class _Solid:
    """A nucleus with its section through the middle and its extent along Z.

    Sizes are in pixels or planes; `tilt` is how far the centre of a section lies
    beside that of the section one plane above.
    """

    section: Nucleus
    plane: float
    half_height: float
    tilt: tuple[float, float]

    def window(self, shape: tuple[int, int, int]) -> _Window:
        """Return the part of a stack that may hold a part of it."""
        high = math.ceil(self.half_height) + 1
        aside = self.section.reach + math.ceil(high * max(map(abs, self.tilt)))
        rows, columns = (
            span(at, aside, size)
            for at, size in zip(self.section.centre, shape[1:], strict=True)
        )
        return span(self.plane, high, shape[0]), rows, columns

    @property
    def margin(self) -> float:
        """Depth up to which others keep away: also one plane, where there are few."""
        return 1 + max(0.2, 1.05 / self.half_height)

    def depth(self, window: _Window) -> Floats:
        """Return the distance from the centre in a window, 1 at the surface.

        It is told up to `margin`, and infinite farther out.
        """
        planes, rows, columns = (np.arange(w.start, w.stop) for w in window)
        z = (planes - self.plane)[:, np.newaxis, np.newaxis]
        down = (rows - self.section.centre[0])[:, np.newaxis] - self.tilt[0] * z
        right = columns - self.section.centre[1] - self.tilt[1] * z
        height, down, right = np.broadcast_arrays(z / self.half_height, down, right)
        # Within an ellipsoid around it, which most of the window is not.
        across = (down**2 + right**2) / self.section.reach**2
        near = across + height**2 < self.margin**2
        depth = np.full(near.shape, np.inf)
        depth[near] = self._depth_at(height[near], down[near], right[near])
        return depth

    def radius(self, z: float, y: float, x: float) -> float:
        """Return how often a step fits between centre and surface."""
        down, right = y - self.tilt[0] * z, x - self.tilt[1] * z
        return 1 / float(self._depth_at(z / self.half_height, down, right))

    def _depth_at(self, height: Any, down: Any, right: Any) -> Floats:
        across = np.hypot(down, right) / self.section.outline(np.arctan2(down, right))
        depth: Floats = np.hypot(across, height)
        return depth


def _random_solid(
    random: np.random.Generator,
    shape: tuple[int, int, int],
    diameter: tuple[float, float],
) -> _Solid:
    """Return a nucleus of random looks at a random place of the stack."""
    section = random_nucleus(random, shape[1:], diameter)
    radius = math.sqrt(math.prod(section.radii))
    half_height = max(1.0, radius * random.uniform(*_THICKNESS) / _Z_SCALE)
    tilt = random.uniform(-_LARGEST_TILT, _LARGEST_TILT, 2) * _Z_SCALE
    return _Solid(
        section=section,
        plane=random.uniform(-0.2 * half_height, shape[0] - 1 + 0.2 * half_height),
        half_height=half_height,
        tilt=(float(tilt[0]), float(tilt[1])),
    )


def _against_another(
    random: np.random.Generator, solid: _Solid, others: list[_Solid]
) -> _Solid:
    """Return the nucleus moved against one that is there, and about as bright."""
    other = others[int(random.integers(len(others)))]
    step = random.normal(size=3)
    step /= np.linalg.norm(step) * np.array([_Z_SCALE, 1.0, 1.0])
    z, y, x = (float(s) for s in step)
    gap = (other.radius(z, y, x) + solid.radius(-z, -y, -x)) * random.uniform(0.9, 1.0)
    section = replace(
        solid.section,
        centre=(
            other.section.centre[0] + gap * y,
            other.section.centre[1] + gap * x,
        ),
        brightness=other.section.brightness * math.exp(random.normal(0, 0.25)),
    )
    return replace(solid, section=section, plane=other.plane + gap * z)


class _Heap:
    """The nuclei placed so far, and which of them each voxel belongs to."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.solids: list[_Solid] = []
        self.shape = shape
        self.depth = np.full(shape, np.inf)
        self._owner = np.zeros(shape, dtype=np.int32)

    def add(self, solid: _Solid, *, may_touch: bool) -> bool:
        """Place a nucleus if there is room, and say whether there was."""
        window = solid.window(self.shape)
        taken = self._owner[window] > 0
        depth = solid.depth(window)
        inside = depth < 1
        if np.count_nonzero(inside & ~taken) < 2 * MIN_VISIBLE_PX:
            return False
        if may_touch:
            if np.count_nonzero(inside & taken) > 0.08 * np.count_nonzero(inside):
                return False
        elif (taken & (depth < solid.margin)).any():
            return False
        self.solids.append(solid)
        wins = inside & (depth < self.depth[window])
        self._owner[window][wins] = len(self.solids)
        self.depth[window][wins] = depth[wins]
        return True

    def labels(self) -> tuple[NDArray[np.int32], Floats]:
        """Return the labels, numbered without gaps, and the brightness of each.

        Of a nucleus that another has cut in two, the largest piece remains; number 0
        has no brightness.
        """
        labels = np.zeros(self.shape, dtype=np.int32)
        brightness = [0.0]
        windows = ndimage.find_objects(self._owner, max_label=len(self.solids))
        for number, window in enumerate(windows, start=1):
            if window is None:
                continue
            pieces, n_pieces = ndimage.label(self._owner[window] == number)
            volumes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)[1:]
            labels[window][pieces == 1 + int(volumes.argmax())] = len(brightness)
            brightness.append(self.solids[number - 1].section.brightness)
        return labels, np.array(brightness)


def _light(
    random: np.random.Generator,
    labels: NDArray[np.int32],
    brightness: Floats,
    depth: Floats,
) -> Floats:
    """Return the light that arrives at each voxel, a usual nucleus being about 1."""
    inner = np.where(labels > 0, np.minimum(depth, 1.0), 1.0)
    emitted = brightness[labels] * (0.7 + 0.3 * np.sqrt(1 - inner**2))
    emitted *= chromatin(random, labels.shape, _Z_SCALE)
    sharp = ndimage.gaussian_filter(emitted, (0.45, 1.1, 1.1), mode="nearest")
    halo = ndimage.gaussian_filter(emitted, (1.5, 6, 6), mode="nearest", truncate=2.5)
    # Wide enough that every fourth pixel tells all of it.
    haze = ndimage.gaussian_filter(
        halo[:, ::4, ::4], (3, 6, 6), mode="nearest", truncate=2.5
    )
    haze = np.repeat(np.repeat(haze, 4, axis=1), 4, axis=2)
    seen = 0.85 * sharp + 0.18 * halo
    seen += 0.25 * haze[:, : labels.shape[1], : labels.shape[2]] + 0.04
    fading = np.exp(
        -np.arange(labels.shape[0]) * VOXEL_SIZE.sizes["Z"] / _DEPTH_OF_LIGHT
    )
    lit: Floats = seen * fading[:, np.newaxis, np.newaxis]
    return lit * illumination(random, labels.shape[1:])
