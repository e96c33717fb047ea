"""Napari layers in, napari layers out; needs neither a viewer nor Qt."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_unetic.axes import AXES, PixelSize, canonical, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.source import Image, as_image
from napari_unetic.instances.measure import measure
from napari_unetic.steps import Step, drain

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_unetic.model.folder import Model

METADATA_KEY = "napari_unetic"
"""Where the provenance lies in the metadata of a result layer."""

_AXES_BY_NDIM = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TZCYX"}
_PLACEMENT = (
    "affine",
    "axis_labels",
    "rotate",
    "scale",
    "shear",
    "translate",
    "units",
)


@dataclass(frozen=True, slots=True)
class LayerSource:
    """What a segmentation needs of an image layer, as it was at one moment.

    No pixel is read when it is made, so a dock can make one whenever the layer
    changes; the layer itself may change or go while the work runs.

    Parameters
    ----------
    data : array-like
        The layer's data, level 0 of a multiscale layer.
    axes : str
        One letter a dimension of `data`, in its order.
    pixel_size : PixelSize
        From scale and units, in µm; empty where the units are no lengths.
    name : str
        The layer's name.
    placement : mapping
        Keywords that put a layer of labels onto the image: scale, translate, rotate,
        shear, affine, units and axis labels.
    """

    data: Any
    axes: str
    pixel_size: PixelSize
    name: str
    placement: Mapping[str, Any]

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
            text = f"{planes} planes of {text}, each by itself"
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
            A leading channel axis is left out, since napari aligns layers from the
            right; a channel axis further back has length 1.
        """
        ours = [letter for letter in canonical(self.axes) if letter != "C"]
        theirs = [letter for letter in self.axes if letter != "C"]
        arranged = labels.transpose([ours.index(letter) for letter in theirs])
        inner = _inner_channel(self.axes, self.rgb)
        return arranged if inner is None else np.expand_dims(arranged, inner)


def layer_source(layer: ImageLayer, axes: str | None = None) -> LayerSource:
    """Return what a segmentation needs of an image layer, without reading pixels.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer; of a multiscale one, level 0 is taken.
    axes : str, optional
        One letter a dimension of the layer's data. If None, the layer's axis labels
        where they are such letters; else YX, ZYX, TZYX or TZCYX by their number, and
        C at the end of a colour layer.

    Returns
    -------
    LayerSource
        The layer as it is now.

    Raises
    ------
    UneticError
        If the dimensions cannot be those of an image.
    """
    data: Any = layer.data[0] if layer.multiscale else layer.data
    if hasattr(data, "dims"):  # xarray transposes by name, we by position
        data = data.data
    text = check_axes(axes, len(data.shape)) if axes else _guess_axes(layer)
    return LayerSource(
        data=data,
        axes=text,
        pixel_size=_pixel_size(layer, text),
        name=str(layer.name),
        placement=_placement(layer, text),
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


def _pixel_size(layer: ImageLayer, axes: str) -> PixelSize:
    """Return the size of a pixel in µm along the axes whose units are lengths."""
    sizes = {
        letter: abs(float(scale)) * float((1.0 * unit).to("micrometer").magnitude)
        for letter, scale, unit in zip(axes, layer.scale, layer.units, strict=False)
        if letter in "ZYX" and unit.is_compatible_with("micrometer")
    }
    return PixelSize(sizes, "µm") if {"Y", "X"} <= set(sizes) else PixelSize()


def _inner_channel(axes: str, rgb: bool) -> int | None:
    """Return the position of a channel axis that labels must keep, if there is one."""
    position = axes.find("C")
    return None if position <= 0 or rgb else position


def _placement(layer: ImageLayer, axes: str) -> dict[str, Any]:
    """Return the keywords that put labels of an image layer in its place."""
    state = layer.as_layer_data_tuple()[1]
    placement = {key: state[key] for key in _PLACEMENT}
    if layer.rgb or "C" not in axes:
        return placement
    if (position := _inner_channel(axes, rgb=False)) is not None:
        # One long pixel over all channels: the labels show whichever is looked at.
        scale, translate = list(placement["scale"]), list(placement["translate"])
        n_channels = layer.data.shape[position]
        translate[position] += 0.5 * (n_channels - 1) * scale[position]
        scale[position] *= n_channels
        return placement | {"scale": scale, "translate": translate}
    matrices = {
        "affine": np.asarray(placement["affine"]),
        "rotate": np.asarray(placement["rotate"]),
        "shear": _shear_matrix(np.asarray(placement["shear"]), len(axes)),
    }
    return {key: value[1:] for key, value in placement.items()} | {
        key: matrix[1:, 1:] for key, matrix in matrices.items()
    }


def _shear_matrix(shear: NDArray[Any], n: int) -> NDArray[Any]:
    """Return a shear as a matrix, which napari may give by its upper triangle."""
    if shear.ndim == 2:
        return shear
    matrix = np.eye(n)
    matrix[np.triu_indices(n, 1)] = shear
    return matrix


@dataclass(frozen=True, slots=True)
class SegmentedLayer:
    """A new layer of labels, in no viewer yet, and what there is to say about it.

    Parameters
    ----------
    layer : napari.layers.Labels
        The labels.
    n_objects : int
        Number of objects.
    seconds : float
        Time from normalising to labels.
    notices : tuple of str
        Sentences the user should read.
    """

    layer: Labels
    n_objects: int
    seconds: float
    notices: tuple[str, ...]


def segment_source_steps(
    source: LayerSource, model: str | Path | Model = "nuclei", **settings: Any
) -> Generator[Step, None, SegmentedLayer]:
    """Segment a layer's image, one step a tile.

    Parameters
    ----------
    source : LayerSource
        The layer, from `layer_source`.
    model : str, path or Model
        Name of a model, its folder, or a loaded one.
    **settings
        ``channel``, ``diameter``, ``pixel_size``, ``device`` and ``tile`` of
        `napari_unetic.segment`.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    SegmentedLayer
        The layer; only the thread of the viewer may add it.
    """
    # The import of torch takes a second or two: in the thread that does the work.
    from napari_unetic.predict import segment_steps

    image = source.image()
    found = yield from segment_steps(image, model, **settings)
    layer = Labels(
        source.arrange(found.labels),
        name=f"{source.name} {found.provenance['model']}",
        features=_features(found.labels, image, settings.get("channel")),
        metadata={METADATA_KEY: found.provenance},
        **source.placement,
    )
    return SegmentedLayer(layer, found.n_objects, found.seconds, found.notices)


def _features(
    labels: NDArray[Any], image: Image, channel: int | None
) -> dict[str, NDArray[Any]]:
    """Measure objects that lie in one plane each.

    `measure` would take Z for a dimension of the objects, and their area for a volume:
    to it, Z is called C.
    """
    pixels = np.asarray(image.data)
    if channel is not None and "C" in image.axes:
        pixels = pixels.take(channel, axis=image.axes.index("C"))
    axes = (image.plane_axes + "YX").replace("Z", "C")
    table = measure(labels, pixels, image.pixel_size, axes=axes)
    words = ("centroid_c", "bbox_min_c", "bbox_max_c")
    return {
        (name[:-1] + "z" if name in words else name): column
        for name, column in table.items()
    }


def segment_layer(
    layer: ImageLayer,
    model: str | Path | Model = "nuclei",
    *,
    axes: str | None = None,
    channel: int | None = None,
    diameter: float | None = None,
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
) -> Labels:
    """Segment an image layer; return a layer of labels that lies on it.

    Neither a viewer nor Qt is needed.

    Parameters
    ----------
    layer : napari.layers.Image
        Any image layer; of a multiscale one, level 0 is segmented. Planes along T
        and Z are segmented one by one.
    model : str, path or Model
        Name of a model, its folder, or a loaded one.
    axes : str, optional
        One letter a dimension of the layer's data, out of TZCYX; by default from the
        layer's axis labels, or from the number of dimensions.
    channel : int, optional
        The channel to segment.
    diameter : float, optional
        Usual diameter of the objects, in pixels.
    pixel_size : float, optional
        Size of a pixel in µm, instead of the layer's own.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    tile : int, optional
        Side of a tile in pixels.

    Returns
    -------
    napari.layers.Labels
        Labels with the scale, translate, rotate, shear, affine, units and axis labels
        of the image, a row of `features` an object, and the provenance in `metadata`.

    Raises
    ------
    UneticError
        If the layer or a setting cannot be used; the sentence says what to do.

    Examples
    --------
    >>> from napari_unetic import segment_layer
    >>> labels = segment_layer(viewer.layers["nuclei"])  # doctest: +SKIP
    >>> viewer.add_layer(labels)  # doctest: +SKIP
    """
    steps = segment_source_steps(
        layer_source(layer, axes),
        model,
        channel=channel,
        diameter=diameter,
        pixel_size=pixel_size,
        device=device,
        tile=tile,
    )
    return drain(steps).layer
