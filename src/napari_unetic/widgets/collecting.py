"""From an image layer and its corrected labels to pairs to learn from.

For a thread that does the work: layers are read here and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from napari.layers import Labels, Shapes

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.instances.record import unpack_labels
from napari_unetic.settings import settings_from
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.accepting import accepted_numbers
from napari_unetic.widgets.grids import Grid, Planes, grid_of
from napari_unetic.widgets.masks import PaintedMask, SegmentedMask, ShapesMask
from napari_unetic.widgets.touching import watch

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_unetic.finetuning.collected import CollectedPair, ReviewedPlane
    from napari_unetic.image.source import ArrayLike
    from napari_unetic.widgets.records import Record

AreaChoice: TypeAlias = Literal["touched", "all"] | Shapes | Labels
"""Where labels can be trusted: what was touched, everywhere, in shapes, if painted."""

FEWEST: Final = 10
"""Objects: five to learn from and five to judge by."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """What a layer of labels holds to learn from.

    Parameters
    ----------
    n_objects : int
        Objects that were reviewed.
    n_planes : int
        Planes that they are in; each becomes a pair.
    edited, added, erased, accepted : int
        What of the reviewed area was changed, and what was said to be right as it was
        predicted; all 0 where nothing is known of a prediction.
    missing : str
        Why it does not suffice, in one sentence, or an empty text.
    text : str
        What there is, in one line, such as "12 objects: 7 edited, 3 added, 2 accepted,
        1 erased".
    """

    n_objects: int = 0
    n_planes: int = 0
    edited: int = 0
    added: int = 0
    erased: int = 0
    accepted: int = 0
    missing: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """What was reviewed, plane by plane, and the pixels that it is on."""

    grid: Grid
    planes: Iterator[ReviewedPlane] = field(repr=False)


def what_is_there(
    image_layer: ImageLayer,
    labels_layer: Labels,
    area: AreaChoice,
    *,
    n_collected: int = 0,
) -> Corrections:
    """Tell what a layer of labels holds to learn from; the image is not read.

    Parameters
    ----------
    image_layer : napari.layers.Image
        The image.
    labels_layer : napari.layers.Labels
        Its labels, as corrected.
    area : {"touched", "all"}, Shapes or Labels
        Where they can be trusted.
    n_collected : int
        Objects that have been collected from elsewhere and count as well.

    Returns
    -------
    Corrections
        Whatever there is; what stands against learning from it is in `missing`.

    Notes
    -----
    For a thread: it reads all of the labels, a second for some ten million pixels.
    """
    try:
        reviewed = _review(image_layer, labels_layer, area)
        planes = [_counted(one) for one in reviewed.planes]
    except UneticError as error:
        return Corrections(missing=str(error))
    total = Corrections(
        n_objects=sum(one.n_objects for one in planes),
        n_planes=len(planes),
        edited=sum(one.edited for one in planes),
        added=sum(one.added for one in planes),
        erased=sum(one.erased for one in planes),
        accepted=sum(one.accepted for one in planes),
    )
    return replace(
        total,
        missing=_missing(total, labels_layer, area, n_collected),
        text=_text(total),
    )


def collect_steps(
    image_layer: ImageLayer,
    labels_layer: Labels,
    area: AreaChoice,
    *,
    channel: int | None = None,
    before: Sequence[CollectedPair] = (),
) -> Steps[list[CollectedPair]]:
    """Collect the planes of an image that a person has reviewed, one step a plane.

    Parameters
    ----------
    image_layer : napari.layers.Image
        The image; of a lazy one the planes that were reviewed are read, and of a
        multiscale one the level that the labels are of.
    labels_layer : napari.layers.Labels
        Its labels, as corrected.
    area : {"touched", "all"}, Shapes or Labels
        Where they can be trusted.
    channel : int, optional
        The channel to learn from, where there are several; all if None.
    before : sequence of CollectedPair
        Pairs of an earlier round: objects of the same plane that were held out then
        stay so.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    list of CollectedPair
        One for each plane that was reviewed.

    Raises
    ------
    UneticError
        If nothing was reviewed, or labels, area and image do not fit each other.
    """
    from napari_unetic.finetuning.collect import collect_steps as planes_to_pairs

    yield Step(0, 0, "collecting")
    found = _review(image_layer, labels_layer, area)
    grid = found.grid
    return (
        yield from planes_to_pairs(
            grid.source.image(),
            found.planes,
            name=str(image_layer.name),
            start=grid.first,
            shape_yx=(grid.shape[-2], grid.shape[-1]),
            channel=channel,
            before=before,
        )
    )


def _review(
    image_layer: ImageLayer, labels_layer: Labels, area: AreaChoice
) -> _Reviewed:
    """Find out what was reviewed; the planes are read when they are asked for."""
    # What stands for a layer in a plugin may be gone in a moment; it stays.
    layer = getattr(labels_layer, "__wrapped__", labels_layer)
    record = watch(layer).record()
    grid = grid_of(image_layer, layer, record)
    labels = grid.planes()
    # It brings torch along: a second or two that the window must not wait for.
    from napari_unetic.finetuning.collect import review_planes

    planes = review_planes(
        labels,
        predicted=_predicted(grid, record),
        reviewed=_where(area, grid, record, labels),
        accepted=_accepted(grid, record),
    )
    return _Reviewed(grid, planes)


def _predicted(grid: Grid, record: Record | None) -> Planes | None:
    """Return what was predicted of the shared pixels, where it is known."""
    text = (record or {}).get("predicted")
    if text is None:
        return None
    return grid.planes(grid.canonical(unpack_labels(text)))


def _accepted(grid: Grid, record: Record | None) -> dict[tuple[int, ...], set[int]]:
    """Return the accepted objects of the shared pixels."""
    image, skipped = grid.labels, grid.planes().start
    shape = (*image.plane_shape, *image.shape_yx)
    found = accepted_numbers(record, shape, lambda plane: image.read(plane)[0])
    return {
        tuple(i - first for i, first in zip(plane, skipped, strict=False)): numbers
        for plane, numbers in found.items()
    }


def _where(
    area: AreaChoice, grid: Grid, record: Record | None, labels: Planes
) -> Literal["touched", "all"] | ArrayLike:
    """Return where the labels can be trusted, as `review_planes` takes it."""
    if isinstance(area, Shapes):
        return ShapesMask(area, grid)
    if isinstance(area, Labels):
        return PaintedMask(area, grid)
    region = None if area != "all" else _segmented_region(grid, record)
    predicted = _predicted(grid, record)
    if region is None or predicted is None:
        return area
    mask = SegmentedMask(region, labels)
    # Where a part was segmented again, the rest of an earlier result is still there.
    return mask if mask.holds_all_of(predicted) else area


def _segmented_region(grid: Grid, record: Record | None) -> Region | None:
    """Return the part of the shared pixels that was segmented; None for all of it."""
    if record is None or "settings" not in record:
        return None
    region = settings_from(record).region
    if region is None:
        return None
    (rows, columns), offsets = grid.source.factors_yx, grid.source.offsets()
    y, x = (
        offsets["Y"] + rows * grid.start["Y"],
        offsets["X"] + columns * grid.start["X"],
    )
    return Region(
        tuple(
            tuple(((v - y) / rows, (u - x) / columns) for v, u in polygon)
            for polygon in region.polygons
        )
    )


def _counted(one: ReviewedPlane) -> Corrections:
    """Count what was done to the objects of a plane, in the reviewed area."""
    objects, changes = one.objects, one.changes
    counts = Corrections(n_objects=len(objects), accepted=len(one.accepted))
    if changes is None:
        return counts
    return replace(
        counts,
        edited=len(np.intersect1d(changes.edited, objects)),
        added=len(np.intersect1d(changes.added, objects)),
        erased=len(changes.erased),
        accepted=len(np.intersect1d(one.accepted, objects)),
    )


def _missing(
    total: Corrections, layer: Labels, area: AreaChoice, n_collected: int
) -> str:
    """Say why there is not enough to learn from, or nothing."""
    if not total.n_planes:
        if area == "touched":
            return (
                f"Expected objects that were corrected or accepted in {layer.name}, "
                "got none yet; paint, erase or add some, or accept some in the review."
            )
        where = "" if isinstance(area, str) else f" in {area.name}"
        return (
            f"Expected objects of {layer.name}{where}, got none; draw some, or choose "
            "another reviewed area."
        )
    n = total.n_objects + n_collected
    if n < FEWEST:
        return (
            f"Expected at least {FEWEST} reviewed objects, half to learn from and half "
            f"to judge by, got {n}; correct or accept {FEWEST - n} more."
        )
    return ""


def _text(total: Corrections) -> str:
    """Say in one line what there is."""
    n = total.n_objects
    changed = {name: getattr(total, name) for name in ("edited", "added", "accepted")}
    rest = n - sum(changed.values())
    if not (any(changed.values()) or total.erased):
        changed = {}
    elif rest > 0:
        changed["as found"] = rest
    parts = [f"{count:,} {what}" for what, count in changed.items() if count]
    parts += [f"{total.erased:,} erased"] if total.erased else []
    text = f"{n:,} object{'' if n == 1 else 's'}"
    if total.n_planes > 1:
        text += f" in {total.n_planes:,} planes"
    return f"{text}: {', '.join(parts)}" if parts else text
