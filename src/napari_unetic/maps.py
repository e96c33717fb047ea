"""Image × model → maps: channels, normalisation, tiles, network.

The network sees one tile at a time, whatever the size of the image; what is decoded
from the maps is the business of `napari_unetic.predict`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import check_channels, to_channels
from napari_unetic.image.normalise import (
    Normalisation,
    fit_normalisation,
    is_number,
)
from napari_unetic.image.source import ArrayLike, Image, as_image
from napari_unetic.image.tiles import Tile, reflected, tiles
from napari_unetic.model.folder import Model, folded
from napari_unetic.model.registry import DEFAULT_MODEL, load_model
from napari_unetic.networks.device import Device, choose_device
from napari_unetic.networks.resize import resize, scaled_shape
from napari_unetic.provenance import software_versions
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.networks.unet import UNet

DEFAULT_TILE_PX = 1024

MAX_ZOOM = 50
"""Resampling by more is a slip of the hand, and would fill the memory."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """An image and a model that fit each other, ready for the network.

    Parameters
    ----------
    image : Image
        What is segmented.
    model : Model
        What segments.
    channel : int, optional
        The one channel to take.
    zoom : float
        Factor from the image's size to that which the network works at.
    tile : int
        Pixels a side that the network computes at a time.
    device : Device
        Where it runs.
    normalisation : Normalisation
        Fitted to the image.
    seconds : float
        That fitting took.
    notices : list of str
        What was met in the pixels that the network has seen so far.
    """

    image: Image
    model: Model
    channel: int | None
    zoom: float
    tile: int
    device: Device
    normalisation: Normalisation
    seconds: float
    notices: list[str] = field(default_factory=list)

    def maps_steps(self, plane: tuple[int, ...]) -> Steps[NDArray[np.float32]]:
        """Run the network over one plane.

        Parameters
        ----------
        plane : tuple of int
            Index along the image's plane axes.

        Yields
        ------
        Step
            ``done`` of ``total`` tiles of all planes.

        Returns
        -------
        ndarray of shape (M, Y', X'), float32
            The maps, between 0 and 1, at the size that the network works at.
        """
        spec = self.model.description.network
        view = _View(self, plane)
        network = _network_on(self.model, self.device)
        cuts = list(tiles(view.shape, self.tile, spec.tile_rule))
        n_planes = math.prod(self.image.plane_shape)
        before = len(cuts) * _flat_index(plane, self.image.plane_shape)
        maps = np.empty((spec.out_channels, *view.shape), np.float32)
        for k, cut in enumerate(cuts, start=1):
            _run_tile(network, view, cut, maps, self.device)
            yield Step(before + k, len(cuts) * n_planes, "tile")
        return maps

    def provenance(self) -> dict[str, Any]:
        """Return all that the labels depend on, as JSON can hold it."""
        description, fitted = self.model.description, self.normalisation
        return {
            "model": description.name,
            "weights_sha256": description.weights_sha256,
            "source": self.image.name,
            "axes": self.image.axes,
            "shape": list(self.image.data.shape),
            "settings": {
                "channel": self.channel,
                "tile": self.tile,
                "decoding": description.decoding.model_dump(),
            },
            "zoom": self.zoom,
            "normalisation": {
                "kind": fitted.spec.kind,
                "percentiles": [fitted.spec.low, fitted.spec.high],
                "offset": list(fitted.offset),
                "scale": list(fitted.scale),
            },
            "device": self.device.name,
            "device_reason": self.device.reason,
            "precision": "float32",
            "software": software_versions(),
        }


def _flat_index(plane: tuple[int, ...], shape: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(plane, shape)) if plane else 0


def prepare(
    image: Image | ArrayLike,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    axes: str | None = None,
    channel: int | None = None,
    diameter: float | None = None,
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
) -> Preparation:
    """Check that image, model and settings fit, and fit the normalisation.

    The parameters and errors are those of `segment`.

    Returns
    -------
    Preparation
        Whose `maps_steps` runs the network.
    """
    loaded = load_model(model)
    source = as_image(image, axes)
    description = loaded.description
    n_channels = description.network.in_channels
    check_channels(
        source.n_channels, n_channels, rgb=source.rgb, channel=channel, name=source.name
    )
    zoom = _zoom(loaded, diameter, pixel_size)
    tile_px = _check_tile(tile)
    where = choose_device(device)
    started = time.perf_counter()
    normalisation = fit_normalisation(
        source, n_channels, channel=channel, spec=description.normalisation
    )
    return Preparation(
        image=source,
        model=loaded,
        channel=channel,
        zoom=zoom,
        tile=tile_px,
        device=where,
        normalisation=normalisation,
        seconds=time.perf_counter() - started,
    )


def _zoom(model: Model, diameter: float | None, pixel_size: float | None) -> float:
    """Factor that brings the image to the size that the network works at."""
    description = model.description
    if diameter is not None and pixel_size is not None:
        raise UneticError(
            "Expected a diameter or a pixel size, got both; give one of them."
        )
    for what, value in (("diameter", diameter), ("pixel size", pixel_size)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UneticError(
                f"Expected a {what} above 0, got {value}; give it in "
                f"{'pixels' if what == 'diameter' else 'micrometres a pixel'}."
            )
    if pixel_size is not None:
        if description.pixel_size_um is None:
            raise UneticError(
                f"Expected a model with a known pixel size, got {model.name!r}, which "
                "has none; give the diameter of the objects in pixels."
            )
        zoom = pixel_size / description.pixel_size_um
    else:
        usual = description.input_diameter_px or description.working_diameter_px
        zoom = description.working_diameter_px / (diameter or usual)
    if not 1 / MAX_ZOOM <= zoom <= MAX_ZOOM:
        raise UneticError(
            f"Expected objects within a factor of {MAX_ZOOM} of the model's diameter "
            f"of {description.working_diameter_px:g} pixels, got a factor of "
            f"{1 / zoom:.3g}; correct the diameter or the pixel size."
        )
    return zoom


def _check_tile(tile: int | None) -> int:
    if tile is None:
        return DEFAULT_TILE_PX
    if tile < 64:
        raise UneticError(
            f"Expected a tile of at least 64 pixels, got {tile}; larger is faster."
        )
    return tile


@lru_cache(maxsize=2)
def _folded_on(weights_sha256: str, device: str, network: UNet) -> UNet:
    copy = folded(network).to(torch.device(device))
    # Convolutions of this size run faster with channels last on CPU and tensor cores.
    moved: UNet = copy.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def _network_on(model: Model, device: Device) -> UNet:
    """Return the folded network on a device, kept for the next image."""
    return _folded_on(
        model.description.weights_sha256, str(device.torch), model.network
    )


class _View:
    """One plane as the network sees it: chosen channels, normalised, resampled."""

    def __init__(self, work: Preparation, plane: tuple[int, ...]):
        self._work = work
        self._plane = plane
        self.shape = work.image.shape_yx
        self._resampled: NDArray[np.float32] | None = None
        if work.zoom != 1:
            self.shape = scaled_shape(work.image.shape_yx, work.zoom)
            self._resampled = resize(self._read(slice(None), slice(None)), self.shape)

    def _read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        work = self._work
        window = to_channels(
            work.image.read(self._plane, rows=rows, columns=columns),
            work.model.description.network.in_channels,
            rgb=work.image.rgb,
            channel=work.channel,
        )
        is_real = window.dtype.kind == "f"
        if is_real and not work.notices and not is_number(window).all():
            work.notices.append(
                f"{work.image.name}: not-a-number and infinite values are read as "
                "background."
            )
        return work.normalisation.apply(window)

    def window(self, cut: Tile) -> NDArray[np.float32]:
        """Read what the network gets for a tile, reflected beyond the image."""
        rows, columns = (
            reflected(span.read_start, span.read_stop, size)
            for span, size in zip((cut.rows, cut.columns), self.shape, strict=True)
        )
        top, left = int(rows.min()), int(columns.min())
        box = slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1)
        if self._resampled is None:
            pixels = self._read(*box)
        else:
            pixels = self._resampled[:, box[0], box[1]]
        if pixels.shape[1:] == (rows.size, columns.size):
            return pixels
        return pixels[:, (rows - top)[:, None], columns - left]


def _run_tile(
    network: UNet,
    view: _View,
    cut: Tile,
    maps: NDArray[np.float32],
    device: Device,
) -> None:
    """Run the network on one tile and write its part of the maps."""
    with torch.inference_mode():
        x = torch.from_numpy(np.ascontiguousarray(view.window(cut)))[None]
        x = x.to(device.torch, memory_format=torch.channels_last)
        y = torch.sigmoid(network(x).float())[0]
        part = y[(slice(None), *cut.crop)]
        maps[(slice(None), *cut.write)] = part.cpu().numpy()
