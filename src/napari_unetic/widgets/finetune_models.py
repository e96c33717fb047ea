"""Which model a round of fine-tuning starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
