"""Axes of an image: which there are, in which order, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from napari_unetic.errors import UneticError

AXES = "TZCYX"
"""The canonical order: time, plane, channel, row, column."""


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The size of a pixel along the axes for which it is known.

    Parameters
    ----------
    sizes : mapping of str to float
        Axis letter to size, in `unit`. Empty where nothing is known.
    unit : str
        Unit of length ("µm"), or "pixel".
    """

    sizes: Mapping[str, float] = field(default_factory=dict)
    unit: str = "pixel"

    @property
    def yx(self) -> float | None:
        """Mean of the sizes along Y and X, or None where either is unknown."""
        if "Y" in self.sizes and "X" in self.sizes and self.unit != "pixel":
            return 0.5 * (self.sizes["Y"] + self.sizes["X"])
        return None

    @property
    def anisotropy(self) -> float | None:
        """How many pixels planes are apart, or None where that is unknown."""
        yx = self.yx
        return self.sizes["Z"] / yx if yx and "Z" in self.sizes else None


def check_axes(axes: str, ndim: int | None = None) -> str:
    """Return `axes` in upper case if it is a legal axes text.

    Parameters
    ----------
    axes : str
        Letters out of ``TZCYX``, each at most once, Y and X among them, in the order
        of the array's axes.
    ndim : int, optional
        Number of axes of the array it must fit.

    Returns
    -------
    str
        The same letters in upper case.

    Raises
    ------
    UneticError
        If a letter is unknown or repeated, Y or X is missing, or the number differs.
    """
    text = axes.strip().upper()
    letters = set(text)
    is_legal = {"Y", "X"} <= letters <= set(AXES) and len(letters) == len(text)
    if not is_legal:
        raise UneticError(
            f"Expected axes as letters out of {AXES}, each once and with Y and X, "
            f"got {axes!r}; give them in the order of the array, for example ZYX."
        )
    if ndim is not None and len(text) != ndim:
        raise UneticError(
            f"Expected {ndim} axes for an image of {ndim} dimensions, got {text!r}; "
            f"name each dimension once."
        )
    return text


def canonical(axes: str) -> str:
    """Return the same letters in canonical order (`AXES`)."""
    return "".join(letter for letter in AXES if letter in axes)


def canonical_permutation(axes: str) -> tuple[int, ...]:
    """Return the transposition that brings an array of `axes` to canonical order."""
    return tuple(axes.index(letter) for letter in canonical(axes))


def guess_axes(shape: Sequence[int]) -> str:
    """Guess the axes of an array from its shape alone.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.

    Returns
    -------
    str
        ``YX`` for two dimensions; ``YXC`` for three with a last axis of 3 or 4 and
        both others larger; ``CYX`` for three with a first axis of up to 4, else
        ``ZYX``; ``TZYX`` or ``ZCYX`` for four; ``TZCYX`` for five.

    Raises
    ------
    UneticError
        If there are fewer than two or more than five dimensions.
    """
    n = len(shape)
    if n == 2:
        return "YX"
    if n == 3:
        if shape[2] in (3, 4) and min(shape[:2]) > 4:
            return "YXC"
        return "CYX" if shape[0] <= 4 else "ZYX"
    if n == 4:
        if shape[3] in (3, 4) and min(shape[1:3]) > 4:
            return "ZYXC"
        return "ZCYX" if shape[1] <= 4 else "TZYX"
    if n == 5:
        return AXES
    raise UneticError(
        f"Expected an image of 2 to 5 dimensions, got shape {tuple(shape)}; "
        "take a plane or a channel of it first."
    )
