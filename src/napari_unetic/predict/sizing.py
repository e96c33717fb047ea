"""At which size an image is segmented: as is given, or as its objects ask for.

An image whose objects are of about the usual diameter is left as it is, for the network
copes, and resampling costs accuracy. Others are brought so far that their objects lie
where the network is good (figures: ``benchmarks/accuracy/diameters.py``). Objects that
are darker than what is around them have a size and thresholds of their own where the
model has some for them (``benchmarks/accuracy/dark.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from napari_unetic.maps import plan_work
from napari_unetic.predict.diameter import (
    Ready,
    estimate_diameter_steps,
    look_steps,
    usual_diameter,
)

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.maps import Preparation
    from napari_unetic.model.description import DarkSpec, ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.predict.votes import DiameterEstimate
    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Steps

LEFT_ALONE: Final = (0.5, 2.75)
"""Diameters, in usual ones, of objects in images that are left as they are."""

BROUGHT_TO: Final = (1.0, 1.5)
"""Diameters, in usual ones, that smaller and larger objects are brought to."""

SURE_ENOUGH: Final = 0.3
"""Estimates that are less sure are not used."""

LARGEST_ZOOM: Final = 4.0
"""By how much an image is magnified at most. Objects that are too small to be left
alone even then are not believed in."""


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """Work at the size that was chosen.

    Parameters
    ----------
    work : Preparation
        Of the plan at this size; its settings are those that were asked for.
    record : dict
        For the provenance, as JSON can hold it: ``taken_px``, the diameter that the
        image is segmented for, and ``why``; where it was found out also
        ``estimate_px``, ``sure``, ``n_objects`` and ``are_dark``.
    ready : Ready, optional
        A plane of which the maps are there already.
    """

    work: Preparation
    record: dict[str, Any]
    ready: Ready | None = None


def sized_steps(work: Preparation, keep_maps_bytes: int) -> Steps[Sized]:
    """Choose the size to segment an image at, with a look at it where that is asked.

    Parameters
    ----------
    work : Preparation
        Of the image at the size that is given, or at the usual one.
    keep_maps_bytes : int
        As for `napari_unetic.maps.plan_work`, should another plan be made.

    Yields
    ------
    Step
        Before each run of the network.

    Returns
    -------
    Sized
    """
    plan, description = work.plan, work.plan.description
    if why := _why_not(plan.settings, description):
        # What objects of the working diameter are long in the image.
        px = description.working_diameter_px / plan.zoom
        return Sized(work, {"taken_px": px, "why": why})
    look = yield from look_steps(work)
    taken, record = _chosen(look.estimate, description)
    ready = look.ready
    if dark := _dark(look.estimate, description):
        description = description.model_copy(update={"decoding": dark.decoding})
        if ready is not None:
            ready = replace(ready, objects=None)
    if taken is None:
        same = replace(plan, description=description)
        return Sized(work.for_plan(same), record, ready)
    given = plan.settings.model_copy(update={"diameter": taken})
    again = plan_work(plan.image, description, given, keep_maps_bytes=keep_maps_bytes)
    # Whoever decodes the maps again asks for what was asked for, not for what came.
    again = replace(again, settings=plan.settings)
    return Sized(work.for_plan(again), record)


def diameter_steps(
    image: Image, model: Model, settings: SegmentSettings
) -> Steps[dict[str, Any] | None]:
    """Choose the size that an image would be segmented at, and do no more.

    Parameters
    ----------
    image : Image
        Which.
    model : Model
        With which.
    settings : SegmentSettings
        As for `napari_unetic.predict.segment_steps`.

    Yields
    ------
    Step
        Before each run of the network.

    Returns
    -------
    dict or None
        As the record of `Sized`; None where no diameter is looked for.
    """
    if _why_not(settings, model.description):
        return None
    said = yield from estimate_diameter_steps(image, model, settings)
    return _chosen(said, model.description)[1]


def _chosen(
    said: DiameterEstimate, description: ModelDescription
) -> tuple[float | None, dict[str, Any]]:
    """Return the diameter that is taken, None for the usual one, and the record."""
    taken, why = choose(said, description)
    return taken, {
        "taken_px": taken or usual_diameter(description),
        "why": why,
        "estimate_px": said.diameter,
        "sure": said.sure,
        "n_objects": said.n_objects,
        "are_dark": said.are_dark,
    }


def _dark(said: DiameterEstimate, description: ModelDescription) -> DarkSpec | None:
    """Return how dark objects are taken, if they are dark and the model says how."""
    is_known = said.diameter is not None and said.sure >= SURE_ENOUGH
    return description.dark if is_known and said.are_dark else None


def choose(
    said: DiameterEstimate, description: ModelDescription
) -> tuple[float | None, str]:
    """Return the diameter to segment an image for, None for the usual one, and why.

    Parameters
    ----------
    said : DiameterEstimate
        Of the image.
    description : ModelDescription
        Of the model.
    """
    if said.diameter is None:
        return None, "usual: no object was found"
    if said.sure < SURE_ENOUGH:
        return None, "usual: the estimate is not sure enough"
    usual = usual_diameter(description)
    size = said.diameter / usual
    if dark := _dark(said, description):
        least = usual * LEFT_ALONE[0] / LARGEST_ZOOM
        if least <= said.diameter < dark.diameter_px:
            taken = max(said.diameter / dark.diameter_px, 1 / LARGEST_ZOOM) * usual
            return taken, "magnified: the objects are dark"
    if LEFT_ALONE[0] <= size <= LEFT_ALONE[1]:
        return None, "usual: the objects are near enough to it"
    if size > LEFT_ALONE[1]:
        return said.diameter / BROUGHT_TO[1], "reduced: the objects are larger"
    if size < LEFT_ALONE[0] / LARGEST_ZOOM:
        return None, "usual: objects so small cannot be told"
    taken = max(said.diameter / BROUGHT_TO[0], usual / LARGEST_ZOOM)
    return taken, "magnified: the objects are smaller"


def _why_not(settings: SegmentSettings, description: ModelDescription) -> str:
    """Say why the diameter is not looked for; empty if it is."""
    if settings.pixel_size is not None:
        return "by the pixel size"
    if settings.given_diameter is not None:
        return "given"
    if not settings.seeks_diameter:
        return "usual: asked for"
    if description.kind.noun != "objects":
        return "usual: the model tells classes, not objects"
    if description.axes != "YX":
        return "usual: the model is for volumes, the look for planes"
    if description.resize_px is not None:
        return "the model sees every image at one size"
    return ""
