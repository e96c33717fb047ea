"""Shape and looks of one generated nucleus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError

MIN_VISIBLE_PX = 30
"""Of a nucleus there are at least this many pixels in the image."""

ATTEMPTS = 60
"""Random places that are tried before the image counts as full."""

_FOCUS_SHARES = (0.72, 0.18, 0.10)
_BRIGHT_SHARE = 0.04

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Nucleus:
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

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of an image that may hold a part of it."""
        rows, columns = (
            span(at, self.reach, size)
            for at, size in zip(self.centre, shape, strict=True)
        )
        return rows, columns

    def depth(self, window: tuple[slice, slice]) -> Floats:
        """Return the distance from the centre in a window, 1 at the outline."""
        rows = np.arange(window[0].start, window[0].stop)[:, np.newaxis]
        columns = np.arange(window[1].start, window[1].stop)[np.newaxis, :]
        down, right = rows - self.centre[0], columns - self.centre[1]
        depth: Floats = np.hypot(down, right) / self.outline(np.arctan2(down, right))
        return depth


def span(at: float, reach: int, size: int) -> slice:
    """Return the pixels up to `reach` from `at`, cut to an axis of `size`."""
    return slice(
        min(max(math.floor(at) - reach, 0), size),
        min(max(math.ceil(at) + reach + 1, 0), size),
    )


def random_nucleus(
    random: np.random.Generator,
    shape: tuple[int, int],
    diameter: tuple[float, float],
) -> Nucleus:
    """Return a nucleus of random looks at a random place of an image."""
    size = random.uniform(*diameter) * math.exp(random.normal(0, 0.06))
    elongation = math.sqrt(random.uniform(1.1, 1.9))
    brightness = math.exp(random.normal(0, 0.38))
    if random.random() < _BRIGHT_SHARE:
        # Dividing cells: condensed, small and bright.
        size, elongation, brightness = 0.65 * size, 1.5, 2.2 * brightness
    orders = np.arange(2, 6)
    return Nucleus(
        centre=(
            random.uniform(-0.2 * size, shape[0] + 0.2 * size),
            random.uniform(-0.2 * size, shape[1] + 0.2 * size),
        ),
        radii=(0.5 * size * elongation, 0.5 * size / elongation),
        angle=random.uniform(0, math.pi),
        amplitudes=np.abs(random.normal(0, 0.21, len(orders))) / orders**1.7,
        phases=random.uniform(0, 2 * math.pi, len(orders)),
        brightness=brightness,
        focus=int(random.choice(len(_FOCUS_SHARES), p=_FOCUS_SHARES)),
    )


def check_wishes(
    shape: Sequence[int],
    axes: Sequence[str],
    example: tuple[int, ...],
    n_nuclei: int | None,
    diameter: tuple[float, float],
) -> None:
    """Raise a `UneticError` where the arguments of a sample make no sense."""
    if len(shape) != len(axes) or min(shape) < 1:
        raise UneticError(
            f"Expected a shape of {', '.join(axes[:-1])} and {axes[-1]}, got "
            f"{tuple(shape)}; give for example {example}."
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


def check_touching(touching: float) -> None:
    """Raise a `UneticError` where a share is none."""
    if not 0 <= touching <= 1:
        raise UneticError(
            f"Expected a share of touching nuclei from 0 to 1, got {touching}; give "
            "for example 0.35."
        )
