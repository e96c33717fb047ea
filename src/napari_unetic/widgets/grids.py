"""Labels on the pixels of an image: which level they are of, and where they begin.

What the viewer shows decides: labels belong to the pixels that they lie on. Where a
file or a program has lost the place of labels (their layer has neither scale nor
translation), their record decides, or, without one, that they are as large as the
image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_unetic.errors import UneticError
from napari_unetic.image.source import Image, as_image
from napari_unetic.settings import settings_from
from napari_unetic.widgets.layers import layer_source
from napari_unetic.widgets.levels import level_data

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_unetic.widgets.layers import LayerSource
    from napari_unetic.widgets.records import Record

_SLACK_PX = 0.3
"""Pyramids are placed by the centre or the corner of their pixels: a quarter apart."""

_DRIFT_PX = 1.0
"""Levels of odd sizes are placed by whole factors or by the ratio of the sizes."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixels that labels and an image share.

    Parameters
    ----------
    source : LayerSource
        The image, at the level that the labels are of.
    pixels : napari.layers.Labels
        A layer of one pixel, in no viewer, that lies where the first pixel of that
        level lies: it tells where other layers lie on it.
    start : dict of str to int
        Letter to the pixel of the level that the first of the shared ones is.
    skipped : dict of str to int
        Letter to the pixel of the labels that it is.
    sizes : dict of str to int
        Letter to how many pixels are shared; letters of T, Z, Y and X in this order.
    labels : Image
        All of the labels, axes in canonical order; read where needed.
    """

    source: LayerSource
    pixels: Labels
    start: dict[str, int]
    skipped: dict[str, int]
    sizes: dict[str, int]
    labels: Image

    @property
    def letters(self) -> str:
        """A letter for each dimension of the layer of labels."""
        return self.source.label_axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Planes along T and Z, then rows and columns."""
        return tuple(self.sizes.values())

    @property
    def first(self) -> tuple[int, ...]:
        """The pixel of the level where they begin, in that order."""
        return tuple(self.start[letter] for letter in self.sizes)

    def planes(self, labels: Image | None = None) -> Planes:
        """Return the shared part of the labels, or of others of their shape."""
        return Planes(
            self.labels if labels is None else labels,
            tuple(self.skipped[letter] for letter in self.sizes),
            self.shape,
        )

    def canonical(self, labels: Any) -> Image:
        """Return an array of the shape of the labels' layer with axes in order."""
        return canonical_labels(labels, self.letters)


class Planes:
    """A part of labels, plane by plane; each is read when it is asked for.

    Parameters
    ----------
    image : Image
        The labels.
    start : tuple of int
        Where the part begins.
    shape : tuple of int
        Of the part.
    """

    def __init__(
        self, image: Image, start: tuple[int, ...], shape: tuple[int, ...]
    ) -> None:
        self._image, self.start, self.shape = image, start, shape
        self.ndim, self.dtype = len(shape), np.dtype(image.data.dtype)

    def __getitem__(self, plane: tuple[int, ...]) -> NDArray[Any]:
        """Read one plane."""
        at = tuple(i + first for i, first in zip(plane, self.start, strict=False))
        rows, columns = (
            slice(first, first + size)
            for first, size in zip(self.start[-2:], self.shape[-2:], strict=True)
        )
        window: NDArray[Any] = self._image.read(at, None, rows, columns)[0]
        return window


def grid_of(
    image_layer: ImageLayer, labels_layer: Labels, record: Record | None
) -> Grid:
    """Return the pixels that a layer of labels shares with an image.

    Parameters
    ----------
    image_layer : napari.layers.Image
        The image; a few pixels of a multiscale one are read.
    labels_layer : napari.layers.Labels
        The labels; only their shape and place are looked at.
    record : dict, optional
        What the labels were made with.

    Returns
    -------
    Grid

    Raises
    ------
    UneticError
        If they lie on no level of the image pixel by pixel, or beside it.
    """
    axes = settings_from(record).axes if record and "settings" in record else None
    n_levels = len(image_layer.data) if image_layer.multiscale else 1
    sources = [layer_source(image_layer, axes, level) for level in range(n_levels)]
    n_axes = len(sources[0].label_axes)
    if labels_layer.ndim != n_axes:
        raise UneticError(
            f"Expected labels of {n_axes} dimensions for {image_layer.name}, got "
            f"{labels_layer.name} of {labels_layer.ndim}; choose labels that have a "
            "plane for each plane of the image."
        )
    data = level_data(labels_layer)
    shape = tuple(int(size) for size in data.shape)
    lying = _lying(sources, labels_layer, shape)
    if _has_no_place(labels_layer):
        found = _recorded(sources, record, shape) or _as_large(sources, shape)
        # A part without a place may be any part.
        if found is None and lying is not None and _covers(*lying, shape):
            found = lying
    else:
        found = lying
        if found is None and _has_no_place(image_layer) and _is_scaled(labels_layer):
            found = _as_large(sources, shape)
    if found is None:
        raise _elsewhere(image_layer, labels_layer, shape)
    return _shared(*found, data, image_layer, labels_layer)


def _recorded(
    sources: list[LayerSource], record: Record | None, shape: tuple[int, ...]
) -> tuple[LayerSource, tuple[int, ...]] | None:
    """Return level and first pixel as the record has them, if it is of this image."""
    place, level = (record or {}).get("layer", {}), (record or {}).get("level", 0)
    if tuple(place.get("shape", ())) != shape or level >= len(sources):
        return None
    source, start = sources[level], tuple(place["start"])
    sizes = source.sizes | {"C": 1}
    room = [sizes[letter] for letter in source.label_axes]
    is_inside = len(start) == len(room) and all(
        0 <= first and first + size <= most
        for first, size, most in zip(start, shape, room, strict=True)
    )
    return (source, start) if place["axes"] == source.label_axes and is_inside else None


def _as_large(
    sources: list[LayerSource], shape: tuple[int, ...]
) -> tuple[LayerSource, tuple[int, ...]] | None:
    """Return the level that has the shape of the labels."""
    for source in sources:
        sizes = source.sizes | {"C": 1}
        if tuple(sizes[letter] for letter in source.label_axes) == shape:
            return source, (0,) * len(shape)
    return None


def _covers(
    source: LayerSource, start: tuple[int, ...], shape: tuple[int, ...]
) -> bool:
    """Whether labels that begin at a pixel lie on all of a level."""
    sizes = source.sizes | {"C": 1}
    return all(
        first <= 0 and first + size >= sizes[letter]
        for letter, first, size in zip(source.label_axes, start, shape, strict=True)
    )


def _lying(
    sources: list[LayerSource], layer: Labels, shape: tuple[int, ...]
) -> tuple[LayerSource, tuple[int, ...]] | None:
    """Return the level whose pixels those of a layer lie on."""
    ends = np.diag(np.maximum(np.array(shape) - 1, 1)).astype(np.float64)
    points = np.vstack([np.zeros(len(shape)), ends])
    for source in sources:
        pixels = _pixels(source)
        there = positions(layer, points, pixels)
        start = np.rint(there[0])
        off = np.abs(there - points - start).max(axis=1)
        if off[0] <= _SLACK_PX and off.max() <= _DRIFT_PX:
            return source, tuple(int(first) for first in start)
    return None


def positions(
    layer: Layer, points: NDArray[np.float64], other: Layer
) -> NDArray[np.float64]:
    """Return where points of one layer lie in the pixels of another."""
    return np.asarray(
        [other.world_to_data(layer.data_to_world(point)) for point in points],
        np.float64,
    )


def _pixels(source: LayerSource) -> Labels:
    """Return a layer of one pixel that lies where the first one of a level does."""
    return Labels(
        np.zeros((1,) * len(source.label_axes), np.uint8), **source.placement()
    )


def _has_no_place(layer: Layer) -> bool:
    """Whether a layer lies where one lies that nobody has said anything about."""
    corner = _corner(layer)
    return bool(
        np.allclose(corner[0], 0) and np.allclose(corner[1:], np.eye(layer.ndim))
    )


def _is_scaled(layer: Layer) -> bool:
    """Whether nothing but the size of its pixels is known of where a layer lies."""
    corner = _corner(layer)
    return bool(
        np.allclose(corner[0], 0)
        and np.allclose(corner[1:], np.diag(np.diag(corner[1:])))
    )


def _corner(layer: Layer) -> NDArray[np.float64]:
    """Return where the first pixel of a layer lies in the world, and its neighbours."""
    points = np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])
    return np.asarray([layer.data_to_world(point) for point in points], np.float64)


def _shared(
    source: LayerSource,
    start: tuple[int, ...],
    data: Any,
    image_layer: ImageLayer,
    labels_layer: Labels,
) -> Grid:
    """Return the part of labels that lies on an image."""
    letters, lengths = source.label_axes, source.sizes | {"C": 1}
    labels = canonical_labels(data, letters)
    first, skipped, sizes = {}, {}, {}
    for letter, begin, size in sorted(
        zip(letters, start, data.shape, strict=True),
        key=lambda one: "TZCYX".index(one[0]),
    ):
        if letter == "C":
            continue
        first[letter], skipped[letter] = max(begin, 0), max(-begin, 0)
        sizes[letter] = min(begin + size, lengths[letter]) - first[letter]
        if sizes[letter] <= 0:
            raise UneticError(
                f"Expected labels that lie on {image_layer.name}, got "
                f"{labels_layer.name}, which lies beside it; choose the image that "
                "they are of."
            )
    return Grid(source, _pixels(source), first, skipped, sizes, labels)


def canonical_labels(labels: Any, letters: str) -> Image:
    """Return labels with axes in canonical order and none of channels.

    Parameters
    ----------
    labels : array-like of int
        One axis a letter; read where it is needed.
    letters : str
        Of a layer of labels.

    Returns
    -------
    Image
    """
    image = as_image(labels, letters, name="labels")
    if "C" not in image.axes:
        return image
    # Only of the transposed axes of a plugin's layer; it has one channel.
    data = np.asarray(image.data).take(0, axis=image.axes.index("C"))
    return as_image(data, image.axes.replace("C", ""), name="labels")


def _elsewhere(
    image_layer: ImageLayer, labels_layer: Labels, shape: tuple[int, ...]
) -> UneticError:
    sizes = tuple(int(size) for size in level_data(image_layer).shape)
    return UneticError(
        f"Expected labels on the pixels of {image_layer.name} {sizes}, got "
        f"{labels_layer.name} {shape}, which do not fit it; choose the image that they "
        "are of, or make labels of its size in the same place."
    )
