"""Images out of arrays: axes in canonical order, windows of planes."""

from __future__ import annotations

from pathlib import Path
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


class _Stored:
    """An array as zarr and HDF5 have it: slices, whole numbers, no transposition."""

    def __init__(self, data: np.ndarray[Any, Any]):
        self._data, self.shape, self.ndim = data, data.shape, data.ndim
        self.dtype = data.dtype
        self.n_read = 0

    def __getitem__(self, key: Any, /) -> Any:
        assert all(isinstance(part, int | slice) for part in key)
        window = self._data[key]
        self.n_read += window.size
        return window


@pytest.mark.parametrize("axes", ["YXC", "CXY", "ZYXC", "XYTZ", "YXCZT"])
def test_what_cannot_be_transposed_is_read_in_parts(axes: str) -> None:
    """Each window is asked for in the array's own order, and nothing else is."""
    sizes = dict(zip("TZCYX", (2, 3, 5, 11, 7), strict=True))
    array = np.arange(np.prod([sizes[a] for a in axes])).reshape(
        [sizes[a] for a in axes]
    )
    stored = _Stored(array)
    image, plain = as_image(stored, axes), as_image(array, axes)
    assert (image.axes, image.data.shape) == (plain.axes, plain.data.shape)
    assert (image.data.ndim, image.data.dtype) == (plain.data.ndim, array.dtype)
    assert stored.n_read == 0
    for plane in plain.planes():
        found = image.read(plane, None, slice(2, 9), slice(None, None, 3))
        expected = plain.read(plane, None, slice(2, 9), slice(None, None, 3))
        np.testing.assert_array_equal(found, expected)
    assert stored.n_read == array.size // 77 * 7 * 3
    np.testing.assert_array_equal(np.asarray(image.data), np.asarray(plain.data))
    np.testing.assert_array_equal(image.data[..., 3], np.asarray(plain.data)[..., 3])
    np.testing.assert_array_equal(image.data[-1], np.asarray(plain.data)[-1])


def test_alpha_and_booleans_of_stored_arrays_are_dealt_with_as_they_are_read() -> None:
    """No channel but those asked for is read."""
    array = np.random.default_rng(0).random((6, 9, 4)) > 0.5
    stored = _Stored(array)
    image = as_image(stored)
    assert (image.axes, image.n_channels, image.rgb) == ("CYX", 3, True)
    assert image.data.dtype == np.uint8 and stored.n_read == 0
    np.testing.assert_array_equal(image.read(), array[..., :3].transpose(2, 0, 1))
    assert image.read().dtype == np.uint8
    np.testing.assert_array_equal(image.data[-1], array[..., 2])
    stored.n_read = 0
    np.testing.assert_array_equal(image.read((), (1,))[0], array[..., 1])
    assert stored.n_read == 6 * 9
    np.testing.assert_array_equal(
        image.read((), (2, 0)), array[..., [2, 0]].transpose(2, 0, 1)
    )


def test_dask_is_computed_by_window() -> None:
    """Only the chunks of a window are computed, whatever the order of the axes."""
    dask = pytest.importorskip("dask.array")
    computed: list[tuple[int, ...]] = []

    def block(block_info: Any = None) -> Any:
        computed.append(tuple(block_info[None]["chunk-location"]))
        return np.full(block_info[None]["chunk-shape"], len(computed), np.uint16)

    lazy = dask.map_blocks(
        block, chunks=((10,) * 5, (10,) * 4, (3,)), dtype=np.uint16, meta=np.empty(0)
    )
    computed.clear()
    image = as_image(lazy)
    assert image.data.shape == (3, 50, 40) and computed == []
    window = image.read((), None, slice(12, 18), slice(5, 15))
    assert window.shape == (3, 6, 10)
    assert sorted(computed) == [(1, 0, 0), (1, 1, 0)]


def test_a_memory_map_stays_one(tmp_path: Path) -> None:
    """Transposed, without alpha, of booleans: no copy is made of the file."""
    file = np.memmap(tmp_path / "image.raw", np.bool_, "w+", shape=(30, 20, 4))
    image = as_image(file)
    assert image.data.shape == (3, 30, 20) and image.data.dtype == np.uint8
    assert isinstance(image.data, np.ndarray)
    assert np.shares_memory(image.data, file)


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
