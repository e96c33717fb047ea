"""The description of a network, and the geometry that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unetic.networks import geometry

if TYPE_CHECKING:
    from napari_unetic.image.tiles import TileRule

Width = Annotated[int, Field(ge=1, le=4096)]
Count = Annotated[int, Field(ge=1, le=4)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class NetworkSpec(BaseModel):
    """Everything that is needed to build a network, short of its weights.

    Raises
    ------
    pydantic.ValidationError
        If a field is out of bounds, does not fit another, or asks for what the kind of
        network has no choice of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["unet", "unet++", "segnet"] = Field(
        "unet",
        title="Kind of network",
        description="U-Net; U-Net++, whose skips are networks themselves; SegNet, "
        "whose skips tell only where the largest values were.",
    )
    dimensions: Literal[2, 3] = Field(
        2,
        title="Dimensions",
        description="2 for planes (Y, X), 3 for volumes (Z, Y, X).",
    )
    in_channels: int = Field(
        ge=1, le=1024, title="Channels in", description="Channels of the input image."
    )
    out_channels: int = Field(
        ge=1, le=1024, title="Maps out", description="Number of maps predicted."
    )
    widths: tuple[Width, ...] = Field(
        min_length=1,
        max_length=8,
        title="Widths",
        description="Filters at each level, from the finest to the bottom, where a "
        "ResNet has 512; its first convolution has an eighth of that.",
    )
    encoder: Literal["blocks", "resnet18", "resnet34"] = Field(
        "blocks",
        title="Encoder",
        description="Blocks as in the decoder, or a ResNet whose parameters have "
        "torchvision's names.",
    )
    block: Literal["plain", "residual", "dense"] = Field(
        "plain",
        title="Block",
        description="Convolutions one after the other, with a shortcut around them "
        "(He 2016), or each with the outputs of all before it (Huang 2017).",
    )
    convolutions: Count | tuple[Count, ...] = Field(
        2,
        title="Convolutions",
        description="3 × 3 convolutions a block; one number, or one a level.",
    )
    doubling: Literal["after", "before"] = Field(
        "after",
        title="Doubling",
        description="Whether filters double after a pooling (Ronneberger 2015), or in "
        "the block before it, up-convolutions then keeping their number (Çiçek 2016).",
    )
    padding: Literal["same", "valid"] = Field(
        "same",
        title="Padding",
        description="Zero padding in each convolution, or none (Ronneberger 2015).",
    )
    up: Literal["transpose", "nearest"] = Field(
        "transpose",
        title="Up-sampling",
        description="2 × 2 transposed convolution, or nearest neighbour.",
    )
    skip: Literal["concat", "add", "attention"] = Field(
        "concat",
        title="Skips",
        description="Joined to what comes up, added to it (Chaurasia 2017), or joined "
        "behind an attention gate (Oktay 2018).",
    )
    norm: Literal["batch", "none"] = Field(
        "batch",
        title="Normalisation",
        description="Batch norm after each convolution, or none; nothing that looks "
        "at the tile, so that tiles agree with the whole.",
    )
    activation: Literal["relu", "elu"] = Field("relu", title="Activation")
    dropout: tuple[Rate, ...] = Field(
        (),
        title="Dropout",
        description="Rate after the first convolution of each block, encoder first, "
        "then the bottom, then the decoder from the bottom up; empty for none.",
    )
    stem: Literal[1, 2] = Field(
        1,
        title="Stem",
        description="Factor of the space-to-depth stem along Y and X; the maps are "
        "brought back by a pixel shuffle. 1 for none. In volumes planes are usually "
        "farther apart than pixels, which it makes up for.",
    )

    @model_validator(mode="after")
    def _fits(self) -> NetworkSpec:
        for field in _no_choice(self):
            default = NetworkSpec.model_fields[field].default
            if getattr(self, field) != default:
                raise ValueError(
                    f"expected {field}={default!r} in {_named(self)}, got "
                    f"{getattr(self, field)!r}"
                )
        n_levels, n_blocks = len(self.widths), 2 * len(self.widths) - 1
        if self.dropout and len(self.dropout) != n_blocks:
            raise ValueError(
                f"expected {n_blocks} dropout rates for {n_levels} widths, got "
                f"{len(self.dropout)}"
            )
        if isinstance(self.convolutions, tuple) and len(self.convolutions) != n_levels:
            raise ValueError(
                f"expected one number of convolutions for each of {n_levels} widths, "
                f"got {len(self.convolutions)}"
            )
        self._check_widths()
        return self

    def _check_widths(self) -> None:
        if self.encoder != "blocks" and (len(self.widths) != 6 or self.widths[-1] % 8):
            raise ValueError(
                f"expected 6 widths with {self.encoder}, the last a multiple of 8, got "
                f"{self.widths}"
            )
        if self.kind == "unet++" and len(self.widths) == 1:
            raise ValueError("expected 2 widths or more in a U-Net++, got 1")
        if self.block == "dense":
            for level, width in enumerate(self.widths):
                if width % self.convolutions_at(level):
                    raise ValueError(
                        "expected widths that the convolutions of a dense block can "
                        f"share, got {width} for {self.convolutions_at(level)}"
                    )

    def convolutions_at(self, level: int) -> int:
        """Return the number of 3 × 3 convolutions of a block; level 0 is the finest."""
        if isinstance(self.convolutions, tuple):
            return self.convolutions[level]
        return self.convolutions

    @property
    def depth(self) -> int:
        """Number of times that the resolution is halved after the stem."""
        # A SegNet has a pooling after each level and no block at the bottom.
        return len(self.widths) - (self.kind != "segnet")

    @property
    def stems(self) -> tuple[int, ...]:
        """Factor of the stem along each axis, Z first in volumes."""
        return (1, self.stem, self.stem)[-self.dimensions :]

    @property
    def stride(self) -> int:
        """Pixels of the input, along Y or X, to one pixel of the coarsest level."""
        return int(self.stem * 2**self.depth)

    @property
    def reach(self) -> int:
        """Radius in pixels beyond which the input cannot change an output pixel."""
        return geometry.reach(self, self.stem)

    @property
    def tile_rule(self) -> TileRule:
        """How Y and X must be cut so that tiles agree with the whole."""
        return geometry.tile_rule(self, self.stem)

    @property
    def tile_rules(self) -> tuple[TileRule, ...]:
        """How each axis must be cut so that tiles agree with the whole."""
        return tuple(geometry.tile_rule(self, stem) for stem in self.stems)


def _no_choice(spec: NetworkSpec) -> set[str]:
    """Name the fields that the other fields leave no choice of."""
    fields: set[str] = set()
    if spec.kind != "unet":
        fields |= {"encoder", "skip", "padding", "doubling", "dropout"}
    if spec.kind == "segnet":
        fields |= {"up", "block"}
    if spec.encoder != "blocks":
        fields |= {"dimensions", "block", "convolutions", "doubling", "padding", "skip"}
        fields |= {"norm", "activation", "dropout", "stem"}
    if spec.padding == "valid":
        fields |= {"block"}
    if spec.skip == "attention":
        fields |= {"padding"}
    if spec.doubling == "before":
        fields |= {"block", "skip"}
    return fields


def _named(spec: NetworkSpec) -> str:
    """Say which network has no choice: what in it is not as usual."""
    shapes: dict[str, Any] = {
        name: getattr(spec, name)
        for name in ("kind", "dimensions", "encoder", "skip", "padding", "doubling")
    }
    unusual = {
        name: value
        for name, value in shapes.items()
        if value != NetworkSpec.model_fields[name].default
    }
    return "a network with " + ", ".join(f"{k}={v!r}" for k, v in unusual.items())
