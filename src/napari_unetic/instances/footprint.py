"""The pixels of one object, kept to tell later whether it still has just these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.record import pack_labels, unpack_labels


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """Where the pixels of an object are in one plane of labels.

    Parameters
    ----------
    plane : tuple of int
        Index of the plane.
    start : tuple of int
        Row and column of the mask's first pixel.
    mask : ndarray of shape (Y, X), bool
        The object's pixels in the box around it.
    """

    plane: tuple[int, ...]
    start: tuple[int, int]
    mask: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        labels: NDArray[Any],
        number: int,
        box: tuple[slice, slice],
        plane: tuple[int, ...] = (),
    ) -> Footprint:
        """Return the footprint of an object.

        Parameters
        ----------
        labels : ndarray of shape (Y, X), integer
            One plane.
        number : int
            Of the object.
        box : tuple of slice
            Rows and columns that hold all of it; nothing else is read.
        plane : tuple of int
            Index of the plane.

        Returns
        -------
        Footprint
        """
        mask = np.asarray(labels[box]) == number
        return cls(plane, (int(box[0].start), int(box[1].start)), mask)

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the mask."""
        (y, x), (height, width) = self.start, self.mask.shape
        return slice(y, y + height), slice(x, x + width)

    def number_in(self, labels: NDArray[Any]) -> int:
        """Return which object of a plane has these pixels, and no other.

        Parameters
        ----------
        labels : ndarray of shape (Y, X), integer
            The plane as it is now; only the box, and a pixel more on each side, are
            looked at.

        Returns
        -------
        int
            0 where no object has just these pixels. An object with another part that
            touches none of its pixels is taken for this one.
        """
        rows, columns = self.box
        if rows.stop > labels.shape[0] or columns.stop > labels.shape[1]:
            return 0
        margins = [
            (int(part.start > 0), int(part.stop < size))
            for part, size in zip(self.box, labels.shape, strict=True)
        ]
        window = np.asarray(
            labels[
                rows.start - margins[0][0] : rows.stop + margins[0][1],
                columns.start - margins[1][0] : columns.stop + margins[1][1],
            ]
        )
        mask = np.pad(self.mask, margins)
        if not mask.any():
            return 0
        number = int(window[mask][0])
        return number if number and np.array_equal(window == number, mask) else 0

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold; about 130 bytes for a nucleus."""
        return {
            "plane": list(self.plane),
            "start": list(self.start),
            "mask": pack_labels(self.mask),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Footprint:
        """Return the footprint that `as_json` made a mapping of.

        Raises
        ------
        UneticError
            If it is damaged.
        """
        try:
            plane = tuple(int(i) for i in value["plane"])
            y, x = (int(i) for i in value["start"])
            mask = unpack_labels(value["mask"])
            if mask.dtype != np.bool_ or mask.ndim != 2 or min(y, x, *plane, 0) < 0:
                raise ValueError
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UneticError(
                "Expected the place of an object, got something damaged; accept the "
                "object again."
            ) from error
        return cls(plane, (y, x), mask)
