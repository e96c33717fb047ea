"""Which planes and which part of them, and at which size the network sees them.

For a model that takes volumes a plane is a whole volume, and boxes and grids have three
axes.
"""

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

Box: TypeAlias = tuple[slice, ...]
"""A part of a plane or a volume: with start and stop along each axis, X last."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What of an image is segmented, and on which grid.

    Parameters
    ----------
    planes : tuple of tuple of int
        Indices along the image's plane axes to do, in order.
    box : tuple of slice
        The part of each plane that maps are made of: all of it, or the region with a
        margin of real pixels.
    zoom : float
        Factor from the image's size to that which the network works at, along Y and X;
        the geometric mean of both where a model resizes all images to one size.
    zoom_z : float
        The same along Z; 1 for planes.
    grid : tuple of int
        Shape of a whole plane at that size.
    map_box : tuple of slice
        The part of `grid` that is computed: all that `box` is made of when maps or
        labels are brought back to the image's size (`napari_unetic.image.resample`).
    margin : tuple of int
        Pixels of the image around anything, along each axis, in which the objects at
        its edge are whole.
    """

    planes: tuple[tuple[int, ...], ...]
    box: Box
    zoom: float
    zoom_z: float
    grid: tuple[int, ...]
    map_box: Box
    margin: tuple[int, ...]

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape of the maps of a plane."""
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
        What is segmented, in planes or volumes as the model sees it.
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
    space, depth = image.space, image.space[:-2]
    zoom, grid = _scaled(image.shape_yx, description, settings)
    zoom_z = 1.0 if not depth else zoom * _flatness(image, description)
    grid = *scaled_shape(depth, zoom_z), *grid
    across = MARGIN_DIAMETERS * description.working_diameter_px / zoom
    through = across * zoom / (zoom_z * (description.anisotropy or 1))
    margin = tuple(map(math.ceil, (through, across, across)[-len(space) :]))
    box = tuple(slice(0, size) for size in space)
    if settings.region is not None:
        box = *box[:-2], *settings.region.bounds(image.shape_yx, margin[-1])
    return Extent(
        planes=_planes(image, settings.plane),
        box=box,
        zoom=zoom,
        zoom_z=zoom_z,
        grid=grid,
        map_box=needed_box(grid, space, box),
        margin=margin,
    )


def _flatness(image: Image, description: ModelDescription) -> float:
    """Return how much farther apart planes are than in the volumes of the training.

    In pixels; 1 where that is unknown.
    """
    own, usual = image.pixel_size.anisotropy, description.anisotropy
    if own is None or usual is None:
        return 1.0
    if not 1 / MAX_ZOOM <= own / usual <= MAX_ZOOM:
        raise UneticError(
            f"Expected planes about as far apart as {description.name!r} saw them, "
            f"{usual:.3g} pixels, got {own:.3g} in {image.name}; correct the pixel "
            "size in the file."
        )
    return own / usual


def size_of(box: Box) -> tuple[int, ...]:
    """Return the shape of a box."""
    return tuple(part.stop - part.start for part in box)


def needed_box(old: tuple[int, ...], new: tuple[int, ...], box: Box) -> Box:
    """Return what a box of pixels after resampling is made of, in pixels before."""
    return tuple(needed(*along) for along in zip(old, new, box, strict=True))


def _planes(image: Image, plane: tuple[int, ...] | None) -> tuple[tuple[int, ...], ...]:
    """Return the planes to do."""
    if plane is None:
        return tuple(image.planes())
    if image.dimensions == 3 and len(plane) != len(image.plane_axes):
        wanted = "a frame along T" if image.plane_axes else "no plane"
        raise UneticError(
            f"Expected {wanted} of {image.name}, which is segmented in volumes of all "
            f"its planes, got {_listed(plane)}; correct it, or take a model for planes."
        )
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
) -> tuple[float, tuple[int, ...]]:
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
