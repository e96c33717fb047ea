"""Images out of arrays: axes in canonical order, windows of planes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError
from napari_unetic.image.source import Image, as_image

CUBE = np.arange(2 * 3 * 5 * 7, dtype=np.uint16).reshape(2, 3, 5, 7)


def test_array_is_transposed_to_canonical_order() -> None:
    """Channels given last come before rows and columns."""
    array = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    image = as_image(array)
    assert image.axes == "CYX"
    assert image.rgb
    np.testing.assert_array_equal(image.data[1], array[..., 1])


def test_alpha_is_left_out_with_a_notice() -> None:
    """A fourth colour sample is alpha, which is no channel."""
    image = as_image(np.zeros((5, 6, 4), np.uint8), name="picture")
    assert image.n_channels == 3
    assert image.notices == ("picture: the alpha channel is left out.",)


def test_four_channels_in_front_are_stains() -> None:
    """Only a last axis of 3 or 4 is colour."""
    image = as_image(np.zeros((4, 5, 6), np.uint8))
    assert (image.axes, image.n_channels, image.rgb) == ("CYX", 4, False)


def test_given_axes_win_over_the_guess() -> None:
    """The user knows what the axes are."""
    image = as_image(np.zeros((3, 5, 6), np.float32), "ZYX")
    assert (image.axes, image.plane_axes, image.plane_shape) == ("ZYX", "Z", (3,))
    assert image.n_channels == 1


def test_booleans_become_numbers() -> None:
    """A boolean array is an image of 0 and 1."""
    image = as_image(np.array([[True, False], [False, True]]))
    assert image.data.dtype == np.uint8


def test_lists_are_taken() -> None:
    """Anything that NumPy makes an array of is taken."""
    assert as_image([[1, 2], [3, 4]]).shape_yx == (2, 2)  # type: ignore[arg-type]


def test_an_image_stays_itself() -> None:
    """An image is not wrapped again; other axes make another image of its data."""
    image = as_image(CUBE, "TZYX", pixel_size=PixelSize({"X": 0.5}, "µm"), name="cube")
    assert as_image(image) is image
    assert as_image(image, "tzyx") is image
    other = as_image(image, "ZCYX")
    assert other.axes == "ZCYX"
    assert (other.name, other.pixel_size) == ("cube", image.pixel_size)


def test_planes_are_all_indices_over_time_and_depth() -> None:
    """Planes run over T and Z, the last fastest; a plane image has one."""
    image = as_image(CUBE, "TZYX")
    assert list(image.planes()) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert list(as_image(CUBE[0, 0]).planes()) == [()]


@pytest.mark.parametrize(
    ("axes", "plane", "channels", "expected"),
    [
        pytest.param("TZYX", (1, 2), None, CUBE[1, 2][None], id="no channels"),
        pytest.param("ZCYX", (1,), None, CUBE[1], id="all channels"),
        pytest.param("ZCYX", (1,), (2, 0), CUBE[1][[2, 0]], id="some, in order"),
        pytest.param("TCYX", (0,), (1,), CUBE[0][[1]], id="one"),
    ],
)
def test_window_of_a_plane(
    axes: str, plane: tuple[int, ...], channels: tuple[int, ...] | None, expected: Any
) -> None:
    """A window comes as (C, Y, X) whatever the axes."""
    image = as_image(CUBE, axes)
    np.testing.assert_array_equal(image.read(plane, channels), expected)
    window = image.read(plane, channels, slice(1, 4), slice(2, 3))
    np.testing.assert_array_equal(window, expected[:, 1:4, 2:3])
    assert window.dtype == np.uint16


class _Counting:
    """An array that remembers what was asked of it."""

    shape, dtype, ndim = (100, 1000, 1000), np.dtype(np.uint8), 3

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __getitem__(self, key: Any, /) -> Any:
        self.asked.append(key)
        return np.zeros((10, 10), np.uint8)


def test_only_the_window_is_read() -> None:
    """Neither making an image nor reading a window of it reads the rest."""
    data = _Counting()
    image = as_image(data, "ZYX")
    assert data.asked == []
    image.read((7,), None, slice(0, 10), slice(0, 10))
    assert data.asked == [(7, slice(0, 10), slice(0, 10))]


@pytest.mark.parametrize(
    ("array", "axes", "match"),
    [
        pytest.param(np.zeros((2, 2), complex), None, "real numbers", id="complex"),
        pytest.param(np.array([["a"]]), None, "real numbers", id="text"),
        pytest.param(np.zeros((0, 5)), None, "with pixels", id="no rows"),
        pytest.param(np.zeros((5, 5)), "ZYX", "2 dimensions", id="axes too many"),
        pytest.param(np.zeros(5), None, "2 to 5", id="a row"),
    ],
)
def test_what_is_no_image_is_refused(array: Any, axes: str | None, match: str) -> None:
    """Other things are refused in one sentence."""
    with pytest.raises(UneticError, match=match):
        as_image(array, axes)


def test_image_axes_must_be_canonical() -> None:
    """An image made directly is not transposed, so its axes must be in order."""
    with pytest.raises(UneticError, match="order CYX"):
        Image(np.zeros((5, 5, 3)), "YXC")
