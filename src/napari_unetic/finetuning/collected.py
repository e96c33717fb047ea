"""What was collected: a pair to learn from, and what was reviewed of a plane."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.finetuning.areas import Mask, sizes_of

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.instances.record import Touched


@dataclass(frozen=True, slots=True, eq=False)
class CollectedPair:
    """One plane with its corrected labels and where they can be trusted.

    Its objects and its hash are worked out once, by the thread that collects it, since
    of a large plane they take a second; a pair made of it by `dataclasses.replace`
    knows them, too, as long as the arrays are the same ones.

    Parameters
    ----------
    id : str
        Name of the image, with the plane where there are several.
    image : Image
        Of axes YX or CYX, in memory; with the range of intensities of the whole source,
        to which prediction fits it, where the plane is but a part.
    labels : ndarray of shape (Y, X), int32
        Number of the object at each pixel, 0 where there is none.
    reviewed : ndarray of shape (Y, X), bool, or None
        Where the labels can be trusted; None means everywhere.
    source : str
        Name of the image that the plane was taken from. An object in several planes of
        one source is held out in all of them or in none.
    plane : tuple of int
        Which plane of it.
    held_out : ndarray of shape (Y, X), bool, or None
        Where an earlier round held objects out: they stay so.
    """

    id: str
    image: Image
    labels: NDArray[np.int32]
    reviewed: Mask | None = None
    source: str = ""
    plane: tuple[int, ...] = ()
    held_out: Mask | None = None

    _known: dict[str, tuple[Any, Any]] = field(default_factory=dict, repr=False)

    @property
    def objects(self) -> NDArray[np.int64]:
        """Numbers of the objects with at least half of their area reviewed."""
        found: NDArray[np.int64] = self._once(
            "objects",
            (self.labels, self.reviewed),
            lambda: reviewed_objects(self.labels, self.reviewed),
        )
        return found

    @property
    def n_objects(self) -> int:
        """How many objects there are to learn from and to judge by."""
        return len(self.objects)

    def image_hash(self) -> str:
        """Return the SHA-256 of the plane's pixels, as `Pair.image_hash`."""
        found: str = self._once("hash", (self.image.data,), self._hash)
        return found

    def _once(self, name: str, of: tuple[Any, ...], work: Callable[[], Any]) -> Any:
        """Return what was worked out of these very arrays, or work it out."""
        arrays, found = self._known.get(name, ((), None))
        if len(arrays) != len(of) or any(
            one is not other for one, other in zip(arrays, of, strict=True)
        ):
            found = work()
            self._known[name] = of, found
        return found

    def _hash(self) -> str:
        data = np.asarray(self.image.data)
        data = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        digest = hashlib.sha256(f"{data.dtype.str}|{data.shape}|".encode())
        digest.update(data.data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class ReviewedPlane:
    """What a person has reviewed of one plane of labels.

    Parameters
    ----------
    plane : tuple of int
        Index of the labels.
    labels : ndarray of shape (Y, X), int32
        As corrected.
    area : ndarray of shape (Y, X), bool, or None
        Where they can be trusted; None means everywhere.
    changes : Touched, optional
        What was changed, where it is known what was predicted.
    accepted : ndarray of shape (n,), int64
        Numbers of objects as they were predicted that a person said are right.
    """

    plane: tuple[int, ...]
    labels: NDArray[np.int32]
    area: Mask | None
    changes: Touched | None = None
    accepted: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def objects(self) -> NDArray[np.int64]:
        """Numbers of the objects with at least half of their area reviewed."""
        return reviewed_objects(self.labels, self.area)


def reviewed_objects(labels: NDArray[Any], area: Mask | None) -> NDArray[np.int64]:
    """Return the numbers of the objects with at least half of their pixels in an area.

    Parameters
    ----------
    labels : ndarray of shape (Y, X), integer
    area : ndarray of the same shape, bool, or None
        None means everywhere.

    Returns
    -------
    ndarray of shape (n,), int64
        Ascending.
    """
    if area is None:
        return sizes_of(labels)[0]
    ids, sizes = sizes_of(labels)
    some, inside = sizes_of(np.where(area, labels, 0))
    return some[2 * inside >= sizes[np.searchsorted(ids, some)]]
