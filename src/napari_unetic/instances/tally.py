"""What is added up of objects while their pixels go by, window by window.

All is counted on runs, the stretches of one label within a row, of which there are far
fewer than pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.objects import check_labels
from napari_unetic.instances.shape import Runs, eccentricity, solidity

Columns: TypeAlias = dict[str, NDArray[Any]]

ReadWindow: TypeAlias = Callable[[tuple[int, ...], slice, slice], NDArray[Any]]
"""Of a plane's index, rows and columns: the pixels, of shape (Y, X) or (C, Y, X)."""

_WINDOW_PX = 2**24
_NO_RUNS = Runs(*(np.zeros(0, np.int64) for _ in range(4)))


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Columns of parts of objects, one value a part.

    Parameters
    ----------
    ids : ndarray of shape (N,), int64
        Label of the object that each part is of.
    sums, lows, highs : dict of str to ndarray of shape (N,)
        What to add up, and what to take the least and the greatest of.
    """

    ids: NDArray[np.int64]
    sums: Columns
    lows: Columns
    highs: Columns


def added(tallies: Sequence[Tally]) -> Tally:
    """Return one part an object, ascending by its label.

    Parameters
    ----------
    tallies : sequence of Tally
        At least one; all have the same columns.

    Returns
    -------
    Tally
    """
    ids, groups = _groups(np.concatenate([tally.ids for tally in tallies]))
    n = len(ids)

    def joined(tables: list[Columns]) -> Columns:
        names = tables[0]
        return {name: np.concatenate([t[name] for t in tables]) for name in names}

    def extremes(which: np.ufunc, columns: Columns) -> Columns:
        return {k: _extreme(which, groups, v, n) for k, v in columns.items()}

    sums = joined([tally.sums for tally in tallies])
    return Tally(
        ids,
        {name: np.bincount(groups, values, n) for name, values in sums.items()},
        extremes(np.minimum, joined([tally.lows for tally in tallies])),
        extremes(np.maximum, joined([tally.highs for tally in tallies])),
    )


def _groups(ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids, ascending, and each one's position among them."""
    if ids.size == 0 or int(ids.max()) > 4 * ids.size + 65_536:
        found, groups = np.unique(ids, return_inverse=True)
        return found, groups.astype(np.int64)
    # Counting is far cheaper than sorting where the labels are not sparse.
    used = np.bincount(ids) > 0
    return np.flatnonzero(used), (np.cumsum(used) - 1)[ids]


def _extreme(
    which: np.ufunc, groups: NDArray[np.int64], values: NDArray[Any], n: int
) -> NDArray[Any]:
    """Return the least or the greatest value of each group; none is empty."""
    extreme = np.zeros(n, dtype=values.dtype)
    extreme[groups] = values
    with np.errstate(invalid="ignore"):
        which.at(extreme, groups, values)
    return extreme


@dataclass(frozen=True, slots=True)
class Pixels:
    """The image that objects are measured on.

    Parameters
    ----------
    read : callable
        Returns a window of it.
    n_channels : int or None
        None where a window has no channel axis.
    dtype : dtype
        Of its values.
    """

    read: ReadWindow
    n_channels: int | None
    dtype: np.dtype[Any]

    @classmethod
    def probed(cls, read: ReadWindow, n_plane_axes: int) -> Pixels:
        """Ask the first pixel for channels and dtype."""
        pixel = np.asarray(read((0,) * n_plane_axes, slice(0, 1), slice(0, 1)))
        if pixel.dtype.kind not in "buif":
            raise UneticError(
                "Expected an image of integers or real numbers, got dtype "
                f"{pixel.dtype}; convert it first."
            )
        return cls(read, len(pixel) if pixel.ndim == 3 else None, pixel.dtype)

    @property
    def suffixes(self) -> list[str]:
        """What the names of each channel's columns end with."""
        if self.n_channels is None:
            return [""]
        return [f"_c{channel}" for channel in range(self.n_channels)]

    def channels(
        self, plane: tuple[int, ...], rows: slice, columns: slice
    ) -> NDArray[Any]:
        """Return a window, of shape (C, pixels)."""
        window = np.asarray(self.read(plane, rows, columns))
        expected = (rows.stop - rows.start, columns.stop - columns.start)
        if window.shape[-2:] != expected:
            raise UneticError(
                f"Expected a window of {expected} pixels, got shape {window.shape}; "
                "measure labels on an image of their size."
            )
        return window.reshape(self.n_channels or 1, -1)


def nothing(letters: str, pixels: Pixels | None, *, shape: bool = False) -> Tally:
    """Return the columns of `tally_plane` without a part."""
    tally = _tally_runs(_NO_RUNS, letters, (0,) * (len(letters) - 2))
    if shape:
        tally.sums.update(eccentricity=np.zeros(0), solidity=np.zeros(0))
    if pixels is not None:
        for suffix in pixels.suffixes:
            tally.sums["intensity" + suffix] = np.zeros(0)
            tally.lows["intensity" + suffix] = np.zeros(0, pixels.dtype)
            tally.highs["intensity" + suffix] = np.zeros(0, pixels.dtype)
    return tally


def tally_plane(
    labels: NDArray[Any],
    plane: tuple[int, ...],
    letters: str,
    pixels: Pixels | None,
    *,
    shape: bool = False,
) -> Tally:
    """Add up the objects of one plane.

    Parameters
    ----------
    labels : array of shape (..., Y, X), integer
        Label image, maybe lazy; 0 is background.
    plane : tuple of int
        Index along the axes before Y and X.
    letters : str
        Axes of the labels, in lower case.
    pixels : Pixels, optional
        The image.
    shape : bool
        Whether to add ``eccentricity`` and ``solidity``.

    Returns
    -------
    Tally
        Sums, over pixels, of ``size`` (1 a pixel), each axis letter, shape and
        ``intensity``; least and greatest letters and intensities.
    """
    height, width = labels.shape[-2:]
    n_rows = max(1, _WINDOW_PX // max(width, 1))
    if n_rows > 256:
        # Chunks and tiles of files are mostly a power of 2 high.
        n_rows -= n_rows % 256
    bands, tallies = [_NO_RUNS], [nothing(letters, pixels)]
    for top in range(0, height if width else 0, n_rows):
        rows, columns = slice(top, min(top + n_rows, height)), slice(0, width)
        at: tuple[int | slice, ...] = (*plane, rows, columns)
        window = np.asarray(labels[at])
        check_labels(window)
        bounds, runs = _runs(window, top)
        if not len(bounds):
            continue
        tally = _tally_runs(runs, letters, plane)
        if pixels is not None:
            values = pixels.channels(plane, rows, columns)
            _add_intensities(tally, pixels.suffixes, values, bounds)
        tallies.append(added([tally]))
        bands.append(runs)
    total = added(tallies)
    if shape:
        _add_shape(total, bands)
    return total


def _runs(window: NDArray[Any], top: int) -> tuple[NDArray[np.intp], Runs]:
    """Return the runs of objects, and their bounds in the flat window.

    The bounds are one start and one end a run, as `numpy.ufunc.reduceat` wants them.
    """
    width = window.shape[1]
    flat = window.ravel()
    changes = flat[1:] != flat[:-1]
    changes[width - 1 :: width] = True
    starts = np.append(0, np.flatnonzero(changes) + 1)
    stops = np.append(starts[1:], flat.size)
    inside = flat[starts] != 0
    starts, stops = starts[inside], stops[inside]
    row, start = np.divmod(starts, width)
    ids = flat[starts].astype(np.int64)
    bounds = np.stack([starts, stops], axis=1).ravel()
    return bounds, Runs(ids, row + top, start, start + stops - starts)


def _tally_runs(runs: Runs, letters: str, plane: tuple[int, ...]) -> Tally:
    """Return a part a run."""
    length = runs.length.astype(np.float64)
    tally = Tally(runs.of, {"size": length}, {}, {})
    for letter, index in zip(letters[:-2], plane, strict=True):
        tally.sums[letter] = length * index
        tally.lows[letter] = tally.highs[letter] = np.full(len(runs.of), index)
    tally.sums["y"] = length * runs.row
    tally.lows["y"] = tally.highs["y"] = runs.row
    tally.sums["x"] = length * 0.5 * (runs.start + runs.stop - 1)
    tally.lows["x"], tally.highs["x"] = runs.start, runs.stop - 1
    return tally


def _add_intensities(
    tally: Tally, suffixes: list[str], channels: NDArray[Any], bounds: NDArray[np.intp]
) -> None:
    """Add the intensities of each run to its part."""
    if bounds[-1] == channels.shape[1]:
        # reduceat goes on to the end by itself, and refuses to be told to.
        bounds = bounds[:-1]
    for suffix, values in zip(suffixes, channels, strict=True):
        name = "intensity" + suffix
        # What lies between two runs is every second result.
        with np.errstate(invalid="ignore"):
            sums = np.add.reduceat(values, bounds, dtype=np.float64)
            tally.sums[name] = sums[::2]
            tally.lows[name] = np.minimum.reduceat(values, bounds)[::2]
            tally.highs[name] = np.maximum.reduceat(values, bounds)[::2]


def _add_shape(total: Tally, bands: Sequence[Runs]) -> None:
    """Add eccentricity and solidity, times pixels, of the objects of a plane."""
    of, row, start, stop = (
        np.concatenate([getattr(runs, name) for runs in bands])
        for name in ("of", "row", "start", "stop")
    )
    runs = Runs(np.searchsorted(total.ids, of), row, start, stop)
    n, size = len(total.ids), total.sums["size"]
    total.sums["eccentricity"] = eccentricity(runs, n) * size
    total.sums["solidity"] = solidity(runs, n) * size
