"""Where labels can be trusted, plane by plane: shapes, painted masks, regions.

Each has the shape of the labels and gives a plane of truth values when it is asked for
one, so that none of them ever exists for all planes at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.widgets.grids import positions
from napari_unetic.widgets.levels import level_data
from napari_unetic.widgets.places import outlines

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes
    from numpy.typing import NDArray

    from napari_unetic.finetuning.areas import Mask
    from napari_unetic.widgets.grids import Grid, Planes

_TURN = 1e-3


class ShapesMask:
    """What the shapes of a layer enclose on labels.

    Parameters
    ----------
    shapes : napari.layers.Shapes
        Shapes that have a place along T or Z are of that plane alone; flat ones are of
        all planes.
    grid : Grid
        Of the labels.

    Raises
    ------
    UneticError
        If nothing is enclosed.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shapes: Shapes, grid: Grid) -> None:
        self.shape, self.ndim = grid.shape, len(grid.shape)
        letters = grid.letters
        along = [letter for letter in grid.sizes if letter in "TZ"]
        is_flat = shapes.ndim < grid.pixels.ndim
        self._polygons: list[tuple[tuple[int, ...] | None, Region]] = []
        for outline in outlines(shapes):
            there = positions(shapes, outline, grid.pixels)
            there -= [grid.start.get(letter, 0) for letter in letters]
            plane = None
            if along and not is_flat:
                middle = there.mean(axis=0)
                plane = tuple(round(middle[letters.index(a)]) for a in along)
            rows, columns = (there[:, letters.index(a)] for a in "YX")
            polygon = tuple(zip(rows.tolist(), columns.tolist(), strict=True))
            self._polygons.append((plane, Region((polygon,))))

    def __getitem__(self, plane: tuple[int, ...]) -> Mask:
        """Return the mask of one plane."""
        size = self.shape[-2], self.shape[-1]
        mask = np.zeros(size, np.bool_)
        for own, region in self._polygons:
            if own not in (None, plane):
                continue
            try:
                box = region.bounds(size)
            except UneticError:
                continue  # It lies beside the labels.
            mask[box] |= region.mask(*box)
        return mask


class PaintedMask:
    """What is painted in another layer of labels.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of any size and place; of fewer dimensions, it is of all planes.
    grid : Grid
        Of the labels.

    Raises
    ------
    UneticError
        If it is turned against the labels.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, layer: Labels, grid: Grid) -> None:
        self.shape, self.ndim = grid.shape, len(grid.shape)
        self._data, self._grid = level_data(layer), grid
        n = grid.pixels.ndim
        points = np.vstack([np.zeros(n), np.eye(n)])
        there = positions(grid.pixels, points, layer)
        self._origin, steps = there[0], (there[1:] - there[0]).T
        # Layers are aligned by their last dimensions.
        self._dimension = {
            letter: k + layer.ndim - n for k, letter in enumerate(grid.letters)
        }
        self._step = {}
        for k, letter in enumerate(grid.letters):
            own = self._dimension[letter]
            if own < 0:
                continue
            self._step[letter] = steps[own, k]
            if np.abs(np.delete(steps[:, k], own)).max(initial=0) > _TURN:
                raise UneticError(
                    f"Expected a mask that lies along the rows of the image, got "
                    f"{layer.name}, which is turned; paint it in a layer of labels of "
                    "the image's size."
                )

    def __getitem__(self, plane: tuple[int, ...]) -> Mask:
        """Return the mask of one plane, by the nearest pixels."""
        index: list[Any] = [round(at) for at in self._origin]
        for letter, at in zip(self._grid.sizes, plane, strict=False):
            if letter in self._step:
                index[self._dimension[letter]] = int(self._along(letter, at))
        y, x = self._dimension["Y"], self._dimension["X"]
        mask = np.zeros(self.shape[-2:], np.bool_)
        sizes = self._data.shape
        if any(not 0 <= at < sizes[k] for k, at in enumerate(index) if k not in (y, x)):
            return mask
        rows = self._along("Y", np.arange(self.shape[-2]))
        columns = self._along("X", np.arange(self.shape[-1]))
        on_rows = (rows >= 0) & (rows < sizes[y])
        on_columns = (columns >= 0) & (columns < sizes[x])
        if on_rows.any() and on_columns.any():
            painted = self._read(index, rows[on_rows], columns[on_columns])
            mask[np.ix_(on_rows, on_columns)] = painted
        return mask

    def _along(self, letter: str, at: Any) -> NDArray[np.int64]:
        """Return where pixels of the labels are along an axis of the mask's layer."""
        origin, step = self._origin[self._dimension[letter]], self._step[letter]
        there = origin + step * (self._grid.start[letter] + np.asarray(at))
        pixels: NDArray[np.int64] = np.rint(there).astype(np.int64)
        return pixels

    def _read(
        self, index: list[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> Mask:
        """Read the pixels of some rows and columns."""
        y, x = self._dimension["Y"], self._dimension["X"]
        first, left = int(rows.min()), int(columns.min())
        index[y] = slice(first, int(rows.max()) + 1)
        index[x] = slice(left, int(columns.max()) + 1)
        window = np.asarray(self._data[tuple(index)])
        window = window.T if x < y else window
        painted: Mask = window[np.ix_(rows - first, columns - left)] != 0
        return painted


class SegmentedMask:
    """Where a result of a part of an image was segmented, and what objects it has.

    Parameters
    ----------
    region : Region
        In pixels of the shared part of the labels.
    labels : Planes
        The labels.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, region: Region, labels: Planes) -> None:
        self.shape, self.ndim = labels.shape, labels.ndim
        self._region, self._labels = region, labels

    def __getitem__(self, plane: tuple[int, ...]) -> Mask:
        """Return the mask of one plane."""
        trusted: Mask = self._inside() | (self._labels[plane] != 0)
        return trusted

    def holds_all_of(self, labels: Planes) -> bool:
        """Whether each object of labels has a pixel in the region."""
        inside, seen, beyond = self._inside(), set[int](), set[int]()
        for plane in np.ndindex(*self.shape[:-2]):
            numbers = labels[plane]
            seen |= set(np.unique(numbers[inside]).tolist())
            beyond |= set(np.unique(numbers[~inside]).tolist())
        return beyond - {0} <= seen

    def _inside(self) -> Mask:
        height, width = self.shape[-2:]
        inside: Mask = self._region.mask(slice(0, height), slice(0, width))
        return inside
