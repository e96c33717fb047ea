"""Labels to target maps: what a network learns in order to tell objects apart.

Three maps, each between 0 and 1:

``foreground``
    1 on objects.
``contact``
    1 where two objects meet, falling to 0 within a few pixels of it, less far in thin
    objects. Cores, which are foreground away from contacts, fall apart where objects
    touch, and an object that touches none keeps its whole area, however small it is.
``depth``
    0 outside, rising from an object's edge to 1 at its deepest pixel.

In volumes objects meet above and below, too, and distances count planes as so many
pixels apart as they are.

References
----------
The contact class is that of the three-class U-Net (Caicedo et al. 2019, Cytometry A 95,
"boundary" in section 2.3), here as a slope instead of a class, because a slope of
several pixels survives a gap in a faint border. A map of the distance to the neighbour
beside one of the cell's own depth: Scherr et al. 2020, PLoS ONE 15(12), e0243219.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

Spacing: TypeAlias = tuple[float, ...]

MAP_NAMES = ("foreground", "contact", "depth")


class TargetSpec(BaseModel):
    """How labels become target maps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["instances"] = Field("instances", title="Kind of target")
    contact_reach_px: float = Field(
        4.0,
        gt=0,
        le=64,
        title="Reach of contacts",
        description="Pixels over which the contact map falls from 1 to 0.",
    )
    contact_share: float = Field(
        0.6,
        gt=0,
        le=1,
        title="Share of a thin object",
        description="The reach is at most this share of the largest distance that an "
        "object's pixels have from its contacts.",
    )

    contact_gap_px: float = Field(
        0.0,
        ge=0,
        le=32,
        title="Gap of contacts",
        description="Objects so many pixels apart meet, too, in the middle of the gap; "
        "those one pixel apart always do.",
    )

    @property
    def n_maps(self) -> int:
        """Number of maps."""
        return len(MAP_NAMES)

    @property
    def map_names(self) -> tuple[str, ...]:
        """What each map shows."""
        return MAP_NAMES

    @property
    def activation(self) -> Literal["sigmoid"]:
        """What makes maps of the network's logits."""
        return "sigmoid"


def _neighbours(padded: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """Yield the shifted views of an array that is padded by one pixel.

    Eight of a plane, 26 of a volume.
    """
    for step in product(range(3), repeat=padded.ndim):
        if step != (1,) * padded.ndim:
            yield padded[
                tuple(
                    slice(k, n - 2 + k) for k, n in zip(step, padded.shape, strict=True)
                )
            ]


def _grown(
    labels: NDArray[np.int32], radius: float, spacing: Spacing
) -> NDArray[np.int32]:
    """Return labels with the background within a distance given to the nearest."""
    if radius == 0:
        return labels
    distance, nearest = ndimage.distance_transform_edt(
        labels == 0, spacing, return_indices=True
    )
    grown: NDArray[np.int32] = np.where(distance <= radius, labels[tuple(nearest)], 0)
    return grown


def _contacts(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels among which and whose nearest neighbours two objects meet."""
    lowest_of_none = np.iinfo(np.int32).max
    highest = labels.copy()
    lowest = np.where(labels == 0, lowest_of_none, labels)
    for shifted in _neighbours(np.pad(labels, 1)):
        np.maximum(highest, shifted, out=highest)
        np.minimum(lowest, np.where(shifted == 0, lowest_of_none, shifted), out=lowest)
    return (highest > lowest) & (highest > 0)


def _largest(
    values: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Largest value in each object, by label; 0 for labels that do not occur."""
    result = np.zeros(int(labels.max(initial=0)) + 1, np.float32)
    inside = labels > 0
    np.maximum.at(result, labels[inside], values[inside])
    return result


def _distance(mask: NDArray[np.bool_], spacing: Spacing) -> NDArray[np.float32]:
    """Distance in pixels to the nearest pixel where `mask` is false."""
    distance: NDArray[np.float32] = ndimage.distance_transform_edt(mask, spacing)
    return distance.astype(np.float32)


def make_targets(
    labels: NDArray[np.integer],
    spec: TargetSpec | None = None,
    anisotropy: float = 1.0,
) -> NDArray[np.float32]:
    """Return the target maps of a label image.

    Parameters
    ----------
    labels : ndarray of shape (Y, X) or (Z, Y, X) and dtype int
        0 is background.
    spec : TargetSpec, optional
        How far contacts reach.
    anisotropy : float
        How many pixels planes are apart.

    Returns
    -------
    ndarray of shape (3, Y, X) or (3, Z, Y, X), float32
        Foreground, contact, depth; see the module.

    Notes
    -----
    Beyond the image's edge there is neither background nor a neighbour: an object that
    is cut by the edge is as deep there as its visible part allows.
    """
    spec = spec or TargetSpec()
    spacing = (anisotropy, 1.0, 1.0)[-labels.ndim :]
    image = np.ascontiguousarray(labels, dtype=np.int32)
    maps = np.zeros((spec.n_maps, *image.shape), np.float32)
    if not image.any():
        return maps
    foreground = image > 0
    maps[0] = foreground
    contacts = _contacts(_grown(image, spec.contact_gap_px / 2, spacing))
    if contacts.any():
        away = _distance(~contacts, spacing)
        reach = np.clip(
            spec.contact_share * _largest(away, image), 1.0, spec.contact_reach_px
        )
        reach[0] = 2.0
        maps[1] = np.clip(1.0 - away / reach[image], 0.0, 1.0)
    interior = foreground.copy()
    for shifted in _neighbours(np.pad(image, 1, mode="edge")):
        interior &= shifted == image
    # An edge pixel is half a pixel deep; interior ones are counted from its centre.
    depth = np.where(foreground, _distance(interior, spacing) + 0.5, 0).astype(
        np.float32
    )
    if interior.all():
        maps[2] = 1.0
    else:
        maps[2] = depth / np.maximum(_largest(depth, image), 0.5)[image]
    return maps
