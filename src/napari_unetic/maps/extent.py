"""Which planes and which part of them, and at which size the network sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from napari_unetic.errors import UneticError
from napari_unetic.image.resample import needed, scaled_shape

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.settings import SegmentSettings

MAX_ZOOM = 50
"""Resampling by more is a slip of the hand, and would fill the memory."""

MARGIN_DIAMETERS = 2
"""Context around a region, in working diameters: the objects at its edge are whole."""

Box: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Extent:
    """What of an image is segmented, and on which grid.

    Parameters
    ----------
    planes : tuple of tuple of int
        Indices along the image's plane axes to do, in order.
    box : tuple of slice
        Rows and columns of the image that maps are made of: all of it, or the region
        with a margin of real pixels.
    zoom : float
        Factor from the image's size to that which the network works at; the geometric
        mean of both sides' where a model resizes all images to one size.
    grid : tuple of int
        Rows and columns of the whole image at that size.
    map_box : tuple of slice
        Rows and columns of `grid` that are computed: all that `box` is made of when
        maps or labels are brought back to the image's size
        (`napari_unetic.image.resample`).
    """

    planes: tuple[tuple[int, ...], ...]
    box: Box
    zoom: float
    grid: tuple[int, int]
    map_box: Box

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the maps of a plane."""
        return size_of(self.map_box)

    @property
    def n_decoded(self) -> int:
        """Pixels of a plane on the finer grid, where it is decoded."""
        return max(math.prod(size_of(self.box)), math.prod(self.map_shape))

    @property
    def decode_megapixels(self) -> float:
        """The same in megapixels."""
        return self.n_decoded / 1e6


def find_extent(
    image: Image, description: ModelDescription, settings: SegmentSettings
) -> Extent:
    """Return what of an image is segmented; no pixel is read.

    Parameters
    ----------
    image : Image
        What is segmented.
    description : ModelDescription
        Of the model.
    settings : SegmentSettings
        Plane, region, diameter, pixel size. A diameter that is to be found out counts
        as the usual one, until it is known.

    Raises
    ------
    UneticError
        If one of them does not fit the image or the model.
    """
    shape = image.shape_yx
    zoom, grid = _scaled(shape, description, settings)
    box = slice(0, shape[0]), slice(0, shape[1])
    if settings.region is not None:
        margin = MARGIN_DIAMETERS * description.working_diameter_px / zoom
        box = settings.region.bounds(shape, math.ceil(margin))
    rows, columns = (needed(grid[k], shape[k], box[k]) for k in range(2))
    return Extent(
        planes=_planes(image, settings.plane),
        box=box,
        zoom=zoom,
        grid=grid,
        map_box=(rows, columns),
    )


def size_of(box: Box) -> tuple[int, int]:
    """Return the rows and columns of a box."""
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _planes(image: Image, plane: tuple[int, ...] | None) -> tuple[tuple[int, ...], ...]:
    """Return the planes to do."""
    if plane is None:
        return tuple(image.planes())
    if len(plane) != len(image.plane_axes):
        wanted = " and ".join(image.plane_axes) or "no number, as it has one plane"
        raise UneticError(
            f"Expected a plane as {wanted} of {image.name}, got {_listed(plane)}; "
            "give one number an axis, or leave it out for all planes."
        )
    for axis, size, index in zip(
        image.plane_axes, image.plane_shape, plane, strict=True
    ):
        if not 0 <= index < size:
            raise UneticError(
                f"Expected a plane from 0 to {size - 1} along {axis} of {image.name}, "
                f"got {index}; counting starts at 0."
            )
    return (plane,)


def _scaled(
    shape: tuple[int, int], description: ModelDescription, settings: SegmentSettings
) -> tuple[float, tuple[int, int]]:
    """Return the factor to the size that the network works at, and that size."""
    side = description.resize_px
    if side is None:
        zoom = _zoom(description, settings.given_diameter, settings.pixel_size)
        return zoom, scaled_shape(shape, zoom)
    if settings.given_diameter is not None or settings.pixel_size is not None:
        is_size = settings.given_diameter is None
        given = "a pixel size" if is_size else "a diameter"
        raise UneticError(
            f"Expected no size of objects for {description.name!r}, which sees every "
            f"image as {side} × {side} pixels, got {given}; leave it out."
        )
    return math.sqrt(side * side / math.prod(shape)), (side, side)


def _zoom(
    description: ModelDescription, diameter: float | None, pixel_size: float | None
) -> float:
    """Return the factor that brings objects to the size that the network works at."""
    working = description.working_diameter_px
    if pixel_size is not None:
        if description.pixel_size_um is None:
            raise UneticError(
                "Expected a model with a known pixel size, got "
                f"{description.name!r}, which has none; give the diameter of the "
                "objects in pixels."
            )
        zoom = pixel_size / description.pixel_size_um
    else:
        zoom = working / (diameter or description.input_diameter_px or working)
    if not 1 / MAX_ZOOM <= zoom <= MAX_ZOOM:
        raise UneticError(
            f"Expected objects within a factor of {MAX_ZOOM} of the model's diameter "
            f"of {working:g} pixels, got a factor of {1 / zoom:.3g}; correct the "
            "diameter or the pixel size."
        )
    return zoom


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers)) or "none"
