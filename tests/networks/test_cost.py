"""Figures of networks, counted."""

from __future__ import annotations

import pytest

from napari_unetic.networks.cost import cost
from napari_unetic.networks.spec import NetworkSpec


@pytest.mark.parametrize("dimensions", [2, 3])
def test_cost_worked_out_by_hand(dimensions: int) -> None:
    """One convolution from 1 to 2 channels and the head from 2 to 1."""
    spec = NetworkSpec.model_validate(
        {
            "dimensions": dimensions,
            "in_channels": 1,
            "out_channels": 1,
            "widths": (2,),
            "convolutions": 1,
            "norm": "none",
        }
    )
    found = cost(spec)
    kernel = 3**dimensions
    assert found.n_parameters == (2 * kernel + 2) + (2 + 1)
    assert found.receptive_field_px == (3,) * dimensions
    # A multiplication and an addition each, in billions to a million pixels.
    assert found.gflop_per_megapixel == pytest.approx((2 * kernel + 2) * 2 / 1000)


def test_valid_convolutions_pay_for_their_context() -> None:
    """The maps are smaller than what was computed for them."""
    shape = {"in_channels": 1, "out_channels": 1, "widths": (4, 8, 16)}
    same, valid = (
        cost(NetworkSpec.model_validate({**shape, "padding": padding}))
        for padding in ("same", "valid")
    )
    assert same.n_parameters == valid.n_parameters
    assert 1 < valid.gflop_per_megapixel / same.gflop_per_megapixel < 1.2
