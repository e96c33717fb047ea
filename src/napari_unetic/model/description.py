"""The description of a model: everything prediction needs, short of the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_unetic.errors import ModelError
from napari_unetic.image.normalise import AnyNormalisationSpec, NormalisationSpec
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.kinds import ClassKind, Decoding, ObjectKind, Target, kind_of
from napari_unetic.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from napari_unetic.image.source import Image

FORMAT: Final = "napari-unetic model"
FORMAT_VERSION: Final = 1


class TrainingRecord(BaseModel):
    """How a model came to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: dict[str, str] = Field(
        title="Training images",
        description="Id of each training image, with the SHA-256 of its pixels "
        "(data type, shape and values, so that the file format does not matter).",
    )
    validation_images: dict[str, str] = Field(
        default_factory=dict,
        title="Validation images",
        description="The same for the images that chose weights and thresholds.",
    )
    parent: str = Field(
        "", title="Parent", description="Weights' SHA-256 of the model it started from."
    )
    settings: dict[str, Any] = Field(title="Settings", description="Of the training.")
    steps: int = Field(ge=0, title="Steps")
    minutes: float = Field(ge=0, title="Minutes")
    device: str = Field("", title="Device and precision")
    software: dict[str, str] = Field(title="Software", description="Versions.")
    finished: str = Field("", title="Finished", description="Date, ISO 8601, UTC.")
    labels: dict[str, str] = Field(
        default_factory=dict,
        title="Training labels",
        description="Id and SHA-256 of the labels of each pair of a fine-tuning.",
    )
    curve: tuple[dict[str, float], ...] = Field(
        (),
        title="Curve",
        description="Of a fine-tuning: step, seconds and AP on the held-out objects.",
    )
    verdict: dict[str, Any] = Field(
        default_factory=dict,
        title="Verdict",
        description="Of a fine-tuning: old and new model on the held-out objects.",
    )


class DarkSpec(BaseModel):
    """How a model of objects takes those that are darker than what is around them.

    Stains in transmitted light have more texture and softer edges than fluorescence,
    which a network for both finds better larger and with other thresholds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    diameter_px: float = Field(
        gt=0,
        title="Diameter",
        description="Smaller objects are brought to this diameter where the size is "
        "found out, in pixels of images at the usual size.",
    )
    decoding: DecodeSpec


class ModelDescription(BaseModel):
    """A model without its weights; `model.json` holds just this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["napari-unetic model"] = FORMAT
    format_version: Literal[1] = FORMAT_VERSION
    name: str = Field(min_length=1, max_length=100, title="Name")
    summary: str = Field("", title="Summary", description="One line: what it is for.")
    network: NetworkSpec
    axes: Literal["YX", "ZYX"] = Field(
        "YX", title="Axes", description="Of what the network is given: planes, volumes."
    )
    channels: tuple[str, ...] = Field(
        min_length=1, title="Channels", description="What each input channel shows."
    )
    normalisation: AnyNormalisationSpec = NormalisationSpec()
    target: Target = TargetSpec()
    decoding: Decoding = DecodeSpec()
    resize_px: int | None = Field(
        None,
        ge=16,
        le=4096,
        title="Resize",
        description="Every image is brought to this many pixels a side before the "
        "network sees it, whatever its size and shape; left out: it keeps its own.",
    )
    working_diameter_px: float = Field(
        gt=0,
        title="Working diameter",
        description="Median diameter in pixels of the objects that the network saw.",
    )
    input_diameter_px: float | None = Field(
        None,
        gt=0,
        title="Usual diameter",
        description="Median diameter in pixels of objects in the images it is meant "
        "for; the working diameter if not given.",
    )
    dark: DarkSpec | None = Field(
        None,
        title="Dark objects",
        description="How images are segmented whose objects turn out to be darker than "
        "what is around them; left out: like all others.",
    )
    anisotropy: float | None = Field(
        None,
        gt=0,
        title="Anisotropy",
        description="Of a model for volumes: how many pixels the planes were apart "
        "that the network saw; left out: unknown, or planes.",
    )
    pixel_size_um: float | None = Field(
        None,
        gt=0,
        title="Pixel size",
        description="Micrometres a pixel that the network saw, where known.",
    )
    training: TrainingRecord | None = None
    scores: dict[str, Any] = Field(
        default_factory=dict,
        title="Scores",
        description="Name of a set of images to what was measured on it.",
    )
    licence: str = Field("", title="Licence", description="SPDX name.")
    weights_sha256: str = Field("", title="SHA-256 of weights.safetensors")

    @property
    def kind(self) -> ObjectKind | ClassKind:
        """What the maps stand for: objects or classes."""
        return kind_of(self.target, self.decoding, self.anisotropy)


def seen_by(description: ModelDescription, image: Image) -> Image:
    """Return an image as the network of a model is given it: in planes, or in volumes.

    Raises
    ------
    ModelError
        If the network takes volumes and the image has no planes along Z.
    """
    dimensions = description.network.dimensions
    if dimensions == 3 and "Z" not in image.axes:
        raise ModelError(
            f"Expected an image with planes along Z for {description.name!r}, which "
            f"takes volumes, got the axes {image.axes} ({image.name}); correct the "
            "axes, or take a model for planes."
        )
    return replace(image, dimensions=dimensions)


def check_planar(description: ModelDescription) -> None:
    """Refuse a model for volumes where work goes plane by plane alone.

    Raises
    ------
    ModelError
        If the network takes volumes.
    """
    if description.network.dimensions != 2:
        raise ModelError(
            f"Expected a model for planes, got {description.name!r}, which takes "
            "volumes; choose another."
        )


def object_kind(description: ModelDescription) -> ObjectKind:
    """Return the kind of a model of objects, and refuse other models.

    Raises
    ------
    ModelError
        If the model tells classes of pixels.
    """
    kind = description.kind
    if not isinstance(kind, ObjectKind):
        raise ModelError(
            f"Expected a model of objects, got {description.name!r}, which tells "
            "classes of pixels; choose another, or train this one (unetic train DATA "
            "--from MODEL)."
        )
    return kind
