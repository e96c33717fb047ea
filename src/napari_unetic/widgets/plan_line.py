"""What will happen when Segment is pressed, in one line; needs no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unetic.widgets.layers import LayerSource, layer_source
from napari_unetic.widgets.levels import best_level, settings_on_level

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_unetic.maps import Plan
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.settings import SegmentSettings


@dataclass(frozen=True, slots=True)
class Forecast:
    """A segmentation of an image layer that can be done.

    Parameters
    ----------
    source : LayerSource
        The image layer, at the level that is segmented.
    settings : SegmentSettings
        In pixels of level 0.
    plan : Plan
        What will be done, in pixels of the level.
    """

    source: LayerSource
    settings: SegmentSettings
    plan: Plan

    @property
    def text(self) -> str:
        """One line for people."""
        level = self.source.level
        return f"Level {level}: {self.plan.text()}" if level else self.plan.text()


def forecast(
    layer: ImageLayer,
    description: ModelDescription,
    settings: SegmentSettings,
    *,
    keep_maps_bytes: int = 0,
) -> Forecast:
    """Say what segmenting a layer will take; no pixel is read.

    Parameters
    ----------
    layer : napari.layers.Image
        What is to be segmented.
    description : ModelDescription
        Of the model.
    settings : SegmentSettings
        In pixels of level 0.
    keep_maps_bytes : int
        As for `napari_unetic.predict.segment_steps`.

    Raises
    ------
    UneticError
        If image, model and settings do not fit; the sentence says what to do.
    """
    # It brings torch along, which the dock has loaded in a thread by then.
    from napari_unetic.maps import plan_work

    level = best_level(layer, description, settings)
    source = layer_source(layer, settings.axes, level)
    # Where exactly the level's pixels lie would take reading some, and tells nothing.
    middle = tuple((factor - 1) / 2 for factor in source.factors_yx)
    on_level = settings_on_level(
        settings, description, source.factors_yx, (middle[0], middle[1])
    )
    plan = plan_work(
        source.image(), description, on_level, keep_maps_bytes=keep_maps_bytes
    )
    return Forecast(source, settings, plan)
