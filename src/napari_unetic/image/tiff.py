"""TIFF files: the array, its axes, and the size of a pixel."""

from __future__ import annotations

import math
import os
import struct
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import NDArray

from napari_unetic.axes import AXES, PixelSize, check_axes, guess_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.guards import (
    DAMAGED,
    TIFF_RATIO,
    check_size,
    decoding,
    fault_notice,
)

if TYPE_CHECKING:
    from napari_unetic.image.source import Ranges

RANGE_KEY: Final = "intensity_range"
"""Of `Image.intensity_range` in the description of a TIFF file that tifffile shapes."""

_MEMORY_MAP_BYTES = 16_000_000
# Above this a resolution tag means paper (72 to 1200 dots an inch), not a microscope.
_LARGEST_TAGGED_PIXEL_UM = 20.0
_MICROMETRES = {
    "m": 1e6,
    "dm": 1e5,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "inch": 25_400.0,
    "in": 25_400.0,
}


@dataclass(frozen=True, slots=True)
class Tiff:
    """What a TIFF file holds.

    Parameters
    ----------
    array : ndarray
        Memory-mapped where the file is large and uncompressed.
    axes : str
        Letters out of ``TZCYX``, or S for colour samples, in the array's order.
    pixel_size : PixelSize
        In micrometres, from OME-XML, ImageJ's metadata, or the resolution tags.
    notices : tuple of str
        Faults of the file that did not prevent reading it.
    intensity_range : tuple of tuple of float, optional
        As of `napari_unetic.image.source.Image`, where `write_pixels` wrote it.
    """

    array: NDArray[Any]
    axes: str
    pixel_size: PixelSize
    notices: tuple[str, ...] = ()
    intensity_range: Ranges | None = None


def read_tiff(
    source: str | os.PathLike[str] | BinaryIO,
    name: str,
    axes: str | None,
    *,
    labels: bool = False,
) -> Tiff:
    """Return the first series of a TIFF file.

    Parameters
    ----------
    source : path or binary stream
        The file.
    name : str
        Name for messages.
    axes : str, optional
        Axes of the array in its order; from the metadata, else guessed, if None.
    labels : bool
        Whether the array is a label image, so that an unnamed axis runs over planes
        and never over channels.

    Returns
    -------
    Tiff
        Its pixels, axes and pixel size.

    Raises
    ------
    UneticError
        If the file is damaged or something else, its compression needs a package that
        is not installed, it does not fit into memory, or `axes` do not fit.
    """
    with decoding("TIFF", name) as said, tifffile.TiffFile(source) as file:
        _check_pages(file)
        series = file.series[0]
        pixel_size, known = _pixel_size(file), _intensity_range(file)
        found = _series_axes(series, labels)
        array = _read_series(file, series, source, name)
        array = array.reshape(tuple(int(n) for n in series.shape))
    notices = fault_notice(name, said)
    if array.dtype.kind not in "buif":
        raise UneticError(
            f"Expected a TIFF of integers or real numbers, got dtype {array.dtype} in "
            f"{name}; convert it first."
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    if axes is not None and len(axes) == array.ndim:
        return Tiff(array, check_axes(axes), pixel_size, notices, known)
    array, found = _without_singletons(array, found)
    if axes is None:
        text = _known_axes(found, array.shape, labels, name)
    else:
        text = check_axes(axes, array.ndim)
    return Tiff(array, text, pixel_size, notices, known)


def _check_pages(file: tifffile.TiffFile) -> None:
    """Refuse a chain of pages that is cut off or goes in circles.

    tifffile would read what is there of a cut one, and need not come to an end.
    """
    format_, handle = file.tiff, file.filehandle
    handle.seek(8 if format_.is_bigtiff else 4)
    (offset,) = struct.unpack(format_.offsetformat, handle.read(format_.offsetsize))
    n_bytes = 0
    while offset:
        handle.seek(offset)
        count = handle.read(format_.tagnosize)
        (n_tags,) = struct.unpack(format_.tagnoformat, count)
        tags = handle.read(n_tags * format_.tagsize + format_.offsetsize)
        n_bytes += len(count) + len(tags)
        if n_bytes > handle.size:
            raise tifffile.TiffFileError("pages overlap")
        (offset,) = struct.unpack(format_.offsetformat, tags[-format_.offsetsize :])


def _series_axes(series: tifffile.TiffPageSeries, labels: bool) -> str:
    """Return the axes of a series, S only for samples that are colours or alpha."""
    axes, page = str(series.axes).upper(), series.keyframe
    if labels and "S" in axes and not axes.endswith("S"):
        # Three planes of labels were written as colours, tifffile's default once.
        return axes.replace("S", "Q")
    colours = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    n_samples = series.shape[axes.index("S")] if "S" in axes else 0
    has_alpha = any(int(extra) > 0 for extra in page.extrasamples)
    if "C" in axes or (n_samples <= 4 and (page.photometric in colours or has_alpha)):
        return axes
    return axes.replace("S", "C")


def _read_series(
    file: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    source: str | os.PathLike[str] | BinaryIO,
    name: str,
) -> NDArray[Any]:
    """Return the pixels, mapped or read."""
    page = series.keyframe
    if (
        isinstance(source, str | os.PathLike)
        and series.dataoffset is not None
        and page.is_memmappable
        and series.nbytes >= _MEMORY_MAP_BYTES
    ):
        dtype = np.dtype(f"{file.byteorder}{np.dtype(series.dtype).char}")
        mapped: NDArray[Any] = np.memmap(
            source,
            dtype=dtype,
            mode="r",
            offset=series.dataoffset,
            shape=tuple(int(n) for n in series.shape),
        )
        return mapped
    itemsize = np.dtype(series.dtype).itemsize
    for shape in (series.shape, page.chunks if page.is_tiled else ()):
        n_bytes = math.prod(int(n) for n in shape) * itemsize
        check_size(n_bytes, file.filehandle.size, name, ratio=TIFF_RATIO)
    if page.compression not in tifffile.TIFF.DECOMPRESSORS:
        return _read_with_pillow(source, series, name, None)
    try:
        return np.asarray(series.asarray())
    except (ImportError, KeyError, ValueError) as error:
        if "imagecodecs" not in str(error):
            raise
        return _read_with_pillow(source, series, name, error)


def _read_with_pillow(
    source: str | os.PathLike[str] | BinaryIO,
    series: tifffile.TiffPageSeries,
    name: str,
    cause: Exception | None,
) -> NDArray[Any]:
    """Return the pixels through libtiff, which unpacks LZW and JPEG."""
    try:
        if not isinstance(source, str | os.PathLike):
            source.seek(0)
        planes = []
        with PIL.Image.open(source, formats=("TIFF",)) as picture:
            for page in series.pages:
                picture.seek(0 if page is None else page.index)
                planes.append(np.asarray(picture))
        array = np.stack(planes)
        dtype = np.dtype(series.dtype).newbyteorder("=")
        if array.size != math.prod(series.shape) or array.dtype != dtype:
            raise ValueError("libtiff changes the pixels")
        return array
    except DAMAGED:
        method = series.keyframe.compression
        called = getattr(method, "name", f"method {method}")
        raise UneticError(
            f"Expected a TIFF whose compression can be read, got {name}, which uses "
            f"{called}; install imagecodecs (python -m pip install imagecodecs) or "
            "save it uncompressed."
        ) from cause


def _without_singletons(array: NDArray[Any], axes: str) -> tuple[NDArray[Any], str]:
    """Drop axes of one entry that are neither rows nor columns."""
    keep = [i for i, letter in enumerate(axes) if array.shape[i] != 1 or letter in "YX"]
    shape = tuple(array.shape[i] for i in keep)
    return array.reshape(shape), "".join(axes[i] for i in keep)


def _known_axes(axes: str, shape: tuple[int, ...], labels: bool, name: str) -> str:
    """Return axes in which unnamed ones have been given a meaning."""
    unknown = [i for i, letter in enumerate(axes) if letter not in AXES + "S"]
    unnamed = not set(axes) & set("TZCS")
    if unknown and unnamed and not labels and len(axes) <= 5 and axes.endswith("YX"):
        guess = guess_axes(shape)
        if guess.endswith("YX"):
            return guess
    letters = list(axes)
    for i in reversed(unknown):
        free = [letter for letter in "ZTC" if letter not in letters]
        if "C" in free and ("S" in axes or labels):
            free.remove("C")
        if not free:
            break
        letters[i] = free[0]
    text = "".join(letters)
    legal = len(set(text)) == len(text) and set(text) <= set(AXES + "S")
    if not legal or ("S" in text and "C" in text):
        raise UneticError(
            f"Expected an image with axes out of {AXES}, got shape {shape} with axes "
            f"{axes} in {name}; say what they are (for example axes ZYX) or take a "
            "part of it."
        )
    return text


def _intensity_range(file: tifffile.TiffFile) -> Ranges | None:
    """Return the range that the file tells, None if it is no such thing."""
    told = file.shaped_metadata
    pairs = told[0].get(RANGE_KEY) if told else None
    try:
        found = tuple((float(low), float(high)) for low, high in pairs or ())
    except (TypeError, ValueError):
        return None
    is_range = all(
        math.isfinite(low) and math.isfinite(high) and low < high for low, high in found
    )
    return found if found and is_range else None


def _pixel_size(file: tifffile.TiffFile) -> PixelSize:
    """Return the size of a pixel in micrometres, as far as the file tells."""
    try:
        return _told_pixel_size(file)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        # Tags and texts of any kind; a size that is none is no reason to refuse.
        return PixelSize()


def _told_pixel_size(file: tifffile.TiffFile) -> PixelSize:
    """Return the size that OME-XML, ImageJ or the tags tell."""
    if file.is_ome and file.ome_metadata:
        return _ome_pixel_size(file.ome_metadata)
    tags = file.pages[0].tags  # type: ignore[union-attr]
    across = {"X": _ratio(tags, "XResolution"), "Y": _ratio(tags, "YResolution")}
    if file.is_imagej and file.imagej_metadata:
        metadata = file.imagej_metadata
        factor = micrometres(str(metadata.get("unit", "")))
        spacing = metadata.get("spacing")
        sizes = {a: factor / value for a, value in across.items() if value}
        if isinstance(spacing, int | float) and spacing > 0:
            sizes["Z"] = factor * float(spacing)
        return _positive(sizes) if factor else PixelSize()
    unit = tags.valueof("ResolutionUnit", 1)
    factor = {2: _MICROMETRES["inch"], 3: _MICROMETRES["cm"]}.get(int(unit), 0.0)
    sizes = {a: factor / value for a, value in across.items() if value}
    if not factor or max(sizes.values(), default=math.inf) > _LARGEST_TAGGED_PIXEL_UM:
        return PixelSize()
    return _positive(sizes)


def _ome_pixel_size(text: str) -> PixelSize:
    """Return the pixel size in OME-XML."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return PixelSize()
    pixels = root.find(".//{*}Pixels")
    sizes: dict[str, float] = {}
    if pixels is not None:
        for axis in "XYZ":
            value = pixels.get(f"PhysicalSize{axis}")
            factor = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            if value and factor:
                sizes[axis] = float(value) * factor
    return _positive(sizes)


def _positive(sizes: dict[str, float]) -> PixelSize:
    """Return the sizes that are positive numbers, in the order of the axes."""
    good = {a: sizes[a] for a in AXES if 0 < sizes.get(a, 0.0) < math.inf}
    return PixelSize(good, "µm") if good else PixelSize()


def micrometres(text: str) -> float:
    """Return how many micrometres a unit is, or 0 if it is none of length."""
    plain = text.replace("\\u00B5", "µ").replace("μ", "µ").strip().lower()
    return _MICROMETRES.get(plain, 0.0)


def _ratio(tags: tifffile.TiffTags, name: str) -> float:
    """Return the value of a rational tag, or 0."""
    value = tags.valueof(name)
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return 0.0
