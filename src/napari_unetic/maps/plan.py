"""What will happen when an image is segmented, told before a pixel is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import check_channels
from napari_unetic.image.source import ArrayLike, Image, as_image
from napari_unetic.image.tiles import covers
from napari_unetic.maps.beside import may_work_beside
from napari_unetic.maps.extent import Extent, find_extent, size_of
from napari_unetic.maps.memory import (
    FIXED_BYTES,
    decode_bytes,
    fitting_tile,
    free_on_host,
    is_decoded_whole,
    largest_read,
    network_bytes,
    window_bytes,
)
from napari_unetic.maps.network import runs_banded
from napari_unetic.maps.pace import PACES, decode_work, network_work
from napari_unetic.maps.precision import expected_precision
from napari_unetic.model.description import seen_by
from napari_unetic.networks.device import Device, choose_device, free_on

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.settings import SegmentSettings

LARGEST_BATCH = 8

READ_SECONDS = 0.01
RESAMPLE_SECONDS = 0.02
FIT_SECONDS = 0.02
"""Seconds a megapixel of what takes little beside the network: reading and normalising;
resampling, of what comes in and what goes out; fitting the normalisation."""

MEASURE_PER_DECODE = 0.2
"""Time that measuring takes, as a part of that of decoding."""

_USUAL_TILE_PX = 2048
_UNKNOWN_GPU_BYTES = 4_000_000_000
_BYTES_PER_LABEL = _BYTES_PER_VALUE = 4


@dataclass(frozen=True, slots=True)
class Plan(Extent):
    """A segmentation that can be done, and what it will take.

    Parameters
    ----------
    planes, box, zoom, zoom_z, grid, map_box, margin
        As of `Extent`.
    image : Image
        With axes as understood, in planes or volumes as the model sees it.
    description : ModelDescription
        Of the model.
    settings : SegmentSettings
        As asked for.
    device : Device
        Where the network runs, and why there.
    precision : {"float32", "bfloat16"}
        Of the network's numbers, as far as can be told beforehand: bfloat16 that was
        not asked for is checked against float32 when the work is prepared, once.
    tile : int
        Pixels a side that the network computes at a time, on `grid`.
    batch : int
        Tiles that it computes at a time.
    n_tiles : int
        Tiles of all planes.
    keeps_maps : bool
        Whether the maps of all planes are kept with the result.
    bytes : int
        Expected peak of memory above the image, on the host.
    """

    image: Image
    description: ModelDescription
    settings: SegmentSettings
    device: Device
    precision: str
    tile: int
    batch: int
    n_tiles: int
    keeps_maps: bool
    bytes: int

    @property
    def seconds(self) -> float | None:
        """Expected from beginning to end: reading, network, decoding, measuring.

        None while the pace of this machine is unknown
        (`napari_unetic.maps.pace.measure_pace`).
        """
        pace = PACES.of(network_work(self.description, self.device, self.precision))
        decode = PACES.of(decode_work(self.description))
        if pace is None or decode is None:
            return None
        read, n_planes = self._read_megapixels(), len(self.planes)
        a_plane = (
            (pace + READ_SECONDS) * read
            + decode * self.decode_megapixels
            + decode * MEASURE_PER_DECODE * math.prod(size_of(self.box)) / 1e6
        )
        if self.grid != self.image.space:
            a_plane += RESAMPLE_SECONDS * read * (1 + 1 / self.zoom**2)
        fitted = min(2.0, n_planes * math.prod(self.image.space) / 1e6)
        return n_planes * a_plane + fitted * FIT_SECONDS

    @property
    def _colours(self) -> str:
        """What is made of red, green and blue, in words."""
        if self.settings.channel is not None:
            return "one of its colours"
        return "colour as grey" if len(self.description.channels) == 1 else "in colour"

    @property
    def is_decoded_whole(self) -> bool:
        """Whether all maps of a plane are decoded in one piece, or in bands."""
        return is_decoded_whole(self.n_decoded, self.image.dimensions)

    def _read_megapixels(self) -> float:
        """Megapixels of a plane that the network is given, overlap included."""
        rules = self.description.network.tile_rules
        return (
            math.prod(
                sum(span.read_stop - span.read_start for span in spans)
                for spans in covers(self.grid, self.tile, rules, self.map_box)
            )
            / 1e6
        )

    def text(self) -> str:
        """Return one line for people: axes, size, tiles, time, memory, device, why."""
        image, n_planes = self.image, math.prod(self.image.plane_shape)
        sizes = zip(image.axes, image.data.shape, strict=True)
        shown = [(a, n) for a, n in sizes if not (image.rgb and a == "C")]
        parts = ["".join(a for a, _ in shown), " × ".join(f"{n:,}" for _, n in shown)]
        if image.rgb:
            parts.append(self._colours)
        height, width = size_of(self.box)[-2:]
        if (height, width) != image.shape_yx:
            parts.append(f"{height:,} × {width:,} of it")
        what = "planes" if image.dimensions == 2 else "volumes"
        if len(self.planes) != n_planes:
            parts.append(f"{len(self.planes)} of {n_planes} {what}")
        elif image.dimensions == 3:
            parts.append("as one volume" if n_planes == 1 else f"{n_planes} volumes")
        many = "s" if self.n_tiles > 1 else ""
        parts.append(f"{self.n_tiles:,} tile{many} of {self.tile:,}")
        if self.seconds is not None:
            parts.append(f"about {_duration(self.seconds)}")
        parts.append(f"{max(self.bytes / 1e9, 0.1):.1f} GB")
        if self.precision != "float32":
            parts.append(self.precision)
        return ", ".join([*parts, self.device.reason])


class _How(TypedDict):
    """How the network runs, as far as its memory depends on it."""

    is_banded: bool
    precision: str


def plan_work(
    image: Image | ArrayLike,
    description: ModelDescription,
    settings: SegmentSettings,
    *,
    keep_maps_bytes: int = 0,
) -> Plan:
    """Check that image, model and settings fit, and say what will happen.

    Parameters
    ----------
    image : Image or array-like
        No pixel of it is read.
    description : ModelDescription
        Of the model; its weights are not needed.
    settings : SegmentSettings
        All settings.
    keep_maps_bytes : int
        The maps are kept with the result if they take no more bytes than this.

    Returns
    -------
    Plan

    Raises
    ------
    UneticError
        If something does not fit; the message says what to do.
    """
    source = seen_by(description, as_image(image, settings.axes))
    check_channels(
        source.n_channels,
        description.network.in_channels,
        rgb=source.rgb,
        channel=settings.channel,
        name=source.name,
    )
    extent = find_extent(source, description, settings)
    # Refuses settings that the kind of model does not know.
    description.kind.moved(settings, extent.zoom, extent.zoom_z)
    device = choose_device(settings.device)
    spec, grid, part = description.network, extent.grid, extent.map_box
    maps_bytes = spec.out_channels * math.prod(extent.map_shape) * _BYTES_PER_VALUE
    is_kept = len(extent.planes) * maps_bytes <= keep_maps_bytes
    labels = len(extent.planes) * math.prod(size_of(extent.box)) * _BYTES_PER_LABEL
    kept = labels + is_kept * len(extent.planes) * maps_bytes
    is_whole = is_decoded_whole(extent.n_decoded, source.dimensions)
    if not is_kept:
        tile = settings.tile or _USUAL_TILE_PX
        kept += _passing_bytes(extent, maps_bytes, tile, is_whole=is_whole)
    room = _room(device, kept, source.name)
    precision = expected_precision(settings.precision, description, device)
    how: _How = {"is_banded": runs_banded(spec, device), "precision": precision}
    tile = fitting_tile(grid, part, spec, room, settings.tile, **how)
    n_pixels = largest_read(grid, part, tile, spec)
    computing = network_bytes(spec, n_pixels, **how)
    on_host = window_bytes(spec, n_pixels) + computing * (device.name == "cpu")
    cuts = [len(spans) for spans in covers(grid, tile, spec.tile_rules, part)]
    n_decodings = len(extent.planes) * (1 if is_whole else cuts[0])
    is_beside = may_work_beside(device) and n_decodings > 1
    both = on_host, decode_bytes(extent.n_decoded, source.dimensions)
    return Plan(
        planes=extent.planes,
        box=extent.box,
        zoom=extent.zoom,
        zoom_z=extent.zoom_z,
        grid=grid,
        map_box=part,
        margin=extent.margin,
        image=source,
        description=description,
        settings=settings,
        device=device,
        precision=precision,
        tile=tile,
        batch=_batch(device, room // computing),
        n_tiles=len(extent.planes) * math.prod(cuts),
        keeps_maps=is_kept,
        bytes=FIXED_BYTES + kept + (sum(both) if is_beside else max(both)),
    )


def _passing_bytes(
    extent: Extent, maps_bytes: int, tile: int, *, is_whole: bool
) -> int:
    """Return the most bytes of maps that are there at a time where none are kept.

    Of a plane that is decoded in bands these are two rows of tiles, one of them being
    decoded; of one that is decoded whole, a whole plane and the next one.
    """
    if is_whole:
        return min(2, len(extent.planes)) * maps_bytes
    n_strips = max(1, extent.map_shape[0] // tile)
    return min(2, n_strips) * maps_bytes // n_strips


def _room(device: Device, kept: int, name: str) -> int:
    """Return the bytes that the network may take: half of what is left."""
    free = free_on_host()
    if kept > free:
        raise UneticError(
            f"Expected maps and labels that fit into the free memory "
            f"({free / 1e9:.1f} GB), got {kept / 1e9:.1f} GB for {name}; choose a "
            "region or a plane."
        )
    if device.name == "cpu":
        return (free - kept) // 2
    on_gpu = free_on(device.torch)
    return (_UNKNOWN_GPU_BYTES if on_gpu is None else on_gpu) // 2


def _batch(device: Device, n_fitting: int) -> int:
    """Return how many tiles run at a time: several only where that is faster."""
    return max(1, min(LARGEST_BATCH, n_fitting)) if device.name == "cuda" else 1


def _duration(seconds: float) -> str:
    """Return a time as one would say it."""
    if seconds < 1:
        return "1 s" if seconds > 0.5 else f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
