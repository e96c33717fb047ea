"""Kept maps → labels with other thresholds; the network never runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.maps.extent import needed_box, size_of
from napari_unetic.predict.by_kind import assembly_of, decode_part
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.maps.extent import Box
    from napari_unetic.predict.result import KeptMaps, Segmentation
    from napari_unetic.settings import SegmentSettings


def decode_again_steps(
    kept: KeptMaps, settings: SegmentSettings
) -> Steps[Segmentation]:
    """Decode kept maps with other settings.

    Parameters
    ----------
    kept : KeptMaps
        Of an earlier result.
    settings : SegmentSettings
        They differ from those of the maps in how maps are decoded alone: sensitivity,
        splitting, smallest, fill_holes, drop_border, link.

    Yields
    ------
    Step
        Before each plane, with ``what`` "decoding".

    Returns
    -------
    Segmentation
        What `segment_steps` would give with these settings.

    Raises
    ------
    UneticError
        If the maps would differ, too.
    """
    _check(kept, settings)
    started = time.perf_counter()
    assembly, planes = assembly_of(kept.plan, settings), kept.plan.planes
    for n_done, plane in enumerate(planes):
        yield Step(n_done, len(planes), "decoding")
        assembly.decoder(plane).take(kept.maps[plane])
    seconds = time.perf_counter() - started
    return assembly.result(seconds, kept.provenance, kept.notices, kept)


def decode_window(
    kept: KeptMaps,
    settings: SegmentSettings,
    plane: tuple[int, ...],
    rows: slice,
    columns: slice,
) -> NDArray[np.int32]:
    """Decode a window of one plane: what is looked at, before all the rest.

    Parameters
    ----------
    kept : KeptMaps
        Of an earlier result.
    settings : SegmentSettings
        As for `decode_again_steps`; planes are not linked.
    plane : tuple of int
        Index along T and Z, as far as the image has them.
    rows, columns : slice
        The window in pixels of the image, with start and stop.

    Returns
    -------
    ndarray of shape (rows, columns), int32
        Objects as in the whole image, with numbers of their own, or classes. 0 where
        there are no maps.

    Raises
    ------
    UneticError
        If the maps would differ with these settings, or there are none of the plane.

    Notes
    -----
    Decoded with a margin of two working diameters, so that only objects larger than
    that can differ from those of the whole image.
    """
    _check(kept, settings)
    if not kept.has(plane):
        raise UneticError(
            f"Expected a plane of which maps are kept, got {plane}; segment it first."
        )
    plan = kept.plan
    plane, inside = kept.split(plane)
    # Of a volume, the one plane of it that is wanted.
    window = *(slice(at, at + 1) for at in inside), rows, columns
    result = np.zeros(size_of(window), np.int32)
    inner = _common(window, plan.box)
    if inner is not None:
        box = _widened(inner, plan.margin, plan.box)
        map_box = needed_box(plan.grid, plan.image.space, box)
        maps = kept.maps[plane][(slice(None), *_within(map_box, plan.map_box))]
        found = decode_part(maps, plan, settings, box, map_box)
        result[_within(inner, window)] = found[_within(inner, box)]
    return result.reshape(result.shape[-2:])


def _check(kept: KeptMaps, settings: SegmentSettings) -> None:
    """Refuse settings with which the maps would be others."""
    differing = kept.plan.settings.maps_differ(settings)
    if differing:
        raise UneticError(
            f"Expected settings that differ in decoding alone, got another "
            f"{' and '.join(differing)}; segment the image again."
        )


def _common(first: Box, second: Box) -> Box | None:
    """Return what two boxes share, or None."""
    common = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return None if any(part.start >= part.stop for part in common) else common


def _widened(box: Box, margin: tuple[int, ...], limits: Box) -> Box:
    """Return a box with a margin, as far as the limits go."""
    return tuple(
        slice(max(part.start - more, limit.start), min(part.stop + more, limit.stop))
        for part, more, limit in zip(box, margin, limits, strict=True)
    )


def _within(box: Box, outer: Box) -> Box:
    """Return a box in the pixels of one that holds it."""
    return tuple(
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(box, outer, strict=True)
    )
