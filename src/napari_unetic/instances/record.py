"""What was predicted, kept as text, and what a person has changed since."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.matching import check_same_shape, overlap
from napari_unetic.instances.objects import check_labels

Ids = NDArray[np.int64]

_FORMAT = "labels1"
_PART = 2**19
"""Pixels at a time. NumPy keeps other threads waiting for all of some operations, a
second of 67 million pixels; so the window would stand still."""

_SIGNS_OF_DAMAGE = (
    AttributeError,
    IndexError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
    zlib.error,
)


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """Which objects a person has changed.

    Parameters
    ----------
    untouched : ndarray of shape (n,), int64
        Numbers of objects that have the pixels of a predicted one.
    edited : ndarray of shape (n,), int64
        Numbers of objects that share pixels, but not all, with the predicted object of
        the same number.
    added : ndarray of shape (n,), int64
        Numbers of all other objects.
    erased : ndarray of shape (n,), int64
        Numbers of predicted objects that are none of these.
    """

    untouched: Ids
    edited: Ids
    added: Ids
    erased: Ids


def touched(predicted: NDArray[Any], labels: NDArray[Any]) -> Touched:
    """Compare labels with what was predicted.

    Parameters
    ----------
    predicted, labels : ndarray of one shape, integer
        As predicted, and now; 0 is background.

    Returns
    -------
    Touched
        Numbers by what became of the objects, each ascending.

    Raises
    ------
    UneticError
        If the shapes differ, or the labels are not integers from 0 up.

    Notes
    -----
    Pixels decide. An object that was only given another number is untouched, under the
    number it has now. One that was moved off all its pixels is erased, and added under
    the same number. Where two become one, that whose number remains is edited and the
    other erased; of one that is cut in two, the part with the old number is edited and
    the other added.
    """
    check_same_shape("labels", labels.shape, predicted.shape)
    before, after = predicted.ravel(), labels.ravel()
    n_parts = max(-(-before.size // _PART), 1)
    parts = [
        overlap(old, new)
        for old, new in zip(
            np.array_split(before, n_parts),
            np.array_split(after, n_parts),
            strict=True,
        )
    ]
    old_ids, old_areas = _summed([(one.true_ids, one.true_areas) for one in parts])
    new_ids, new_areas = _summed([(one.pred_ids, one.pred_areas) for one in parts])
    codes, shared = _summed(
        [
            (
                np.searchsorted(old_ids, one.true_ids)[one.true_index] * len(new_ids)
                + np.searchsorted(new_ids, one.pred_ids)[one.pred_index],
                one.shared,
            )
            for one in parts
        ]
    )
    i, j = np.divmod(codes, max(len(new_ids), 1))
    same_pixels = (shared == old_areas[i]) & (shared == new_areas[j])
    old, new = old_ids[i], new_ids[j]
    untouched = new[same_pixels]
    edited = np.setdiff1d(new[old == new], untouched)
    return Touched(
        untouched=np.sort(untouched),
        edited=edited,
        added=np.setdiff1d(new_ids, np.union1d(untouched, edited)),
        erased=np.setdiff1d(old_ids, np.union1d(old[same_pixels], edited)),
    )


def _summed(parts: list[tuple[Ids, Ids]]) -> tuple[Ids, Ids]:
    """Return each number of several counts once, with the sum of its counts."""
    ids = np.concatenate([one for one, _ in parts])
    counts = np.concatenate([one for _, one in parts])
    found, where = np.unique(ids, return_inverse=True)
    sums = np.bincount(where, weights=counts, minlength=len(found))
    return found.astype(np.int64), sums.astype(np.int64)


def pack_labels(labels: NDArray[Any]) -> str:
    """Return labels as a short text that JSON can hold.

    Parameters
    ----------
    labels : ndarray of any shape, integer
        Label image; 0 is background.

    Returns
    -------
    str
        What `unpack_labels` reads: a word for the format, dtype and shape, then the
        runs of objects as numbers of 64 bits, compressed, in base64. About 100 bytes an
        object.

    Raises
    ------
    UneticError
        If the labels are not integers from 0 up.
    """
    check_labels(labels)
    flat = labels.ravel()
    starts = np.append([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1)[: flat.size]
    stops = np.append(starts[1:], flat.size)[: starts.size]
    inside = flat[starts] != 0
    starts, stops = starts[inside], stops[inside]
    gaps = np.diff(starts, prepend=0)
    gaps[1:] -= (stops - starts)[:-1]
    runs = np.stack([c.astype("<u8") for c in (gaps, stops - starts, flat[starts])])
    # All lowest bytes, then all second ones: a third shorter when compressed.
    shuffled = runs.view(np.uint8).reshape(-1, 8).T.tobytes()
    shape = "x".join(map(str, labels.shape))
    body = base64.b64encode(zlib.compress(shuffled)).decode("ascii")
    return f"{_FORMAT} {labels.dtype.name} {shape} {body}"


def unpack_labels(text: str) -> NDArray[Any]:
    """Return the labels that `pack_labels` made a text of.

    Parameters
    ----------
    text : str
        What `pack_labels` returned.

    Returns
    -------
    ndarray
        Of the shape and dtype packed.

    Raises
    ------
    UneticError
        If the text is damaged or none of this kind.
    """
    try:
        form, name, sides, body = text.split(" ")
        dtype, shape = np.dtype(name), tuple(map(int, sides.split("x")))
        if form != _FORMAT or dtype.kind not in "bui" or min(shape) < 0:
            raise ValueError
        shuffled = zlib.decompress(base64.b64decode(body, validate=True))
        columns = np.frombuffer(shuffled, np.uint8).reshape(8, -1).T
        gaps, lengths, ids = columns.copy().view("<u8").reshape(3, -1)
        counts = np.stack([gaps, lengths], axis=1).ravel().astype(np.int64)
        values = np.stack([np.zeros_like(ids), ids], axis=1).ravel().astype(dtype)
        size = math.prod(shape)
        # Before anything is repeated: a damaged count may ask for all memory there is.
        if (
            int(counts.sum()) > size
            or counts.min(initial=0) < 0
            or counts.max(initial=0) > size
        ):
            raise ValueError
        return _repeated(values, counts, size).reshape(shape)
    except _SIGNS_OF_DAMAGE as error:
        raise UneticError(
            "Expected labels packed as text, got a damaged text or something else; "
            "segment the image again."
        ) from error


def _repeated(values: NDArray[Any], counts: Ids, size: int) -> NDArray[Any]:
    """Return runs of values, followed by zeros."""
    flat = np.zeros(size, values.dtype)
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        begin = int(ends[first - 1]) if first else 0
        stop = max(int(np.searchsorted(ends, begin + _PART)), first + 1)
        part = np.repeat(values[first:stop], counts[first:stop])
        flat[begin : begin + part.size] = part
        first = stop
    return flat
