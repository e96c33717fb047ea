"""A result of a part of an image put among the objects of a layer of labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.image.writing import label_dtype
from napari_unetic.instances.record import pack_labels, unpack_labels
from napari_unetic.widgets.class_layers import class_table
from napari_unetic.widgets.layers import METADATA_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_unetic.widgets.records import Record
    from napari_unetic.widgets.results import SegmentedLayer


@dataclass(frozen=True, slots=True)
class Content:
    """What a layer is to hold.

    Parameters
    ----------
    labels : ndarray of int
        In the shape of the layer.
    highest : int
        The highest number in them, or more.
    features : DataFrame or mapping of str to ndarray
        A row an object.
    record : dict
        What made them (`napari_unetic.widgets.layers.METADATA_KEY`).
    touched : bool
        Whether the labels are others than were predicted.
    """

    labels: NDArray[Any]
    highest: int
    features: Any
    record: Record
    touched: bool


def merge(
    labels: NDArray[Any],
    features: Any,
    predicted: str | None,
    result: SegmentedLayer,
) -> Content:
    """Put a result among the objects that are there.

    Parameters
    ----------
    labels : ndarray of int
        Of a layer with the shape of the result's. They are not changed.
    features : DataFrame
        Of that layer.
    predicted : str, optional
        What was predicted in that layer, packed, where its labels are others.
    result : SegmentedLayer
        Of a whole image, it replaces everything. Of a region or a plane, it replaces
        the objects with at least half their area there; the others stay, with their
        numbers, and in front of the new ones, which get numbers above theirs. Classes
        replace those of each pixel there.

    Returns
    -------
    Content
    """
    new, found = result.layer, result.segmentation
    record = new.metadata[METADATA_KEY]
    if result.settings.plane is None and result.region is None:
        highest = int(new.data.max(initial=0))
        return Content(new.data, highest, new.features, record, False)
    labels = labels.copy()
    if found.classes:
        return _merge_classes(labels, predicted, result)
    gone = _clear(labels, result)
    n_kept = int(labels.max(initial=0))
    before = None if predicted is None else unpack_labels(predicted)
    if before is not None:
        _clear(before, result)
        n_kept = max(n_kept, int(before.max(initial=0)))
    labels = _fill(labels, result, n_kept)
    touched = False
    if before is not None:
        before = _fill(before, result, n_kept)
        touched = not np.array_equal(before, labels)
    record = {**record, "predicted": pack_labels(labels if before is None else before)}
    table = new.features
    if n_kept:
        table = _rows(features, gone, new.features, _visible(labels, result), n_kept)
    return Content(labels, n_kept + found.n_objects, table, record, touched)


def _merge_classes(
    labels: NDArray[Any], predicted: str | None, result: SegmentedLayer
) -> Content:
    """Put the classes of a part of an image in the place of those that are there."""
    record = result.layer.metadata[METADATA_KEY]
    before = labels.copy() if predicted is None else unpack_labels(predicted)
    for classes in (labels, before):
        for index, inside in _windows(result):
            window, new = classes[index], result.layer.data[index]
            np.copyto(window, new, where=True if inside is None else inside)
    record = {**record, "predicted": pack_labels(before)}
    highest, touched = len(result.classes) - 1, not np.array_equal(before, labels)
    table = class_table(labels, result.classes, result.source)
    return Content(labels, highest, table, record, touched)


def _windows(
    result: SegmentedLayer,
) -> Iterator[tuple[tuple[Any, ...], NDArray[np.bool_] | None]]:
    """Yield where a result lies in its layer, plane by plane.

    The index of a window, two slices among whole numbers; and what of it is in the
    region, None for all of it.
    """
    axes, found, region = result.source.label_axes, result.segmentation, result.region
    start = dict(zip(axes, result.start, strict=True))
    parts = dict(zip(found.axes, found.extent, strict=True))
    moved = {
        letter: slice(part.start - start[letter], part.stop - start[letter])
        for letter, part in parts.items()
    }
    inside = None if region is None else region.mask(parts["Y"], parts["X"])
    if inside is not None and axes.index("X") < axes.index("Y"):
        inside = inside.T
    planes = [range(moved[letter].start, moved[letter].stop) for letter in found.axes]
    for at in np.ndindex(*(len(plane) for plane in planes[:-2])):
        index = {
            letter: plane[i]
            for letter, plane, i in zip(found.axes, planes, at, strict=False)
        }
        index |= {"C": 0, "Y": moved["Y"], "X": moved["X"]}
        yield tuple(index[letter] for letter in axes), inside


def _clear(labels: NDArray[Any], result: SegmentedLayer) -> NDArray[np.int64]:
    """Clear the objects that a result replaces; return the numbers that lost pixels."""
    gone = [np.zeros(0, np.int64)]
    for index, inside in _windows(result):
        window = labels[index]
        ids, total = _areas(window)
        if inside is None:
            gone.append(ids)
            window[...] = 0
            continue
        here, shared = _areas(window[inside])
        total = total[np.searchsorted(ids, here)]
        whole = labels[
            tuple(slice(None) if isinstance(at, slice) else at for at in index)
        ]
        # Objects beyond the margin of the region are rare, and counted in full.
        parts = [at for at in index if isinstance(at, slice)]
        beyond = np.isin(here, _edge(window, parts, whole.shape))
        total[beyond] = [np.count_nonzero(whole == number) for number in here[beyond]]
        replaced = 2 * shared >= total
        gone.append(here[replaced])
        window[np.isin(window, here[replaced])] = 0
        for number in here[replaced & beyond]:
            whole[whole == number] = 0
    return np.unique(np.concatenate(gone))


def _areas(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the objects in labels, ascending, and their pixels."""
    if labels.size and int(labels.max()) > 4 * labels.size + 65_536:
        ids, areas = np.unique(labels, return_counts=True)
        return ids[ids > 0].astype(np.int64), areas[ids > 0]
    areas = np.bincount(labels.ravel())
    areas[:1] = 0
    ids = np.flatnonzero(areas)
    return ids, areas[ids]


def _edge(
    window: NDArray[Any], parts: list[slice], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return the values at those edges of a window that are not the plane's own."""
    rows, columns = parts
    sides = (
        (rows.start > 0, window[0]),
        (rows.stop < shape[0], window[-1]),
        (columns.start > 0, window[:, 0]),
        (columns.stop < shape[1], window[:, -1]),
    )
    return np.concatenate([window[0, :0], *(side for inner, side in sides if inner)])


def _fill(labels: NDArray[Any], result: SegmentedLayer, n_kept: int) -> NDArray[Any]:
    """Put the objects of a result where nothing is, numbered from `n_kept` on."""
    dtype = label_dtype(n_kept + result.n_objects)
    labels = labels.astype(np.promote_types(labels.dtype, dtype), copy=False)
    for index, _ in _windows(result):
        window, new = labels[index], result.layer.data[index]
        free = (new > 0) & (window == 0)
        window[free] = new[free].astype(labels.dtype) + labels.dtype.type(n_kept)
    return labels


def _visible(labels: NDArray[Any], result: SegmentedLayer) -> NDArray[np.int64]:
    """Return the numbers in the windows of a result."""
    found = [_areas(labels[index])[0] for index, _ in _windows(result)]
    return np.unique(np.concatenate(found))


def _rows(
    old: Any, gone: NDArray[Any], new: Any, visible: NDArray[Any], n_kept: int
) -> Mapping[str, NDArray[Any]]:
    """Return the rows of the objects that stayed whole, and of the new ones.

    A column that only one of the tables has is not-a-number in the rows of the other.
    """
    old_rows = {}
    if "index" in old:
        kept = old[~old["index"].isin(gone)]
        old_rows = {str(name): kept[name].to_numpy() for name in kept}
    shown = new[new["index"].isin(visible - n_kept)]
    new_rows = {str(name): shown[name].to_numpy() for name in shown}
    new_rows["index"] = new_rows["index"] + n_kept
    n_old, n_new = len(old_rows.get("index", ())), len(new_rows["index"])
    return {
        name: np.concatenate(
            (
                old_rows.get(name, np.full(n_old, np.nan)),
                new_rows.get(name, np.full(n_new, np.nan)),
            )
        )
        for name in (*new_rows, *(name for name in old_rows if name not in new_rows))
    }
