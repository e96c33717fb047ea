"""Axes: their letters, their order, and what is guessed from a shape."""

from __future__ import annotations

import pytest

from napari_unetic.axes import (
    PixelSize,
    canonical,
    canonical_permutation,
    check_axes,
    guess_axes,
)
from napari_unetic.errors import UneticError


def test_legal_axes_come_back_in_upper_case() -> None:
    """Axes may be written in lower case and with spaces around."""
    assert check_axes(" zyx ", 3) == "ZYX"


@pytest.mark.parametrize(
    ("axes", "ndim"),
    [
        pytest.param("YXQ", None, id="unknown letter"),
        pytest.param("YYX", None, id="repeated letter"),
        pytest.param("ZY", None, id="no X"),
        pytest.param("", None, id="empty"),
        pytest.param("YX", 3, id="too few"),
        pytest.param("ZYX", 2, id="too many"),
    ],
)
def test_illegal_axes_are_refused(axes: str, ndim: int | None) -> None:
    """Axes that cannot be are refused in a sentence that says what was expected."""
    with pytest.raises(UneticError, match=r"^Expected .*, got .*; .*\.$"):
        check_axes(axes, ndim)


def test_canonical_order_is_tzcyx() -> None:
    """Whatever the order of an array, the canonical one is T, Z, C, Y, X."""
    assert canonical("XYCZT") == "TZCYX"
    assert canonical("YXC") == "CYX"


def test_permutation_brings_axes_to_canonical_order() -> None:
    """The permutation is what NumPy's transpose takes."""
    permutation = canonical_permutation("YXCT")
    assert permutation == (3, 2, 0, 1)
    assert "".join("YXCT"[i] for i in permutation) == canonical("YXCT")


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        pytest.param((1, 1), "YX", id="one pixel"),
        pytest.param((64, 48), "YX", id="plane"),
        pytest.param((64, 48, 3), "YXC", id="colour"),
        pytest.param((64, 48, 4), "YXC", id="colour with alpha"),
        pytest.param((2, 64, 48), "CYX", id="few channels"),
        pytest.param((4, 4, 4), "CYX", id="tiny cube"),
        pytest.param((30, 64, 48), "ZYX", id="stack"),
        pytest.param((30, 64, 48, 3), "ZYXC", id="stack of colour"),
        pytest.param((30, 2, 64, 48), "ZCYX", id="stack of channels"),
        pytest.param((5, 30, 64, 48), "TZYX", id="time series of stacks"),
        pytest.param((5, 30, 2, 64, 48), "TZCYX", id="five axes"),
    ],
)
def test_axes_are_guessed_from_the_shape(shape: tuple[int, ...], axes: str) -> None:
    """The guess is the usual meaning of such a shape."""
    assert guess_axes(shape) == axes


@pytest.mark.parametrize("shape", [(), (7,), (1, 2, 3, 4, 5, 6)])
def test_axes_of_other_dimensions_are_not_guessed(shape: tuple[int, ...]) -> None:
    """Below two and above five dimensions there is nothing to guess."""
    with pytest.raises(UneticError, match="2 to 5 dimensions"):
        guess_axes(shape)


def test_pixel_size_in_the_plane_is_the_mean_where_both_are_known() -> None:
    """Without a unit of length or one of the sizes there is no pixel size."""
    assert PixelSize({"Y": 0.2, "X": 0.4}, "µm").yx == pytest.approx(0.3)
    assert PixelSize({"Y": 0.2}, "µm").yx is None
    assert PixelSize({"Y": 1.0, "X": 1.0}).yx is None
    assert PixelSize().yx is None
