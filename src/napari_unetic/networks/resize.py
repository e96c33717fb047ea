"""Resampling by area and by nearest neighbour, half a pixel honest."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


def scaled_shape(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return rows and columns after scaling, at least one each."""
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resize(arrays: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample smoothly, without aliasing where it becomes smaller.

    Parameters
    ----------
    arrays : ndarray of shape (C, Y, X), float32
    shape : tuple of int
        New rows and columns.

    Returns
    -------
    ndarray of shape (C, *shape), float32
        Bilinear, with pixel centres at half pixels, so that edges stay edges.
    """
    if arrays.shape[1:] == shape:
        return arrays
    result = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(arrays))[None],
        size=shape,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    resized: NDArray[np.float32] = result[0].numpy()
    return resized


def resize_labels(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Resample labels by nearest neighbour.

    Parameters
    ----------
    labels : ndarray of shape (Y, X)
    shape : tuple of int
        New rows and columns.

    Returns
    -------
    ndarray of the new shape, in the dtype of `labels`
    """
    if labels.shape == shape:
        return labels
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
        for old, new in zip(labels.shape, shape, strict=True)
    )
    resized: NDArray[Any] = labels[rows[:, None], columns]
    return resized
