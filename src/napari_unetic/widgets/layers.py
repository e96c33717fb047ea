"""What a segmentation needs of an image layer, and where its labels belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine

from napari_unetic.axes import AXES, PixelSize, canonical, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.source import Image, as_image
from napari_unetic.widgets.levels import (
    factors_between,
    level_data,
    level_factors,
    level_offsets,
)

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

METADATA_KEY = "napari_unetic"
"""Where the record of a result lies in the metadata of its layer.

The record is what the result was made with (`Segmentation.provenance`, the settings in
pixels of level 0) and

- ``model_asked``: the model as it was asked for, by name or folder;
- ``level``: of a multiscale layer;
- ``layer``: ``axes`` of the layer of labels, a letter a dimension, its ``shape``, and
  ``start``, the pixel of the image (of the level) that its first one is;
- ``predicted``: the labels as they were predicted (`pack_labels`), so that objects
  touched later can be told;
- ``accepted``: objects that a person has said are right as they are (`Footprint`).
"""

_AXES_BY_NDIM = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TZCYX"}
_MATRICES = ("rotate", "shear", "affine")
_LISTS = ("axis_labels", "scale", "translate", "units")

PLACEMENT = (*_LISTS, *_MATRICES)
"""The keywords of a layer that say where it lies."""


@dataclass(frozen=True, slots=True)
class LayerSource:
    """What a segmentation needs of an image layer, as it was at one moment.

    No pixel is read when it is made, so a dock can make one whenever the layer
    changes; the layer itself may change or go while the work runs.

    Parameters
    ----------
    data : array-like
        The layer's data, one level of a multiscale layer.
    axes : str
        One letter a dimension of `data`, in its order.
    pixel_size : PixelSize
        From scale and units, in µm; empty where the units are no lengths. Of the
        level.
    name : str
        The layer's name.
    state : mapping
        Of the layer: scale, translate, rotate, shear, affine, units and axis labels.
    level : int
        0 is the finest.
    factors : tuple of float
        Pixels of level 0 that one of the level covers, for each letter of `axes` but
        that of colours.
    levels : sequence of array-like
        Data of all levels, the finest first.
    path : str
        The file that the layer was opened from, or an empty text.
    """

    data: Any
    axes: str
    pixel_size: PixelSize
    name: str
    state: Mapping[str, Any] = field(repr=False)
    level: int
    factors: tuple[float, ...]
    levels: Sequence[Any] = field(repr=False)
    path: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each axis, in canonical order."""
        lengths = dict(zip(self.axes, self.data.shape, strict=True))
        return {letter: lengths[letter] for letter in canonical(self.axes)}

    @property
    def rgb(self) -> bool:
        """Whether the channels are red, green and blue (and alpha)."""
        return self.axes[-1] == "C" and self.data.shape[-1] in (3, 4)

    @property
    def n_channels(self) -> int:
        """Number of channels; 1 where there is no channel axis."""
        return self.sizes.get("C", 1)

    @property
    def label_axes(self) -> str:
        """One letter a dimension of a layer of labels on the image, in its order.

        A leading channel axis is left out, since napari aligns layers from the right;
        so are colours. A channel axis further back stays, with length 1.
        """
        return self.axes[1:] if self.axes[0] == "C" else self.axes[: len(self.factors)]

    @property
    def factors_yx(self) -> tuple[float, float]:
        """Pixels of level 0 that one of the level covers along Y and X."""
        return self.factors[self.axes.index("Y")], self.factors[self.axes.index("X")]

    def offsets(self) -> dict[str, float]:
        """Return where the level's first pixel lies, in pixels of level 0.

        A few pixels of a level other than 0 are read (`level_offsets`).
        """
        found = level_offsets(self.levels[0], self.data, self.factors)
        return dict(zip(self.axes, found, strict=False))

    def level_factors(self) -> list[tuple[float, ...]]:
        """Return the factors of each level."""
        ndim = len(self.factors)
        return [factors_between(self.levels[0], one, ndim) for one in self.levels]

    def at_level(self, level: int) -> LayerSource:
        """Return the same layer at another of its levels."""
        factors = self.level_factors()[level]
        scale = np.asarray(self.state["scale"], np.float64) * np.array(factors)
        return replace(
            self,
            data=self.levels[level],
            pixel_size=pixel_size_of(self.axes, scale, self.state["units"]),
            level=level,
            factors=factors,
        )

    def text(self) -> str:
        """Say in a line how the layer is understood."""
        sizes = self.sizes
        text = f"{sizes['Y']:,} × {sizes['X']:,} pixels"
        if (size := self.pixel_size.yx) is not None:
            text += f" of {size:.3g} {self.pixel_size.unit}"
        if self.rgb:
            text += ", colour"
        elif self.n_channels > 1:
            text += f", {self.n_channels} channels"
        planes = " × ".join(f"{sizes[a]:,} {a}" for a in "TZ" if a in sizes)
        if planes:
            text = f"{planes} planes of {text}"
        if self.level:
            text += f" (level {self.level})"
        return f"Axes {self.axes}: {text}."

    def image(self) -> Image:
        """Return the image; its pixels are read where they are needed."""
        return as_image(
            self.data, self.axes, pixel_size=self.pixel_size, name=self.name
        )

    def arrange(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels of canonical axes in the order of the layer's dimensions.

        Parameters
        ----------
        labels : ndarray of int
            Planes along T and Z, where there are such axes, then Y and X.

        Returns
        -------
        ndarray of int
            A view, with one axis a letter of `label_axes`.
        """
        ours = [letter for letter in canonical(self.axes) if letter != "C"]
        theirs = [letter for letter in self.label_axes if letter != "C"]
        arranged = labels.transpose([ours.index(letter) for letter in theirs])
        if "C" in self.label_axes:
            return np.expand_dims(arranged, self.label_axes.index("C"))
        return arranged

    def placement(
        self,
        start: Mapping[str, int] | None = None,
        offsets: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Return the keywords that put a layer of labels onto the image.

        Parameters
        ----------
        start : mapping of str to int, optional
            Letter to the first pixel of the labels along that axis, where they cover
            a part of the level.
        offsets : mapping of str to float, optional
            From `offsets`; where the first pixel of the level lies.

        Returns
        -------
        dict
            scale, translate, rotate, shear, affine, units and axis labels, with an
            entry a letter of `label_axes`.
        """
        state, letters = self.state, self.axes[: len(self.factors)]
        offsets = self.offsets() if offsets is None else offsets
        factors, shifts = np.ones(len(letters)), np.zeros(len(letters))
        for k, letter in enumerate(letters):
            if letter == "C":
                # One long pixel over all channels: the labels show at each of them.
                factors[k] = self.data.shape[k]
                shifts[k] = (factors[k] - 1) / 2
            else:
                factors[k] = self.factors[k]
                shifts[k] = factors[k] * (start or {}).get(letter, 0) + offsets[letter]
        scale = np.asarray(state["scale"], np.float64)
        linear = Affine(
            scale=scale, rotate=state["rotate"], shear=state["shear"]
        ).linear_matrix
        placement = dict(state) | {
            "scale": scale * factors,
            "translate": np.asarray(state["translate"]) + linear @ shifts,
        }
        n_left_out = len(letters) - len(self.label_axes)
        for key in _LISTS:
            placement[key] = placement[key][n_left_out:]
        for key in _MATRICES:
            placement[key] = placement[key][n_left_out:, n_left_out:]
        return placement


def layer_source(
    layer: ImageLayer, axes: str | None = None, level: int = 0
) -> LayerSource:
    """Return what a segmentation needs of an image layer, without reading pixels.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    axes : str, optional
        One letter a dimension of the layer's data. If None, the layer's axis labels
        where they are such letters; else YX, ZYX, TZYX or TZCYX by their number, and
        C at the end of a colour layer.
    level : int
        Of a multiscale layer; 0 is the finest, `best_level` chooses one.

    Returns
    -------
    LayerSource
        The layer as it is now.

    Raises
    ------
    UneticError
        If the dimensions cannot be those of an image, or there is no such level.
    """
    n_levels = len(layer.data) if layer.multiscale else 1
    levels = tuple(level_data(layer, k) for k in range(n_levels))
    data = level_data(layer, level)
    text = check_axes(axes, len(data.shape)) if axes else _guess_axes(layer)
    factors = level_factors(layer, level)
    return LayerSource(
        data=data,
        axes=text,
        pixel_size=pixel_size_of(text, layer.scale * np.array(factors), layer.units),
        name=str(layer.name),
        state=_state(layer),
        level=level,
        factors=factors,
        levels=levels,
        path=layer.source.path or "",
    )


def _guess_axes(layer: ImageLayer) -> str:
    """Take the axes from the labels of a layer's axes, or from their number."""
    labels = [str(label).upper() for label in layer.axis_labels]
    named = "".join(labels) if all(len(label) == 1 for label in labels) else ""
    legal = set(named) <= set(AXES) and len(set(named)) == len(labels)
    if not legal or not {"Y", "X"} <= set(named) or (layer.rgb and "C" in named):
        named = _AXES_BY_NDIM.get(layer.ndim, "")
    if not named or (layer.rgb and "C" in named):
        raise UneticError(
            f"Expected an image of 2 to 5 dimensions, got {layer.ndim} "
            f"({layer.name}); take a plane of it first."
        )
    return named + "C" if layer.rgb else named


def pixel_size_of(axes: str, scale: Sequence[float], units: Sequence[Any]) -> PixelSize:
    """Return the size of a pixel in µm along the axes whose units are lengths.

    Parameters
    ----------
    axes : str
        A letter a dimension.
    scale : sequence of float
        Of a layer.
    units : sequence of pint.Unit
        Of a layer.

    Returns
    -------
    PixelSize
        Empty where the units of Y or X are no lengths.
    """
    sizes = {
        letter: abs(float(size)) * float((1.0 * unit).to("micrometer").magnitude)
        for letter, size, unit in zip(axes, scale, units, strict=False)
        if letter in "ZYX" and unit.is_compatible_with("micrometer")
    }
    return PixelSize(sizes, "µm") if {"Y", "X"} <= set(sizes) else PixelSize()


def _state(layer: ImageLayer) -> dict[str, Any]:
    """Return where a layer lies, matrices as arrays."""
    state = layer.as_layer_data_tuple()[1]
    return {key: state[key] for key in _LISTS} | {
        "rotate": np.asarray(state["rotate"]),
        "shear": _shear_matrix(np.asarray(state["shear"]), layer.ndim),
        "affine": np.asarray(state["affine"]),
    }


def _shear_matrix(shear: NDArray[Any], n: int) -> NDArray[Any]:
    """Return a shear as a matrix, which napari may give by its upper triangle."""
    if shear.ndim == 2:
        return shear
    matrix = np.eye(n)
    matrix[np.triu_indices(n, 1)] = shear
    return matrix
