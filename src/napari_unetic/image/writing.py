"""Files that appear whole or not at all: label images and pictures."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
import tifffile
from numpy.typing import DTypeLike, NDArray

from napari_unetic.axes import PixelSize, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.guards import as_text
from napari_unetic.image.tiff import RANGE_KEY, micrometres

if TYPE_CHECKING:
    from napari_unetic.image.source import Image


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, which becomes `path` when the block ends well.

    Parameters
    ----------
    path : path
        Where the file shall be. Folders above it are made.

    Yields
    ------
    Path
        A hidden name in the same folder with the same suffix. It is removed if the
        block fails, with the folders that were made for it; what was at `path` stays.

    Raises
    ------
    UneticError
        If the folder or the file cannot be written.
    """
    path = Path(path)
    # A name may be as long as names can be, so only its beginning is repeated.
    start = path.stem[:40]
    partial = path.with_name(f".{start}-{secrets.token_hex(4)}{path.suffix}")
    made: list[Path] = []
    try:
        made += _make_folders(path.parent)
        yield partial
        os.replace(partial, path)
        made.clear()
    except OSError as error:
        raise UneticError(
            f"Expected to be able to write {as_text(path)}, got "
            f"{error.strerror or error}; choose another folder or make room."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
        with suppress(OSError):
            for folder in made:
                folder.rmdir()


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the innermost first."""
    if folder.is_dir():
        return []
    above = _make_folders(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        for new in above:
            new.rmdir()
        raise
    return [folder, *above]


def label_dtype(n: int) -> np.dtype[Any]:
    """Return the type that holds labels up to `n`: uint16, or uint32 beyond 65,535.

    Parameters
    ----------
    n : int
        The highest label.

    Returns
    -------
    dtype
        uint16 or uint32.

    Raises
    ------
    UneticError
        If there are more objects than uint32 can count.
    """
    for dtype in (np.uint16, np.uint32):
        if n <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise UneticError(
        f"Expected at most {np.iinfo(np.uint32).max} objects, got {n}; "
        "renumber the labels or write the image in parts."
    )


def write_labels(
    path: str | os.PathLike[str],
    labels: NDArray[Any],
    *,
    axes: str = "YX",
    pixel_size: PixelSize | None = None,
    description: Mapping[str, Any] | None = None,
    dtype: DTypeLike | None = None,
) -> None:
    """Write a label image as OME-TIFF, packed with zlib.

    Parameters
    ----------
    path : path
        The file; it appears whole or not at all.
    labels : ndarray of one axis a letter of `axes`, integer
        0 and more.
    axes : str
        Letters out of ``TZYX``, in this order.
    pixel_size : PixelSize, optional
        Written to the OME-XML and the resolution tags, where it is a length.
    description : mapping, optional
        What led to the labels, written to the OME-XML as JSON. File names that are
        no text in any encoding come with what is none escaped.
    dtype : dtype, optional
        Of the file; `label_dtype` of the highest label if None.

    Raises
    ------
    UneticError
        If the axes do not fit, the labels are none, or the file cannot be written.
    """
    axes = check_axes(axes, labels.ndim)
    if labels.dtype.kind not in "bui" or (labels.size and int(labels.min()) < 0):
        raise UneticError(
            f"Expected labels as integers of 0 and more, got dtype {labels.dtype}; "
            "convert them first."
        )
    if dtype is None:
        dtype = label_dtype(int(labels.max()) if labels.size else 0)
    _write_ome(
        path,
        np.ascontiguousarray(labels, dtype),
        axes=axes,
        pixel_size=pixel_size,
        description=description,
    )


def write_pixels(
    path: str | os.PathLike[str], image: Image, *, packed: bool = False
) -> None:
    """Write the pixels of an image, to be read as that image again.

    Parameters
    ----------
    path : path
        TIFF file; one that is there is written over.
    image : Image
        With its axes, whether it is colour, and the range of intensities of the whole
        that it is part of. Its pixel size is not written.
    packed : bool
        Compress it, as pays for labels and masks.
    """
    data = np.asarray(image.data)
    if image.rgb:
        data = np.moveaxis(data, image.axes.index("C"), -1)
    described: dict[str, Any] = {}
    if len(image.axes) > 2 and not image.rgb:
        described["axes"] = image.axes
    if image.intensity_range is not None:
        described[RANGE_KEY] = image.intensity_range
    tifffile.imwrite(
        path,
        np.ascontiguousarray(data),
        photometric="rgb" if image.rgb else "minisblack",
        compression="zlib" if packed else None,
        metadata=described or None,
    )


def write_maps(
    path: str | os.PathLike[str],
    maps: NDArray[np.float32],
    *,
    axes: str = "CYX",
    names: Sequence[str],
    pixel_size: PixelSize | None = None,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write maps as OME-TIFF, a channel each, packed with zlib.

    Parameters
    ----------
    path : path
        The file; it appears whole or not at all.
    maps : ndarray of one axis a letter of `axes`, float32
    axes : str
        Letters out of ``TZCYX``, in this order.
    names : sequence of str
        Of the channels.
    pixel_size, description
        As for `write_labels`.

    Raises
    ------
    UneticError
        If the axes do not fit or the file cannot be written.
    """
    axes = check_axes(axes, maps.ndim)
    _write_ome(
        path,
        np.ascontiguousarray(maps, np.float32),
        axes=axes,
        pixel_size=pixel_size,
        description=description,
        names=names,
    )


def _write_ome(
    path: str | os.PathLike[str],
    array: NDArray[Any],
    *,
    axes: str,
    pixel_size: PixelSize | None,
    description: Mapping[str, Any] | None,
    names: Sequence[str] = (),
) -> None:
    """Write an OME-TIFF with what is known of it."""
    metadata: dict[str, Any] = {"axes": axes}
    if names:
        metadata["Channel"] = {"Name": list(names)}
    if description is not None:
        metadata["Description"] = as_text(json.dumps(description, ensure_ascii=False))
    resolution = None
    factor = micrometres(pixel_size.unit) if pixel_size is not None else 0.0
    if pixel_size is not None and factor:
        sizes = {a: factor * size for a, size in pixel_size.sizes.items()}
        for axis in "XYZ":
            if axis in sizes and axis in axes:
                metadata[f"PhysicalSize{axis}"] = sizes[axis]
                metadata[f"PhysicalSize{axis}Unit"] = "µm"
        if "X" in sizes and "Y" in sizes:
            resolution = (1e4 / sizes["X"], 1e4 / sizes["Y"])
    with atomic_path(path) as partial:
        tifffile.imwrite(
            partial,
            array,
            ome=True,
            photometric="minisblack",
            compression="zlib",
            resolution=resolution,
            resolutionunit="CENTIMETER" if resolution else None,
            metadata=metadata,
        )


def write_png(path: str | os.PathLike[str], array: NDArray[np.uint8]) -> None:
    """Write a picture as PNG; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        The file.
    array : ndarray of shape (Y, X) or (Y, X, 3), uint8
        Grey or red, green and blue.

    Raises
    ------
    UneticError
        If the file cannot be written.
    """
    with atomic_path(path) as partial:
        PIL.Image.fromarray(np.ascontiguousarray(array)).save(partial, format="PNG")
