"""Whether objects are darker than what is around them, as in transmitted light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unetic.maps import Plan
    from napari_unetic.maps.extent import Box

DARKER: Final = -0.5
"""The `contrast` below which objects are dark. By the true masks of DSB2018 that of
stained nuclei is at most -1.5, of fluorescent ones at least 1.7; of cells in phase
contrast it lies between -.12 and .12 (``benchmarks/accuracy/dark.py``)."""

_COMPARED_PX = 2**14


def compared_every(n_pixels: int) -> int:
    """Return every how many rows and columns suffice to compare so many pixels."""
    return max(1, int(np.ceil(np.sqrt(n_pixels / _COMPARED_PX))))


def are_dark(
    plan: Plan, plane: tuple[int, ...], labels: NDArray[np.int32], box: Box
) -> bool:
    """Whether the objects of a box of the image are dark.

    Parameters
    ----------
    plan : Plan
        Of the image; where its model takes dark objects like others, nothing is read.
    plane : tuple of int
        Which plane.
    labels : ndarray of shape (Y', X'), int32
        Of the box; on another grid than the image's each is compared with the nearest
        pixel.
    box : tuple of slice
        Rows and columns of the image. No more than some thousand pixels of it are read
        where the labels are on its grid.
    """
    if plan.description.dark is None:
        return False
    every = compared_every(labels.size)
    inside = labels[::every, ::every] > 0
    is_same_grid = labels.shape == tuple(one.stop - one.start for one in box)
    thin = (slice(s.start, s.stop, every if is_same_grid else 1) for s in box)
    channel = plan.settings.channel
    window = plan.image.read(plane, None if channel is None else (channel,), *thin)
    rows, columns = (
        (np.arange(n) * (size / n)).astype(np.intp)
        for n, size in zip(inside.shape, window.shape[1:], strict=True)
    )
    return contrast(window[:, rows[:, None], columns], inside) < DARKER


def contrast(pixels: NDArray[np.generic], inside: NDArray[np.bool_]) -> float:
    """Return by how much objects are brighter than the rest.

    Parameters
    ----------
    pixels : ndarray of shape (C, Y, X)
        Intensities; what is not a finite number does not count.
    inside : ndarray of shape (Y, X), bool
        Where there are objects.

    Returns
    -------
    float
        Difference of the means over channels and pixels, in standard deviations of all;
        0 where there are only objects, or none.
    """
    grey = pixels.astype(np.float64).mean(axis=0)
    is_known = np.isfinite(grey)
    objects, rest = grey[inside & is_known], grey[~inside & is_known]
    if not objects.size or not rest.size:
        return 0.0
    spread = max(float(grey[is_known].std()), np.finfo(np.float64).tiny)
    return float(objects.mean() - rest.mean()) / spread
