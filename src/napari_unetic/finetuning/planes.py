"""Planes of a fine-tuning at the size that the network works at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.finetuning.areas import bounds
from napari_unetic.finetuning.held_out import judging_area, learning_area
from napari_unetic.image.channels import to_channels
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.region import Region
from napari_unetic.image.resample import resample, resample_labels, scaled_shape
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.description import object_kind
from napari_unetic.predict.planes import decode_plane
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain
from napari_unetic.training.patches import Sample

if TYPE_CHECKING:
    from napari_unetic.finetuning.areas import Mask
    from napari_unetic.finetuning.collected import CollectedPair
    from napari_unetic.finetuning.held_out import Sides
    from napari_unetic.maps import Plan
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model

_N_CENTRES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A pair with its two areas, and the diameter of all pairs' objects.

    Parameters
    ----------
    pair : CollectedPair
    sides : Sides
        Its objects.
    learn, judge : ndarray of shape (Y, X), bool
        Where is learnt, and where is judged.
    diameter : float
        In pixels of the image.
    """

    pair: CollectedPair
    sides: Sides
    learn: Mask
    judge: Mask
    diameter: float


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Maps of a part of a plane, with what is true there.

    Parameters
    ----------
    maps : ndarray of shape (M, Y', X'), float32
        At the working size.
    truth : ndarray of shape (Y', X'), int32
        The labels there.
    area : ndarray of shape (Y', X'), bool
        Which pixels count.
    """

    maps: NDArray[np.float32]
    truth: NDArray[np.int32]
    area: Mask


def make_plane(
    pair: CollectedPair, sides: Sides, diameter: float, description: ModelDescription
) -> Plane:
    """Return a plane with its areas.

    Parameters
    ----------
    pair, sides
        The plane and its objects.
    diameter : float
        Of the pairs' objects, in pixels of the image.
    description : ModelDescription
        Says how far contacts reach at the working size.
    """
    zoom = description.working_diameter_px / diameter
    contact = (object_kind(description).target.contact_reach_px + 1) / zoom
    return Plane(
        pair,
        sides,
        learning_area(pair, sides, diameter, contact),
        judging_area(pair, sides, diameter),
        diameter,
    )


def training_sample(
    plane: Plane, description: ModelDescription, patch_px: int
) -> Sample | None:
    """Return what is learnt from a plane, resampled; None if there is nothing.

    Parameters
    ----------
    plane : Plane
    description : ModelDescription
        Channels, normalisation and working diameter.
    patch_px : int
        Side of a patch, at the working size: context that is kept around the area.
    """
    zoom = description.working_diameter_px / plane.diameter
    image = plane.pair.image
    old = image.shape_yx
    grid = scaled_shape(old, zoom)
    learn = resample_labels(plane.learn, old, grid)
    if not learn.any():
        return None
    pixels = resample(as_seen(plane, description), old, grid)
    labels = resample_labels(plane.pair.labels, old, grid)
    box = bounds(learn, patch_px)
    centres = np.argwhere(learn[box])
    every = max(1, len(centres) // _N_CENTRES)
    highest = int(labels.max())
    return Sample(
        pixels[(slice(None), *box)].astype(np.float16),
        labels[box].astype(np.uint16 if highest < 2**16 else np.int32),
        np.ascontiguousarray(learn[box]),
        centres[::every],
    )


def as_seen(plane: Plane, description: ModelDescription) -> NDArray[np.float32]:
    """Return the pixels of a plane, of shape (C, Y, X), as the network of a model."""
    image, n_channels = plane.pair.image, description.network.in_channels
    fitted = fit_normalisation(image, n_channels, spec=description.normalisation)
    return fitted.apply(to_channels(image.read(), n_channels, rgb=image.rgb))


def predict_maps(model: Model, plane: Plane, area: Mask, device: str) -> Predicted:
    """Run a model over the part of a plane that an area lies in.

    Parameters
    ----------
    model : Model
    plane : Plane
    area : ndarray of shape (Y, X), bool
        Not empty.
    device : str
        Where to.
    """
    plan, maps = _run(model, plane, area, device)
    old, grid, box = plan.image.shape_yx, plan.grid, plan.map_box
    return Predicted(
        maps,
        resample_labels(plane.pair.labels, old, grid, box).astype(np.int32),
        resample_labels(area, old, grid, box),
    )


def predict_labels(
    model: Model, plane: Plane, area: Mask, device: str
) -> tuple[NDArray[np.int32], tuple[slice, ...]]:
    """Segment the part of a plane that an area lies in, at the image's own size.

    Returns
    -------
    ndarray of shape (rows, columns), int32
        Labels of the part.
    tuple of slice
        Which part.
    """
    plan, maps = _run(model, plane, area, device)
    return decode_plane(maps, plan, plan.settings).labels, plan.box


def _run(
    model: Model, plane: Plane, area: Mask, device: str
) -> tuple[Plan, NDArray[np.float32]]:
    """Return the maps around an area, and the plan that they were made by."""
    rows, columns = bounds(area, 0)
    settings = segment_settings(
        diameter=plane.diameter,
        device=device,
        precision="float32",
        region=Region.box(rows.start, columns.start, rows.stop, columns.stop),
    )
    plan = plan_work(plane.pair.image, model.description, settings)
    return plan, drain(prepare(plan, model).maps_steps(()))
