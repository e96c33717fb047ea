"""Settings of a training, with their bounds; they are kept with run and model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_unetic.errors import UneticError
from napari_unetic.networks.presets import DEFAULT_PRESET
from napari_unetic.semantic.targets import LARGEST_NUMBER, ClassSpec, named_classes
from napari_unetic.training.augment import Augmentation

LossName: TypeAlias = Literal[
    "instances", "bce", "cross-entropy", "dice", "bce-dice", "focal", "tversky"
]
OptimiserName: TypeAlias = Literal["adamw", "adam", "sgd"]
NormalisationName: TypeAlias = Literal["percentile", "division"]

ClassWeight = Annotated[float, Field(ge=0, le=1e6)]


class TrainSettings(BaseModel):
    """Everything that decides a training, but for the pairs and the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = Field(
        DEFAULT_PRESET,
        title="Network",
        description="A preset; not used where training starts from a model.",
    )
    channels: int | None = Field(
        None,
        ge=1,
        le=64,
        title="Channels",
        description="That the network takes; grey images fill all of them. Left out: "
        "those of the preset.",
    )
    contact_gap_px: float = Field(
        0.0,
        ge=0,
        le=32,
        title="Gap of contacts",
        description="Objects so many pixels apart count as meeting, where the network "
        "learns to keep them apart; those one pixel apart always do.",
    )
    minutes: float | None = Field(
        None, gt=0, title="Minutes", description="Budget as time, tuning not counted."
    )
    clean: bool = Field(
        False,
        title="Clean labels",
        description="Leave out of the training labels what nobody drew on purpose: "
        "single stamps of a small round brush, and pieces of an object that touch its "
        "largest piece nowhere.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        title="Epochs",
        description="Budget as passes: as many patches as cover all training pixels.",
    )
    steps: int | None = Field(None, ge=1, title="Steps", description="Budget as steps.")
    batch: int = Field(
        8,
        ge=1,
        le=1024,
        title="Patches a step",
        description="Of networks for volumes 4 unless it is given.",
    )
    patch_px: int = Field(
        256,
        ge=32,
        le=4096,
        title="Patch",
        description="Pixels a side of a patch; of networks for volumes 64 unless it is "
        "given.",
    )
    patch_planes: int = Field(
        16,
        ge=1,
        le=512,
        title="Planes of a patch",
        description="Of networks for volumes; no more than the deepest volume has.",
    )
    anisotropy: float | None = Field(
        None,
        gt=0,
        le=100,
        title="Anisotropy",
        description="How many pixels the planes of volumes are apart, for networks for "
        "volumes. Left out: as the files say, else 1.",
    )
    learning_rate: float = Field(
        2e-3, gt=0, le=1, title="Learning rate", description="At its highest."
    )
    classes: tuple[ClassSpec, ...] = Field(
        (),
        max_length=LARGEST_NUMBER,
        title="Classes",
        description="Classes of pixels to tell, besides the background, as NAME or "
        "NAME=#rrggbb; none: objects, one by one.",
    )
    loss: LossName | None = Field(
        None,
        title="Loss",
        description="What is lowered: instances for objects; for classes binary "
        "cross-entropy (with several classes, the cross-entropy between them), Dice, "
        "both, focal or Tversky. Left out: instances, or bce-dice for classes.",
    )
    class_weights: tuple[ClassWeight, ...] = Field(
        (),
        title="Class weights",
        description="How much pixels of each class count in the loss, the background "
        "first; none: all the same.",
    )
    border_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        title="Border weight",
        description="How much more than others the narrowest gaps between objects "
        "count (w0 of Ronneberger 2015, who took 10); for classes.",
    )
    border_px: float = Field(
        5.0,
        gt=0,
        le=100,
        title="Border width",
        description="Pixels over which that falls (sigma of Ronneberger 2015).",
    )
    normalisation: NormalisationName | None = Field(
        None,
        title="Normalisation",
        description="By the percentiles of each image, or a division by 255, for 8-bit "
        "images. Left out: percentiles, or for classes as the preset's source does.",
    )
    resize_px: int | None = Field(
        None,
        ge=16,
        le=4096,
        title="Resize",
        description="Bring every image to this many pixels a side, as tutorials do; "
        "for classes. It loses what is small and bends what is not square. Left out: "
        "images keep their size.",
    )
    optimiser: OptimiserName = Field(
        "adamw",
        title="Optimiser",
        description="AdamW, Adam without weight decay, or SGD with momentum.",
    )
    momentum: float = Field(0.9, ge=0, lt=1, title="Momentum", description="Of SGD.")
    schedule: Literal["cosine", "constant"] = Field(
        "cosine",
        title="Course of the rate",
        description="After the warm-up down along half a cosine, or constant.",
    )
    validations: int = Field(
        20,
        ge=1,
        le=10_000,
        title="Validations",
        description="In a whole training, evenly spread over its budget.",
    )
    tune: bool = Field(
        True,
        title="Tune thresholds",
        description="On the validation images at the end; else they stay as they are.",
    )
    warm_up: float = Field(
        0.03, ge=0, lt=1, title="Warm-up", description="Share of the budget."
    )
    weight_decay: float = Field(1e-2, ge=0, le=1, title="Weight decay (AdamW)")
    average: float = Field(
        0.999,
        ge=0,
        lt=1,
        title="Moving average",
        description="Decay of the average of the weights that is validated and kept.",
    )
    clip: float = Field(
        1.0, gt=0, title="Gradient clipping", description="Largest norm."
    )
    patience: int | None = Field(
        None,
        ge=1,
        title="Patience",
        description="End after so many validations without a better one; none: never.",
    )
    encoder_rate: float = Field(
        1.0,
        ge=0,
        le=1,
        title="Rate of the encoder",
        description="Share of the learning rate; 0 leaves the encoder and the bottom "
        "as they are and trains the decoder only.",
    )
    anchor: float = Field(
        0.0,
        ge=0,
        title="Pull to the start",
        description="Each step moves the weights towards those that training began "
        "with by this times the learning rate.",
    )
    rehearsal: float = Field(
        0.0,
        ge=0,
        lt=1,
        title="Rehearsal",
        description="Share of each batch that shows generated nuclei, on which the "
        "network is held to what the model says that training starts from.",
    )
    norms: Literal["learn", "keep"] = Field(
        "learn",
        title="Batch norm",
        description="Learn means and variances from the patches, or keep those that "
        "training began with.",
    )
    augmentation: Augmentation = Field(
        Augmentation(),
        title="Augmentation",
        description="How often patches are varied, and how.",
    )
    seed: int = Field(0, ge=0, title="Seed")

    @field_validator("classes", mode="before")
    @classmethod
    def _from_names(cls, value: Any) -> Any:
        """Take names for classes."""
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list | tuple) and all(
            isinstance(one, str | ClassSpec) for one in value
        ):
            return named_classes(value)
        return value

    @model_validator(mode="after")
    def _one_budget(self) -> TrainSettings:
        n_budgets = sum(v is not None for v in (self.minutes, self.epochs, self.steps))
        if n_budgets != 1:
            raise ValueError(
                f"expected one budget, minutes, epochs or steps, got {n_budgets}"
            )
        return self


def usual_of(settings: TrainSettings, dimensions: int) -> TrainSettings:
    """Return settings with what is usual for planes or volumes, where nothing is said.

    A patch of 16 × 64 × 64 voxels has as many as one of 256 × 256 pixels.
    """
    usual = {"patch_px": 64, "batch": 4} if dimensions == 3 else {}
    open_ones = {k: v for k, v in usual.items() if k not in settings.model_fields_set}
    return settings.model_copy(update=open_ones)


def train_settings(**values: object) -> TrainSettings:
    """Return settings from keywords.

    Raises
    ------
    UneticError
        If a value is out of bounds or there is not exactly one budget.
    """
    return valid_settings(TrainSettings, values)


Settings = TypeVar("Settings", bound=BaseModel)


def valid_settings(kind: type[Settings], values: Mapping[str, object]) -> Settings:
    """Return settings of a kind, or raise a `UneticError` of one sentence."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if reason.startswith("Expected"):
            raise UneticError(reason) from error
        said = f"{field}: {reason}" if field else reason
        raise UneticError(
            f"Expected valid training settings, got a wrong one ({said}); correct it."
        ) from error
