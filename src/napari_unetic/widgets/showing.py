"""From a result to layers in the viewer, and what the dock says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unetic.errors import UneticError
from napari_unetic.widgets.class_layers import class_ramp, shares_text
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.results import SegmentedLayer, segment_source_steps
from napari_unetic.widgets.updates import Prepared, prepare_update, update_layer
from napari_unetic.widgets.wording import duration, shortened

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Steps
    from napari_unetic.widgets.layers import LayerSource

MAPS = ("foreground", "contact", "depth")
"""What the maps of a model of objects are called."""

NO_ROOM_FOR_MAPS = (
    "The maps are too large for the free memory, so no layers of them were added."
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a run of the dock found.

    Parameters
    ----------
    result : SegmentedLayer
        The labels.
    maps : tuple of napari.layers.Image
        Layers of the maps, where they were asked for.
    notices : tuple of str
        Sentences the user should read.
    prepared : Prepared, optional
        What an update of the layer that was asked for will write.
    """

    result: SegmentedLayer
    maps: tuple[ImageLayer, ...]
    notices: tuple[str, ...]
    prepared: Prepared | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a result is shown.

    Parameters
    ----------
    layer : napari.layers.Labels
        In the viewer.
    remark : str
        Why it is not the layer that was to be updated; may be empty.
    """

    layer: Labels
    remark: str = ""


def run_steps(
    source: LayerSource,
    model: str,
    settings: SegmentSettings,
    *,
    keep_maps_bytes: int,
    show_maps: bool,
    target: Labels | None = None,
) -> Steps[Found]:
    """Segment an image layer, and make layers of its maps.

    Parameters
    ----------
    source : LayerSource
        The image layer.
    model : str
        Name of the model.
    settings : SegmentSettings
        In pixels of level 0.
    keep_maps_bytes : int
        Keep the maps if they take no more bytes than this.
    show_maps : bool
        Make layers of them.
    target : napari.layers.Labels, optional
        The layer that will be updated; here it is only read.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    Found
        Layers that only the thread of the viewer may add.
    """
    result = yield from segment_source_steps(
        source, model, settings, keep_maps_bytes=keep_maps_bytes, keeps_level=False
    )
    notices = result.notices
    maps: tuple[ImageLayer, ...] = ()
    if show_maps:
        maps = map_layers(result)
        notices += () if maps else (NO_ROOM_FOR_MAPS,)
    return Found(result, maps, notices, _prepared(target, result))


def _prepared(target: Labels | None, result: SegmentedLayer) -> Prepared | None:
    """Find out what an update will write, which takes long for a part of an image."""
    if target is None:
        return None
    try:
        return prepare_update(target, result)
    except UneticError:
        return None  # The update itself will be refused and say why.


def map_layers(result: SegmentedLayer) -> tuple[ImageLayer, ...]:
    """Return image layers of the kept maps of a result; none where none were kept."""
    kept, source = result.segmentation.maps, result.source
    if kept is None:
        return ()
    maps = np.moveaxis(kept.full(), -3, 0)
    looks: list[tuple[str, Any]] = [(name, "magma") for name in MAPS]
    if result.classes:
        # A single map is that of the one class beside the background.
        of_maps = result.classes[len(result.classes) - len(maps) :]
        looks = [(f"probability of {c.name}", class_ramp(c)) for c in of_maps]
    placement = source.placement()
    return tuple(
        ImageLayer(
            source.arrange(one),
            name=f"{source.name} {name}",
            contrast_limits=(0, 1),
            colormap=colormap,
            blending="additive",
            visible=False,
            **placement,
        )
        for (name, colormap), one in zip(looks, maps, strict=True)
    )


def show(
    viewer: Viewer,
    result: SegmentedLayer,
    target: Labels | None,
    prepared: Prepared | None = None,
) -> Shown:
    """Write a result into a layer that is there, or add it as a new one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer; this is for its thread alone.
    result : SegmentedLayer
        What was found.
    target : napari.layers.Labels, optional
        The layer to write into; a new one is added where it is gone, or cannot take
        the result.
    prepared : Prepared, optional
        Of that layer and result.

    Returns
    -------
    Shown
        The layer that shows the result.
    """
    layer, remark = result.layer, ""
    if target is not None and target in viewer.layers:
        try:
            layer = update_layer(target, result, prepared=prepared)
        except UneticError as error:
            # Nothing is lost: what was found goes to a layer of its own.
            remark = str(error)
    if layer not in viewer.layers:
        viewer.add_layer(layer)
    return Shown(layer, remark)


def summary(result: SegmentedLayer, layer: Labels) -> str:
    """Return what was found, in a sentence."""
    time, name = duration(result.seconds), shortened(layer.name)
    if result.classes:
        return f"{shares_text(layer)} in {time}: layer “{name}”."
    if result.n_objects == 0:
        return f"No object found in {time}; try another model or channel."
    objects = "object" if result.n_objects == 1 else "objects"
    return f"{result.n_objects:,} {objects} in {time}: layer “{name}”."


def is_result(layer: object) -> bool:
    """Whether a layer is one of labels that was segmented."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and METADATA_KEY in layer.metadata
