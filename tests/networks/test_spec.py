"""Descriptions of networks: what fits together, and the geometry that follows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_unetic.image.tiles import TileRule
from napari_unetic.networks.geometry import receptive_field
from napari_unetic.networks.spec import NetworkSpec


def _spec(**fields: object) -> NetworkSpec:
    return NetworkSpec.model_validate(
        {"in_channels": 1, "out_channels": 1, "widths": (4, 8, 8)} | fields
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dropout": (0.1,)}, "expected 5 dropout rates for 3 widths, got 1"),
        ({"convolutions": (2, 2)}, "convolutions for each of 3 widths, got 2"),
        ({"widths": (4, 6, 8), "block": "dense", "convolutions": 4}, "got 6 for 4"),
        ({"kind": "unet++", "widths": (4,)}, "expected 2 widths or more"),
        ({"encoder": "resnet18"}, "expected 6 widths with resnet18"),
        ({"encoder": "resnet34", "widths": (4,) * 6}, "the last a multiple of 8"),
        ({"kind": "segnet", "up": "nearest"}, "kind='segnet', got 'nearest'"),
        ({"kind": "segnet", "skip": "add"}, "expected skip='concat'"),
        ({"kind": "unet++", "padding": "valid"}, "expected padding='same'"),
        ({"kind": "unet++", "dropout": (0.1,) * 5}, "expected dropout="),
        ({"padding": "valid", "block": "dense"}, "expected block='plain'"),
        ({"padding": "valid", "skip": "attention"}, "expected padding='same'"),
        ({"doubling": "before", "skip": "add"}, "expected skip='concat'"),
        ({"encoder": "resnet18", "dimensions": 3}, "expected dimensions=2"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, object], message: str) -> None:
    """Nothing that is asked for is left out in silence."""
    with pytest.raises(ValidationError, match=message):
        _spec(**fields)


def test_descriptions_of_before_are_read() -> None:
    """What was written when there was only the plain U-Net still means that."""
    spec = NetworkSpec.model_validate(
        {
            "kind": "unet",
            "in_channels": 1,
            "out_channels": 3,
            "widths": [24, 48, 96, 192],
            "convolutions": 2,
            "padding": "same",
            "up": "transpose",
            "norm": "batch",
            "activation": "relu",
            "dropout": [],
            "stem": 2,
        }
    )
    assert (spec.dimensions, spec.encoder, spec.block) == (2, "blocks", "plain")
    assert (spec.skip, spec.doubling) == ("concat", "after")


def test_a_description_is_the_same_after_json() -> None:
    """Also where there is a number of convolutions for each level."""
    spec = _spec(kind="segnet", convolutions=(1, 2, 3))
    assert NetworkSpec.model_validate_json(spec.model_dump_json()) == spec


def test_one_convolution_reaches_one_pixel() -> None:
    """3 × 3 and no pooling."""
    spec = _spec(widths=(4,), convolutions=1)
    assert (spec.reach, receptive_field(spec)) == (1, (3, 3))
    assert spec.tile_rule == TileRule(stride=1, halo=1, context=0, remainder=0)


def test_reach_of_one_pooling_worked_out_by_hand() -> None:
    """Pixel 0 looks at -2…2, at the coarse -1…1, -3…3, then at -6…7 and -8…9."""
    spec = _spec(widths=(4, 8))
    assert (spec.reach, receptive_field(spec)) == (9, (18, 18))
    assert spec.tile_rule == TileRule(stride=2, halo=10, context=0, remainder=0)


def test_the_first_unet_makes_388_pixels_of_572() -> None:
    """Figure 1 of Ronneberger 2015: 92 pixels less on each side."""
    spec = _spec(widths=(4, 8, 16, 32, 64), padding="valid")
    rule = spec.tile_rule
    assert rule == TileRule(stride=16, halo=0, context=92, remainder=4)
    assert 388 % rule.stride == rule.remainder and 388 + 2 * rule.context == 572


def test_the_3d_unet_makes_44_voxels_of_132() -> None:
    """Figure 2 of Çiçek 2016, along x and y: 132 in, 44 out."""
    spec = _spec(
        dimensions=3, widths=(4, 8, 16, 32), padding="valid", doubling="before"
    )
    rule = spec.tile_rule
    assert 44 % rule.stride == rule.remainder and 44 + 2 * rule.context == 132
