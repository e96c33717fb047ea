"""Classes to target maps: what a network learns that tells what each pixel shows.

Class 0 is the background. A single class beside it needs one map, the probability of
that class (sigmoid); several need one map each, the background's included (softmax).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unetic.errors import UneticError

COLOURS: Final = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
)
"""Colours that colour-blind people can tell (Okabe and Ito 2008), one class each."""

LARGEST_NUMBER: Final = 255
"""So many classes at most, the background not counted."""


class ClassSpec(BaseModel):
    """A class of pixels: an entry of the legend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, max_length=60, pattern=r"^[^,=\x00-\x1f]+$", title="Name"
    )
    colour: str = Field(
        pattern=r"^#[0-9a-f]{6}$", title="Colour", description="As #rrggbb."
    )


BACKGROUND: Final = ClassSpec(name="background", colour="#000000")


class SemanticTargetSpec(BaseModel):
    """How class masks become target maps.

    Raises
    ------
    pydantic.ValidationError
        If two classes have one name, or one map is to tell several classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["semantic"] = Field("semantic", title="Kind of target")
    classes: tuple[ClassSpec, ...] = Field(
        min_length=2,
        max_length=LARGEST_NUMBER + 1,
        title="Classes",
        description="The legend: name and colour of class 0, the background, 1, 2, ...",
    )
    output: Literal["sigmoid", "softmax"] = Field(
        title="Output",
        description="One map, the probability of the one class beside the background "
        "(sigmoid); or a map for each class, which sum to 1 (softmax).",
    )

    @model_validator(mode="after")
    def _fits(self) -> SemanticTargetSpec:
        names = [one.name for one in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"expected a name for each class, got {names}")
        if self.output == "sigmoid" and len(names) != 2:
            raise ValueError(
                f"expected output='softmax' for {len(names) - 1} classes, got "
                "'sigmoid', which is for one"
            )
        return self

    @property
    def n_maps(self) -> int:
        """Number of maps."""
        return len(self.map_names)

    @property
    def map_names(self) -> tuple[str, ...]:
        """What each map is the probability of."""
        names = tuple(one.name for one in self.classes)
        return names[1:] if self.output == "sigmoid" else names

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """What makes maps of the network's logits."""
        return self.output


def named_classes(texts: Sequence[str | ClassSpec]) -> tuple[ClassSpec, ...]:
    """Return classes from texts: ``NAME`` or ``NAME=#rrggbb``.

    Parameters
    ----------
    texts : sequence of str or ClassSpec
        Classes 1, 2, ...; those without a colour get one of `COLOURS`.

    Raises
    ------
    UneticError
        If a text is no name.
    """
    found = []
    for k, text in enumerate(texts):
        if isinstance(text, ClassSpec):
            found.append(text)
            continue
        name, _, colour = text.partition("=")
        colour = colour.strip().lower() or COLOURS[k % len(COLOURS)]
        try:
            found.append(ClassSpec(name=name.strip(), colour=colour))
        except ValueError as error:
            raise UneticError(
                f"Expected a class as NAME or NAME=#rrggbb, got {text!r}; correct it."
            ) from error
    return tuple(found)


def semantic_target(
    classes: Sequence[str | ClassSpec],
    output: Literal["sigmoid", "softmax"] | None = None,
) -> SemanticTargetSpec:
    """Return the target kind of some classes; the background is added as class 0.

    Parameters
    ----------
    classes : sequence of str or ClassSpec
        As for `named_classes`; at least one.
    output : {"sigmoid", "softmax"}, optional
        Sigmoid for one class and softmax for several, if None.

    Raises
    ------
    UneticError
        If there is no class, two have one name, or the output does not fit.
    """
    found = named_classes(classes)
    try:
        return SemanticTargetSpec(
            classes=(BACKGROUND, *found),
            output=output or ("sigmoid" if len(found) == 1 else "softmax"),
        )
    except ValueError as error:
        said = ", ".join(one.name for one in found) or "none"
        raise UneticError(
            f"Expected one class or several of different names, besides the "
            f"background, got {said}; correct them."
        ) from error


def make_class_targets(
    classes: NDArray[np.integer], target: SemanticTargetSpec
) -> NDArray[np.float32]:
    """Return the target maps of a class mask.

    Parameters
    ----------
    classes : ndarray of shape (Y, X) or (Z, Y, X), integers
        Class of each pixel, from 0.
    target : SemanticTargetSpec
        Which classes there are.

    Returns
    -------
    ndarray of shape (M, ...), float32
        One-hot: 1 in the map of the pixel's class, 0 in the others; with a single map
        that of class 1.
    """
    first = len(target.classes) - target.n_maps
    numbers = np.arange(first, len(target.classes)).reshape(-1, *(1,) * classes.ndim)
    maps: NDArray[np.float32] = (classes == numbers).astype(np.float32)
    return maps
