"""The description of a U-Net, and the geometry that follows from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_unetic.image.tiles import TileRule

Width = Annotated[int, Field(ge=1, le=4096)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class NetworkSpec(BaseModel):
    """Everything that is needed to build a U-Net, short of its weights.

    Raises
    ------
    pydantic.ValidationError
        If a field is out of bounds or the dropout rates do not fit the depth.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["unet"] = Field("unet", title="Kind of network")
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
        description="Filters at each level, from the finest to the bottom.",
    )
    convolutions: int = Field(
        2, ge=1, le=4, title="Convolutions", description="3 × 3 convolutions a block."
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
        description="Factor of the space-to-depth stem; the maps are brought back by "
        "a pixel shuffle. 1 for none.",
    )

    @model_validator(mode="after")
    def _dropout_fits(self) -> NetworkSpec:
        if self.dropout and len(self.dropout) != 2 * len(self.widths) - 1:
            raise ValueError(
                f"expected {2 * len(self.widths) - 1} dropout rates for "
                f"{len(self.widths)} widths, got {len(self.dropout)}"
            )
        return self

    @property
    def depth(self) -> int:
        """Number of poolings."""
        return len(self.widths) - 1

    @property
    def stride(self) -> int:
        """Pixels of the input to one pixel of the coarsest level."""
        return int(self.stem * 2**self.depth)

    @property
    def reach(self) -> int:
        """Radius in pixels beyond which the input cannot change an output pixel.

        Followed backwards through the network; where grids of two levels meet the
        larger of the possible offsets is taken, so this is an upper bound.
        """
        radius = self._reach(0, _coarser(0) if self.stem == 2 else 0)
        return 2 * radius + 1 if self.stem == 2 else radius

    def _reach(self, level: int, radius: int) -> int:
        if level == self.depth:
            return radius + self.convolutions
        radius += self.convolutions
        deep = 2 * self._reach(level + 1, _coarser(radius)) + 1
        return max(radius, deep) + self.convolutions

    @property
    def tile_rule(self) -> TileRule:
        """How an image must be cut so that tiles agree with the whole."""
        if self.padding == "same":
            halo = -(-self.reach // self.stride) * self.stride
            return TileRule(stride=self.stride, halo=halo, context=0, remainder=0)
        # A block of convolutions at level k eats convolutions * 2**k pixels a side.
        per_side = self.convolutions * self.stem
        levels = [2**k for k in range(self.depth)]
        context = per_side * (2 * sum(levels) + 2**self.depth)
        remainder = -2 * per_side * sum(levels) % self.stride
        return TileRule(
            stride=self.stride, halo=0, context=context, remainder=remainder
        )


def _coarser(radius: int) -> int:
    """Radius on a grid of half the resolution that covers `radius`."""
    return (radius + 2) // 2
