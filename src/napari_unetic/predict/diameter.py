"""How large the objects of an image are, found out before it is segmented.

The network is run on a small part of the image, what it finds is decoded, and each
object votes for its own diameter: more the surer the network is of it, the more of the
image it covers, and the nearer its size on the network's grid is to the working
diameter. If the first run, at the usual size, finds objects of about that size and is
sure of them, nothing more is done. Else a coarse and a fine run follow, and one at the
size that the votes are for by then. Each run sees at most `SIDE_PX`² pixels, so that
the cost does not grow with the image.

``benchmarks/accuracy/diameters.py`` compares this with other rules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.image.region import Region
from napari_unetic.image.source import Image, as_image
from napari_unetic.instances.decode import decode
from napari_unetic.instances.objects import score_objects
from napari_unetic.maps import plan_work, prepare
from napari_unetic.maps.extent import MARGIN_DIAMETERS, Box, find_extent
from napari_unetic.maps.ladder import Rung
from napari_unetic.model.description import check_planar, object_kind
from napari_unetic.model.registry import load_model
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.image.source import ArrayLike
    from napari_unetic.maps import Plan, Preparation
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.settings import SegmentSettings

SIDE_PX: Final = 256
"""Pixels a side of what the network is given in each run."""

USUAL, COARSE, FINE = 1.0, 4.0, 0.5
"""Diameters that the first three runs are best for, in usual ones."""

REFINED: Final = (USUAL, COARSE, FINE, 2.0, 8.0)
"""Those that the last run chooses from; of the first three nothing new would come."""

USUAL_RANGE: Final = (0.5, 2.5)
"""Diameters, in usual ones, for which the first run is enough where it is sure."""

SURE_ENOUGH: Final = 0.6
"""How sure it must be; wrong estimates of the benchmark's images are up to .64."""

N_RUNS: Final = 4

_SCORE_POWER = 3
_SIZE_SPREAD = 0.9
_BANDWIDTH = 0.25
_LIKE_FACTOR = 1.8
_FEW = 3
_PROBES, _PROBE_STEP = 3, 8


@dataclass(frozen=True, slots=True)
class DiameterEstimate:
    """How large objects seem to be.

    Parameters
    ----------
    diameter : float or None
        Median diameter in pixels of the image, of circles of the objects' areas; None
        where no object was found.
    n_objects : int
        Objects of about that size that it rests on; one that was found in two runs
        counts twice.
    sure : float
        From 0 to 1: the share of the votes that are for about this diameter, times the
        mean score of these objects, less where they are few.
    seconds : float
        That it took.
    """

    diameter: float | None
    n_objects: int
    sure: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Objects that were found in one run or several.

    Parameters
    ----------
    diameters : ndarray of shape (n,), float64
        In pixels of the image.
    on_grid : ndarray of shape (n,), float64
        In working diameters, at the size that the network saw.
    scores : ndarray of shape (n,), float64
        Of `napari_unetic.instances.objects.score_objects`.
    """

    diameters: NDArray[np.float64]
    on_grid: NDArray[np.float64]
    scores: NDArray[np.float64]

    def and_those(self, other: Found) -> Found:
        """Return the objects of both."""
        return Found(
            np.concatenate([self.diameters, other.diameters]),
            np.concatenate([self.on_grid, other.on_grid]),
            np.concatenate([self.scores, other.scores]),
        )


def estimate_diameter_steps(
    image: Image | ArrayLike,
    model: str | Path | Model,
    settings: SegmentSettings,
) -> Steps[DiameterEstimate]:
    """Estimate the median diameter of the objects of an image.

    Parameters
    ----------
    image : Image or array-like
        Of a stack the plane in the middle is looked at; of a large plane a part, the
        one of nine that varies most. No more is read.
    model : str, Path or Model
        As for `napari_unetic.predict.segment`.
    settings : SegmentSettings
        Axes, channel, plane, region, thresholds, device and precision. Diameter and
        pixel size are not looked at, for they are what is asked.

    Yields
    ------
    Step
        Before each run: one where objects are of about the usual size, else up to four.

    Returns
    -------
    DiameterEstimate

    Raises
    ------
    UneticError
        If the image, the model or a setting does not fit.
    """
    started = time.perf_counter()
    loaded = load_model(model)
    description = loaded.description
    object_kind(description)
    check_planar(description)
    usual = description.input_diameter_px or description.working_diameter_px
    chosen = settings.model_copy(update={"diameter": usual, "pixel_size": None})
    source = as_image(image, settings.axes)
    part = _part(source, description, chosen, _span(description, COARSE * usual))
    inner = chosen.model_copy(
        update={"axes": None, "plane": None, "region": None, "tile": None}
    )
    yield Step(0, N_RUNS, "estimating the diameter")
    whole = slice(0, part.shape_yx[0]), slice(0, part.shape_yx[1])
    square = _richest(part, (), settings.channel, whole, _span(description, usual))
    run = _run(part, loaded, inner, usual, _centre(square))
    found = run.found
    said = vote(found)
    if said.diameter is None or not _is_usual(said, usual):
        yield Step(1, N_RUNS, "estimating the diameter")
        run = _run(part, loaded, inner, COARSE * usual, None, run)
        found = found.and_those(run.found)
        centre = _busiest(run.foreground, run.prepared.plan)
        yield Step(2, N_RUNS, "estimating the diameter")
        fine = _run(part, loaded, inner, FINE * usual, centre, run)
        found = found.and_those(fine.found)
        said = vote(found)
        if said.diameter is not None:
            nearest = _nearest(said.diameter / usual)
            if nearest not in (USUAL, COARSE, FINE):
                yield Step(3, N_RUNS, "estimating the diameter")
                last = _run(part, loaded, inner, nearest * usual, centre, run)
                said = vote(found.and_those(last.found))
    return replace(said, seconds=time.perf_counter() - started)


def _is_usual(said: DiameterEstimate, usual: float) -> bool:
    """Whether an estimate of the first run is good enough."""
    low, high = USUAL_RANGE
    size = (said.diameter or 0.0) / usual
    return said.sure >= SURE_ENOUGH and low <= size <= high


def _nearest(size: float) -> float:
    """Return the one of `REFINED` that a size is nearest to, as a ratio."""
    return min(REFINED, key=lambda one: float(abs(np.log(one / size))))


def vote(found: Found) -> DiameterEstimate:
    """Return the diameter that objects are for; its seconds are 0.

    Parameters
    ----------
    found : Found
        Objects of all runs.

    Returns
    -------
    DiameterEstimate
        Votes are score³ × area × a bell over the logarithm of the size on the grid.
        Their density over the logarithm of the diameter has its peak somewhere; the
        median diameter of the objects within a factor of 1.8 of it is taken, in which
        an object counts by its vote without its area, as in a plain median.
    """
    area = found.diameters**2
    size = np.log(np.maximum(found.on_grid, 1e-9))
    trust = found.scores**_SCORE_POWER * np.exp(-(size**2) / (2 * _SIZE_SPREAD**2))
    votes = trust * area
    if not votes.sum() > 0:
        return DiameterEstimate(None, 0, 0.0, 0.0)
    logs = np.log(found.diameters)
    grid = np.linspace(logs.min(), logs.max(), 80)
    bells = np.exp(-((grid[:, None] - logs) ** 2) / (2 * _BANDWIDTH**2))
    peak = grid[(bells * votes).sum(axis=1).argmax()]
    near = np.abs(logs - peak) < np.log(_LIKE_FACTOR)
    if not trust[near].sum() > 0:
        return DiameterEstimate(None, 0, 0.0, 0.0)
    n = int(near.sum())
    score = float(np.average(found.scores[near], weights=area[near]))
    share = float(votes[near].sum() / votes.sum())
    return DiameterEstimate(
        diameter=_median(found.diameters[near], trust[near]),
        n_objects=n,
        sure=share * score * n / (n + _FEW),
        seconds=0.0,
    )


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the value below and above which lies half of the weight."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


# --- what is looked at -----------------------------------------------------------


def _span(description: ModelDescription, diameter: float) -> int:
    """Return the pixels of the image a side that a run at a diameter sees."""
    return max(1, round(SIDE_PX * diameter / description.working_diameter_px))


def _part(
    image: Image, description: ModelDescription, settings: SegmentSettings, side: int
) -> Image:
    """Read the part of an image that is looked at: one plane, at most `side`²."""
    extent = find_extent(image, description, settings)
    plane = extent.planes[len(extent.planes) // 2]
    box = _richest(image, plane, settings.channel, extent.box, side)
    window = image.read(plane, None, *box)
    return Image(np.asarray(window), "CYX", rgb=image.rgb, name=image.name)


def _richest(
    image: Image, plane: tuple[int, ...], channel: int | None, box: Box, side: int
) -> Box:
    """Return the square out of nine, spread over a box, whose pixels vary most.

    Every eighth row and column is looked at. A box that is no larger is taken whole.
    """
    squares = [
        (slice(y, min(y + side, box[0].stop)), slice(x, min(x + side, box[1].stop)))
        for y in _starts(box[0], side)
        for x in _starts(box[1], side)
    ]
    if len(squares) == 1:
        return squares[0]
    wanted = None if channel is None else (channel,)

    def varies(square: Box) -> float:
        thin = [slice(s.start, s.stop, _PROBE_STEP) for s in square]
        probe = image.read(plane, wanted, *thin).astype(np.float64)
        spread = np.nanstd(np.where(np.isfinite(probe), probe, np.nan))
        return float(np.nan_to_num(spread))

    return max(squares, key=varies)


def _starts(whole: slice, side: int) -> list[int]:
    """Return where squares begin that are spread over a stretch."""
    last = max(whole.start, whole.stop - side)
    return sorted({round(v) for v in np.linspace(whole.start, last, _PROBES)})


def _centre(square: Box) -> tuple[float, float]:
    """Return the row and column in the middle of a square."""
    rows, columns = square
    return (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What a run found, and the map that says where there may be more."""

    found: Found
    foreground: NDArray[np.float32]
    prepared: Preparation


def _run(
    part: Image,
    model: Model,
    settings: SegmentSettings,
    diameter: float,
    centre: tuple[float, float] | None,
    before: _Run | None = None,
) -> _Run:
    """Run the network at one size, around a centre or over the whole part.

    The normalisation is that of the run before.
    """
    description = model.description
    changed: dict[str, Any] = {"diameter": diameter}
    if centre is not None:
        # The margin of real pixels around a region is looked at, too.
        inner = 1 - 2 * MARGIN_DIAMETERS * description.working_diameter_px / SIDE_PX
        side = max(1, round(max(inner, 0.25) * _span(description, diameter)))
        changed["region"] = _around(centre, part.shape_yx, side)
    plan = plan_work(part, description, settings.model_copy(update=changed))
    if before is None:
        prepared = prepare(plan, model)
    else:
        rung = Rung(plan.device, plan.tile, plan.batch)
        prepared = replace(before.prepared, plan=plan, rung=rung, notices=[])
    maps = drain(prepared.maps_steps(()))
    found = _measured(maps, settings, description, plan.zoom)
    return _Run(found, maps[0], prepared)


def _around(
    centre: tuple[float, float], shape: tuple[int, int], side: int
) -> Region | None:
    """Return a square that lies in the image as far as it can; None for all of it."""
    if side >= max(shape):
        return None
    edges = []
    for at, size in zip(centre, shape, strict=True):
        start = int(np.clip(round(at - side / 2), 0, max(0, size - side)))
        edges.append((start, min(start + side, size)))
    (top, bottom), (left, right) = edges
    return Region.box(top, left, bottom, right)


def _busiest(foreground: NDArray[np.float32], plan: Plan) -> tuple[float, float]:
    """Return the centre, in the part, of the eighth of its sides with most objects."""
    sides = [max(1, n // 8) for n in foreground.shape]
    smooth = ndimage.uniform_filter(foreground, sides, mode="constant")
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return (float(row) + 0.5) / plan.zoom, (float(column) + 0.5) / plan.zoom


def _measured(
    maps: NDArray[np.float32],
    settings: SegmentSettings,
    description: ModelDescription,
    zoom: float,
) -> Found:
    """Return the objects in maps, without those that the edge cuts if it leaves two."""
    spec = object_kind(description).moved(settings, zoom)
    labels = decode(maps, spec)
    scores = score_objects(labels, maps).astype(np.float64)
    on_grid = 2 * np.sqrt(np.bincount(labels.ravel())[1:] / np.pi)
    whole = np.ones(scores.size + 1, np.bool_)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        whole[edge] = False
    kept = whole[1:] if whole[1:].sum() >= 2 else np.ones(scores.size, np.bool_)
    return Found(
        diameters=on_grid[kept] / zoom,
        on_grid=on_grid[kept] / description.working_diameter_px,
        scores=scores[kept],
    )
