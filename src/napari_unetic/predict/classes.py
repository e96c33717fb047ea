"""Maps of planes → classes: pixel by pixel, at the image's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.resample import resample
from napari_unetic.kinds import ClassKind
from napari_unetic.predict.assembly import Assembly
from napari_unetic.predict.bands import BandDecoder
from napari_unetic.predict.result import Segmentation, origin_of
from napari_unetic.semantic.decode import decode_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_unetic.maps.extent import Box
    from napari_unetic.maps.plan import Plan
    from napari_unetic.predict.result import KeptMaps
    from napari_unetic.settings import SegmentSettings


def class_kind(plan: Plan) -> ClassKind:
    """Return the kind of a plan's model, which tells classes."""
    kind = plan.description.kind
    assert isinstance(kind, ClassKind)
    return kind


def decode_class_box(
    maps: NDArray[np.float32],
    plan: Plan,
    settings: SegmentSettings,
    box: Box,
    map_box: Box,
) -> NDArray[np.int32]:
    """Return the classes of a part of a plane or volume; 0 outside of a region.

    Parameters
    ----------
    maps : ndarray of shape (M, ...), float32
        Of `map_box`.
    plan : Plan
        Size of the image and of the maps of all of it.
    settings : SegmentSettings
        How to decode.
    box : tuple of slice
        The part, in pixels of the image.
    map_box : tuple of slice
        In pixels of the maps of the whole image: all that `box` is made of.

    Returns
    -------
    ndarray of the shape of the box, int32
        At the size of the image, to which maps are brought first.
    """
    shape = plan.image.space
    if plan.grid != shape:
        maps = resample(maps, plan.grid, shape, box, origin_of(map_box))
    spec = class_kind(plan).moved(settings, plan.zoom, plan.zoom_z)
    classes = decode_classes(maps, spec)
    if settings.region is not None:
        classes[..., ~settings.region.mask(*box[-2:])] = 0
    return classes


class ClassDecoder(BandDecoder):
    """The decoding of a plane into classes.

    Parameters
    ----------
    plan, settings
        As for `BandDecoder`.
    into : ndarray of the shape of ``plan.box``, integers
        Classes of it, to be filled.

    Notes
    -----
    Each pixel is decoded by itself, so bands need no margin and give what the whole
    gives.
    """

    def __init__(self, plan: Plan, settings: SegmentSettings, into: NDArray[Any]):
        super().__init__(plan, settings, 0)
        self._into = into

    def _decode(self, band: slice) -> bool:
        """Decode a band; False where maps are still missing for it."""
        plan, on_maps = self._plan, self._on_maps(band)
        if on_maps.stop > self._rows.stop:
            return False
        top = plan.box[0].start
        self._into[band.start - top : band.stop - top] = decode_class_box(
            self._rows.part(on_maps),
            plan,
            self._settings,
            (band, *plan.box[1:]),
            (on_maps, *plan.map_box[1:]),
        )
        return True


class ClassAssembly(Assembly):
    """The classes of a plan; the parameters are those of `Assembly`."""

    def decoder(self, plane: tuple[int, ...]) -> ClassDecoder:
        """Return what takes the maps of a plane and puts its classes in their place."""
        return ClassDecoder(self._plan, self._settings, self.labels[self._place(plane)])

    def result(
        self,
        seconds: float,
        provenance: Mapping[str, Any],
        notices: tuple[str, ...],
        maps: KeptMaps | None,
    ) -> Segmentation:
        """Return the classes with what made them, the legend among it."""
        image = self._plan.image
        classes = class_kind(self._plan).target.classes
        return Segmentation(
            labels=self.labels,
            axes=image.plane_axes + image.space_axes,
            extent=self.extent,
            full_shape=(*image.plane_shape, *image.space),
            n_objects=0,
            scores=np.zeros(0, np.float32),
            seconds=seconds,
            provenance={
                **provenance,
                "settings": self._recorded_settings(),
                "classes": [one.model_dump() for one in classes],
            },
            notices=notices,
            pixel_size=image.pixel_size,
            maps=maps,
            classes=classes,
        )
