"""How round and how convex objects are, from the runs of their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Pixels of objects, as stretches within rows.

    Parameters
    ----------
    of : ndarray of shape (K,), int64
        Which object.
    row, start, stop : ndarray of shape (K,), int64
        Where; rows ascend within each object, `stop` is half-open.
    """

    of: Integers
    row: Integers
    start: Integers
    stop: Integers

    @property
    def length(self) -> Integers:
        """Pixels of each run."""
        return self.stop - self.start


def eccentricity(runs: Runs, n: int) -> Floats:
    """Return the eccentricity of the ellipse with each object's second moments.

    Parameters
    ----------
    runs : Runs
        Of objects 0 to n - 1, each with at least one pixel.
    n : int
        Number of objects.

    Returns
    -------
    ndarray of shape (n,), float64
        0 of a circle to 1 of a line; 0 of a single pixel.
    """

    def mean(values: Floats) -> Floats:
        means: Floats = np.bincount(runs.of, values, minlength=n) / size
        return means

    length = runs.length.astype(np.float64)
    size = np.bincount(runs.of, length, minlength=n)
    middle = 0.5 * (runs.start + runs.stop - 1)
    y, x = mean(length * runs.row), mean(length * middle)
    # About the centroid, so that far from the origin no digits are lost.
    down, right = runs.row - y[runs.of], middle - x[runs.of]
    yy = mean(length * down**2)
    xx = mean(length * (right**2 + (length**2 - 1) / 12))
    yx = mean(length * down * right)
    half, root = 0.5 * (yy + xx), np.hypot(0.5 * (yy - xx), yx)
    long, short = half + root, np.maximum(half - root, 0.0)
    squared: Floats = 1 - np.divide(short, long, out=np.ones(n), where=long > 0)
    return np.sqrt(np.clip(squared, 0, 1))


def solidity(runs: Runs, n: int) -> Floats:
    """Return the share of the pixels of its convex hull that each object fills.

    Parameters
    ----------
    runs : Runs
        Of objects 0 to n - 1, each with at least one pixel.
    n : int
        Number of objects.

    Returns
    -------
    ndarray of shape (n,), float64
        Above 0 and up to 1.

    Notes
    -----
    The hull is that of the pixels' centres, and its pixels are those whose centre lies
    in it or on its edge, counted by Pick's theorem: area + edge points / 2 + 1. An
    object that is as convex as pixels can be has 1.
    """
    order = np.argsort(runs.of, kind="stable")
    groups, row = runs.of[order], runs.row[order]
    first = np.flatnonzero(
        np.diff(groups, prepend=-1).astype(bool) | np.diff(row, prepend=-1).astype(bool)
    )
    left = np.minimum.reduceat(runs.start[order], first)
    right = np.maximum.reduceat(runs.stop[order], first) - 1
    groups, row = groups[first], row[first]
    top = np.flatnonzero(np.diff(groups, prepend=-1))
    bottom = np.flatnonzero(np.diff(groups, append=-1))
    # Twice the area between the two chains, and points on top, bottom and both chains.
    right_area, right_points = _chain(groups, row, right, -1, n)
    left_area, left_points = _chain(groups, row, left, 1, n)
    edge = right[top] - left[top] + right[bottom] - left[bottom]
    doubled = right_area - left_area + edge + right_points + left_points
    size = np.bincount(runs.of, runs.length, minlength=n)
    filled: Floats = size / (doubled // 2 + 1)
    return filled


def _chain(
    groups: Integers, row: Integers, x: Integers, side: int, n: int
) -> tuple[Integers, Integers]:
    """Return twice the area left of each object's convex chain, and points on it.

    `side` is 1 for the chain of the least x, -1 for that of the greatest.
    """
    while len(groups) > 2:
        before, here, after = x[:-2], x[1:-1], x[2:]
        turn = (here - before) * (row[2:] - row[:-2]) - (after - before) * (
            row[1:-1] - row[:-2]
        )
        # A point that lies on or within the line between its neighbours is no corner,
        # and stays none whatever else goes: so all such go at once.
        inner = (groups[:-2] == groups[2:]) & (side * turn >= 0)
        if not inner.any():
            break
        kept = np.concatenate([[True], ~inner, [True]])
        groups, row, x = groups[kept], row[kept], x[kept]
    same = groups[1:] == groups[:-1]
    down, across = np.diff(row)[same], np.diff(x)[same]
    both = (x[1:] + x[:-1])[same]
    of = groups[1:][same]
    area = np.bincount(of, both * down, minlength=n).astype(np.int64)
    points = np.bincount(of, np.gcd(down, np.abs(across)), minlength=n)
    return area, points.astype(np.int64)
