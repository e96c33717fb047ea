"""Does bfloat16 give what float32 gives? Found out once for a model and machine."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from napari_unetic.home import user_cache
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.source import as_image
from napari_unetic.image.tiles import reflected, tiles
from napari_unetic.maps.network import network_on, run_network
from napari_unetic.provenance import processor_name
from napari_unetic.samples import nuclei_sample, nuclei_stack

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.networks.device import Device

LARGEST_DIFFERENCE = 0.02
"""As a part of the range of a map."""

PIXELS_WANTED = 0.999
OBJECTS_WANTED = 0.99
IOU_WANTED = 0.9

_VERSION = 1
"""Raised when the check changes, so that none of an older kind counts."""

_SIDE_DIAMETERS = 20
_SIDES_PX = 256, 640
_SPREAD = 0.75, 1.3
_AREA_DIAMETERS = 1.8
"""The check image: its side and the bounds of that, diameters of its nuclei, and area
for each; in working diameters where it says so."""

_VOLUME_DIAMETERS, _VOLUME_SIDES_PX, _VOLUME_PLANES = 6, (64, 192), 20
"""The same for volumes."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far bfloat16 agrees with float32 on the check image.

    Parameters
    ----------
    pixels : float
        Share of the pixels that are within `LARGEST_DIFFERENCE`; of the map that has
        the lowest.
    objects : float
        Share of the objects that are matched one to one at `IOU_WANTED`; of the
        classes that agree so well, where the model tells classes.
    n_objects : int
        Objects or classes found, in the precision that finds more.
    """

    pixels: float
    objects: float
    n_objects: int

    @property
    def is_enough(self) -> bool:
        """Whether bfloat16 may stand in for float32; not where nothing is found."""
        return (
            self.n_objects > 0
            and self.pixels >= PIXELS_WANTED
            and self.objects >= OBJECTS_WANTED
        )


_KNOWN: Final[dict[str, Agreement]] = {}
"""What this process knows; other processes learn of it from the user's cache."""


def known_agreement(description: ModelDescription, device: Device) -> Agreement | None:
    """Return what was found out about a model on this machine, or None.

    Parameters
    ----------
    description : ModelDescription
        Of the model.
    device : Device
        Where it would run.

    Returns
    -------
    Agreement or None
        Found with the same weights, thresholds, processor or GPU and version of torch.
    """
    key = _key(description, device)
    if key not in _KNOWN:
        with suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(_path(key).read_text(encoding="utf-8"))
            _KNOWN[key] = Agreement(
                float(kept["pixels"]), float(kept["objects"]), int(kept["n_objects"])
            )
    return _KNOWN.get(key)


def measure_agreement(model: Model, device: Device) -> Agreement:
    """Run a model on the check image in both precisions, and remember what came.

    Parameters
    ----------
    model : Model
        Which network.
    device : Device
        Where it runs.

    Returns
    -------
    Agreement
        Also kept in the user's cache folder, where that can be written.

    Raises
    ------
    UneticError
        If no check image can be made for this model.
    """
    windows, crop = _check_windows(model.description)
    full, half = (
        run_network(
            network_on(model, device, precision),
            windows,
            device,
            model.description.target.activation,
        )[0][crop]
        for precision in ("float32", "bfloat16")
    )
    found = compare(full, half, model.description)
    key = _key(model.description, device)
    _KNOWN[key] = found
    _keep(_path(key), found)
    return found


def compare(
    full: NDArray[np.float32], half: NDArray[np.float32], description: ModelDescription
) -> Agreement:
    """Compare maps, and the objects or classes decoded from them.

    Parameters
    ----------
    full, half : ndarray of shape (M, Y, X) or (M, Z, Y, X), float32
        From the network in float32 and in bfloat16.
    description : ModelDescription
        Of the model, with its thresholds.
    """
    of_a_map = tuple(range(1, full.ndim))
    allowed = LARGEST_DIFFERENCE * np.ptp(full, axis=of_a_map, keepdims=True)
    near = (np.abs(half - full) <= allowed).mean(axis=of_a_map)
    kind = description.kind
    n_matched, n_objects = kind.count_alike(
        kind.decode(full), kind.decode(half), IOU_WANTED
    )
    return Agreement(float(near.min()), n_matched / max(n_objects, 1), n_objects)


def _check_windows(
    description: ModelDescription,
) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """Return a scene as the network gets it, and where its pixels are in the maps."""
    spec, pixels = description.network, _check_image(description)
    pixels = description.normalisation.in_range(pixels)
    source = as_image(pixels, description.axes)
    fitted = fit_normalisation(source, 1, spec=description.normalisation)
    tile = next(tiles(pixels.shape, max(pixels.shape), spec.tile_rules))
    inside = (
        reflected(span.read_start, span.read_stop, size)
        for span, size in zip(tile.spans, pixels.shape, strict=True)
    )
    window = fitted.apply(pixels[np.ix_(*inside)][None].astype(np.float32))
    return np.repeat(window[None], spec.in_channels, axis=1), (slice(None), *tile.crop)


def _check_image(description: ModelDescription) -> NDArray[np.uint16]:
    """Return nuclei of about the working diameter."""
    diameter = description.working_diameter_px
    spread = _SPREAD[0] * diameter, _SPREAD[1] * diameter
    if description.network.dimensions == 3:
        side = int(np.clip(_VOLUME_DIAMETERS * diameter, *_VOLUME_SIDES_PX))
        return nuclei_stack((_VOLUME_PLANES, side, side), diameter=spread)[0]
    side = int(np.clip(_SIDE_DIAMETERS * diameter, *_SIDES_PX))
    n_nuclei = max(8, round(side**2 / (_AREA_DIAMETERS * diameter**2)))
    return nuclei_sample((side, side), n_nuclei=n_nuclei, diameter=spread)[0]


def _key(description: ModelDescription, device: Device) -> str:
    """Return a short name for all that the agreement depends on."""
    unit = (
        torch.cuda.get_device_name(device.torch)
        if device.name == "cuda"
        else processor_name()
    )
    parts = [
        _VERSION,
        description.weights_sha256,
        description.decoding.model_dump(),
        torch.__version__,
        device.name,
        unit,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _path(key: str) -> Path:
    return user_cache("precision") / f"{key}.json"


def _keep(path: Path, found: Agreement) -> None:
    """Write the file, whole or not at all; without it the check is made again."""
    part = path.with_name(f"{path.stem}-{secrets.token_hex(4)}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
        os.replace(part, path)
