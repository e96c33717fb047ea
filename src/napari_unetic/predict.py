"""Segment: image × model → labels.

The river runs one way: normalise, tiles, network, maps, decode, labels. Everything a
result depends on is in the model's description, the arguments and the image.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize
from napari_unetic.instances.decode import DecodeSpec, decode, renumber
from napari_unetic.maps import prepare
from napari_unetic.model.registry import DEFAULT_MODEL
from napari_unetic.networks.resize import resize, resize_labels
from napari_unetic.steps import Steps, drain

if TYPE_CHECKING:
    from napari_unetic.image.source import ArrayLike, Image
    from napari_unetic.model.folder import Model


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Labels with all that led to them.

    Parameters
    ----------
    labels : ndarray of plane axes and (Y, X), uint16 or uint32
        0 is background. Objects of different planes have different numbers.
    axes : str
        Axes of the labels.
    n_objects : int
        Number of objects, and the highest label.
    seconds : float
        From normalising to labels; in a lazy image reading is part of it.
    provenance : dict
        Model and SHA-256 of its weights, settings, device, precision, versions,
        normalisation values, source. JSON can hold it.
    notices : tuple of str
        Sentences the user should read.
    pixel_size : PixelSize
        Of the image.
    """

    labels: NDArray[Any]
    axes: str
    n_objects: int
    seconds: float
    provenance: dict[str, Any]
    notices: tuple[str, ...] = ()
    pixel_size: PixelSize = field(default_factory=PixelSize)


def segment(
    image: Image | ArrayLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    axes: str | None = None,
    channel: int | None = None,
    diameter: float | None = None,
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
) -> NDArray[Any]:
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
    diameter : float, optional
        Median diameter of the objects in pixels; the image is resampled so that the
        network sees objects of its working diameter.
    pixel_size : float, optional
        Micrometres a pixel, for models that know theirs; instead of `diameter`.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    tile : int, optional
        Pixels a side that the network computes at a time; 1024 if None. It changes
        memory and time, not the result.

    Returns
    -------
    ndarray of plane axes and (Y, X), uint16 (uint32 beyond 65,535 objects)
        0 is background.

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
    return drain(
        segment_steps(
            image,
            model,
            axes=axes,
            channel=channel,
            diameter=diameter,
            pixel_size=pixel_size,
            device=device,
            tile=tile,
        )
    ).labels


def segment_steps(
    image: Image | ArrayLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    axes: str | None = None,
    channel: int | None = None,
    diameter: float | None = None,
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
) -> Steps[Segmentation]:
    """Segment an image, yielding a step a tile; the parameters are those of `segment`.

    Yields
    ------
    Step
        ``done`` of ``total`` tiles.

    Returns
    -------
    Segmentation
        The labels with provenance and notices.
    """
    work = prepare(
        image,
        model,
        axes=axes,
        channel=channel,
        diameter=diameter,
        pixel_size=pixel_size,
        device=device,
        tile=tile,
    )
    source, decoding = work.image, work.model.description.decoding
    started = time.perf_counter()
    labels = np.zeros((*source.plane_shape, *source.shape_yx), np.uint32)
    n_objects = 0
    for plane in source.planes():
        maps = yield from work.maps_steps(plane)
        found = _decode_at(maps, source.shape_yx, work.zoom, decoding)
        labels[plane] = np.where(found > 0, found + np.int32(n_objects), 0)
        n_objects += int(found.max(initial=0))
    return Segmentation(
        labels=labels if n_objects > 65_535 else labels.astype(np.uint16),
        axes=source.plane_axes + "YX",
        n_objects=n_objects,
        seconds=time.perf_counter() - started + work.seconds,
        provenance=work.provenance(),
        notices=(*source.notices, *work.notices),
        pixel_size=source.pixel_size,
    )


def _decode_at(
    maps: NDArray[np.float32], shape: tuple[int, int], zoom: float, spec: DecodeSpec
) -> NDArray[np.int32]:
    """Decode on the finer of the two grids and return labels of the image's size.

    Maps are smooth and can be magnified; labels magnified would be blocks, and the
    narrow contacts between objects would not survive maps made smaller.
    """
    if maps.shape[1:] == shape:
        return decode(maps, spec)
    if zoom >= 1:
        return renumber(resize_labels(decode(maps, spec), shape))
    per_area = 1.0 / zoom**2
    larger = spec.model_copy(
        update={
            "smallest_px": round(spec.smallest_px * per_area),
            "largest_hole_px": round(spec.largest_hole_px * per_area),
        }
    )
    return decode(resize(maps, shape), larger)
