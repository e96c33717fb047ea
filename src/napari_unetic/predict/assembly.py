"""What was decoded of planes → one label image.

Objects get numbers that are used once; classes keep theirs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.writing import label_dtype
from napari_unetic.instances.link import link
from napari_unetic.predict.bands import BandDecoder, PlaneDecoder
from napari_unetic.predict.result import Segmentation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unetic.maps.plan import Plan
    from napari_unetic.predict.planes import Objects
    from napari_unetic.predict.result import KeptMaps
    from napari_unetic.settings import SegmentSettings


class Assembly(ABC):
    """The labels of a plan, filled plane by plane.

    Parameters
    ----------
    plan : Plan
        Where the planes lie.
    settings : SegmentSettings
        How to decode and whether to link.
    """

    def __init__(self, plan: Plan, settings: SegmentSettings):
        self._plan = plan
        self._settings = settings
        along = zip(*plan.planes, strict=True)
        parts = [slice(min(index), max(index) + 1) for index in along]
        self.extent = (*parts, *plan.box)
        shape = tuple(part.stop - part.start for part in self.extent)
        self.labels: NDArray[Any] = np.zeros(shape, np.uint16)

    @abstractmethod
    def decoder(self, plane: tuple[int, ...]) -> BandDecoder:
        """Return what takes the maps of a plane and puts its labels in their place."""

    @abstractmethod
    def result(
        self,
        seconds: float,
        provenance: Mapping[str, Any],
        notices: tuple[str, ...],
        maps: KeptMaps | None,
    ) -> Segmentation:
        """Return the labels with what made them.

        Parameters
        ----------
        seconds : float
            That it took.
        provenance : mapping
            Of the maps; the settings are added.
        notices : tuple of str
            Sentences the user should read.
        maps : KeptMaps, optional
            To go with the labels.
        """

    def _place(self, plane: tuple[int, ...]) -> tuple[int, ...]:
        """Return where a plane is in the labels."""
        starts = (part.start for part in self.extent)
        return tuple(i - start for i, start in zip(plane, starts, strict=False))

    def _recorded_settings(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults, and the thresholds."""
        plan = self._plan
        kind = plan.description.kind
        decoding = kind.moved(self._settings, plan.zoom, plan.zoom_z)
        return {**self._settings.changed(), "decoding": decoding.model_dump()}


class ObjectAssembly(Assembly):
    """The objects of a plan; the parameters are those of `Assembly`."""

    def __init__(self, plan: Plan, settings: SegmentSettings):
        super().__init__(plan, settings)
        self._scores: list[NDArray[np.float32]] = []
        self._n_objects = 0

    def decoder(self, plane: tuple[int, ...]) -> PlaneDecoder:
        """Return what takes the maps of a plane and puts its objects in their place."""

        def put(rows: slice, objects: Objects) -> None:
            self._add(plane, rows, objects)

        return PlaneDecoder(self._plan, self._settings, put)

    def _add(self, plane: tuple[int, ...], rows: slice, objects: Objects) -> None:
        """Put objects of rows of the box where no others are yet."""
        at = self._place(plane)
        is_free = None
        if rows.start > 0:
            is_free = (objects.labels > 0) & (self.labels[at][rows] == 0)
            objects = objects.only(_met(objects, is_free))
        before = self._n_objects
        self._n_objects += objects.scores.size
        self._scores.append(objects.scores)
        dtype = label_dtype(self._n_objects)
        if dtype.itemsize > self.labels.itemsize:
            self.labels = self.labels.astype(dtype)
        found, place = objects.labels, self.labels[at][rows]
        if before:
            found = np.where(found > 0, found + np.int32(before), 0)
        if is_free is None:
            place[...] = found
        else:
            np.copyto(place, found, where=is_free, casting="unsafe")

    def result(
        self,
        seconds: float,
        provenance: Mapping[str, Any],
        notices: tuple[str, ...],
        maps: KeptMaps | None,
    ) -> Segmentation:
        """Link the planes where asked for, and return the labels with what made them.

        Parameters
        ----------
        seconds : float
            That it took.
        provenance : mapping
            Of the maps; the settings are added.
        notices : tuple of str
            Sentences the user should read.
        maps : KeptMaps, optional
            To go with the labels.
        """
        image = self._plan.image
        axes, scores = image.plane_axes + image.space_axes, np.concatenate(self._scores)
        labels = self.labels
        if self._settings.link and len(self._plan.planes) > 1:
            linked = link(labels, axes, is_planar=image.dimensions == 2)
            scores = _joined(labels, linked, scores)
            labels = linked.astype(label_dtype(scores.size))
        return Segmentation(
            labels=labels,
            axes=axes,
            extent=self.extent,
            full_shape=(*image.plane_shape, *image.space),
            n_objects=scores.size,
            scores=scores,
            seconds=seconds,
            provenance={**provenance, "settings": self._recorded_settings()},
            notices=notices,
            pixel_size=image.pixel_size,
            maps=maps,
        )


def _met(objects: Objects, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which objects have a pixel somewhere."""
    is_met = np.zeros(objects.scores.size + 1, np.bool_)
    is_met[objects.labels[where]] = True
    return is_met


def _joined(
    labels: NDArray[Any], linked: NDArray[np.int32], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the mean score of the parts of each linked object, by their area."""
    number = np.zeros(scores.size + 1, np.intp)
    number[labels.ravel()] = linked.ravel()
    area = np.bincount(labels.ravel(), minlength=number.size)[1:]
    n = int(number.max(initial=0)) + 1
    total = np.bincount(number[1:], area * scores, minlength=n)
    whole = np.bincount(number[1:], area, minlength=n)
    mean: NDArray[np.float32] = (total[1:] / whole[1:]).astype(np.float32)
    return mean
