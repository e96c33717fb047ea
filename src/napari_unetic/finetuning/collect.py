"""Corrections become pairs: what of an image was reviewed, plane by plane."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.areas import Mask, within
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.source import Image, as_image
from napari_unetic.instances.matching import check_same_shape
from napari_unetic.instances.record import touched

if TYPE_CHECKING:
    from napari_unetic.image.source import ArrayLike
    from napari_unetic.pairs.pair import Pair

Reviewed: TypeAlias = Literal["all", "touched"] | NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class CollectedPair:
    """One plane with its corrected labels and where they can be trusted.

    Parameters
    ----------
    id : str
        Name of the image, with the plane where there are several.
    image : Image
        Of axes YX or CYX, in memory.
    labels : ndarray of shape (Y, X), int32
        Number of the object at each pixel, 0 where there is none.
    reviewed : ndarray of shape (Y, X), bool, or None
        Where the labels can be trusted; None means everywhere.
    source : str
        Name of the image that the plane was taken from. An object in several planes of
        one source is held out in all of them or in none.
    plane : tuple of int
        Which plane of it.
    range : tuple of tuple of float, optional
        For each channel the intensities that become 0 and 1, fitted to the whole
        source as prediction does; fitted to the plane if None.
    held_out : ndarray of shape (Y, X), bool, or None
        Where an earlier round held objects out: they stay so.
    """

    id: str
    image: Image
    labels: NDArray[np.int32]
    reviewed: Mask | None = None
    source: str = ""
    plane: tuple[int, ...] = ()
    range: tuple[tuple[float, float], ...] | None = None
    held_out: Mask | None = None

    @property
    def objects(self) -> NDArray[np.int64]:
        """Numbers of the objects with at least half of their area reviewed."""
        area = np.bincount(self.labels.ravel())
        area[0] = 0
        if self.reviewed is None:
            return np.flatnonzero(area)
        inside = np.bincount(self.labels[self.reviewed], minlength=area.size)
        return np.flatnonzero((area > 0) & (2 * inside >= area))

    @property
    def n_objects(self) -> int:
        """How many objects there are to learn from and to judge by."""
        return len(self.objects)

    def image_hash(self) -> str:
        """Return the SHA-256 of the plane's pixels, as `Pair.image_hash`."""
        data = np.asarray(self.image.data)
        data = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        digest = hashlib.sha256(f"{data.dtype.str}|{data.shape}|".encode())
        digest.update(data.data)
        return digest.hexdigest()


def collect_pairs(
    image: Image | ArrayLike,
    labels: NDArray[Any],
    *,
    name: str = "image",
    axes: str | None = None,
    channel: int | None = None,
    predicted: NDArray[Any] | None = None,
    reviewed: Reviewed = "all",
    diameter: float | None = None,
    before: Sequence[CollectedPair] = (),
) -> list[CollectedPair]:
    """Return the planes of an image that a person has reviewed, as pairs.

    Parameters
    ----------
    image : Image or array-like
        2-D, or a stack or time series of planes; grey, colour or several channels.
    labels : ndarray of plane axes and (Y, X), integer
        As corrected.
    name : str
        Of the image, for the pairs' ids and messages.
    axes : str, optional
        Axes of the image in its own order; guessed from the shape if None.
    channel : int, optional
        The channel to learn from, where there are several; all if None.
    predicted : ndarray of the labels' shape, integer, optional
        As they were before the corrections; needed for ``"touched"``.
    reviewed : {"all", "touched"} or ndarray of the labels' shape or (Y, X)
        Where the labels can be trusted: everywhere, where something was corrected, or
        where a mask is not 0. Touched is each object that was edited or added with a
        rim of half a diameter, less every untouched object, and the area of each
        erased object as background.
    diameter : float, optional
        Of the objects in pixels, for the rim; the median of the labels if None.
    before : sequence of CollectedPair
        Pairs of an earlier round: objects of the same image that were held out then
        stay so.

    Returns
    -------
    list of CollectedPair
        One for each plane in which an object was touched or reviewed, in their order.

    Raises
    ------
    UneticError
        If the shapes do not fit, or nothing was reviewed.
    """
    whole = as_image(image, axes, name=name)
    shape = (*whole.plane_shape, *whole.shape_yx)
    check_same_shape("labels", np.shape(labels), shape)
    numbers = _numbers(labels)
    size = diameter or median_diameter(numbers)
    areas = _areas(numbers, shape, predicted, reviewed, size)
    intensities = _range(whole, channel)
    earlier = {pair.image_hash(): pair.held_out for pair in before}
    found = []
    for plane, area in areas:
        pair = CollectedPair(
            id=_id(name, whole.plane_axes, plane),
            image=_plane_of(whole, plane, channel),
            labels=np.ascontiguousarray(numbers[plane]),
            reviewed=area,
            source=name,
            plane=plane,
            range=intensities,
        )
        if earlier:
            pair = replace(pair, held_out=earlier.get(pair.image_hash()))
        found.append(pair)
    if not found:
        raise UneticError(
            f"Expected objects that were reviewed in {name}, got none; correct some, "
            "or choose another reviewed area."
        )
    return found


def collected(pairs: Sequence[Pair]) -> list[CollectedPair]:
    """Return pairs on disk as collected ones, with their reviewed areas.

    Raises
    ------
    UneticError
        If a pair cannot be read.
    """
    found: list[CollectedPair] = []
    for pair in pairs:
        image, labels = pair.read()
        area = pair.reviewed(labels.shape)
        found += collect_pairs(
            image, labels, name=pair.id, reviewed="all" if area is None else area
        )
    return found


def median_diameter(labels: NDArray[Any]) -> float:
    """Median diameter of the objects of a label image in pixels; 1 without objects."""
    areas = np.bincount(labels.ravel())[1:]
    areas = areas[areas > 0]
    return float(np.median(np.sqrt(4 * areas / np.pi))) if areas.size else 1.0


def touched_area(
    predicted: NDArray[Any], labels: NDArray[Any], diameter: float
) -> Mask | None:
    """Return the area of one plane that corrections tell something about.

    Parameters
    ----------
    predicted, labels : ndarray of shape (Y, X), integer
        Before and after.
    diameter : float
        In pixels; the rim is half of it.

    Returns
    -------
    ndarray of shape (Y, X), bool, or None
        None where nothing was touched.
    """
    changes = touched(predicted, labels)
    edited = np.isin(labels, np.concatenate([changes.edited, changes.added]))
    erased = np.isin(predicted, changes.erased)
    if not (edited.any() or erased.any()):
        return None
    area = erased | within(edited, diameter / 2)
    return area & ~np.isin(labels, changes.untouched)


def _numbers(labels: NDArray[Any]) -> NDArray[np.int32]:
    array = np.asarray(labels)
    if array.dtype.kind not in "bui" or (array.size and int(array.min()) < 0):
        raise UneticError(
            f"Expected labels as integers of 0 and more, got dtype {array.dtype}; "
            "convert them first."
        )
    if array.size and int(array.max()) > np.iinfo(np.int32).max:
        raise UneticError(
            f"Expected labels up to {np.iinfo(np.int32).max}, got {array.max()}; "
            "renumber them."
        )
    return array.astype(np.int32)


def _areas(
    labels: NDArray[np.int32],
    shape: tuple[int, ...],
    predicted: NDArray[Any] | None,
    reviewed: Reviewed,
    diameter: float,
) -> Iterator[tuple[tuple[int, ...], Mask | None]]:
    """Yield the planes that were reviewed, each with its area."""
    mask: NDArray[Any] | None = None
    if not isinstance(reviewed, str):
        mask = np.asarray(reviewed)
        if mask.shape != shape[-2:]:
            check_same_shape("reviewed area", mask.shape, shape)
        mask = np.broadcast_to(mask != 0, shape)
    elif reviewed == "touched":
        if predicted is None:
            raise UneticError(
                "Expected what was predicted, to tell what was touched, got none; "
                "choose another reviewed area, or segment with this plugin."
            )
        check_same_shape("prediction", np.shape(predicted), shape)
    elif reviewed != "all":
        raise UneticError(
            f"Expected a reviewed area as all, touched or a mask, got {reviewed!r}; "
            "choose one."
        )
    for plane in np.ndindex(*shape[:-2]):
        if mask is not None:
            if (labels[plane][mask[plane]] > 0).any():
                yield plane, np.ascontiguousarray(mask[plane])
        elif reviewed == "touched":
            assert predicted is not None
            area = touched_area(np.asarray(predicted)[plane], labels[plane], diameter)
            if area is not None:
                yield plane, area
        elif labels[plane].any():
            yield plane, None


def _range(image: Image, channel: int | None) -> tuple[tuple[float, float], ...] | None:
    """Return the range of intensities of each channel over all planes.

    None for a single plane, which tells it by itself, and for colours, of which a
    model may take the grey.
    """
    if not image.plane_axes or image.rgb:
        return None
    n_channels = image.n_channels if channel is None else 1
    fitted = fit_normalisation(image, n_channels, channel=channel)
    return tuple(
        (offset, offset + scale)
        for offset, scale in zip(fitted.offset, fitted.scale, strict=True)
    )


def _plane_of(image: Image, plane: tuple[int, ...], channel: int | None) -> Image:
    """Copy a plane of an image into memory."""
    n = image.n_channels
    if channel is not None and not 0 <= channel < n:
        raise UneticError(
            f"Expected a channel from 0 to {n - 1} of {image.name}, got {channel}; "
            "counting starts at 0."
        )
    data = image.read(plane, None if channel is None else (channel,)).copy()
    has_channels = data.shape[0] > 1
    return replace(
        image,
        data=data if has_channels else data[0],
        axes="CYX" if has_channels else "YX",
        rgb=image.rgb and has_channels,
        notices=(),
    )


def _id(name: str, plane_axes: str, plane: tuple[int, ...]) -> str:
    """Name a plane: ``name``, or ``name t003 z012``."""
    at = [f"{a.lower()}{i:03d}" for a, i in zip(plane_axes, plane, strict=True)]
    return " ".join([name, *at])
