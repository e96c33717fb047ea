"""What a run writes down of the model that comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.model.description import ModelDescription, TrainingRecord
from napari_unetic.model.folder import Model, save_model
from napari_unetic.networks.presets import preset
from napari_unetic.provenance import software_versions

if TYPE_CHECKING:
    from napari_unetic.instances.scores import Scores
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.patches import Sample
    from napari_unetic.training.settings import TrainSettings


def describe(
    base: Model | None, settings: TrainSettings, name: str
) -> ModelDescription:
    """Describe the model to be, as far as it is known before the pairs are read."""
    if base is not None:
        return base.description.model_copy(
            update={"name": name, "training": None, "scores": {}, "weights_sha256": ""}
        )
    draft = ModelDescription(
        name=name,
        network=preset(settings.preset).spec,
        channels=("grey",),
        working_diameter_px=1,
    )
    network = draft.network.model_copy(update={"out_channels": draft.target.n_maps})
    channels = ("grey",) if network.in_channels == 1 else ("red", "green", "blue")
    return draft.model_copy(update={"network": network, "channels": channels})


def median_diameter(samples: Sequence[Sample]) -> float:
    """Median over all objects of the diameter of a disc of the same area, in pixels."""
    areas = [np.bincount(sample.labels.ravel())[1:] for sample in samples]
    found = np.concatenate(areas)
    found = found[found > 0]
    if found.size == 0:
        raise UneticError(
            "Expected objects in the training labels, got none; check the labels."
        )
    return round(float(np.median(np.sqrt(4 * found / np.pi))), 2)


def image_hashes(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return the SHA-256 of each image's pixels, by id."""
    return {pair.id: pair.image_hash() for pair in pairs}


def score_summary(scores: Scores) -> dict[str, float]:
    """Return the figures of a set of images that a model keeps."""
    pooled = scores.pooled("ap")
    return {
        "n_images": len(scores.images),
        "ap_pooled_0.50": round(pooled["0.50"], 4),
        "ap_pooled_0.75": round(pooled["0.75"], 4),
        "mean_ap_pooled_9": round(scores.mean_ap_pooled_9, 4),
        "mean_ap_per_image_10": round(scores.mean_ap_per_image_10, 4),
    }


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes the model of a run with its training record.

    Parameters
    ----------
    run : Path
        The run folder.
    images, validation_images : dict of str to str
        Ids with the hashes of their pixels.
    settings : TrainSettings
        Of the training.
    base : Model, optional
        What it started from.
    """

    run: Path
    images: dict[str, str]
    validation_images: dict[str, str]
    settings: TrainSettings
    base: Model | None

    @property
    def folder(self) -> Path:
        """The model's folder in the run."""
        return self.run / "model"

    def save(self, model: Model, *, steps: int, minutes: float, device: str) -> None:
        """Write the model over the one that is there.

        Parameters
        ----------
        model : Model
            Description and weights as they are now.
        steps : int
            Steps trained so far.
        minutes : float
            Time trained so far.
        device : str
            Device and precision.
        """
        record = TrainingRecord(
            images=self.images,
            validation_images=self.validation_images,
            parent=self.base.description.weights_sha256 if self.base else "",
            settings=self.settings.model_dump(),
            steps=steps,
            minutes=round(minutes, 2),
            device=device,
            software=software_versions(),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        save_model(
            self.folder,
            model.description.model_copy(update={"training": record}),
            model.network.state_dict(),
            overwrite=True,
        )
