"""Image and label files: PNG, JPEG and TIFF, with axes and pixel size."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize, canonical, canonical_permutation, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.guards import (
    PICTURE_RATIO,
    as_text,
    check_size,
    decoding,
    fault_notice,
    n_bytes_of,
)
from napari_unetic.image.source import Image
from napari_unetic.image.tiff import read_tiff

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
"""The suffixes of the files that can be read, in lower case."""

Source: TypeAlias = str | os.PathLike[str] | BinaryIO

_TIFF_SUFFIXES = (".tif", ".tiff")
_JPEG_SUFFIXES = (".jpg", ".jpeg")
# Numbers beyond are not all whole in float64, and do not fit int64 at last.
_LARGEST_FLOAT_LABEL = 2.0**53


def read_image(
    source: Source, *, axes: str | None = None, name: str | None = None
) -> Image:
    """Return the image in a file, its axes in canonical order.

    Parameters
    ----------
    source : path or binary stream
        PNG, JPEG or TIFF file, told by its suffix. A stream needs `name`.
    axes : str, optional
        One letter an axis of the file's array, in its order; from the file's
        metadata, else guessed from the shape, if None.
    name : str, optional
        Name for messages, whose suffix tells the format; the path by default.

    Returns
    -------
    Image
        In the file's own data type. Large uncompressed TIFF files are memory-mapped.
        Palettes become colours, one-bit images uint8 of 0 and 255, and alpha is left
        out, with a notice unless it is opaque throughout. Faults of a file that can
        be read all the same are notices too.

    Raises
    ------
    UneticError
        If the file is missing, damaged, of another format, packed in a way that needs
        another package, larger than the memory, or its axes do not fit.
    """
    name = _checked_name(source, name)
    if Path(name).suffix.lower() in _TIFF_SUFFIXES:
        tiff = read_tiff(source, name, axes)
        found = _image(tiff.array, tiff.axes, name, tiff.pixel_size, tiff.notices)
        return replace(found, intensity_range=tiff.intensity_range)
    array, notices = _read_picture(source, name)
    text = "YX" if array.ndim == 2 else "YXS"
    if axes is not None:
        text = check_axes(axes, array.ndim)
    return _image(array, text, name, notices=notices)


def read_labels(source: Source, *, name: str | None = None) -> NDArray[Any]:
    """Return the label image in a file: 0 where there is no object.

    Parameters
    ----------
    source : path or binary stream
        PNG or TIFF file. A stream needs `name`.
    name : str, optional
        Name for messages, whose suffix tells the format; the path by default.

    Returns
    -------
    ndarray of shape (Y, X), (Z, Y, X), (T, Y, X) or (T, Z, Y, X), integer
        The numbers as they are in the file (of a palette image, the indices).

    Raises
    ------
    UneticError
        If the file cannot be read, is a JPEG (which alters numbers) or a colour image,
        or has fractions, negative numbers or not-a-numbers.
    """
    name = _checked_name(source, name)
    suffix = Path(name).suffix.lower()
    if suffix in _JPEG_SUFFIXES:
        raise UneticError(
            f"Expected labels as PNG or TIFF, got {name}, whose numbers JPEG has "
            "altered; save the labels in another format."
        )
    if suffix in _TIFF_SUFFIXES:
        tiff = read_tiff(source, name, None, labels=True)
        image = _image(tiff.array, tiff.axes, name)
        array = _without_channels(np.asarray(image.data), image.axes, name)
    else:
        array = _read_label_picture(source, name)
    return _whole_numbers(array, name)


def _checked_name(source: Source, name: str | None) -> str:
    """Return the name of a source that exists and has a known suffix."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        name = name or as_text(path)
        if not path.is_file():
            reason = "is no file" if path.exists() else "does not exist"
            raise UneticError(
                f"Expected an image file, got {name}, which {reason}; check the path."
            )
    name = name or "image"
    if Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        raise UneticError(
            f"Expected a file ending in one of {', '.join(IMAGE_SUFFIXES)}, "
            f"got {name}; convert it to TIFF or PNG."
        )
    return name


def _image(
    array: Any,
    axes: str,
    name: str,
    pixel_size: PixelSize | None = None,
    notices: tuple[str, ...] = (),
) -> Image:
    """Return the image of an array of `axes`, where S stands for colour samples."""
    if 0 in array.shape:
        raise UneticError(
            f"Expected an image with pixels, got {name} of shape {array.shape}; "
            "choose another image."
        )
    if axes == "YXC" and array.shape[-1] in (3, 4):
        axes = "YXS"
    rgb = "S" in axes
    if rgb:
        at = axes.index("S")
        before = (slice(None),) * at
        n_samples = array.shape[at]
        rgb = n_samples > 2
        if n_samples in (2, 4):
            alpha = np.asarray(array[(*before, -1)])
            # Alpha that is the same everywhere says nothing, and most RGBA is so.
            if bool((alpha != alpha.flat[0]).any()):
                notices += (f"{name}: the alpha channel is left out.",)
        array = array[(*before, slice(3) if rgb else 0)]
        axes = axes.replace("S", "C" if rgb else "")
    return Image(
        array.transpose(canonical_permutation(axes)),
        canonical(axes),
        rgb=rgb,
        pixel_size=pixel_size or PixelSize(),
        name=name,
        notices=notices,
    )


@dataclass(frozen=True, slots=True)
class _Picture:
    """The pixels of a PNG or JPEG, and whether its file has 16 bits a sample."""

    array: NDArray[Any]
    mode: str
    is_deep: bool
    notices: tuple[str, ...]


def _open_picture(source: Source, name: str, *, convert: bool) -> _Picture:
    """Decode a PNG or JPEG; `convert` tells whether palettes become colours."""
    with decoding("PNG or JPEG", name) as said:
        with PIL.Image.open(source, formats=("PNG", "JPEG")) as file:
            is_deep = any("16" in str(tile.args) for tile in file.tile)
            n_bytes = file.width * file.height * len(file.getbands())
            check_size(n_bytes, n_bytes_of(source), name, ratio=PICTURE_RATIO)
            file.load()
        picture = _as_grey_or_colour(file) if convert else file
        array = _array_of(picture)
    return _Picture(array, picture.mode, is_deep, fault_notice(name, said))


def _as_grey_or_colour(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return a picture in a mode whose numbers are intensities."""
    if picture.mode in ("P", "PA"):
        has_alpha = "transparency" in picture.info or picture.mode == "PA"
        return picture.convert("RGBA" if has_alpha else "RGB")
    if picture.mode == "1":
        return picture.convert("L")
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"):
        return picture.convert("RGB")
    return picture


def _read_picture(source: Source, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Return a PNG or JPEG as (Y, X) or (Y, X, samples), and notices."""
    picture = _open_picture(source, name, convert=True)
    notices = picture.notices
    if picture.is_deep and picture.array.dtype == np.uint8:
        notices += (f"{name}: 16-bit colours of a PNG are read with 8 bits.",)
    return picture.array, notices


def _array_of(picture: PIL.Image.Image) -> NDArray[Any]:
    """Return the pixels; 16-bit grey as uint16 whatever mode it was given."""
    array = np.asarray(picture)
    if picture.mode.startswith("I") and array.dtype != np.uint16:
        small = array.size == 0 or (array.min() >= 0 and array.max() <= 0xFFFF)
        array = array.astype(np.uint16 if small else np.int32)
    return array


def _read_label_picture(source: Source, name: str) -> NDArray[Any]:
    """Return the numbers in a PNG; of a palette image, the indices."""
    picture = _open_picture(source, name, convert=False)
    array = picture.array
    if picture.mode == "1":
        return array.astype(np.uint8)
    if array.ndim == 2:
        return array
    if picture.mode in ("RGBA", "LA"):
        array = array[..., :-1]
    return _without_channels(np.moveaxis(array, -1, 0), "CYX", name)


def _without_channels(array: NDArray[Any], axes: str, name: str) -> NDArray[Any]:
    """Return labels without a channel axis; its channels must be equal."""
    if "C" not in axes:
        return array
    channels = np.moveaxis(array, axes.index("C"), 0)
    if bool((channels != channels[:1]).any()):
        raise UneticError(
            f"Expected labels with one number a pixel, got {name}, which has "
            f"{channels.shape[0]} differing channels; save the labels as a grey image."
        )
    first: NDArray[Any] = channels[0]
    return first


def _whole_numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return labels as integers of 0 and more."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8)
    if kind == "f":
        whole = np.isfinite(array).all() and (array == np.rint(array)).all()
        if not whole:
            raise UneticError(
                f"Expected labels as whole numbers, got fractions or not-a-numbers in "
                f"{name}; save a label image, not a probability map."
            )
        if array.size and float(np.abs(array).max()) > _LARGEST_FLOAT_LABEL:
            raise UneticError(
                f"Expected labels of less than 2^53, got {np.abs(array).max():g} in "
                f"{name}; renumber the objects, and save them as integers."
            )
        array = array.astype(np.int64)
    elif kind not in "iu":
        raise UneticError(
            f"Expected labels as whole numbers, got dtype {array.dtype} in {name}; "
            "save a label image of integers."
        )
    if array.dtype.kind == "i" and array.size and int(array.min()) < 0:
        raise UneticError(
            f"Expected labels of 0 (background) and more, got {int(array.min())} in "
            f"{name}; replace negative numbers."
        )
    return array
