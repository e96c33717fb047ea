"""How fast this machine is: learned from a short trial, then from every real run."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch

from napari_unetic.image.tiles import tiles
from napari_unetic.maps.network import network_on, run_network
from napari_unetic.maps.precision import choose_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.networks.device import Device

_TRIAL_SIDES: Final[dict[int, tuple[int, ...]]] = {2: (512, 512), 3: (64, 64, 64)}
"""Of the trial, by dimensions: as many pixels."""

_TRIAL_RUNS = 3
_OUT_OF_CACHE = 1.2
"""How much slower a pixel of a large tile is than one of the trial (measured)."""

_TRIAL_SPACING_PX = 24
_TRIAL_RADIUS_PX = 13


class Work(NamedTuple):
    """A kind of work whose pace is known by itself.

    Parameters
    ----------
    kind : str
        ``network``, or ``decode`` with what is decoded, where not objects of planes.
    weights_sha256 : str
        Of the network.
    device : str
        Where it runs.
    threads : int
        Of torch.
    precision : str
        Of the network.
    """

    kind: str
    weights_sha256: str = ""
    device: str = "cpu"
    threads: int = 0
    precision: str = "float32"


DECODE: Final = Work("decode")
"""Maps to objects with scores; a megapixel of the finer one, maps or image."""


def decode_work(description: ModelDescription) -> Work:
    """Return what is paced where maps of a model are decoded."""
    noun = description.kind.noun
    if description.network.dimensions == 3:
        return Work(f"decode {noun} of volumes")
    return DECODE if noun == "objects" else Work(f"decode {noun}")


def network_work(
    description: ModelDescription, device: Device, precision: str = "float32"
) -> Work:
    """Return what is paced where a model runs on a device with torch's threads."""
    threads = torch.get_num_threads() if device.name == "cpu" else 0
    where = str(device.torch)
    return Work("network", description.weights_sha256, where, threads, precision)


class Paces:
    """Seconds a megapixel of each kind of work, safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[Work, float] = {}
        self._lock = threading.Lock()

    def of(self, work: Work) -> float | None:
        """Return seconds a megapixel, or None where nothing is known."""
        return self._known.get(work)

    def learn(self, work: Work, megapixels: float, seconds: float) -> None:
        """Take in how long some work took.

        Parameters
        ----------
        work : Work
            What was done.
        megapixels : float
            How much of it, above 0.
        seconds : float
            How long it took.

        Notes
        -----
        The more was done, the more it counts against what was known before: a
        megapixel as much as all that.
        """
        found = seconds / megapixels
        share = megapixels / (megapixels + 1)
        with self._lock:
            before = self._known.get(work)
            self._known[work] = (
                found if before is None else before ** (1 - share) * found**share
            )


PACES: Final = Paces()
"""The paces of this process."""


def measure_pace(
    model: Model, device: Device, paces: Paces = PACES, *, precision: str = "auto"
) -> float:
    """Measure by a short trial how fast a model runs, unless that is known.

    Parameters
    ----------
    model : Model
        Which network.
    device : Device
        Where it runs.
    paces : Paces
        Which learn of it.
    precision : {"auto", "float32", "bfloat16"}
        As asked for.

    Returns
    -------
    float
        Seconds a megapixel of the network.

    Notes
    -----
    Takes some tenths of a second on a CPU, more where the device starts or a precision
    is checked for the first time: nothing for a thread that draws a window.
    """
    if paces.of(decode_work(model.description)) is None:
        _try_decoding(model.description, paces)
    chosen = choose_precision(precision, model, device).name
    work = network_work(model.description, device, chosen)
    known = paces.of(work)
    if known is not None:
        return known
    network = network_on(model, device, chosen)
    spec = model.description.network
    sides = _TRIAL_SIDES[spec.dimensions]
    window = next(tiles(sides, max(sides), spec.tile_rules)).window
    trial = np.zeros((1, spec.in_channels, *window), np.float32)
    megapixels = math.prod(window) / 1e6
    # The first run also prepares kernels and memory, which a real run does once; of
    # the others the shortest counts, for other programs make a short one long.
    run_network(network, trial, device)
    seconds = min(
        _timed(lambda: run_network(network, trial, device)) for _ in range(_TRIAL_RUNS)
    )
    paces.learn(work, megapixels, _OUT_OF_CACHE * seconds)
    return _OUT_OF_CACHE * seconds / megapixels


def _try_decoding(description: ModelDescription, paces: Paces) -> None:
    """Decode and score the maps of a field of discs, or balls, that touch."""
    spacing, sides = _TRIAL_SPACING_PX, _TRIAL_SIDES[description.network.dimensions]
    at = np.indices(sides)
    is_inside = ((at % spacing - spacing // 2) ** 2).sum(0) <= _TRIAL_RADIUS_PX**2
    cells = tuple(-(-side // spacing) for side in sides)
    number = np.ravel_multi_index(tuple(at // spacing), cells) + 1
    kind = description.kind
    maps = kind.make_targets(np.where(is_inside, number, 0).astype(np.int32))
    seconds = _timed(lambda: kind.finish(maps))
    paces.learn(decode_work(description), math.prod(sides) / 1e6, seconds)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
