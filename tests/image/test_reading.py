"""Image and label files of every kind that is promised."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.image import tiff
from napari_unetic.image.reading import read_image, read_labels

GREY = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)
VARIED_ALPHA = np.concatenate([COLOUR, GREY[..., None]], axis=-1)
OPAQUE = np.concatenate([COLOUR, np.full((6, 8, 1), 255, np.uint8)], axis=-1)


def save(path: Path, array: Any, mode: str | None = None) -> Path:
    """Write a picture with Pillow and return its path."""
    picture = PIL.Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def png_16(array: np.ndarray, colour_type: int) -> bytes:
    """Return a 16-bit PNG by the format's specification (Pillow writes grey only)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(
        ">IIBBBBB", array.shape[1], array.shape[0], 16, colour_type, 0, 0, 0
    )
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
def test_grey_image(tmp_path: Path, suffix: str) -> None:
    """A grey image is (Y, X) in its own type, whatever the case of the suffix."""
    path = tmp_path / f"a{suffix}"
    if suffix.lower() == ".png":
        PIL.Image.fromarray(GREY).save(path, "PNG")
    else:
        tifffile.imwrite(path, GREY)
    image = read_image(path)
    assert (image.axes, image.rgb, image.notices) == ("YX", False, ())
    assert image.data.dtype == np.uint8
    assert image.name == str(path)
    np.testing.assert_array_equal(image.data, GREY)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    ("array", "n_notices"),
    [
        pytest.param(COLOUR, 0, id="rgb"),
        pytest.param(OPAQUE, 0, id="opaque"),
        pytest.param(VARIED_ALPHA, 1, id="alpha"),
    ],
)
def test_colour_image(
    tmp_path: Path, suffix: str, array: np.ndarray, n_notices: int
) -> None:
    """Colour is (C, Y, X) without alpha; a notice tells where alpha said something."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        save(path, array)
    else:
        extra = {"extrasamples": ["unassalpha"]} if array.shape[2] == 4 else {}
        tifffile.imwrite(path, array, photometric="rgb", **extra)  # type: ignore[arg-type]
    image = read_image(path)
    assert (image.axes, image.rgb, len(image.notices)) == ("CYX", True, n_notices)
    np.testing.assert_array_equal(image.data, COLOUR.transpose(2, 0, 1))


def test_jpeg_is_read_as_its_pixels(tmp_path: Path) -> None:
    """JPEG is read like PNG, within what the format loses."""
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    image = read_image(save(tmp_path / "a.jpg", flat))
    assert (image.axes, image.rgb, image.data.shape) == ("CYX", True, (3, 16, 16))
    assert np.abs(np.asarray(image.data[:, 8, 8], int) - (200, 100, 50)).max() <= 3
    assert read_image(save(tmp_path / "b.jpeg", flat[..., 0])).axes == "YX"


def test_palette_becomes_colour_and_bits_become_grey(tmp_path: Path) -> None:
    """Indices and bits are not what a person sees, so they are not what is read."""
    image = read_image(save(tmp_path / "p.png", COLOUR, "P"))
    assert (image.axes, image.rgb, image.n_channels) == ("CYX", True, 3)
    bits = read_image(save(tmp_path / "b.png", np.array([[True, False]])))
    np.testing.assert_array_equal(bits.data, [[255, 0]])
    assert bits.data.dtype == np.uint8


def test_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    """Alpha of a grey image is left out, too."""
    image = read_image(save(tmp_path / "a.png", OPAQUE, "LA"))
    assert (image.axes, image.rgb) == ("YX", False)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    """16-bit grey keeps every count."""
    array = np.array([[0, 1, 255], [256, 40_000, 65_535]], np.uint16)
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        path.write_bytes(png_16(array, 0))
    else:
        tifffile.imwrite(path, array)
    image = read_image(path)
    assert image.data.dtype == np.uint16
    np.testing.assert_array_equal(image.data, array)


def test_16_bit_colours_of_a_png_are_read_with_a_notice(tmp_path: Path) -> None:
    """Pillow keeps the upper 8 bits of them, and the user is told."""
    array = np.arange(4 * 5 * 3, dtype=np.uint16).reshape(4, 5, 3) * 1000
    (tmp_path / "a.png").write_bytes(png_16(array, 2))
    image = read_image(tmp_path / "a.png")
    assert "16-bit colours" in image.notices[0]
    np.testing.assert_array_equal(image.data, (array >> 8).transpose(2, 0, 1))


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64"],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_keeps_its_type(tmp_path: Path, dtype: str, byteorder: str) -> None:
    """Integers of 8, 16 and 32 bits and real numbers keep their values."""
    array = GREY.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, byteorder=byteorder)  # type: ignore[arg-type]
    image = read_image(tmp_path / "a.tif")
    assert image.data.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.data, array)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("ZYX", (3, 6, 8)),
        ("CYX", (5, 6, 8)),
        ("TYX", (4, 6, 8)),
        ("TZCYX", (2, 3, 4, 6, 8)),
    ],
)
def test_ome_tiff_tells_axes_and_pixel_size(
    tmp_path: Path, axes: str, shape: tuple[int, ...]
) -> None:
    """OME-XML says what the shape alone does not; sizes come in micrometres."""
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    metadata = {
        "axes": axes,
        "PhysicalSizeX": 130.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.14,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", array, metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert image.axes == axes
    assert image.pixel_size.unit == "µm"
    assert dict(image.pixel_size.sizes) == pytest.approx({"Y": 0.14, "X": 0.13})
    assert image.pixel_size.yx == pytest.approx(0.135)
    np.testing.assert_array_equal(image.data, array)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("micron", 1.0), ("um", 1.0), ("\\u00B5m", 1.0), ("nm", 1e-3), ("mm", 1e3)],
)
def test_imagej_tiff_tells_axes_and_pixel_size(
    tmp_path: Path, unit: str, factor: float
) -> None:
    """ImageJ's hyperstacks bring axes, spacing and unit."""
    array = np.zeros((3, 2, 6, 8), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZCYX", "spacing": 1.5, "unit": unit},
    )
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "ZCYX"
    expected = {"Z": 1.5 * factor, "Y": 0.5 * factor, "X": 0.25 * factor}
    assert dict(image.pixel_size.sizes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dots", "unit", "expected"),
    [
        pytest.param(20_000.0, "CENTIMETER", 0.5, id="microscope"),
        pytest.param(25_400.0, "INCH", 1.0, id="microscope in inches"),
        pytest.param(72.0, "INCH", None, id="screen"),
        pytest.param(1_200.0, "INCH", None, id="printer"),
        pytest.param(20_000.0, "NONE", None, id="no unit"),
    ],
)
def test_resolution_tags_count_where_a_microscope_wrote_them(
    tmp_path: Path, dots: float, unit: str, expected: float | None
) -> None:
    """Dots an inch of a screen or printer are no pixel size."""
    tifffile.imwrite(
        tmp_path / "a.tif",
        GREY,
        resolution=(dots, dots),
        resolutionunit=unit,  # type: ignore[arg-type]
    )
    size = read_image(tmp_path / "a.tif").pixel_size.yx
    assert size == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 6, 8), "CYX"), ((9, 6, 8), "ZYX"), ((1, 6, 8), "YX"), ((5, 2, 6, 8), "ZCYX")],
)
def test_axes_that_nobody_named_are_guessed(
    tmp_path: Path, shape: tuple[int, ...], axes: str
) -> None:
    """Without metadata the shape decides as for an array; single entries vanish."""
    array = np.zeros(shape, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata=None)
    if len(shape) == 4:
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    assert read_image(tmp_path / "a.tif").axes == axes


def test_given_axes_win_over_the_file(tmp_path: Path) -> None:
    """The user may say what the axes of the file's array are."""
    array = np.zeros((3, 6, 8), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    assert read_image(tmp_path / "a.tif", axes="TYX").axes == "TYX"
    with pytest.raises(UneticError, match="3 dimensions"):
        read_image(tmp_path / "a.tif", axes="YX")
    assert read_image(save(tmp_path / "a.png", COLOUR), axes="YXC").rgb
    with pytest.raises(UneticError, match="3 dimensions"):
        read_image(tmp_path / "a.png", axes="YX")


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    """Five stains in one pixel are five channels, not red, green, blue and more."""
    array = np.arange(6 * 8 * 5, dtype=np.uint16).reshape(6, 8, 5)
    tifffile.imwrite(
        tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig"
    )
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.rgb, image.n_channels) == ("CYX", False, 5)
    np.testing.assert_array_equal(image.data, array.transpose(2, 0, 1))


def test_planar_colours_are_colours(tmp_path: Path) -> None:
    """Red, green and blue may lie one after the other in the file."""
    tifffile.imwrite(
        tmp_path / "a.tif",
        COLOUR.transpose(2, 0, 1),
        photometric="rgb",
        planarconfig="separate",
    )
    image = read_image(tmp_path / "a.tif")
    assert (image.axes, image.rgb) == ("CYX", True)
    np.testing.assert_array_equal(image.data, COLOUR.transpose(2, 0, 1))


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_large_tiff_is_mapped_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, byteorder: str
) -> None:
    """An uncompressed file is read a window at a time."""
    monkeypatch.setattr(tiff, "_MEMORY_MAP_BYTES", 100)
    array = np.arange(4 * 6 * 8, dtype=np.uint16).reshape(4, 6, 8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        photometric="minisblack",
        metadata={"axes": "ZYX"},
        byteorder=byteorder,  # type: ignore[arg-type]
    )
    image = read_image(tmp_path / "a.tif")
    assert isinstance(image.data, np.memmap)
    np.testing.assert_array_equal(image.read((2,))[0], array[2])


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_packed_tiff(tmp_path: Path, compression: str) -> None:
    """What tifffile unpacks by itself is read."""
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, GREY)


@pytest.mark.parametrize(
    "array",
    [GREY, GREY.astype(np.uint16) * 900, COLOUR],
    ids=["8 bit", "16 bit", "rgb"],
)
def test_lzw_tiff_needs_no_further_package(tmp_path: Path, array: np.ndarray) -> None:
    """LZW, the usual packing of many programs, is read with or without imagecodecs."""
    PIL.Image.fromarray(array).save(tmp_path / "a.tif", compression="tiff_lzw")
    expected = array if array.ndim == 2 else array.transpose(2, 0, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, expected)
    pages = [PIL.Image.fromarray(array), PIL.Image.fromarray(array + 1)]
    pages[0].save(
        tmp_path / "b.tif",
        compression="tiff_lzw",
        save_all=True,
        append_images=pages[1:],
    )
    if array.ndim == 2:
        stack = read_image(tmp_path / "b.tif", axes="ZYX").data
        np.testing.assert_array_equal(stack, [array, array + 1])


def test_compression_that_nobody_knows_names_the_package(tmp_path: Path) -> None:
    """Where a packing cannot be unpacked, the sentence says what to install."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        page: Any = file.pages[0]
        page.tags["Compression"].overwrite(int(tifffile.COMPRESSION.LERC))
    with pytest.raises(UneticError, match=r"LERC; install imagecodecs|damaged"):
        read_image(path)


def test_stream_is_read_like_a_file() -> None:
    """A member of a zip is read from its bytes, told by its name."""
    for name, write in (("a.png", save_png), ("a.tif", save_tiff)):
        image = read_image(io.BytesIO(write(GREY)), name=name)
        assert image.name == name
        np.testing.assert_array_equal(image.data, GREY)


def save_png(array: np.ndarray) -> bytes:
    """Return the bytes of a PNG."""
    stream = io.BytesIO()
    PIL.Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def save_tiff(array: np.ndarray) -> bytes:
    """Return the bytes of a TIFF."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"This is not an image at all.\n" * 9, id="text"),
        pytest.param(save_png(GREY)[:50], id="half a PNG"),
        pytest.param(save_tiff(GREY)[:200], id="half a TIFF"),
        pytest.param(b"II*\0\xff\xff\xff\x7f", id="TIFF that points nowhere"),
    ],
)
def test_damaged_file_is_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """Empty, cut and foreign files are refused as bad input, images and labels."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UneticError, match=r"^Expected .*a\.\w+, which .*; .*\.$"):
        read_image(path)
    with pytest.raises(UneticError, match=r"^Expected .*a\.\w+.*; .*\.$"):
        read_labels(path)


def test_cut_large_tiff_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that ends before its pixels do cannot be mapped."""
    monkeypatch.setattr(tiff, "_MEMORY_MAP_BYTES", 100)
    array = np.zeros((400, 500), np.uint16)
    (tmp_path / "a.tif").write_bytes(save_tiff(array)[:-100_000])
    with pytest.raises(UneticError, match="damaged"):
        read_image(tmp_path / "a.tif")


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    """A file that is not there, or of a format that is not read, is named."""
    with pytest.raises(UneticError, match=r"nowhere\.png, which does not exist"):
        read_image(tmp_path / "nowhere.png")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UneticError, match=r"ending in one of .*notes\.txt"):
        read_image(tmp_path / "notes.txt")


def test_complex_tiff_is_refused(tmp_path: Path) -> None:
    """Complex numbers are no image."""
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.complex64))
    with pytest.raises(UneticError, match="complex64"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32"])
def test_labels_are_the_numbers_in_the_file(tmp_path: Path, dtype: str) -> None:
    """No scaling, no guess: the numbers are the objects."""
    labels = np.array([[0, 7], [100, 0]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    read = read_labels(tmp_path / "a.tif")
    assert read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, labels)


def test_labels_in_a_palette_are_its_indices(tmp_path: Path) -> None:
    """Palettes only colour the objects of a label PNG."""
    picture = PIL.Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    expected = np.asarray(PIL.Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), expected)


def test_labels_as_whole_floats_are_taken(tmp_path: Path) -> None:
    """Some programs save label images as real numbers."""
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0.0, 3.0]], np.float32))
    labels = read_labels(tmp_path / "a.tif")
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels, [[0, 3]])


def test_mask_saved_in_colour_is_taken_where_the_channels_agree(tmp_path: Path) -> None:
    """A black and white mask saved as RGBA is one number a pixel all the same."""
    mask = np.array([[0, 255], [255, 0]], np.uint8)
    rgba = np.dstack([mask, mask, mask, np.full_like(mask, 255)])
    np.testing.assert_array_equal(read_labels(save(tmp_path / "a.png", rgba)), mask)
    tifffile.imwrite(tmp_path / "a.tif", rgba[..., :3], photometric="rgb")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), mask)


def test_unnamed_axis_of_labels_is_planes(tmp_path: Path) -> None:
    """Labels have no channels, so three pages are three planes."""
    labels = np.arange(3 * 6 * 8, dtype=np.uint16).reshape(3, 6, 8)
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="minisblack")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)


def test_planes_of_labels_written_as_colours_are_planes(tmp_path: Path) -> None:
    """Three planes that a writer took for red, green and blue are planes again."""
    labels = np.arange(3 * 6 * 8, dtype=np.uint8).reshape(3, 6, 8)
    tifffile.imwrite(
        tmp_path / "a.tif", labels, photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        pytest.param(
            "a.tif", np.array([[0.5]], np.float32), "fractions", id="fraction"
        ),
        pytest.param("a.tif", np.array([[np.nan]], np.float32), "fractions", id="nan"),
        pytest.param("a.tif", np.array([[-1, 0]], np.int16), "got -1", id="negative"),
        pytest.param("a.png", COLOUR, "3 differing channels", id="colour"),
        pytest.param("a.jpg", GREY, "JPEG has altered", id="jpeg"),
    ],
)
def test_what_is_no_label_image_is_refused(
    tmp_path: Path, name: str, array: np.ndarray, match: str
) -> None:
    """Numbers that cannot be objects are refused in one sentence."""
    if name.endswith("tif"):
        tifffile.imwrite(tmp_path / name, array)
    else:
        save(tmp_path / name, array)
    with pytest.raises(UneticError, match=match):
        read_labels(tmp_path / name)


def test_real_images(data_folder: Path) -> None:
    """A stack of real nuclei and its labels have one shape."""
    name = next((data_folder / "ovule_nuclei_3d" / "images").glob("*.tif")).name
    image = read_image(data_folder / "ovule_nuclei_3d" / "images" / name)
    labels = read_labels(data_folder / "ovule_nuclei_3d" / "labels" / name)
    assert image.axes == "ZYX"
    assert image.data.shape == labels.shape == (100, 100, 100)
    assert len(np.unique(labels)) - 1 == 54
