"""What is known of a model before it is trained, and what is kept of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import COLOURS
from napari_unetic.image.normalise import DivisionSpec, NormalisationSpec
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.model.description import ModelDescription, TrainingRecord
from napari_unetic.model.folder import Model, save_model
from napari_unetic.networks.presets import preset
from napari_unetic.provenance import software_versions
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import SemanticTargetSpec, semantic_target
from napari_unetic.training.lessons import lesson_of

if TYPE_CHECKING:
    from napari_unetic.training.lesson import Lesson
    from napari_unetic.training.loop import Loop
    from napari_unetic.training.patches import Sample
    from napari_unetic.training.run import Run
    from napari_unetic.training.settings import TrainSettings


_NORMALISATIONS = {"percentile": NormalisationSpec(), "division": DivisionSpec()}


def describe(
    base: Model | None, settings: TrainSettings, name: str
) -> ModelDescription:
    """Describe the model to be, as far as it is known before the pairs are read."""
    if base is not None:
        refuse_given(settings, base)
        return base.description.model_copy(
            update={
                "name": name,
                "training": None,
                "scores": {},
                "weights_sha256": "",
                # How dark objects are taken was found out for the base's images.
                "dark": None,
            }
        )
    chosen = preset(settings.preset, dimensions=None)
    dimensions = chosen.spec.dimensions
    if dimensions == 3 and settings.resize_px is not None:
        raise UneticError(
            f"Expected no size to resize to for {chosen.name!r}, which takes volumes, "
            f"got {settings.resize_px}; leave it out."
        )
    if dimensions == 2 and settings.anisotropy is not None:
        raise UneticError(
            "Expected an anisotropy only for a network for volumes, got one for "
            f"{chosen.name!r}; leave it out."
        )
    normalisation = settings.normalisation or "percentile"
    target: TargetSpec | SemanticTargetSpec
    target = TargetSpec(contact_gap_px=settings.contact_gap_px)
    decoding: DecodeSpec | ClassDecodeSpec = DecodeSpec()
    if settings.classes and settings.contact_gap_px:
        raise UneticError(
            "Expected no gap of contacts for classes, which have no contacts, got "
            f"{settings.contact_gap_px:g}; leave it out."
        )
    if settings.classes and settings.clean:
        raise UneticError(
            "Expected labels of classes as they are, got the wish to clean them, which "
            "is for objects; leave it out."
        )
    if settings.classes:
        # A network whose source tells a class by two maps keeps them.
        is_two = len(settings.classes) == 1 and chosen.spec.out_channels == 2
        target = semantic_target(settings.classes, "softmax" if is_two else None)
        decoding = ClassDecodeSpec()
        normalisation = settings.normalisation or chosen.normalisation
    elif settings.resize_px is not None:
        raise UneticError(
            "Expected classes to learn from images resized to one size, got none; "
            "name them, or leave the size out: objects would lose their shapes."
        )
    n = settings.channels or chosen.spec.in_channels
    sizes = {"in_channels": n, "out_channels": target.n_maps}
    network = chosen.spec.model_copy(update=sizes)
    names = {1: ("grey",), 3: COLOURS}
    description = ModelDescription(
        name=name,
        network=network,
        axes="YX" if dimensions == 2 else "ZYX",
        channels=names.get(n, tuple(f"channel {k}" for k in range(n))),
        normalisation=_NORMALISATIONS[normalisation],
        target=target,
        decoding=decoding,
        resize_px=settings.resize_px,
        working_diameter_px=1,
    )
    lesson_of(description, settings)
    return description


def refuse_given(settings: TrainSettings, base: Model) -> None:
    """Refuse settings that the model that training starts from decides.

    Raises
    ------
    UneticError
        If one of them is given, or the loss does not fit.
    """
    decided = ("classes", "normalisation", "resize_px", "channels", "contact_gap_px")
    for name in (*decided, "anisotropy"):
        if getattr(settings, name):
            said = name.removesuffix("_px").replace("_", " ")
            raise UneticError(
                f"Expected {said} as {base.name!r} has it, which training "
                "starts from, got another; leave it out, or start from a "
                "preset."
            )
    lesson_of(base.description, settings)


def sized(
    description: ModelDescription, samples: Sequence[Sample], settings: TrainSettings
) -> ModelDescription:
    """Return a description that says how large objects are, and how far planes apart.

    Raises
    ------
    UneticError
        If there is no object.
    """
    lesson = lesson_of(description, settings)
    update: dict[str, Any] = {"working_diameter_px": median_diameter(samples, lesson)}
    if description.network.dimensions == 3:
        known = [s.anisotropy for s in samples if s.anisotropy is not None]
        found = round(float(np.median(known)), 3) if known else None
        update["anisotropy"] = settings.anisotropy or found
    return description.model_copy(update=update)


def median_diameter(samples: Sequence[Sample], lesson: Lesson) -> float:
    """Median over all objects of the diameter of a disc of the same area, in pixels.

    Of classes, connected pieces count as objects. In volumes the area is that of an
    object's largest section, so that the diameter is one that can be seen in a plane.

    Raises
    ------
    UneticError
        If there is no object.
    """
    areas = [_areas(lesson.numbered(sample.labels)) for sample in samples]
    found = np.concatenate(areas)
    found = found[found > 0]
    if found.size == 0:
        raise UneticError(
            "Expected objects in the training labels, got none; check the labels."
        )
    return round(float(np.median(np.sqrt(4 * found / np.pi))), 2)


def _areas(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the area of each object, in volumes that of its largest section."""
    n = int(labels.max(initial=0)) + 1
    found = np.zeros(n, np.int64)
    for plane in labels.reshape(-1, *labels.shape[-2:]):
        np.maximum(found, np.bincount(plane.ravel(), minlength=n), out=found)
    return found[1:]


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
