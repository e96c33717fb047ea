"""Real nuclei out of a fetched data set, for the demo and for napari's samples."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.fetch.datasets import fetched_path
from napari_unetic.pairs.readers import read_pairs

if TYPE_CHECKING:
    from napari_unetic.image.source import Image
    from napari_unetic.pairs.pair import Pair

EXAMPLE_ID = "6b61ab2e3ff0e2c7a55fd71e290b51e142555cf82bc7574fc27326735e8acbd1"
"""The image shown first: 158 nuclei, some touching.

A validation image: the bundled model was not trained on it, and the published test
images are left alone.
"""


@dataclass(frozen=True, slots=True)
class Example:
    """An image of nuclei with its true labels.

    Parameters
    ----------
    pair : Pair
        Where both come from.
    image : Image
        Grey where its colours are all the same.
    labels : ndarray of shape (Y, X), int32
        Number of the nucleus at each pixel, 0 where there is none.
    """

    pair: Pair
    image: Image
    labels: NDArray[np.int32]


def read_example(
    source: str | os.PathLike[str] | None = None, *, seed: int = 0
) -> Example:
    """Read one pair of a data set.

    Parameters
    ----------
    source : path, optional
        A zip or folder in a layout that `read_pairs` takes; what has been fetched if
        None. Nothing is downloaded.
    seed : int
        Position in the data set, counted from `EXAMPLE_ID`, or from the first where
        that is not in it, and from the first again after the last.

    Returns
    -------
    Example

    Raises
    ------
    UneticError
        If nothing has been fetched, or the pair cannot be read or has planes.
    """
    pairs = read_pairs(fetched_path() if source is None else source)
    names = [one.rpartition("/")[2] for one in pairs.ids]
    first = names.index(EXAMPLE_ID) if EXAMPLE_ID in names else 0
    pair = pairs[(first + seed) % len(pairs)]
    image, labels = pair.read()
    if image.plane_shape:
        raise UneticError(
            f"Expected an image without planes, got axes {image.axes} for {pair.id}; "
            "choose a data set of 2-D images."
        )
    return Example(pair, _grey(image), labels)


def _grey(image: Image) -> Image:
    """Return the one channel of an image whose colours are all the same."""
    if not image.rgb:
        return image
    data = np.asarray(image.data)
    if (data != data[:1]).any():
        return image
    return replace(image, data=data[0], axes="YX", rgb=False)
