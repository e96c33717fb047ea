"""Which model a round starts from, and which one the Segment docks use afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_unetic.widgets.segment_form import SegmentForm

if TYPE_CHECKING:
    from napari_unetic.model.registry import ModelEntry


def base_of(entry: ModelEntry, models: list[ModelEntry]) -> ModelEntry:
    """Return the model that a fine-tuned one began with, as far back as it is known.

    Parameters
    ----------
    entry : ModelEntry
        A model; itself where it was not fine-tuned.
    models : list of ModelEntry
        Those that there are.
    """
    for _ in models:
        record = entry.description.training
        if record is None or not record.verdict:
            break
        parent = by_weights(record.parent, models)
        if parent is None:
            break
        entry = parent
    return entry


def by_weights(digest: str, models: list[ModelEntry]) -> ModelEntry | None:
    """Return the model with the weights of a SHA-256, or None."""
    return next((m for m in models if m.description.weights_sha256 == digest), None)


def choose_to_segment(models: list[ModelEntry], name: str) -> None:
    """Offer the models in every open Segment dock, and choose one of them."""
    for dock in QApplication.allWidgets():
        if isinstance(dock, SegmentForm):
            dock.show_found(models, dock.more.device.objects)
            entry = next((m for m in dock.model.objects if m.name == name), None)
            if entry is not None:
                dock.model.choose(entry)
