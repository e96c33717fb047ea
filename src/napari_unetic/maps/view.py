"""A plane or volume as the network sees it: chosen channels, normalised, resampled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.channels import to_channels
from napari_unetic.image.normalise import Normalisation, is_number
from napari_unetic.image.resample import needed, resample
from napari_unetic.image.tiles import Tile, reflected
from napari_unetic.maps.extent import needed_box, size_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from napari_unetic.maps.beside import Beside
    from napari_unetic.maps.extent import Box
    from napari_unetic.maps.plan import Plan

_BAND_PX = 4_000_000
"""About how many values of the image are held at a time while it is resampled."""


class PlaneView:
    """One plane of a planned image, read by windows of the grid of its maps.

    Parameters
    ----------
    plan : Plan
        Image, channel, size of the grid.
    normalisation : Normalisation
        Fitted to the whole image.
    plane : tuple of int
        Index along the image's plane axes.
    """

    def __init__(
        self, plan: Plan, normalisation: Normalisation, plane: tuple[int, ...]
    ):
        self._plan = plan
        self._normalisation = normalisation
        self._plane = plane
        self.met_no_numbers = False

    def window(self, tile: Tile) -> NDArray[np.float32]:
        """Read what the network gets for a tile, reflected beyond the image.

        Parameters
        ----------
        tile : Tile
            On the grid of the maps.

        Returns
        -------
        ndarray of shape (C, ...), float32
            From ``read_start`` to ``read_stop`` of its spans.
        """
        at = [
            reflected(span.read_start, span.read_stop, size)
            for span, size in zip(tile.spans, self._plan.grid, strict=True)
        ]
        starts = [int(index.min()) for index in at]
        pixels = self._on_grid(
            tuple(
                slice(start, int(index.max()) + 1)
                for index, start in zip(at, starts, strict=True)
            )
        )
        if pixels.shape[1:] == tuple(index.size for index in at):
            return pixels
        inside = (index - start for index, start in zip(at, starts, strict=True))
        taken: NDArray[np.float32] = pixels[np.ix_(np.arange(pixels.shape[0]), *inside)]
        return taken

    def _on_grid(self, box: Box) -> NDArray[np.float32]:
        """Read a window of the grid, of which no pixel lies outside the image."""
        old, new = self._plan.image.space, self._plan.grid
        if old == new:
            return self._read(box)
        rows, beside = box[0], needed_box(old[1:], new[1:], box[1:])
        n_channels = self._plan.description.network.in_channels
        a_row = n_channels * math.prod(size_of(beside)) * old[0] / new[0]
        step = max(1, int(_BAND_PX / a_row))
        bands = []
        for start in range(rows.start, rows.stop, step):
            band = slice(start, min(start + step, rows.stop))
            read = needed(old[0], new[0], band), *beside
            origin = tuple(part.start for part in read)
            wanted = band, *box[1:]
            bands.append(resample(self._read(read), old, new, wanted, origin))
        return bands[0] if len(bands) == 1 else np.concatenate(bands, axis=1)

    def _read(self, box: Box) -> NDArray[np.float32]:
        """Read a window of the image, normalised."""
        image, channel = self._plan.image, self._plan.settings.channel
        wanted = None if channel is None else (channel,)
        window = to_channels(
            image.read(self._plane, wanted, *box),
            self._plan.description.network.in_channels,
            rgb=image.rgb,
        )
        if window.dtype.kind == "f" and not self.met_no_numbers:
            self.met_no_numbers = not is_number(window).all()
        return self._normalisation.apply(window)


class WindowReader:
    """Windows of a plane for one batch of tiles after the other.

    Parameters
    ----------
    view : PlaneView
        What they are read from.
    beside : Beside
        What reads a batch ahead, while the network runs on the one before.
    """

    def __init__(self, view: PlaneView, beside: Beside):
        self._view = view
        self._beside = beside
        self._expected: tuple[list[Tile], Future[NDArray[np.float32]]] | None = None

    @property
    def met_no_numbers(self) -> bool:
        """Whether there were values that are no numbers."""
        return self._view.met_no_numbers

    def expect(self, batch: list[Tile]) -> None:
        """Begin to read the windows of tiles that will be asked for next, if beside."""
        if self._beside.is_threaded and batch != (self._expected or [None])[0]:
            self._expected = batch, self._beside.start(lambda: self._stack(batch))

    def read(self, batch: list[Tile]) -> NDArray[np.float32]:
        """Return the windows of some tiles, of shape (B, C, ...), all of one size."""
        expected, self._expected = self._expected, None
        if expected is not None and expected[0] == batch:
            return expected[1].result()
        return self._stack(batch)

    def _stack(self, batch: list[Tile]) -> NDArray[np.float32]:
        return np.stack([self._view.window(tile) for tile in batch])
