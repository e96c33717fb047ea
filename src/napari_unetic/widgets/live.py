"""Thresholds that take effect while they are moved; needs neither Qt nor threads.

A drag asks for more decodings than there is time for. Only the latest settings count;
of those what is in view comes first and alone while the hand is on the slider. The rest
follows when the slider rests, and is one step of undo.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.instances.matching import overlap

if TYPE_CHECKING:
    from napari_unetic.settings import SegmentSettings

GATHER = 0.03
"""Seconds over which changes are gathered before the view is decoded."""

REST = 0.3
"""Seconds without a change after which a slider rests."""


@dataclass(slots=True)
class Latest:
    """Which settings to decode next, for the view and for the whole image.

    Times are in seconds on any clock that only goes forward.

    Parameters
    ----------
    done : SegmentSettings
        What the labels were last made with, as a whole.
    """

    done: SegmentSettings
    wanted: SegmentSettings = field(init=False)
    seen: SegmentSettings = field(init=False)
    held: bool = False
    _changed: float = field(init=False, default=0.0)
    _first: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.wanted = self.seen = self.done

    def change(self, settings: SegmentSettings, now: float) -> bool:
        """Take note of settings; return whether they are other ones."""
        if settings == self.wanted:
            return False
        if self.wanted == self.seen:
            self._first = now
        self.wanted, self._changed = settings, now
        return True

    @property
    def pending(self) -> bool:
        """Whether the labels as a whole are not those that are wanted."""
        return self.wanted != self.done

    def view_due(self, now: float) -> bool:
        """Whether to decode what is in view, if nothing else is decoding it."""
        return self.wanted != self.seen and now >= self._first + GATHER

    def whole_due(self, now: float) -> bool:
        """Whether to decode everything, if nothing else is decoding it."""
        is_shown = self.wanted == self.seen
        rests = not self.held and now >= self._changed + REST
        return self.pending and is_shown and rests

    def wait(self, now: float) -> float | None:
        """Return the seconds until something may be due; None if nothing will be."""
        if self.wanted != self.seen:
            return max(0.0, self._first + GATHER - now)
        if self.pending and not self.held:
            return max(0.0, self._changed + REST - now)
        return None

    def viewed(self, settings: SegmentSettings, now: float) -> None:
        """Take note that the view shows some settings, or could not be decoded."""
        self.seen = settings
        self._first = now

    def finished(self, settings: SegmentSettings) -> None:
        """Take note that the labels as a whole are those of some settings."""
        self.done = self.seen = settings

    def give_up(self) -> None:
        """Ask for nothing more until the next change."""
        self.wanted = self.seen = self.done


Window = tuple[Any, ...]


class Preview:
    """Labels of a window that are shown for now, and what they cover.

    They are written past the history of undo; `take_back` puts back what was there,
    before the labels of everything are written as one step.

    Parameters
    ----------
    data : ndarray of int
        Labels of a layer, written in place.
    """

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data
        self._covered: list[tuple[Window, NDArray[Any]]] = []
        self._shown: list[NDArray[np.integer]] = []

    def show(self, window: Window, labels: NDArray[np.integer]) -> None:
        """Write labels over a window of the data.

        Parameters
        ----------
        window : tuple of int and slice
            Index of the data.
        labels : ndarray of int
            In its shape and the dtype of the data.
        """
        if self._covered and self._covered[-1][0] == window:
            self._shown[-1] = labels
        else:
            self._covered.append((window, self._data[window].copy()))
            self._shown.append(labels)
        self._data[window] = labels

    def take_back(self) -> None:
        """Put back what is covered, but for pixels that are others since."""
        covered = zip(reversed(self._covered), reversed(self._shown), strict=True)
        for (window, before), shown in covered:
            np.copyto(self._data[window], before, where=self._data[window] == shown)
        self._covered.clear()
        self._shown.clear()


def same_numbers(
    labels: NDArray[np.integer], before: NDArray[np.integer]
) -> NDArray[np.integer]:
    """Renumber labels so that objects keep the numbers, and so the colours, they had.

    Parameters
    ----------
    labels : ndarray of int
        New labels; 0 is background.
    before : ndarray of int
        What was there, of the same shape.

    Returns
    -------
    ndarray of the same shape, in the dtype of `before`
        Each object has the number of that object before with which it shares most
        pixels, unless a larger share of that one went to another; else a new one.
        Objects whose numbers go beyond the dtype become background.
    """
    pairs = overlap(before, labels)
    # Each object claims the one it shares most with; the largest claim wins.
    order = np.argsort(-pairs.shared, kind="stable")
    _, claims = np.unique(pairs.pred_index[order], return_index=True)
    claims = order[np.sort(claims)]
    _, wins = np.unique(pairs.true_index[claims], return_index=True)
    winners = claims[wins]
    number = np.arange(int(labels.max(initial=0)) + 1) + int(before.max(initial=0))
    number[0] = 0
    number[pairs.pred_ids[pairs.pred_index[winners]]] = pairs.true_ids[
        pairs.true_index[winners]
    ]
    number[number > np.iinfo(before.dtype).max] = 0
    renumbered: NDArray[np.integer] = number.astype(before.dtype)[labels]
    return renumbered
