"""What is known of a model before it is trained, and what is kept of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.model.description import (
    ModelDescription,
    TrainingRecord,
    check_planar,
)
from napari_unetic.model.folder import Model, save_model
from napari_unetic.networks.presets import preset
from napari_unetic.provenance import software_versions

if TYPE_CHECKING:
    from napari_unetic.instances.scores import Scores
    from napari_unetic.training.loop import Loop
    from napari_unetic.training.patches import Sample
    from napari_unetic.training.run import Run
    from napari_unetic.training.settings import TrainSettings


def describe(
    base: Model | None, settings: TrainSettings, name: str
) -> ModelDescription:
    """Describe the model to be, as far as it is known before the pairs are read."""
    if base is not None:
        check_planar(base.description)
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
    n = network.in_channels
    names = {1: ("grey",), 3: ("red", "green", "blue")}
    channels = names.get(n, tuple(f"channel {k}" for k in range(n)))
    return draft.model_copy(update={"network": network, "channels": channels})


def median_diameter(samples: Sequence[Sample]) -> float:
    """Median over all objects of the diameter of a disc of the same area, in pixels.

    Raises
    ------
    UneticError
        If there is no object.
    """
    areas = [np.bincount(sample.labels.ravel())[1:] for sample in samples]
    found = np.concatenate(areas)
    found = found[found > 0]
    if found.size == 0:
        raise UneticError(
            "Expected objects in the training labels, got none; check the labels."
        )
    return round(float(np.median(np.sqrt(4 * found / np.pi))), 2)


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


def save_run_model(
    run: Run, model: Model, loop: Loop, verdict: Mapping[str, Any] | None = None
) -> None:
    """Write a model into its run, over the one that is there, with its record."""
    plan = run.plan
    record = TrainingRecord(
        images={pair.id: pair.sha256 for pair in plan.train},
        validation_images={pair.id: pair.sha256 for pair in plan.validation},
        labels={p.id: p.labels_sha256 for p in plan.train if p.labels_sha256},
        parent=plan.parent,
        settings=plan.settings.model_dump(),
        steps=loop.at.step,
        minutes=round(loop.at.seconds / 60, 2),
        device=loop.device_text,
        software=software_versions(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        curve=tuple(_curve(loop)) if plan.finetune else (),
        verdict=dict(verdict or {}),
    )
    save_model(
        run.model,
        model.description.model_copy(update={"training": record}),
        model.network.state_dict(),
        overwrite=True,
    )


def _curve(loop: Loop) -> Iterator[dict[str, float]]:
    """Yield the held-out scores of a fine-tuning over its steps."""
    for record in loop.log.read():
        if record["event"] == "validation":
            names = ("step", "seconds", "ap", "ap_50")
            yield {name: round(record[name], 4) for name in names}
