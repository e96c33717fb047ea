"""Maps of a plane or volume → its objects, at the image's size and with scores."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.resample import resample, resample_labels
from napari_unetic.instances.decode import DecodeSpec, decode, renumber
from napari_unetic.instances.objects import score_objects
from napari_unetic.maps.pace import PACES, decode_work
from napari_unetic.model.description import object_kind
from napari_unetic.predict.result import origin_of

if TYPE_CHECKING:
    from napari_unetic.image.region import Region
    from napari_unetic.maps.extent import Box
    from napari_unetic.maps.plan import Plan
    from napari_unetic.settings import SegmentSettings

_TELLING_MEGAPIXELS = 0.1
"""Of smaller planes the time is that of the calls, and says nothing of larger ones."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of one plane or volume, or of a window of it.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X), int32
        Numbered from 1 by first pixel; 0 is background.
    scores : ndarray of shape (n,), float32
        Of objects 1 to n.
    """

    labels: NDArray[np.int32]
    scores: NDArray[np.float32]

    def only(self, kept: NDArray[np.bool_]) -> Objects:
        """Return some of the objects, numbered anew in the same order.

        Parameters
        ----------
        kept : ndarray of shape (n + 1,), bool
            Of label 0, which counts for nothing, and of objects 1 to n.
        """
        if kept[1:].all():
            return self
        kept = kept.copy()
        kept[0] = False
        number = (np.cumsum(kept) * kept).astype(np.int32)
        return Objects(number[self.labels], self.scores[kept[1:]])


def decode_plane(
    maps: NDArray[np.float32], plan: Plan, settings: SegmentSettings
) -> Objects:
    """Return the objects of a plane in one piece, and take in how long that took.

    Parameters
    ----------
    maps : ndarray of shape (M, Y', X'), float32
        Of ``plan.map_box``.
    plan : Plan
        Where the maps lie in the image.
    settings : SegmentSettings
        How to decode; those of the plan are not looked at.

    Returns
    -------
    Objects
        Of ``plan.box``.
    """
    started = time.perf_counter()
    objects = decode_box(maps, plan, settings, plan.box, plan.map_box)
    learn_pace(plan, time.perf_counter() - started)
    return objects


def learn_pace(plan: Plan, seconds: float) -> None:
    """Take in how long decoding a plane of a plan took."""
    if plan.decode_megapixels >= _TELLING_MEGAPIXELS:
        work = decode_work(plan.description)
        PACES.learn(work, plan.decode_megapixels, seconds)


def decode_box(
    maps: NDArray[np.float32],
    plan: Plan,
    settings: SegmentSettings,
    box: Box,
    map_box: Box,
) -> Objects:
    """Return the objects of a part of a plane or a volume.

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
    Objects
        At the size of the image. Objects that touch its edge are left out, where the
        settings say so, and objects with less than half their area in the region.
    """
    objects = decode_all(maps, plan, settings, box, map_box)
    return wanted(objects, plan, settings, box)


def wanted(
    objects: Objects, plan: Plan, settings: SegmentSettings, box: Box
) -> Objects:
    """Return the objects less those that the settings leave out.

    Parameters
    ----------
    objects : Objects
        Of `box`.
    plan, settings, box
        As for `decode_box`.
    """
    kept = np.ones(objects.scores.size + 1, np.bool_)
    if settings.drop_border:
        kept[_at_edge(objects.labels, box, plan.image.space)] = False
    if settings.region is not None:
        kept &= _in_region(objects.labels, settings.region, box, kept.size)
    return objects.only(kept)


def decode_all(
    maps: NDArray[np.float32],
    plan: Plan,
    settings: SegmentSettings,
    box: Box,
    map_box: Box,
) -> Objects:
    """Return all objects of a part of a plane, at its edges also parts of objects.

    Decoded on the finer of the two grids. Maps are smooth and can be magnified; labels
    magnified would be blocks, and the narrow contacts between objects would not survive
    maps made smaller. The parameters are those of `decode_box`.
    """
    grid, shape, origin = plan.grid, plan.image.space, origin_of(map_box)
    spec = object_kind(plan.description).moved(settings, plan.zoom, plan.zoom_z)
    magnified = plan.zoom**2 * plan.zoom_z
    if grid != shape and magnified >= 1:
        if settings.smallest is not None:
            spec = spec.model_copy(update={"smallest_px": 0})
        fine = decode(maps, spec)
        coarse = resample_labels(fine, grid, shape, box, origin)
        # Small objects may have vanished, and first pixels changed their order.
        found = renumber(coarse, smallest_px=settings.smallest or 0)
        before = np.zeros(int(found.max(initial=0)) + 1, np.intp)
        before[found.ravel()] = coarse.ravel()
        return Objects(found, score_objects(fine, maps)[before[1:] - 1])
    if grid != shape:
        maps = resample(maps, grid, shape, box, origin)
        spec = _scaled(spec, 1 / magnified)
    if settings.smallest is not None:
        spec = spec.model_copy(update={"smallest_px": settings.smallest})
    found = decode(maps, spec)
    return Objects(found, score_objects(found, maps))


def _scaled(spec: DecodeSpec, factor: float) -> DecodeSpec:
    """Return thresholds with so many times the pixels."""
    sizes = {
        "smallest_px": round(spec.smallest_px * factor),
        "largest_hole_px": round(spec.largest_hole_px * factor),
    }
    return spec.model_copy(update=sizes)


def _at_edge(
    labels: NDArray[np.int32], box: Box, shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Return the numbers along those edges of a box that are edges of the image."""
    edges = [np.zeros(0, np.int32)]
    for axis, (part, size) in enumerate(zip(box, shape, strict=True)):
        if part.start == 0:
            edges.append(labels.take(0, axis).ravel())
        if part.stop == size:
            edges.append(labels.take(-1, axis).ravel())
    return np.unique(np.concatenate(edges))


def _in_region(
    labels: NDArray[np.int32], region: Region, box: Box, n: int
) -> NDArray[np.bool_]:
    """Return which of `n` numbers have at least half their area in a region."""
    inside = np.bincount(labels[..., region.mask(*box[-2:])].ravel(), minlength=n)
    area = np.bincount(labels.ravel(), minlength=n)
    return 2 * inside >= area
