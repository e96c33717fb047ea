"""Normalisation: fitted once per image and channel, applied per tile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import check_channels, to_channels

if TYPE_CHECKING:
    from napari_unetic.image.source import Image, Ranges


class NormalisationSpec(BaseModel):
    """How intensities become what the network sees: by the image's own percentiles."""

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

    def problem(self) -> str:
        """Say what in it contradicts itself; empty if nothing does."""
        if self.low >= self.high:
            return f"a high percentile above {self.low}, got a lower one"
        if self.lowest >= self.highest:
            return f"a highest value above {self.lowest}, got a lower one"
        return ""

    def record(self) -> dict[str, Any]:
        """Return what the provenance says of it."""
        return {"kind": self.kind, "percentiles": [self.low, self.high]}

    def in_range(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a generated image in the range that is usual here: any will do."""
        return pixels


class DivisionSpec(BaseModel):
    """How intensities become what the network sees: all divided by one number.

    What Keras tutorials do with 8-bit images. Images of another range come out brighter
    or darker than those that the network was trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["division"] = Field("division", title="Kind")
    divisor: float = Field(255.0, gt=0, title="Divisor", description="Becomes 1.")

    @property
    def lowest(self) -> float:
        """Where values are cut: nowhere."""
        return -np.inf

    @property
    def highest(self) -> float:
        """Where values are cut: nowhere."""
        return np.inf

    def problem(self) -> str:
        """Say what in it contradicts itself: nothing can."""
        return ""

    def record(self) -> dict[str, Any]:
        """Return what the provenance says of it."""
        return {"kind": self.kind, "divisor": self.divisor}

    def in_range(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a generated image in the range that is usual here: 0 to divisor."""
        top = max(float(pixels.max(initial=0)), 1.0)
        return (pixels * np.float32(self.divisor / top)).astype(np.float32)


def _kind(value: Any) -> str:
    """Return the kind of a specification; percentiles where it does not say."""
    if isinstance(value, dict):
        return str(value.get("kind", "percentile"))
    return str(getattr(value, "kind", "percentile"))


AnyNormalisationSpec: TypeAlias = Annotated[
    Annotated[NormalisationSpec, Tag("percentile")]
    | Annotated[DivisionSpec, Tag("division")],
    Discriminator(_kind),
]
"""How intensities become what the network sees, by kind."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Fitted values: what is subtracted and divided by, for each channel.

    Parameters
    ----------
    spec : NormalisationSpec or DivisionSpec
        By which they were found.
    offset, scale : tuple of float
        One value a channel, in the image's intensities.
    """

    spec: NormalisationSpec | DivisionSpec
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, window: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the window normalised.

        Parameters
        ----------
        window : ndarray of shape (C, Y, X) or (C, Z, Y, X)
            Intensities; what is not a finite number becomes background.

        Returns
        -------
        ndarray of the same shape, float32
        """
        shape = -1, *(1,) * (window.ndim - 1)
        offset = np.asarray(self.offset, np.float32).reshape(shape)
        scale = np.asarray(self.scale, np.float32).reshape(shape)
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
    spec: NormalisationSpec | DivisionSpec | None = None,
    max_samples: int = 2_000_000,
) -> Normalisation:
    """Fit the normalisation of an image.

    Parameters
    ----------
    image : Image
        Every plane counts; of large ones every n-th row and column. What it says of the
        intensities of a whole that it is part of (`Image.intensity_range`) is taken
        instead, where its channels are those of the model or fill them.
    n_channels : int
        Channels that the model takes (`napari_unetic.image.channels.to_channels`).
    channel : int, optional
        The one channel to take.
    spec : NormalisationSpec or DivisionSpec, optional
        Percentiles, or the number to divide by, for which no pixel is looked at.
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
    if isinstance(spec, DivisionSpec):
        return Normalisation(spec, (0.0,) * n_channels, (spec.divisor,) * n_channels)
    if known := _known(image, n_channels, channel):
        offset, scale = zip(*((low, high - low) for low, high in known), strict=True)
        return Normalisation(spec, offset, scale)
    # Also of volumes plane by plane, of which not all are read.
    image = replace(image, dimensions=2)
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
    offsets, scales = [], []
    for values in samples:
        finite = values[is_number(values)] if values.dtype.kind == "f" else values
        if finite.size == 0:
            raise UneticError(
                f"Expected an image with finite values, got none in {image.name}; "
                "choose another image or channel."
            )
        low, high = (float(v) for v in np.percentile(finite, (spec.low, spec.high)))
        offsets.append(low)
        scales.append(high - low if high > low else 1.0)
    return Normalisation(spec, tuple(offsets), tuple(scales))


def fit_range(image: Image, channel: int | None = None) -> Ranges:
    """Return the range of intensities of each channel, for parts of an image to know.

    Parameters
    ----------
    image : Image
        The whole.
    channel : int, optional
        The one channel to take.

    Returns
    -------
    tuple of tuple of float
        For each channel the intensities that become 0 and 1.

    Raises
    ------
    UneticError
        As `fit_normalisation`, or if there is no such channel.
    """
    n_channels = image.n_channels if channel is None else 1
    check_channels(
        image.n_channels, n_channels, rgb=False, channel=channel, name=image.name
    )
    fitted = fit_normalisation(image, n_channels, channel=channel)
    return tuple(
        (offset, offset + scale)
        for offset, scale in zip(fitted.offset, fitted.scale, strict=True)
    )


def _known(image: Image, n_channels: int, channel: int | None) -> Ranges | None:
    """Return the range of each of a model's channels, where the image knows it."""
    known = image.intensity_range
    if known is None or len(known) != image.n_channels:
        return None
    if channel is not None:
        known = known[channel : channel + 1]
    if len(known) == 1:
        known *= n_channels
    return known if len(known) == n_channels else None
