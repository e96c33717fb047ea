"""Settings of a segmentation: the one list behind dock, command line and Python.

Titles, descriptions, bounds and defaults stand here alone: a dock's tooltips and the
help of the command line's options are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_unetic.axes import check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.semantic.decode import ClassDecodeSpec

SENSITIVITY_STRENGTH = 2.3
"""How far the ends of the sensitivity move the foreground threshold, in logits: .5
becomes .09 or .91, .3 becomes .04 or .81, .7 becomes .19 or .96."""

CONTACT_STRENGTH = 1.6
"""The same for the splitting and the contact threshold. Further down cores vanish, so
that objects would merge again: .5 becomes .17 or .83."""

DEPTH_STRENGTH = 2.0
"""The same for the splitting and the depth that a core must reach."""

OUTERMOST = 0.03
"""No threshold moves nearer to 0 or 1 than this, where a map says nothing more."""

DECODING_FIELDS = (
    "sensitivity",
    "splitting",
    "smallest",
    "fill_holes",
    "drop_border",
    "link",
)
"""The settings that decide how maps become labels, not what the maps are."""

OBJECT_FIELDS = ("splitting", "smallest", "fill_holes", "drop_border", "link")
"""Those of them that only models of objects know; models of classes refuse them."""

Spec = TypeVar("Spec", bound="DecodeSpec")


class SegmentSettings(BaseModel):
    """Everything that decides a segmentation, but for the image and the model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    axes: str | None = Field(
        None,
        title="Axes",
        description="Axes of the image in their order, letters out of TZCYX. Left out: "
        "as the file or layer says, else guessed from the shape.",
    )
    channel: int | None = Field(
        None,
        ge=0,
        title="Channel",
        description="Channel to segment, counted from 0, where there are several.",
    )
    plane: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        title="Plane",
        description="Plane to segment, counted from 0: one number for a stack or a "
        "time series, two, T,Z, for both. Left out: every plane.",
    )
    region: Annotated[
        Region | None,
        PlainValidator(lambda value: None if value is None else Region.of(value)),
        PlainSerializer(lambda value: None if value is None else value.to_json()),
    ] = Field(
        None,
        title="Region",
        description="Part of the image to segment, in pixels: a box y0,x0,y1,x1, or "
        "polygons as [[[y,x],...],...]. Objects that lie in it with half their area "
        "or more are kept, whole. Left out: the whole image.",
    )
    diameter: Annotated[float, Field(gt=0)] | Literal["auto", "usual"] = Field(
        "auto",
        title="Diameter",
        description="Usual diameter of the objects in this image, in pixels; auto: "
        "found out from a part of it, and used where it is far from the model's; "
        "usual: the one that the model was made for.",
    )
    pixel_size: float | None = Field(
        None,
        gt=0,
        title="Pixel size",
        description="Size of a pixel of this image in micrometres, for models that "
        "know theirs; instead of the diameter, which is then not looked for.",
    )
    sensitivity: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Sensitivity",
        description="From 0 to 1: more finds more and larger objects, less only those "
        "that are sure. 0.5 is as the model was tuned.",
    )
    splitting: float = Field(
        0.5,
        ge=0,
        le=1,
        title="Splitting",
        description="From 0 to 1: more cuts touching objects apart, less leaves them "
        "in one piece. 0.5 is as the model was tuned.",
    )
    smallest: int | None = Field(
        None,
        ge=0,
        title="Smallest object",
        description="Objects of fewer pixels of the image are dropped. Left out: the "
        "limit that the model was tuned to.",
    )
    fill_holes: bool = Field(
        True, title="Fill holes", description="Fill small holes in objects."
    )
    drop_border: bool = Field(
        False,
        title="Drop border objects",
        description="Drop objects that touch the edge of the image.",
    )
    link: bool = Field(
        False,
        title="Link planes",
        description="Give objects of neighbouring planes that overlap one number, "
        "along Z, then along T.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto",
        title="Device",
        description="Where the network runs; auto takes the fastest that works.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        title="Precision",
        description="Of the network's numbers; bfloat16 is two to four times as fast "
        "where the processor has it. Auto takes it there, once it is found to give the "
        "same objects as float32.",
    )
    tile: int | None = Field(
        None,
        ge=64,
        title="Tile",
        description="Side of the tiles in which the network runs, in pixels; it "
        "changes memory and time, not the result. Left out: by memory.",
    )

    @model_validator(mode="before")
    @classmethod
    def _as_python(cls, values: Any) -> Any:
        """Take the numbers of arrays for numbers, and one number for a plane.

        No diameter stands for the usual one.
        """
        if not isinstance(values, Mapping):
            return values
        plain = {
            key: value.item() if getattr(value, "shape", None) == () else value
            for key, value in values.items()
        }
        if "diameter" in plain and plain["diameter"] is None:
            plain["diameter"] = "usual"
        plane = plain.get("plane")
        if isinstance(plane, str):
            plane = plane.split(",")
        elif plane is not None and hasattr(plane, "tolist"):
            plane = plane.tolist()
        if isinstance(plane, list | tuple):
            plain["plane"] = tuple(getattr(i, "item", lambda i=i: i)() for i in plane)
        elif plane is not None:
            plain["plane"] = (plane,)
        return plain

    @field_validator("axes")
    @classmethod
    def _are_axes(cls, axes: str | None) -> str | None:
        return None if axes is None else check_axes(axes)

    @model_validator(mode="after")
    def _one_scale(self) -> SegmentSettings:
        if self.given_diameter is not None and self.pixel_size is not None:
            raise UneticError(
                "Expected a diameter or a pixel size, got both; give one of them."
            )
        return self

    @property
    def given_diameter(self) -> float | None:
        """The diameter in pixels, where it is given as a number."""
        return None if isinstance(self.diameter, str) else self.diameter

    @property
    def seeks_diameter(self) -> bool:
        """Whether the diameter is to be found out from the image."""
        return self.diameter == "auto" and self.pixel_size is None

    def changed(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON can hold it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def maps_differ(self, other: SegmentSettings) -> tuple[str, ...]:
        """Return the settings that differ from others and that the maps depend on."""
        return tuple(
            name
            for name in type(self).model_fields
            if name not in DECODING_FIELDS
            and getattr(self, name) != getattr(other, name)
        )

    def decoding(self, spec: Spec, zoom: float = 1.0, zoom_z: float = 1.0) -> Spec:
        """Return a model's thresholds as these settings move them.

        Parameters
        ----------
        spec : DecodeSpec
            The model's own.
        zoom : float
            Factor from the image's size to that which the network works at.
        zoom_z : float
            The same along Z, in volumes.

        Returns
        -------
        DecodeSpec
            Areas in pixels at the size that the network works at.

        Notes
        -----
        A slider moves a threshold by the same step in logits wherever it stands, since
        the maps are sigmoids: half way from .5 to .91 stands .76.
        """
        found = SENSITIVITY_STRENGTH * (1 - 2 * self.sensitivity)
        split = 1 - 2 * self.splitting
        update: dict[str, Any] = {
            "foreground": _moved(spec.foreground, found),
            "contact": _moved(spec.contact, CONTACT_STRENGTH * split),
            "peak": _moved(spec.peak, DEPTH_STRENGTH * split),
        }
        if self.smallest is not None:
            update["smallest_px"] = round(self.smallest * zoom**2 * zoom_z)
        if not self.fill_holes:
            update["largest_hole_px"] = 0
        return spec.model_copy(update=update)

    def class_decoding(self, spec: ClassDecodeSpec) -> ClassDecodeSpec:
        """Return the threshold of a model of classes as the sensitivity moves it.

        Raises
        ------
        UneticError
            If a setting is changed that only makes sense for objects.
        """
        changed = [
            name
            for name in OBJECT_FIELDS
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if changed:
            raise UneticError(
                f"Expected settings that a model of classes knows, got {changed[0]}, "
                "which is for objects; leave it out, or take a model of objects."
            )
        found = SENSITIVITY_STRENGTH * (1 - 2 * self.sensitivity)
        return spec.model_copy(update={"threshold": _moved(spec.threshold, found)})


def _moved(threshold: float, logits: float) -> float:
    """Return a threshold moved by so many logits, not beyond `OUTERMOST`."""
    if logits == 0 or not 0 < threshold < 1:
        return threshold
    odds = threshold / (1 - threshold) * math.exp(logits)
    low, high = min(OUTERMOST, threshold), max(1 - OUTERMOST, threshold)
    return min(max(odds / (1 + odds), low), high)


def segment_settings(**values: object) -> SegmentSettings:
    """Return settings from keywords.

    Raises
    ------
    UneticError
        If a value is out of bounds or two exclude each other; the sentence names it.
    """
    try:
        return SegmentSettings.model_validate(values)
    except ValidationError as error:
        raise UneticError(_sentence(error.errors()[0])) from error


def settings_from(provenance: Mapping[str, Any]) -> SegmentSettings:
    """Return the settings that a result was made with.

    Parameters
    ----------
    provenance : mapping
        Of a `Segmentation`, or as it was read back from a file.

    Returns
    -------
    SegmentSettings

    Raises
    ------
    UneticError
        If there are none, or some that this version does not know.
    """
    kept = provenance.get("settings")
    if not isinstance(kept, Mapping):
        raise UneticError(
            "Expected a result that says how it was made, got one without settings; "
            "segment the image again."
        )
    return segment_settings(**{k: v for k, v in kept.items() if k != "decoding"})


_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "of at most"),
}
"""Kind of error of pydantic to the key of its context and the words for it."""

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text",
    "tuple": "one whole number or several",
}
"""First part of a kind of error of pydantic to what would have been right."""


def _sentence(error: ErrorDetails) -> str:
    """Return what was expected, what came and what to do."""
    message = error["msg"].removeprefix("Value error, ")
    if message.startswith("Expected"):
        return message
    name = str(error["loc"][0]) if error["loc"] else ""
    field, kind = SegmentSettings.model_fields.get(name), error["type"]
    if field is None:
        return (
            f"Expected a setting out of {', '.join(SegmentSettings.model_fields)}, got "
            f"{name!r}; correct its name."
        )
    given, known = error["input"], error.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        unit = " pixels" if name in {"smallest", "tile"} else ""
        wanted = f"a {(field.title or name).lower()} {words} {known[key]:g}{unit}"
    elif name == "diameter" and kind in ("float_parsing", "float_type"):
        wanted = f"{name} to be a number of pixels, 'auto' or 'usual'"
    elif kind == "literal_error":
        wanted = f"{name} to be {known['expected']}"
    elif kind == "finite_number":
        wanted = f"{name} to be a finite number"
    else:
        wanted = f"{name} to be {_KINDS.get(kind.split('_')[0], 'of another kind')}"
    return f"Expected {wanted}, got {given!r}; correct {name}."
