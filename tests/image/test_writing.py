"""Files that appear whole or not at all, and label images in them."""

from __future__ import annotations

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.image.source import Image
from napari_unetic.image.writing import (
    atomic_path,
    label_dtype,
    write_labels,
    write_pixels,
    write_png,
)

LABELS = np.array([[0, 1, 1], [2, 0, 3]], np.int32)


def test_atomic_file_appears_at_the_end(tmp_path: Path) -> None:
    """Before the block ends there is nothing at the path; folders are made."""
    path = tmp_path / "new" / "deep" / "file.txt"
    with atomic_path(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
        assert (partial.parent, partial.suffix) == (path.parent, ".txt")
        assert partial.name.startswith(".")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """Where the block fails, the old file stays and the partial one goes."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_no_folder(tmp_path: Path) -> None:
    """Folders that were made for a file go with it; those with other files stay."""
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "new" / "deep" / "file.txt"
    with pytest.raises(UneticError, match="No room"), atomic_path(path) as partial:
        partial.write_text("half")
        raise OSError(28, "No room")
    assert [p.name for p in tmp_path.rglob("*")] == ["there"]
    with pytest.raises(ZeroDivisionError), atomic_path(path):
        (path.parent.parent / "other.txt").write_text("of someone else")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["other.txt"]


def test_longest_name_can_be_written(tmp_path: Path) -> None:
    """The hidden name is no longer than the file's own."""
    path = tmp_path / ("x" * 251 + ".tif")
    write_labels(path, LABELS)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform != "linux", reason="names there may be any bytes")
def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A name that is no UTF-8 is written to, and escaped where it is written down."""
    name = os.fsdecode(b"\xff.tif")
    write_labels(tmp_path / name, LABELS, description={"source": name})
    np.testing.assert_array_equal(read_labels(tmp_path / name), LABELS)
    with tifffile.TiffFile(tmp_path / name) as file:
        root = ElementTree.fromstring(file.ome_metadata or "")
    said = json.loads(root.findtext(".//{*}Description") or "")
    assert said == {"source": name}
    with pytest.raises(UneticError) as caught:
        write_labels(tmp_path / name / "a.tif", LABELS)
    assert "\\udcff.tif" in str(caught.value)
    assert read_image(tmp_path / name).name.endswith("\\udcff.tif")


def test_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    """A folder that cannot be made is refused as bad input."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UneticError, match="able to write"):
        write_labels(tmp_path / "file" / "labels.tif", LABELS)


@pytest.mark.parametrize(
    ("n", "dtype"),
    [(0, "uint16"), (65_535, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")],
)
def test_label_type_grows_with_the_number(n: int, dtype: str) -> None:
    """Up to 65,535 objects take two bytes a pixel, more take four."""
    assert label_dtype(n) == np.dtype(dtype)


def test_too_many_objects_are_refused() -> None:
    """More objects than uint32 can count have no type."""
    with pytest.raises(UneticError, match="at most 4294967295 objects"):
        label_dtype(2**32)


@pytest.mark.parametrize(
    ("axes", "shape"), [("YX", (4, 5)), ("ZYX", (3, 4, 5)), ("TZYX", (2, 3, 4, 5))]
)
def test_labels_keep_axes_and_pixel_size(
    tmp_path: Path, axes: str, shape: tuple[int, ...]
) -> None:
    """What is written is read back with the same numbers, axes and pixel size."""
    labels = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    size = PixelSize({"Z": 1.5, "Y": 0.25, "X": 0.125}, "µm")
    write_labels(tmp_path / "a.tif", labels, axes=axes, pixel_size=size)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == axes
    assert image.data.dtype == np.uint16
    assert image.pixel_size.unit == "µm"
    expected = {a: size.sizes[a] for a in "ZYX" if a in axes}
    assert dict(image.pixel_size.sizes) == pytest.approx(expected)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)


def test_labels_are_ome_tiff_with_zlib(tmp_path: Path) -> None:
    """Other programs find OME-XML, zlib, the resolution tags and what led to it."""
    size = PixelSize({"Y": 500.0, "X": 250.0}, "nm")
    said = {"model": "nuclei", "quote": 'µm "<&>"'}
    write_labels(tmp_path / "a.tif", LABELS, pixel_size=size, description=said)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page: Any = file.pages[0]
        assert file.is_ome
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert page.tags["ResolutionUnit"].value == 3
        across, high = page.tags["XResolution"].value
        assert across / high == pytest.approx(40_000)
        root = ElementTree.fromstring(file.ome_metadata or "")
    pixels = root.find(".//{*}Pixels")
    assert pixels is not None
    assert float(pixels.get("PhysicalSizeX", "0")) == pytest.approx(0.25)
    assert pixels.get("PhysicalSizeXUnit") == "µm"
    assert json.loads(root.findtext(".//{*}Description") or "") == said


def test_size_in_pixels_is_not_a_length(tmp_path: Path) -> None:
    """An image without a unit of length gets no physical size."""
    size = PixelSize({"Y": 1.0, "X": 1.0}, "pixel")
    write_labels(tmp_path / "a.tif", LABELS, pixel_size=size)
    assert read_image(tmp_path / "a.tif").pixel_size == PixelSize()


def test_many_objects_are_written_as_uint32(tmp_path: Path) -> None:
    """Beyond 65,535 objects no number wraps around."""
    labels = np.arange(70_000, dtype=np.int32).reshape(200, 350)
    write_labels(tmp_path / "a.tif", labels)
    read = read_labels(tmp_path / "a.tif")
    assert read.dtype == np.uint32
    np.testing.assert_array_equal(read, labels)


def test_one_pixel_and_no_object(tmp_path: Path) -> None:
    """A single pixel of background is a label image like another."""
    write_labels(tmp_path / "a.tif", np.zeros((1, 1), np.int32))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), [[0]])


@pytest.mark.parametrize(
    "labels", [np.array([[0.5]]), np.array([[-1, 2]])], ids=["float", "negative"]
)
def test_what_is_not_labels_is_not_written(tmp_path: Path, labels: Any) -> None:
    """Fractions and negative numbers are refused, and no file appears."""
    with pytest.raises(UneticError, match="Expected labels"):
        write_labels(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


def test_picture_is_written_as_png(tmp_path: Path) -> None:
    """Grey and colour come back pixel by pixel."""
    colour = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    write_png(tmp_path / "colour.png", colour)
    write_png(tmp_path / "grey.png", colour[..., 0])
    with PIL.Image.open(tmp_path / "colour.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), colour)
    with PIL.Image.open(tmp_path / "grey.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), colour[..., 0])


@pytest.mark.parametrize(
    ("shape", "axes", "rgb"),
    [((6, 8), "YX", False), ((2, 6, 8), "CYX", False), ((3, 6, 8), "CYX", True)],
)
@pytest.mark.parametrize("is_part", [False, True])
def test_pixels_come_back_with_what_is_known_of_the_whole(
    shape: tuple[int, ...], axes: str, rgb: bool, is_part: bool, tmp_path: Path
) -> None:
    """Axes, colour, and the range of intensities."""
    known = ((0.5, 90.25), (3.0, 4.0), (5.0, 7.0))[: shape[0] if len(shape) > 2 else 1]
    image = Image(
        np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8),
        axes,
        rgb=rgb,
        intensity_range=known if is_part else None,
    )
    write_pixels(tmp_path / "a.tif", image)
    found = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, image.data)
    assert (found.axes, found.rgb) == (axes, rgb)
    assert found.intensity_range == image.intensity_range


@pytest.mark.parametrize(
    "said", ["x", 3, [1, 2], [["a", 2]], [[2, 1]], [[0, float("inf")]], [], {"a": 1}]
)
def test_a_range_that_is_none_is_passed_over(said: object, tmp_path: Path) -> None:
    """Anybody may have written anything there."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), "u1"), metadata={"intensity_range": said})
    assert read_image(path).intensity_range is None
