"""How large the objects of an image are, found out while or before it is segmented.

The network is run, what it finds is decoded, and each object votes for its own
diameter: more the surer the network is of it, the more of the image it covers, and the
nearer its size on the network's grid is to the working diameter. If the first run, at
the usual size, finds objects of about that size and is sure of them, nothing more is
done. Else a coarse and a fine run follow, and one at the size that the votes are for by
then.

A plane of up to `WHOLE_PX` is run as a whole at first, so that its maps and objects are
the result already where the usual size is right. Of larger ones, and in later runs, at
most `SIDE_PX`² pixels are seen, so that the cost does not grow with the image.

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
from napari_unetic.image.source import Image
from napari_unetic.instances.objects import score_objects
from napari_unetic.maps import plan_work, prepare
from napari_unetic.maps.extent import MARGIN_DIAMETERS, Box
from napari_unetic.model.description import check_planar, object_kind
from napari_unetic.model.registry import load_model
from napari_unetic.predict.bands import PlaneDecoder
from napari_unetic.predict.darkness import are_dark
from napari_unetic.predict.planes import Objects, decode_all, learn_pace
from napari_unetic.predict.votes import DiameterEstimate, Found, measured, vote
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.image.source import ArrayLike
    from napari_unetic.maps import Plan, Preparation
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.predict.bands import BandDecoder

WHOLE_PX: Final = 1024**2
"""Planes of no more pixels, of the image or on the network's grid, are run whole."""

SIDE_PX: Final = 256
"""Pixels a side of what the network is given in each other run."""

USUAL, COARSE, FINE = 1.0, 4.0, 0.5
"""Diameters that the first three runs are best for, in usual ones."""

REFINED: Final = (USUAL, COARSE, FINE, 2.0, 8.0)
"""Those that the last run chooses from; of the first three nothing new would come."""

USUAL_RANGE: Final = (0.5, 2.5)
"""Diameters, in usual ones, for which the first run is enough where it is sure."""

SURE_AT_ONCE: Final = 0.55
"""How sure it must be: of 314 images of the benchmark that are, objects of 3 are over
3 usual diameters large, and of none smaller than .42."""

LOOKING: Final = Step(0, 0, "looking for the diameter")

_DECODING: Final = ("sensitivity", "splitting", "smallest", "fill_holes")
_PROBES, _PROBE_STEP = 3, 8


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A plane that was run as a whole at the usual size.

    Parameters
    ----------
    plane : tuple of int
        Which one.
    maps : ndarray of shape (M, Y', X'), float32
        All of them, as the plan has it.
    objects : Objects or None
        Decoded from them with the thresholds that are asked for; None where these are
        not the model's own, by which the diameter is judged.
    """

    plane: tuple[int, ...]
    maps: NDArray[np.float32]
    objects: Objects | None

    def give_to(self, decoder: BandDecoder) -> None:
        """Have it decoded, if it still has to be."""
        if self.objects is not None and isinstance(decoder, PlaneDecoder):
            decoder.take_found(self.objects)
        else:
            decoder.take(self.maps)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a look at an image has told.

    Parameters
    ----------
    estimate : DiameterEstimate
        The diameter.
    ready : Ready, optional
        What need not be done again at the usual size.
    """

    estimate: DiameterEstimate
    ready: Ready | None


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
        one of nine that varies most. No more is read, but for the normalisation.
    model : str, Path or Model
        As for `napari_unetic.predict.segment`.
    settings : SegmentSettings
        Axes, channel, plane, region, device and precision. Diameter and pixel size are
        not looked at, for they are what is asked, and neither are thresholds, so that
        these can be moved afterwards.

    Yields
    ------
    Step
        As `look_steps`. There is one run where objects are of about the usual size,
        else there are up to four.

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
    object_kind(loaded.description)
    check_planar(loaded.description)
    usual = settings.model_copy(update={"diameter": "usual", "pixel_size": None})
    work = prepare(plan_work(image, loaded.description, usual), loaded)
    look = yield from look_steps(work)
    return replace(look.estimate, seconds=time.perf_counter() - started)


def look_steps(work: Preparation) -> Steps[Look]:
    """Estimate the diameter of the objects of an image that is about to be segmented.

    Parameters
    ----------
    work : Preparation
        Of a plan at the usual size, with a model of objects.

    Yields
    ------
    Step
        Before each run over a part; after each tile of a whole plane.

    Returns
    -------
    Look
    """
    started = time.perf_counter()
    plan, description = work.plan, work.plan.description
    usual = usual_diameter(description)
    plane = plan.planes[len(plan.planes) // 2]
    ready, part = None, None
    if plan.n_decoded <= WHOLE_PX:
        ready, found, is_dark = yield from _whole_steps(work, plane)
    else:
        yield LOOKING
        part = _part(plan, plane)
        first = _run(work, part, usual, _centre(_richest_of(part, plan)))
        found, is_dark = first.found, first.is_dark
    said = vote(found)
    if not _is_enough(said, usual):
        part = part or _part(plan, plane)
        said = yield from _further_steps(work, part, found, usual)
    said = replace(said, are_dark=is_dark, seconds=time.perf_counter() - started)
    return Look(said, ready)


def _is_enough(said: DiameterEstimate, usual: float) -> bool:
    """Whether an estimate of the first run is good enough."""
    low, high = USUAL_RANGE
    size = (said.diameter or 0.0) / usual
    return said.sure >= SURE_AT_ONCE and low <= size <= high


def _whole_steps(
    work: Preparation, plane: tuple[int, ...]
) -> Steps[tuple[Ready, Found, bool]]:
    """Run the network over a whole plane at the usual size; also say `are_dark`."""
    plan, is_all = work.plan, len(work.plan.planes) == 1
    steps = work.maps_steps(plane)
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                maps: NDArray[np.float32] = end.value
                break
            # Of a stack this is not how far the work is.
            yield step if is_all else replace(LOOKING, notice=step.notice)
    finally:
        steps.close()
    plain, started = _plain(plan.settings), time.perf_counter()
    objects = decode_all(maps, plan, plain, plan.box, plan.map_box)
    learn_pace(plan, time.perf_counter() - started)
    found = measured(objects.labels, objects.scores, 1, _working(plan))
    ready = Ready(plane, maps, objects if plain == plan.settings else None)
    return ready, found, are_dark(plan, plane, objects.labels, plan.box)


def _further_steps(
    work: Preparation, part: Image, found: Found, usual: float
) -> Steps[DiameterEstimate]:
    """Run the network at other sizes, where the usual one was not enough."""
    yield LOOKING
    coarse = _run(work, part, COARSE * usual)
    found = found.and_those(coarse.found)
    centre = _busiest(coarse.foreground, coarse.plan)
    yield LOOKING
    found = found.and_those(_run(work, part, FINE * usual, centre).found)
    said = vote(found)
    if said.diameter is None:
        return said
    nearest = _nearest(said.diameter / usual)
    if nearest in (USUAL, COARSE, FINE):
        return said
    yield LOOKING
    return vote(found.and_those(_run(work, part, nearest * usual, centre).found))


def _nearest(size: float) -> float:
    """Return the one of `REFINED` that a size is nearest to, as a ratio."""
    return min(REFINED, key=lambda one: float(abs(np.log(one / size))))


def _plain(settings: SegmentSettings) -> SegmentSettings:
    """Return settings with the model's own thresholds."""
    fields = SegmentSettings.model_fields
    plain = {name: fields[name].default for name in _DECODING}
    return settings.model_copy(update=plain)


def _working(plan: Plan) -> float:
    """Return the working diameter in pixels of the image, at the size of a plan."""
    return plan.description.working_diameter_px / plan.zoom


# --- what is looked at -----------------------------------------------------------


def _span(description: ModelDescription, diameter: float) -> int:
    """Return the pixels of the image a side that a run at a diameter sees."""
    return max(1, round(SIDE_PX * diameter / description.working_diameter_px))


def usual_diameter(description: ModelDescription) -> float:
    """Return the diameter in pixels of objects in the images a model is meant for."""
    return description.input_diameter_px or description.working_diameter_px


def _part(plan: Plan, plane: tuple[int, ...]) -> Image:
    """Read the part of a plane that is looked at, as the coarse run sees it."""
    image, description = plan.image, plan.description
    side = _span(description, COARSE * usual_diameter(description))
    box = _richest(image, plane, plan.settings.channel, plan.box, side)
    window = image.read(plane, None, *box)
    return Image(np.asarray(window), "CYX", rgb=image.rgb, name=image.name)


def _richest_of(part: Image, plan: Plan) -> Box:
    """Return the square of a part that a run at the usual size sees."""
    whole = slice(0, part.shape_yx[0]), slice(0, part.shape_yx[1])
    side = _span(plan.description, USUAL * usual_diameter(plan.description))
    return _richest(part, (), plan.settings.channel, whole, side)


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
    plan: Plan
    is_dark: bool


def _run(
    work: Preparation,
    part: Image,
    diameter: float,
    centre: tuple[float, float] | None = None,
) -> _Run:
    """Run the network at one size, around a centre or over the whole part."""
    description = work.plan.description
    changed: dict[str, Any] = {
        "diameter": diameter,
        "pixel_size": None,
        "axes": None,
        "plane": None,
        "region": None,
    }
    if centre is not None:
        # The margin of real pixels around a region is looked at, too.
        inner = 1 - 2 * MARGIN_DIAMETERS * description.working_diameter_px / SIDE_PX
        side = max(1, round(max(inner, 0.25) * _span(description, diameter)))
        changed["region"] = _around(centre, part.shape_yx, side)
    settings = _plain(work.plan.settings).model_copy(update=changed)
    plan = plan_work(part, description, settings)
    maps = drain(work.for_plan(plan).maps_steps(()))
    # On the network's own grid: what was reduced for a look is not magnified for it.
    labels = object_kind(description).decode(maps)
    scores = score_objects(labels, maps)
    found = measured(labels, scores, 1 / plan.zoom, _working(plan))
    rows, columns = (
        slice(int(one.start / plan.zoom), max(1, round(one.stop / plan.zoom)))
        for one in plan.map_box
    )
    return _Run(found, maps[0], plan, are_dark(plan, (), labels, (rows, columns)))


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
