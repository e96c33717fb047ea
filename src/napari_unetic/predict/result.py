"""What a segmentation gives: labels with all that led to them, and the maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize, canonical
from napari_unetic.image.resample import resample

if TYPE_CHECKING:
    from napari_unetic.maps.plan import Plan
    from napari_unetic.semantic.targets import ClassSpec


@dataclass(frozen=True, slots=True)
class KeptMaps:
    """The maps of a segmentation, to decode them again with other thresholds.

    Parameters
    ----------
    plan : Plan
        What was done, with the settings of the first decoding.
    maps : mapping of tuple of int to ndarray of shape (M, Y', X'), float32
        For each plane, at the size that the network works at; or (M, Z', Y', X') for
        each volume.
    provenance : dict
        Of the maps: model, normalisation, device, versions, without the settings.
    notices : tuple of str
        Sentences about image and maps.
    """

    plan: Plan
    maps: Mapping[tuple[int, ...], NDArray[np.float32]]
    provenance: Mapping[str, Any]
    notices: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all the maps."""
        return sum(maps.nbytes for maps in self.maps.values())

    @property
    def axes(self) -> str:
        """Axes of `full`."""
        image = self.plan.image
        return canonical(image.plane_axes + image.space_axes + "C")

    def has(self, plane: tuple[int, ...]) -> bool:
        """Whether there are maps of a plane: an index along T and Z, as there are."""
        return self.split(plane)[0] in self.maps

    def split(self, plane: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return which of `maps` a plane along T and Z is in, and where in there."""
        n = len(self.plan.image.plane_axes)
        return plane[:n], plane[n:]

    def full(self) -> NDArray[np.float32]:
        """Return the maps at the image's size, 0 where none were made.

        Returns
        -------
        ndarray of `axes`, float32
            Between 0 and 1: foreground, contact and depth, or probabilities of
            classes.
        """
        plan = self.plan
        space = plan.image.space
        n_maps = plan.description.network.out_channels
        result = np.zeros((*plan.image.plane_shape, n_maps, *space), np.float32)
        for plane, maps in self.maps.items():
            part = resample(maps, plan.grid, space, plan.box, origin_of(plan.map_box))
            result[plane][(slice(None), *plan.box)] = part
        return np.moveaxis(result, len(plan.image.plane_axes), -3)


def origin_of(box: tuple[slice, ...]) -> tuple[int, ...]:
    """Return where a box begins."""
    return tuple(part.start for part in box)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Labels with all that led to them.

    Parameters
    ----------
    labels : ndarray of plane axes and (Y, X), uint16 or uint32
        0 is background. They cover `extent`. Objects of different planes have
        different numbers, unless planes were linked; those of a model for volumes go
        through the planes of one. With `classes`, numbers of these.
    axes : str
        Axes of the labels.
    extent : tuple of slice
        For each axis of the labels, the part of the image that they cover: one plane
        where one was asked for, a region with a margin where one was given.
    full_shape : tuple of int
        Shape of labels of the whole image.
    n_objects : int
        Number of objects, and the highest label; 0 where labels are classes.
    scores : ndarray of shape (n_objects,), float32
        How sure the network is of objects 1, 2, ..., from 0 to 1.
    seconds : float
        From normalising to labels; in a lazy image reading is part of it.
    provenance : dict
        Model and SHA-256 of its weights, settings, device, precision, versions,
        normalisation values, source. JSON can hold it.
    notices : tuple of str
        Sentences the user should read.
    pixel_size : PixelSize
        Of the image.
    maps : KeptMaps, optional
        Where they were to be kept, and did fit.
    classes : tuple of ClassSpec
        Name and colour of labels 0, 1, ..., where these are classes; else empty.
    """

    labels: NDArray[Any]
    axes: str
    extent: tuple[slice, ...]
    full_shape: tuple[int, ...]
    n_objects: int
    scores: NDArray[np.float32]
    seconds: float
    provenance: dict[str, Any]
    notices: tuple[str, ...] = ()
    pixel_size: PixelSize = field(default_factory=PixelSize)
    maps: KeptMaps | None = None
    classes: tuple[ClassSpec, ...] = ()

    def class_shares(self) -> dict[str, float]:
        """Return the share of the labelled pixels of each class, by name."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        return {
            one.name: float(n) / max(1, self.labels.size)
            for one, n in zip(self.classes, counts, strict=True)
        }

    def full(self) -> NDArray[Any]:
        """Return labels of the whole image, 0 outside of `extent`.

        Returns
        -------
        ndarray of shape `full_shape`, in the dtype of `labels`
            The very labels where they cover the whole image.
        """
        if self.labels.shape == self.full_shape:
            return self.labels
        result = np.zeros(self.full_shape, self.labels.dtype)
        result[self.extent] = self.labels
        return result
