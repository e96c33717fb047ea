"""From the channels an image has to those a model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError

COLOURS = ("red", "green", "blue")
"""Names of the channels of models that take colour."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601, section 2.5.1)."""


def check_channels(
    n_in: int, n_out: int, *, rgb: bool, channel: int | None, name: str = "image"
) -> None:
    """Refuse an image whose channels cannot be brought to those of a model.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the model.
    rgb : bool
        Whether the image is colour.
    channel : int, optional
        The one channel to take.
    name : str
        Of the image, for the message.

    Raises
    ------
    UneticError
        If `channel` is out of range or the numbers do not fit.
    """
    if channel is not None:
        if not 0 <= channel < n_in:
            raise UneticError(
                f"Expected a channel from 0 to {n_in - 1} of {name}, got {channel}; "
                "counting starts at 0."
            )
        return
    if n_in not in (1, n_out) and not (rgb and n_out == 1):
        raise UneticError(
            f"Expected {n_out} channel{'s' * (n_out > 1)} for this model, got {n_in} "
            f"in {name}; pick one with channel, or correct the axes."
        )


def to_channels(
    window: NDArray[Any], n_out: int, *, rgb: bool = False, channel: int | None = None
) -> NDArray[Any]:
    """Bring a window to the channels that a model takes.

    Parameters
    ----------
    window : ndarray of shape (C, Y, X)
        Intensities.
    n_out : int
        Channels of the model.
    rgb : bool
        Whether the channels are red, green and blue; for one channel out they are
        weighted to grey.
    channel : int, optional
        Take this one alone, repeated if the model takes several; of colour 0, 1 and 2
        are red, green and blue.

    Returns
    -------
    ndarray of shape (n_out, Y, X)
        In the dtype of the window, or float32 where colour became grey.

    Raises
    ------
    UneticError
        As `check_channels`.
    """
    check_channels(window.shape[0], n_out, rgb=rgb, channel=channel)
    if channel is not None:
        window = window[channel : channel + 1]
    n_in = window.shape[0]
    if n_in == n_out:
        return window
    if n_in == 1:
        return np.repeat(window, n_out, axis=0)
    luma = np.asarray(LUMA, np.float32)
    # Infinite and not-a-number pixels are dealt with by the normalisation.
    with np.errstate(over="ignore", invalid="ignore"):
        colours = window.astype(np.float32)
        grey: NDArray[np.float32] = np.tensordot(luma, colours, axes=1)
    return grey[np.newaxis]
