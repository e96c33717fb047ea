"""Maps to classes: the inverse of `napari_unetic.semantic.targets`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class ClassDecodeSpec(BaseModel):
    """The threshold of decoding; kept with the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["semantic"] = Field("semantic", title="Kind of target")
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Threshold",
        description="A pixel shows a class if that is so much more probable than the "
        "background: above this with one class. With several the most probable one "
        "counts; lower finds more of all of them.",
    )


def decode_classes(
    maps: NDArray[np.floating], spec: ClassDecodeSpec | None = None
) -> NDArray[np.int32]:
    """Return the class of each pixel that maps stand for.

    Parameters
    ----------
    maps : ndarray of shape (M, Y, X) or (M, Z, Y, X), float
        The probability of class 1 alone, or of every class, the background first.
    spec : ClassDecodeSpec, optional
        The threshold t.

    Returns
    -------
    ndarray of shape (Y, X) or (Z, Y, X), int32
        0 is background. Of several classes k the one with the largest p(k) beside the
        background counts where (1 - t) p(k) > t p(0): at t = .5 where it is the most
        probable of all; with one class that is the same as p(1) > t.
    """
    threshold = (spec or ClassDecodeSpec()).threshold
    if maps.shape[0] == 1:
        return np.asarray(maps[0] > threshold, np.int32)
    best = maps[1:].argmax(axis=0)
    highest = np.take_along_axis(maps[1:], best[None], axis=0)[0]
    is_found = (1 - threshold) * highest > threshold * maps[0]
    return np.where(is_found, best + 1, 0).astype(np.int32)
