"""Segment an image layer: what comes back is a layer of labels that lies on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from napari.layers import Labels

from napari_unetic.instances.record import pack_labels
from napari_unetic.settings import SegmentSettings, segment_settings
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.widgets.class_layers import class_look, class_table
from napari_unetic.widgets.layers import METADATA_KEY, LayerSource, layer_source
from napari_unetic.widgets.levels import best_level, settings_on_level
from napari_unetic.widgets.records import keep
from napari_unetic.widgets.sizing import KEY, sized_source_steps
from napari_unetic.widgets.tables import features_of
from napari_unetic.widgets.touching import watch

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_unetic.image.region import Region
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.predict import Segmentation
    from napari_unetic.semantic.targets import ClassSpec

SHARE_OF_MEMORY = 1 / 8
"""Labels of the whole image are made if they take no more of the free memory."""


@dataclass(frozen=True, slots=True)
class SegmentedLayer:
    """A new layer of labels, in no viewer yet, and what there is to say about it.

    Parameters
    ----------
    layer : napari.layers.Labels
        The labels.
    segmentation : Segmentation
        What the layer was made of; its maps, where they were kept.
    source : LayerSource
        The image layer.
    settings : SegmentSettings
        In pixels of level 0.
    region : Region, optional
        In pixels of the labels of the whole image.
    model : str
        The model as it was asked for, by name or folder.
    sizing : dict, optional
        What was found out about the diameter on level 0, in pixels of it, before the
        level was chosen; None where that was part of the segmentation.
    """

    layer: Labels
    segmentation: Segmentation
    source: LayerSource
    settings: SegmentSettings
    region: Region | None
    model: str
    sizing: dict[str, Any] | None = None

    @property
    def start(self) -> tuple[int, ...]:
        """The pixel of the image (of the level) that the layer's first one is."""
        return tuple(self.layer.metadata[METADATA_KEY]["layer"]["start"])

    @property
    def n_objects(self) -> int:
        """Number of objects."""
        return self.segmentation.n_objects

    @property
    def classes(self) -> tuple[ClassSpec, ...]:
        """Name and colour of labels 0, 1, ..., where these are classes; else empty."""
        return self.segmentation.classes

    @property
    def seconds(self) -> float:
        """Time from normalising to labels."""
        return self.segmentation.seconds

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences the user should read."""
        return self.segmentation.notices

    def on_level(self, settings: SegmentSettings) -> SegmentSettings:
        """Return settings in pixels of level 0 as the kept maps understand them.

        What `napari_unetic.predict.decode_window` takes.
        """
        maps = self.segmentation.maps
        assert maps is not None
        return _on_level(settings, maps.plan.description, self.source, self.sizing)


def segment_source_steps(
    source: LayerSource,
    model: str | Path | Model = "nuclei",
    settings: SegmentSettings | None = None,
    *,
    keep_maps_bytes: int = 0,
    keeps_level: bool = True,
) -> Steps[SegmentedLayer]:
    """Segment a layer's image, one step a tile.

    Parameters
    ----------
    source : LayerSource
        The layer, from `layer_source`.
    model : str, path or Model
        Name of a model, its folder, or a loaded one.
    settings : SegmentSettings, optional
        In pixels of level 0. Axes have been understood when the source was made.
    keep_maps_bytes : int
        Keep the maps with the result if they take no more bytes than this.
    keeps_level : bool
        Segment the level of the source also where another one fits a diameter that is
        found out first.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    SegmentedLayer
        The layer; only the thread of the viewer may add it.

    Raises
    ------
    UneticError
        If image, model and settings do not fit.
    """
    # The import of torch takes a second or two: in the thread that does the work.
    from napari_unetic.model.registry import load_model
    from napari_unetic.predict import segment_steps

    settings = settings or SegmentSettings()
    loaded = load_model(model)
    source, sizing = yield from sized_source_steps(
        source, loaded, settings, keeps_level=keeps_level
    )
    on_level = _on_level(settings, loaded.description, source, sizing)
    found = yield from segment_steps(
        source.image(), loaded, keep_maps_bytes=keep_maps_bytes, **dict(on_level)
    )
    asked = str(model) if isinstance(model, str | Path) else loaded.description.name
    return (
        yield from _layer_steps(source, found, settings, on_level.region, asked, sizing)
    )


def decode_layer_steps(
    before: SegmentedLayer, settings: SegmentSettings
) -> Steps[SegmentedLayer]:
    """Decode the kept maps of a result with other thresholds; no network runs.

    Parameters
    ----------
    before : SegmentedLayer
        A result with maps.
    settings : SegmentSettings
        In pixels of level 0; they differ in sensitivity, splitting, smallest,
        fill_holes, drop_border and link alone.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    SegmentedLayer
        As `segment_source_steps` would give it with these settings.

    Raises
    ------
    UneticError
        If the maps would differ, too.
    """
    from napari_unetic.predict import decode_again_steps

    maps = before.segmentation.maps
    assert maps is not None
    on_level = before.on_level(settings)
    found = yield from decode_again_steps(maps, on_level)
    return (
        yield from _layer_steps(
            before.source,
            found,
            settings,
            on_level.region,
            before.model,
            before.sizing,
        )
    )


def _on_level(
    settings: SegmentSettings,
    description: ModelDescription,
    source: LayerSource,
    sizing: dict[str, Any] | None,
) -> SegmentSettings:
    offsets = source.offsets()
    return settings_on_level(
        settings,
        description,
        source.factors_yx,
        (offsets["Y"], offsets["X"]),
        None if sizing is None else sizing["taken_px"],
    )


def _layer_steps(
    source: LayerSource,
    found: Segmentation,
    settings: SegmentSettings,
    region: Region | None,
    model: str,
    sizing: dict[str, Any] | None,
) -> Steps[SegmentedLayer]:
    """Make the layer of a segmentation: measure its objects, put it in its place."""
    yield Step(0, 0, "measuring")
    labels, start = _labels(found)
    arranged = source.arrange(labels)
    origin = dict(zip(found.axes, start, strict=True))
    record = _record(source, found, settings, model, sizing) | {
        "layer": {
            "axes": source.label_axes,
            "start": [origin.get(letter, 0) for letter in source.label_axes],
            "shape": list(arranged.shape),
        },
        "predicted": pack_labels(arranged),
    }
    keep(record)
    if found.classes:
        shown = class_look(found.classes)
        shown["features"] = class_table(arranged, found.classes, source)
    else:
        shown = {"features": features_of(found, source, settings)}
    layer = Labels(
        arranged,
        name=f"{source.name} {found.provenance['model']}",
        metadata={METADATA_KEY: record},
        **shown,
        **source.placement(origin),
    )
    watch(layer).written(touched=False)
    return SegmentedLayer(layer, found, source, settings, region, model, sizing)


def _labels(found: Segmentation) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return the labels that a layer shows, and where they begin in the image."""
    n_bytes = np.prod(found.full_shape, dtype=np.float64) * found.labels.itemsize
    if n_bytes <= SHARE_OF_MEMORY * psutil.virtual_memory().available:
        return found.full(), (0,) * len(found.full_shape)
    return found.labels, tuple(part.start for part in found.extent)


def _record(
    source: LayerSource,
    found: Segmentation,
    settings: SegmentSettings,
    model: str,
    sizing: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return what the layer was made with, settings as they were asked for."""
    provenance = dict(found.provenance) | ({} if sizing is None else {KEY: sizing})
    decoding = provenance["settings"]["decoding"]
    return provenance | {
        "settings": settings.changed() | {"decoding": decoding},
        "model_asked": model,
        "level": source.level,
    }


def segment_layer(
    layer: ImageLayer,
    model: str | Path | Model = "nuclei",
    *,
    axes: str | None = None,
    channel: int | None = None,
    plane: int | Sequence[int] | None = None,
    region: Region | str | Sequence[Any] | None = None,
    diameter: float | str | None = "auto",
    pixel_size: float | None = None,
    sensitivity: float = 0.5,
    splitting: float = 0.5,
    smallest: int | None = None,
    fill_holes: bool = True,
    drop_border: bool = False,
    link: bool = False,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
) -> Labels:
    """Segment an image layer; return a layer of labels that lies on it.

    Neither a viewer nor Qt is needed. Of a model of classes the labels are the numbers
    of these, in their colours; `features` has a row a class, with its name and share.

    Parameters
    ----------
    layer : napari.layers.Image
        Any image layer. Planes along T and Z are segmented one by one. Of a multiscale
        layer that level is segmented whose objects have the model's diameter; all
        that is given in pixels is given in those of level 0.
    model : str, path or Model
        Name of a model, its folder, or a loaded one.
    axes : str, optional
        One letter a dimension of the layer's data, out of TZCYX; by default from the
        layer's axis labels, or from the number of dimensions.
    channel : int, optional
        The channel to segment, from 0, where there are several.
    plane : int or sequence of int, optional
        The one plane to segment, from 0: an index along T, along Z, or along both.
    region : Region, str or sequence, optional
        The part of the image to segment, in pixels: a box ``y0, x0, y1, x1``, polygons
        as ``[[[y, x], ...], ...]``, or either as a text.
    diameter : float, {"auto", "usual"} or None
        Usual diameter of the objects, in pixels; ``auto`` finds it out, ``usual`` or
        None takes the model's own, as for `napari_unetic.segment`.
    pixel_size : float, optional
        Micrometres a pixel, for models that know theirs; instead of `diameter`.
    sensitivity : float
        From 0 to 1: more finds more and larger objects, or more of the classes.
    splitting : float
        From 0 to 1: more cuts touching objects apart. This and the four that follow
        are for models of objects alone.
    smallest : int, optional
        Objects of fewer pixels are dropped; the model's own limit if None.
    fill_holes : bool
        Fill small holes in objects.
    drop_border : bool
        Drop objects that touch the edge of the image.
    link : bool
        Give objects of neighbouring planes that overlap one number.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network runs.
    precision : {"auto", "float32", "bfloat16"}
        Of the network's numbers, as for `napari_unetic.segment`.
    tile : int, optional
        Side of a tile in pixels; by free memory if None.

    Returns
    -------
    napari.layers.Labels
        Labels with the scale, translate, rotate, shear, affine, units and axis labels
        of the image, a row of `features` an object or class, and the record of it in
        `metadata`. They cover the whole image, or, where an image's labels would take
        more than an eighth of the free memory, the part that was segmented.

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
    from napari_unetic.model.registry import load_model

    settings = segment_settings(
        axes=axes,
        channel=channel,
        plane=plane,
        region=region,
        diameter=diameter,
        pixel_size=pixel_size,
        sensitivity=sensitivity,
        splitting=splitting,
        smallest=smallest,
        fill_holes=fill_holes,
        drop_border=drop_border,
        link=link,
        device=device,
        precision=precision,
        tile=tile,
    )
    loaded = load_model(model)
    level = best_level(layer, loaded.description, settings)
    source = layer_source(layer, settings.axes, level)
    steps = segment_source_steps(source, model, settings, keeps_level=False)
    return drain(steps).layer
