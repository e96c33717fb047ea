"""From a result to layers in the viewer, and what the dock says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.results import SegmentedLayer, segment_source_steps
from napari_unetic.widgets.updates import update_layer
from napari_unetic.widgets.wording import duration, shortened

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Steps
    from napari_unetic.widgets.layers import LayerSource

MAPS = ("foreground", "contact", "depth")

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
    """

    result: SegmentedLayer
    maps: tuple[ImageLayer, ...]
    notices: tuple[str, ...]


def run_steps(
    source: LayerSource,
    model: str,
    settings: SegmentSettings,
    *,
    keep_maps_bytes: int,
    show_maps: bool,
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
        source, model, settings, keep_maps_bytes=keep_maps_bytes
    )
    notices = result.notices
    maps: tuple[ImageLayer, ...] = ()
    if show_maps:
        maps = map_layers(result)
        notices += () if maps else (NO_ROOM_FOR_MAPS,)
    return Found(result, maps, notices)


def map_layers(result: SegmentedLayer) -> tuple[ImageLayer, ...]:
    """Return image layers of the kept maps of a result; none where none were kept."""
    kept, source = result.segmentation.maps, result.source
    if kept is None:
        return ()
    maps = np.moveaxis(kept.full(), -3, 0)
    placement = source.placement()
    return tuple(
        ImageLayer(
            source.arrange(one),
            name=f"{source.name} {name}",
            contrast_limits=(0, 1),
            colormap="magma",
            blending="additive",
            visible=False,
            **placement,
        )
        for name, one in zip(MAPS, maps, strict=True)
    )


def show(viewer: Viewer, result: SegmentedLayer, target: Labels | None) -> Labels:
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

    Returns
    -------
    napari.layers.Labels
        The layer that shows the result.
    """
    if target is not None and target in viewer.layers:
        layer = update_layer(target, result)
    else:
        layer = result.layer
    if layer not in viewer.layers:
        viewer.add_layer(layer)
    return layer


def summary(result: SegmentedLayer, layer: Labels) -> str:
    """Return what was found, in a sentence."""
    time, name = duration(result.seconds), shortened(layer.name)
    if result.n_objects == 0:
        return f"No object found in {time}; try another model or channel."
    objects = "object" if result.n_objects == 1 else "objects"
    return f"{result.n_objects:,} {objects} in {time}: layer “{name}”."


def is_result(layer: object) -> bool:
    """Whether a layer is one of labels that was segmented."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and METADATA_KEY in layer.metadata
