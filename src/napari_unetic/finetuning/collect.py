"""Corrections become pairs: what of an image was reviewed, plane by plane."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.areas import (
    LOOK_UP_MAX,
    Mask,
    members,
    renumbered,
    sizes_of,
    within,
)
from napari_unetic.finetuning.collected import (
    CollectedPair,
    ReviewedPlane,
    reviewed_objects,
)
from napari_unetic.image.channels import check_channels
from napari_unetic.image.normalise import fit_range
from napari_unetic.image.source import Image, as_image, part_of
from napari_unetic.instances.matching import check_same_shape
from napari_unetic.instances.record import Touched, touched
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from napari_unetic.image.source import ArrayLike
    from napari_unetic.pairs.pair import Pair

Reviewed: TypeAlias = "Literal['all', 'touched'] | ArrayLike"
Accepted: TypeAlias = Mapping[tuple[int, ...], Collection[int]]


def collect_pairs(
    image: Image | ArrayLike,
    labels: NDArray[Any],
    *,
    name: str = "image",
    axes: str | None = None,
    channel: int | None = None,
    predicted: NDArray[Any] | None = None,
    reviewed: Reviewed = "all",
    accepted: Accepted | None = None,
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
    reviewed : {"all", "touched"} or array-like of the labels' shape or (Y, X)
        Where the labels can be trusted: everywhere, where something was corrected, or
        where a mask is not 0. Touched is each object that was edited, added or accepted
        with a rim of half a diameter, less every untouched object, and the area of each
        erased object as background.
    accepted : mapping of tuple of int to collection of int, optional
        Plane to the numbers of its objects that are right as they were predicted.
    diameter : float, optional
        Of the objects in pixels, for the rim; the median of each plane's labels if
        None.
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
    found = review_planes(
        np.asarray(labels),
        predicted=None if predicted is None else np.asarray(predicted),
        reviewed=reviewed,
        accepted=accepted,
        diameter=diameter,
    )
    return drain(collect_steps(whole, found, name=name, channel=channel, before=before))


def collect_steps(
    image: Image,
    found: Iterable[ReviewedPlane],
    *,
    name: str,
    start: tuple[int, ...] | None = None,
    shape_yx: tuple[int, int] | None = None,
    channel: int | None = None,
    before: Sequence[CollectedPair] = (),
) -> Steps[list[CollectedPair]]:
    """Cut the planes that were reviewed out of an image, one step a plane.

    Parameters
    ----------
    image : Image
        Only the planes that were reviewed are read, and of all of them a sample to fit
        the range of intensities.
    found : iterable of ReviewedPlane
        From `review_planes`.
    name, channel, before
        As for `collect_pairs`.
    start : tuple of int, optional
        The pixel of the image, along its plane axes, Y and X, that the first one of the
        labels is; the first one if None.
    shape_yx : tuple of int, optional
        Rows and columns of the labels; those of the image if None.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    list of CollectedPair
        As `collect_pairs`.

    Raises
    ------
    UneticError
        If nothing was reviewed, or there is no such channel.
    """
    n = image.n_channels
    check_channels(n, n, rgb=image.rgb, channel=channel, name=image.name)
    first = start or (0,) * (len(image.plane_axes) + 2)
    sizes = shape_yx or image.shape_yx
    rows, columns = (
        slice(begin, begin + size)
        for begin, size in zip(first[-2:], sizes, strict=True)
    )
    is_whole = not image.plane_axes and sizes == image.shape_yx
    is_fitted = is_whole and image.intensity_range is None
    known = None
    earlier = {pair.image_hash(): pair.held_out for pair in before}
    pairs = []
    for n_done, one in enumerate(found):
        yield Step(n_done, 0, "collecting")
        if known is None and not is_fitted:
            known = fit_range(image, channel)
        plane = tuple(i + k for i, k in zip(one.plane, first, strict=False))
        pair = CollectedPair(
            id=_id(name, image.plane_axes, plane),
            image=part_of(
                image, plane, rows, columns, channel=channel, intensity_range=known
            ),
            labels=_compact(one.labels),
            reviewed=one.area,
            source=name,
            plane=plane,
        )
        held_out = earlier.get(pair.image_hash())
        _ = pair.objects
        pairs.append(replace(pair, held_out=held_out))
    if not pairs:
        raise UneticError(
            f"Expected objects that were reviewed in {name}, got none; correct some, "
            "or choose another reviewed area."
        )
    return pairs


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
    _, sizes = sizes_of(labels)
    return float(np.median(np.sqrt(4 * sizes / np.pi))) if sizes.size else 1.0


def review_planes(
    labels: ArrayLike,
    *,
    predicted: ArrayLike | None = None,
    reviewed: Reviewed = "all",
    accepted: Accepted | None = None,
    diameter: float | None = None,
) -> Iterator[ReviewedPlane]:
    """Yield the planes of labels that a person has reviewed, one in memory at a time.

    Parameters
    ----------
    labels : array-like of plane axes and (Y, X), integer
        As corrected. It may be lazy: it is read plane by plane.
    predicted, reviewed, accepted, diameter
        As for `collect_pairs`.

    Yields
    ------
    ReviewedPlane
        In the order of the planes.

    Raises
    ------
    UneticError
        If the shapes do not fit, or it is not known what was predicted.
    """
    shape = tuple(labels.shape)
    mask = _checked(reviewed, predicted, shape)
    for plane in np.ndindex(*shape[:-2]):
        numbers = _numbers(np.asarray(labels[plane]))
        changes = None
        if predicted is not None:
            before = np.asarray(predicted[plane])
            changes = touched(before, numbers)
        ids = _still_untouched((accepted or {}).get(plane, ()), changes, numbers)
        area: Mask | None = None
        if mask is not None:
            area = _area_in(mask, plane)
            is_reviewed = bool((numbers[area] > 0).any())
            if changes is not None:
                gone = np.intersect1d(changes.erased, reviewed_objects(before, area))
                changes = replace(changes, erased=gone)
        elif reviewed == "touched":
            assert changes is not None
            size = diameter or median_diameter(numbers)
            area = _area_of(changes, before, numbers, ids, size)
            is_reviewed = area is not None
        else:
            is_reviewed = bool(numbers.any())
        if is_reviewed:
            yield ReviewedPlane(plane, numbers, area, changes, ids)


def touched_area(
    predicted: NDArray[Any],
    labels: NDArray[Any],
    diameter: float,
    accepted: Collection[int] = (),
) -> Mask | None:
    """Return the area of one plane that corrections tell something about.

    Parameters
    ----------
    predicted, labels : ndarray of shape (Y, X), integer
        Before and after.
    diameter : float
        In pixels; the rim is half of it.
    accepted : collection of int
        Numbers of objects that are right as they were predicted.

    Returns
    -------
    ndarray of shape (Y, X), bool, or None
        None where nothing was touched or accepted.
    """
    changes = touched(predicted, labels)
    ids = _still_untouched(accepted, changes, labels)
    return _area_of(changes, predicted, labels, ids, diameter)


def _area_of(
    changes: Touched,
    predicted: NDArray[Any],
    labels: NDArray[Any],
    accepted: NDArray[np.int64],
    diameter: float,
) -> Mask | None:
    """Return the area around what was changed or accepted, less all other objects."""
    own = np.concatenate([changes.edited, changes.added, accepted])
    if not own.size and not changes.erased.size:
        return None
    area = within(members(labels, own), diameter / 2)
    area |= members(predicted, changes.erased)
    area &= ~members(labels, np.setdiff1d(changes.untouched, accepted))
    return area


def _still_untouched(
    accepted: Collection[int], changes: Touched | None, labels: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the accepted objects that are there and were not changed since."""
    ids = np.unique(np.array(sorted(accepted), np.int64))
    there = np.unique(labels) if changes is None and ids.size else None
    if changes is not None:
        there = changes.untouched
    return ids if there is None else np.intersect1d(ids, there)


def _area_in(mask: ArrayLike, plane: tuple[int, ...]) -> Mask:
    """Return what a mask of all planes, or one for each, says of a plane."""
    is_one_for_all = len(mask.shape) == 2
    window = np.asarray(mask[()] if is_one_for_all else mask[plane])
    return np.ascontiguousarray(window != 0)


def _checked(
    reviewed: Reviewed, predicted: ArrayLike | None, shape: tuple[int, ...]
) -> ArrayLike | None:
    """Return the mask where one was given; its shape, and the prediction's, fit."""
    if predicted is not None:
        check_same_shape("prediction", tuple(predicted.shape), shape)
    if not isinstance(reviewed, str):
        mask: ArrayLike = reviewed
        if tuple(mask.shape) != shape[-2:]:
            check_same_shape("reviewed area", tuple(mask.shape), shape)
        return mask
    if reviewed not in ("all", "touched"):
        raise UneticError(
            f"Expected a reviewed area as all, touched or a mask, got {reviewed!r}; "
            "choose one."
        )
    if reviewed == "touched" and predicted is None:
        raise UneticError(
            "Expected what was predicted, to tell what was touched, got none; "
            "choose another reviewed area, or segment with this plugin."
        )
    return None


def _numbers(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Return one plane of labels in numbers of 32 bits, a copy."""
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
    return array.astype(np.int32, order="C")


def _compact(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return labels whose numbers are no larger than a table of them may be."""
    if int(labels.max(initial=0)) <= LOOK_UP_MAX:
        return labels
    return renumbered(labels, sizes_of(labels)[0])


def _id(name: str, plane_axes: str, plane: tuple[int, ...]) -> str:
    """Name a plane: ``name``, or ``name t003 z012``."""
    at = [f"{a.lower()}{i:03d}" for a, i in zip(plane_axes, plane, strict=True)]
    return " ".join([name, *at])
