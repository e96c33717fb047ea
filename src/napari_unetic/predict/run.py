"""From an image and a model to labels, with a step a tile."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from napari_unetic.maps import plan_work, prepare
from napari_unetic.maps.beside import Beside, may_work_beside
from napari_unetic.model.registry import DEFAULT_MODEL, load_model
from napari_unetic.predict.by_kind import assembly_of
from napari_unetic.predict.result import KeptMaps, Segmentation
from napari_unetic.predict.sizing import sized_steps
from napari_unetic.settings import segment_settings
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from napari_unetic.image.region import Region
    from napari_unetic.image.source import ArrayLike, Image
    from napari_unetic.model.folder import Model
    from napari_unetic.predict.bands import BandDecoder


def segment(
    image: Image | ArrayLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    axes: str | None = None,
    channel: int | None = None,
    plane: int | Sequence[int] | None = None,
    region: Region | str | Sequence[Any] | None = None,
    diameter: float | str | None = "auto",
    pixel_size: float | None = None,
    sensitivity: float = 0.5,
    splitting: float = 0.5,
    smallest: int | None = None,
    fill_holes: bool = True,
    drop_border: bool = False,
    link: bool = False,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    keep_maps: bool = False,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.float32]]:
    """Segment an image and return the labels.

    Parameters
    ----------
    image : Image or array-like
        2-D, or a stack or time series of planes, each segmented by itself; grey, colour
        or several channels.
    model : str, Path or Model
        Name of a bundled or user model, or its folder.
    axes : str, optional
        One letter out of ``TZCYX`` a dimension; guessed from the shape if None.
    channel : int, optional
        The channel to segment, from 0, where there are several.
    plane : int or sequence of int, optional
        The one plane to segment, from 0: an index along T, along Z, or along both; with
        a model for volumes along T alone. All planes if None; labels of others are 0.
    region : Region, str or sequence, optional
        The part of the image to segment, in pixels: a box ``y0, x0, y1, x1``, polygons
        as ``[[[y, x], ...], ...]``, or either as a text. Objects with at least half
        their area in it are kept, whole.
    diameter : float, {"auto", "usual"} or None
        Median diameter of the objects in pixels; the image is resampled so that the
        network sees objects of its working diameter. ``auto`` finds it out from a part
        of the image, and leaves the image as it is unless its objects are less than
        half as large, or more than 2.75 times as large, as the model's usual ones.
        ``usual`` or None takes these as given.
    pixel_size : float, optional
        Micrometres a pixel, for models that know theirs; instead of `diameter`, which
        is then not looked for.
    sensitivity : float
        From 0 to 1: more finds more and larger objects, or more pixels of classes. 0.5
        takes the thresholds of the model as they were tuned.
    splitting : float
        From 0 to 1: more cuts touching objects apart. 0.5 as above. This and the next
        four are for models of objects alone.
    smallest : int, optional
        Objects of fewer pixels of the image are dropped; the model's own limit if None.
    fill_holes : bool
        Fill small holes in objects.
    drop_border : bool
        Drop objects that touch the edge of the image.
    link : bool
        Give objects of neighbouring planes that overlap one number; those of models for
        volumes go through the planes anyway, and frames are linked.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    precision : {"auto", "float32", "bfloat16"}
        Of the network's numbers. ``auto`` takes bfloat16 where processor or GPU have it
        in hardware and it was found to give the same objects as float32.
    tile : int, optional
        Pixels a side that the network computes at a time; by free memory if None. It
        changes memory and time, not the result.
    keep_maps : bool
        Return the maps that the labels were decoded from, too.

    Returns
    -------
    labels : ndarray of plane axes and (Y, X), uint16 (uint32 beyond 65,535 objects)
        0 is background. Numbers of objects, or with a model of classes their numbers.
    maps : ndarray of plane axes and (M, Y, X), float32
        With `keep_maps` only, each from 0 to 1: foreground, contact and depth, or the
        probabilities of classes.

    Raises
    ------
    UneticError
        If the image, the model or a setting does not fit; the message says how.

    Examples
    --------
    >>> from napari_unetic import nuclei_sample, segment
    >>> image, truth = nuclei_sample((64, 64))
    >>> segment(image).shape
    (64, 64)
    """
    found = drain(
        segment_steps(
            image,
            model,
            keep_maps_bytes=sys.maxsize if keep_maps else 0,
            axes=axes,
            channel=channel,
            plane=plane,
            region=region,
            diameter=diameter,
            pixel_size=pixel_size,
            sensitivity=sensitivity,
            splitting=splitting,
            smallest=smallest,
            fill_holes=fill_holes,
            drop_border=drop_border,
            link=link,
            device=device,
            precision=precision,
            tile=tile,
        )
    )
    if found.maps is not None:
        return found.full(), found.maps.full()
    return found.full()


def segment_steps(
    image: Image | ArrayLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    keep_maps_bytes: int = 0,
    **settings: Any,
) -> Steps[Segmentation]:
    """Segment an image, yielding a step a tile.

    Parameters
    ----------
    image : Image or array-like
        As for `segment`.
    model : str, Path or Model
        As for `segment`.
    keep_maps_bytes : int
        Keep the maps with the result if they take no more bytes than this.
    **settings
        Keywords of `segment`; of a `SegmentSettings` they are ``**dict(settings)``.

    Yields
    ------
    Step
        ``done`` of ``total`` tiles; ``what`` is "decoding" before a plane is decoded,
        and "looking for the diameter", without figures, before such a look.

    Returns
    -------
    Segmentation
        The labels with scores, provenance and notices.
    """
    chosen = segment_settings(**settings)
    loaded = load_model(model)
    plan = plan_work(image, loaded.description, chosen, keep_maps_bytes=keep_maps_bytes)
    started = time.perf_counter()
    sized = yield from sized_steps(prepare(plan, loaded), keep_maps_bytes)
    work, plan, ready = sized.work, sized.work.plan, sized.ready
    assembly = assembly_of(plan, chosen)
    kept: dict[tuple[int, ...], NDArray[np.float32]] = {}
    with Beside(is_threaded=may_work_beside(plan.device)) as beside:
        for n_done, plane in enumerate(plan.planes, start=1):
            decoder = assembly.decoder(plane)
            deliver = partial(_decode_beside, beside, decoder)
            if ready is not None and ready.plane == plane:
                beside.follow(partial(ready.give_to, decoder))
                if plan.keeps_maps:
                    kept[plane] = ready.maps
            elif plan.is_decoded_whole:
                # In one array from the start, which no strips need be copied into.
                maps = yield from work.maps_steps(plane)
                if plan.keeps_maps:
                    kept[plane] = maps
                deliver(maps)
            else:
                if plan.keeps_maps:
                    kept[plane] = work.empty_maps()
                yield from work.strips_steps(plane, deliver, kept.get(plane))
            done = plan.n_tiles * n_done / len(plan.planes)
            yield Step(done, plan.n_tiles, "decoding")
        beside.wait()
    provenance = {**work.provenance(), "diameter": sized.record}
    notices = (*plan.image.notices, *work.notices)
    return assembly.result(
        time.perf_counter() - started,
        provenance,
        notices,
        KeptMaps(plan, kept, provenance, notices) if plan.keeps_maps else None,
    )


def _decode_beside(
    beside: Beside, decoder: BandDecoder, maps: NDArray[np.float32]
) -> None:
    """Have maps decoded while the network goes on."""
    beside.follow(partial(decoder.take, maps))
