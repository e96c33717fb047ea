"""The pair: an image and its labels, read when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.pairs.assemble import Annotation, assemble_masks, take_labels
from napari_unetic.semantic.masks import join_masks, take_classes

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.pairs.entries import Entry


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its labels, by the files they are in.

    Nothing is read before it is asked for, nothing is kept open, and a pair can be
    pickled.

    Parameters
    ----------
    id : str
        Name of the pair within its data set.
    image_entry : Entry
        The image file.
    label_entries : tuple of Entry
        The label image, or one mask an object.
    one_file_an_object : bool
        Whether each label entry is the mask of one object.
    axes : str, optional
        Axes of the image file's array; from its metadata, else guessed, if None.
    reviewed_entry : Entry, optional
        A mask of where the labels can be trusted; None means everywhere.
    """

    id: str
    image_entry: Entry
    label_entries: tuple[Entry, ...]
    one_file_an_object: bool = False
    axes: str | None = None
    reviewed_entry: Entry | None = None

    def image(self) -> Image:
        """Return the image.

        Raises
        ------
        UneticError
            If its file cannot be read.
        """
        entry = self.image_entry
        return read_image(entry.open(), axes=self.axes, name=entry.name)

    def labels(self) -> NDArray[np.int32]:
        """Return the labels, checked against the image; see `read` for both.

        Returns
        -------
        ndarray of shape (Y, X) or plane axes and (Y, X), int32
            Number of the object at each pixel, 0 where there is none.

        Raises
        ------
        UneticError
            If a file cannot be read, or the shapes of image and labels differ.
        """
        return self.read()[1]

    def read(self) -> tuple[Image, NDArray[np.int32]]:
        """Return the image and its labels, each read once.

        Raises
        ------
        UneticError
            If a file cannot be read, or the shapes of image and labels differ.
        """
        return self._fitting(self.annotation().labels)

    def read_classes(self, n_classes: int) -> tuple[Image, NDArray[np.int32]]:
        """Return the image and its class mask, each read once.

        Parameters
        ----------
        n_classes : int
            Classes, the background included.

        Returns
        -------
        Image
        ndarray of shape (Y, X) or plane axes and (Y, X), int32
            Class of each pixel.

        Raises
        ------
        UneticError
            If a file cannot be read, the shapes of image and mask differ, or the
            numbers are not those of a class mask (`napari_unetic.semantic.masks`).
        """
        return self._fitting(self.classes(n_classes))

    def _fitting(self, labels: NDArray[np.int32]) -> tuple[Image, NDArray[np.int32]]:
        """Return the image with labels that have its shape."""
        image = self.image()
        expected = (*image.plane_shape, *image.shape_yx)
        if labels.shape != expected:
            raise UneticError(
                f"Expected labels of shape {expected} as the image of {self.id}, got "
                f"shape {labels.shape}; give labels drawn on this image, or its axes."
            )
        return image, labels

    def reviewed(self, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Return where the labels can be trusted, or None for everywhere.

        Parameters
        ----------
        shape : tuple of int
            Shape of the labels, which the mask must have.

        Returns
        -------
        ndarray of that shape, bool, or None

        Raises
        ------
        UneticError
            If the mask cannot be read or its shape differs.
        """
        if self.reviewed_entry is None:
            return None
        entry = self.reviewed_entry
        mask = read_labels(entry.open(), name=entry.name) > 0
        if mask.shape != shape:
            raise UneticError(
                f"Expected a reviewed area of shape {shape} as the labels of {self.id}"
                f", got shape {mask.shape}; draw it on this image."
            )
        return mask

    def annotation(self) -> Annotation:
        """Return the labels with their notices, not checked against the image."""
        if self.one_file_an_object:
            masks = (read_labels(e.open(), name=e.name) for e in self.label_entries)
            return assemble_masks(masks, self.id)
        (entry,) = self.label_entries
        return take_labels(read_labels(entry.open(), name=entry.name), self.id)

    def classes(self, n_classes: int) -> NDArray[np.int32]:
        """Return the class mask, not checked against the image; see `read_classes`."""
        if self.one_file_an_object:
            masks = (read_labels(e.open(), name=e.name) for e in self.label_entries)
            return join_masks(masks, n_classes, self.id)
        (entry,) = self.label_entries
        array = read_labels(entry.open(), name=entry.name)
        return take_classes(array, n_classes, self.id)

    def image_hash(self) -> str:
        """Return a SHA-256 that tells the picture, whatever file it is in.

        Returns
        -------
        str
            Hex digest over ``"dtype|shape|"`` and the pixels in canonical axes, C order
            and little-endian.
        """
        data = np.asarray(self.image().data)
        data = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        digest = hashlib.sha256(f"{data.dtype.str}|{data.shape}|".encode())
        digest.update(data.data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Pairs(Sequence[Pair]):
    """The pairs of a data set, in the order of their ids.

    Parameters
    ----------
    pairs : tuple of Pair
        The pairs.
    source : str
        Where they come from.
    notices : tuple of str
        What was left out and why, in sentences.
    """

    pairs: tuple[Pair, ...]
    source: str = ""
    notices: tuple[str, ...] = field(default=())

    @overload
    def __getitem__(self, at: int) -> Pair: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, at: int | slice) -> Pair | tuple[Pair, ...]:
        """Return a pair, or a tuple of pairs for a slice."""
        return self.pairs[at]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(pair.id for pair in self.pairs)

    def where(self, keep: Callable[[Pair], bool], *notices: str) -> Pairs:
        """Return the pairs that `keep` wants, with further notices."""
        kept = tuple(pair for pair in self.pairs if keep(pair))
        return Pairs(kept, self.source, self.notices + notices)
