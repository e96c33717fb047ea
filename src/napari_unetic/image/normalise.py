"""Normalisation: fitted once per image and channel, applied per tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import to_channels

if TYPE_CHECKING:
    from napari_unetic.image.source import Image


class NormalisationSpec(BaseModel):
    """How intensities become what the network sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["percentile"] = Field("percentile", title="Kind")
    low: float = Field(
        1.0, ge=0, le=100, title="Low percentile", description="Becomes 0."
    )
    high: float = Field(
        99.8, ge=0, le=100, title="High percentile", description="Becomes 1."
    )
    lowest: float = Field(-1.0, title="Lowest", description="Values are cut here.")
    highest: float = Field(4.0, title="Highest", description="Values are cut here.")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Fitted values: what is subtracted and divided by, for each channel.

    Parameters
    ----------
    spec : NormalisationSpec
        By which they were found.
    offset, scale : tuple of float
        One value a channel, in the image's intensities.
    """

    spec: NormalisationSpec
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, window: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the window normalised.

        Parameters
        ----------
        window : ndarray of shape (C, Y, X)
            Intensities; what is not a finite number becomes background.

        Returns
        -------
        ndarray of shape (C, Y, X), float32
        """
        offset = np.asarray(self.offset, np.float32)[:, None, None]
        scale = np.asarray(self.scale, np.float32)[:, None, None]
        # What float32 cannot hold is not finite either, and becomes background.
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.asarray(window, np.float32) - offset
            result /= scale
        if window.dtype.kind == "f":
            np.nan_to_num(result, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return np.clip(result, self.spec.lowest, self.spec.highest, out=result)


def is_number(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Whether each value is finite, and stays so as float32.

    Parameters
    ----------
    values : ndarray of any shape, floating

    Returns
    -------
    ndarray of the same shape, bool
    """
    largest = min(np.finfo(np.float32).max, np.finfo(values.dtype).max)
    found: NDArray[np.bool_] = np.abs(values) <= largest
    return found


def fit_normalisation(
    image: Image,
    n_channels: int,
    *,
    channel: int | None = None,
    spec: NormalisationSpec | None = None,
    max_samples: int = 2_000_000,
) -> Normalisation:
    """Fit the normalisation of an image.

    Parameters
    ----------
    image : Image
        Every plane counts; of large ones every n-th row and column.
    n_channels : int
        Channels that the model takes (`napari_unetic.image.channels.to_channels`).
    channel : int, optional
        The one channel to take.
    spec : NormalisationSpec, optional
        Percentiles.
    max_samples : int
        About how many pixels a channel to look at.

    Returns
    -------
    Normalisation
        A channel without contrast gets scale 1, so that it becomes 0 throughout.

    Raises
    ------
    UneticError
        If a channel has no finite value where it is looked at.
    """
    spec = spec or NormalisationSpec()
    planes = list(image.planes())
    n_pixels = len(planes) * image.shape_yx[0] * image.shape_yx[1]
    # Planes are thinned first, for each costs a read; then rows and columns alike.
    planes = planes[:: max(1, len(planes) // 16)]
    n_pixels = len(planes) * image.shape_yx[0] * image.shape_yx[1]
    every = max(1, int(np.ceil(np.sqrt(n_pixels / max_samples))))
    rows = columns = slice(None, None, every)
    wanted = None if channel is None else (channel,)
    samples = np.concatenate(
        [
            to_channels(
                image.read(plane, wanted, rows, columns), n_channels, rgb=image.rgb
            ).reshape(n_channels, -1)
            for plane in planes
        ],
        axis=1,
    )
    offset, scale = [], []
    for values in samples:
        finite = values[is_number(values)] if values.dtype.kind == "f" else values
        if finite.size == 0:
            raise UneticError(
                f"Expected an image with finite values, got none in {image.name}; "
                "choose another image or channel."
            )
        low, high = (float(v) for v in np.percentile(finite, (spec.low, spec.high)))
        offset.append(low)
        scale.append(high - low if high > low else 1.0)
    return Normalisation(spec, tuple(offset), tuple(scale))
