"""A new model, wherever the docks show models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_unetic.widgets.segment_form import SegmentForm

if TYPE_CHECKING:
    from napari_unetic.model.registry import ModelEntry


def choose_to_segment(models: list[ModelEntry], name: str) -> None:
    """Offer the models in every open Segment dock, and choose one of them."""
    for dock in QApplication.allWidgets():
        if isinstance(dock, SegmentForm):
            dock.show_found(models, dock.more.device.objects)
            entry = next((m for m in dock.model.objects if m.name == name), None)
            if entry is not None:
                dock.model.choose(entry)
