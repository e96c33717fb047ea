"""Maps of a plane that come in by rows → its objects, band by band.

What is said of rows goes for the planes of a volume, which is decoded in one band.

A large plane is decoded in bands of rows, each as soon as its maps are there, and maps
that no later band needs are let go: so memory holds a part of them at a time, and the
network can go on meanwhile.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.resample import needed
from napari_unetic.maps.memory import BAND_PX
from napari_unetic.predict.planes import Objects, decode_all, learn_pace, wanted

if TYPE_CHECKING:
    from napari_unetic.maps.plan import Plan
    from napari_unetic.settings import SegmentSettings

Put: TypeAlias = Callable[[slice, Objects], None]
"""Takes rows of the plan's box, from 0, and the objects found in them."""


_TO_SPARE = 1.25
"""Factor of the rows that the band before needed below it."""


class BandDecoder(ABC):
    """The decoding of one plane, whose maps come in by rows, band by band.

    Parameters
    ----------
    plan : Plan
        Where the plane's maps lie in the image.
    settings : SegmentSettings
        How to decode; those of the plan are not looked at.
    margin : int
        Rows of the image that a band is decoded with beyond its own, both ways.
    """

    def __init__(self, plan: Plan, settings: SegmentSettings, margin: int):
        self._plan = plan
        self._settings = settings
        self._rows = MapRows(plan.map_box[0].start)
        self._bands = bands_of(plan)
        self._margin = self._reach = margin
        self._seconds = 0.0

    def take(self, maps: NDArray[np.float32]) -> None:
        """Take in the next rows, and decode all bands that are there now.

        Parameters
        ----------
        maps : ndarray of shape (M, rows, ...), float32
            Rows of ``plan.map_box``, from where the last ones ended.
        """
        started = time.perf_counter()
        self._rows.add(maps)
        while self._bands and self._decode(self._bands[0]):
            del self._bands[0]
            if self._bands:
                self._rows.forget(self._on_maps(self._window(self._bands[0])).start)
        self._seconds += time.perf_counter() - started
        if not self._bands:
            learn_pace(self._plan, self._seconds)

    @abstractmethod
    def _decode(self, band: slice) -> bool:
        """Decode a band; False where maps are still missing for it."""

    def _window(self, band: slice) -> slice:
        """Return the rows of the image that a band is decoded from."""
        limits = self._plan.box[0]
        return slice(
            max(limits.start, band.start - self._margin),
            min(limits.stop, band.stop + self._reach),
        )

    def _on_maps(self, rows: slice) -> slice:
        """Return the rows of the maps that rows of the image are made of."""
        return needed(self._plan.grid[0], self._plan.image.space[0], rows)


class PlaneDecoder(BandDecoder):
    """The decoding of a plane into objects.

    Parameters
    ----------
    plan, settings
        As for `BandDecoder`.
    put : callable
        Is given the objects of band after band. The labels of a band reach as far into
        the next ones as its own objects do. Numbers begin at 1 in each band.

    Notes
    -----
    An object belongs to the band that its first row lies in. A band is decoded with a
    margin of two working diameters; where an object of its own reaches the last row
    that was read, more is read, so that every object is whole; the next band then
    begins with as much as this one needed. What may differ from decoding in one piece
    are pixels that touching objects share out among themselves, where a chain of such
    objects, or an object much larger than the working diameter, reaches from a band
    beyond its margin.
    """

    def __init__(self, plan: Plan, settings: SegmentSettings, put: Put):
        super().__init__(plan, settings, plan.margin[0])
        self._put = put

    def take_found(self, objects: Objects) -> None:
        """Take in all objects of a plane instead of its maps.

        Parameters
        ----------
        objects : Objects
            As `napari_unetic.predict.planes.decode_all` returns them for a plane that
            is decoded in one piece.
        """
        plan = self._plan
        self._bands.clear()
        rows = slice(0, plan.box[0].stop - plan.box[0].start)
        self._put(rows, wanted(objects, plan, self._settings, plan.box))

    def _decode(self, band: slice) -> bool:
        """Decode a band; False where maps are still missing for it."""
        plan, settings = self._plan, self._settings
        while True:
            window = self._window(band)
            on_maps = self._on_maps(window)
            if on_maps.stop > self._rows.stop:
                return False
            maps, box = self._rows.part(on_maps), (window, *plan.box[1:])
            map_box = on_maps, *plan.map_box[1:]
            found = decode_all(maps, plan, settings, box, map_box)
            above, below = band.start - window.start, band.stop - window.start
            # Numbers follow the first pixels: those of the band are all in a row.
            first, end = (_highest(found.labels[:row]) for row in (above, below))
            if window.stop == plan.box[0].stop:
                break
            last_row = found.labels[-1]
            if not ((last_row > first) & (last_row <= end)).any():
                break
            self._reach *= 2
        # What this band needed below it, with a little to spare, the next may need.
        lower = found.labels[below:]
        has_own = ((lower > first) & (lower <= end)).any(axis=1)
        n_needed = int(np.flatnonzero(has_own).max(initial=-1)) + 1
        self._reach = max(self._margin, math.ceil(_TO_SPARE * n_needed))
        # Nothing of the band's own lies above its first row.
        own = _numbered(found, first, end, above)
        box = slice(band.start, window.stop), *plan.box[1:]
        top = plan.box[0].start
        rows = slice(band.start - top, window.stop - top)
        self._put(rows, wanted(own, plan, settings, box))
        return True


class MapRows:
    """Rows of maps, of which those that are done with can be let go.

    Parameters
    ----------
    start : int
        Number of the first row that will be added.
    """

    def __init__(self, start: int):
        self._start = self.stop = start
        self._parts: list[NDArray[np.float32]] = []

    @property
    def held(self) -> int:
        """Rows that are there."""
        return self.stop - self._start

    def add(self, maps: NDArray[np.float32]) -> None:
        """Take in the next rows, of shape (M, rows, ...)."""
        self._parts.append(maps)
        self.stop += maps.shape[1]

    def part(self, rows: slice) -> NDArray[np.float32]:
        """Return rows that are there: a view, or a copy from several parts."""
        found, at = [], self._start
        for part in self._parts:
            first, last = max(rows.start - at, 0), min(rows.stop - at, part.shape[1])
            if first < last:
                found.append(part[:, first:last])
            at += part.shape[1]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def forget(self, before: int) -> None:
        """Let go of the rows before one, as whole parts or, of the last one, a copy."""
        while self._parts and self._start + self._parts[0].shape[1] <= before:
            self._start += self._parts.pop(0).shape[1]
        n_gone = before - self._start
        if len(self._parts) == 1 and 2 * n_gone > self._parts[0].shape[1]:
            # A view would hold all of it; half of it is the most that is copied.
            self._parts[0] = self._parts[0][:, n_gone:].copy()
            self._start = before


def bands_of(plan: Plan) -> list[slice]:
    """Return the rows of the image that are decoded at a time."""
    rows = plan.box[0]
    if plan.is_decoded_whole:
        return [rows]
    n_rows = max(1, BAND_PX * (rows.stop - rows.start) // plan.n_decoded)
    return [
        slice(start, min(start + n_rows, rows.stop))
        for start in range(rows.start, rows.stop, n_rows)
    ]


def _highest(labels: NDArray[np.int32]) -> int:
    return int(labels.max(initial=0))


def _numbered(objects: Objects, first: int, end: int, above: int) -> Objects:
    """Return the objects after number `first` up to `end`, numbered from 1.

    Of the rows from `above` on.
    """
    if above == 0 and end == objects.scores.size:
        return objects
    labels = objects.labels[above:] - np.int32(first)
    labels[(labels < 0) | (labels > end - first)] = 0
    return Objects(labels, objects.scores[first:end])
