"""The image: an array with axes, pixel size and a name, read only where needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_unetic.axes import (
    PixelSize,
    canonical,
    canonical_permutation,
    check_axes,
    guess_axes,
)
from napari_unetic.errors import UneticError


class ArrayLike(Protocol):
    """What an image needs of its data: NumPy, dask, zarr and memory maps have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Anything that ``numpy.dtype`` takes."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __getitem__(self, key: Any, /) -> Any: ...


Ranges: TypeAlias = tuple[tuple[float, float], ...]
"""For each channel the least and the most of its intensities."""


@dataclass(frozen=True, slots=True)
class Image:
    """An array with axes in canonical order, a pixel size and a name.

    Parameters
    ----------
    data : array-like
        Anything with ``shape``, ``dtype``, ``ndim`` and slicing. Not read here.
    axes : str
        One letter an axis of `data`, a subset of ``TZCYX`` in this order.
    rgb : bool
        Whether the channels are red, green and blue rather than stains.
    pixel_size : PixelSize
        Size of a pixel, where known.
    name : str
        Where the image came from, for messages and provenance.
    notices : tuple of str
        Sentences the user should read (alpha dropped, not-a-number replaced, ...).
    dimensions : {2, 3}
        Whether it is worked on plane by plane, or as volumes of all its planes. A
        "plane" is then a whole volume, and planes run over time alone.
    intensity_range : tuple of tuple of float, optional
        Of a part of another image: for each channel the intensities of the whole that
        become 0 and 1, as `napari_unetic.image.normalise.fit_normalisation` fits them,
        so that the part is seen as the whole is. None: fitted to the image itself.

    Raises
    ------
    UneticError
        If the axes do not fit the data, an axis is empty, or volumes have no Z.
    """

    data: ArrayLike
    axes: str
    rgb: bool = False
    pixel_size: PixelSize = field(default_factory=PixelSize)
    name: str = "image"
    notices: tuple[str, ...] = ()
    dimensions: Literal[2, 3] = 2
    intensity_range: Ranges | None = None

    def __post_init__(self) -> None:
        check_axes(self.axes, len(self.data.shape))
        if self.axes != canonical(self.axes):
            raise UneticError(
                f"Expected axes in the order {canonical(self.axes)}, got {self.axes}; "
                "use as_image(), which transposes."
            )
        if 0 in self.data.shape:
            raise UneticError(
                f"Expected an image with pixels, got shape {tuple(self.data.shape)} "
                f"({self.name}); choose another image."
            )
        if self.dimensions == 3 and "Z" not in self.axes:
            raise UneticError(
                f"Expected an image with planes along Z, got the axes {self.axes} "
                f"({self.name}); correct the axes, or work plane by plane."
            )

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape[-2], self.data.shape[-1]

    @property
    def space_axes(self) -> str:
        """The axes of a plane, ``YX``, or of a volume, ``ZYX``."""
        return "ZYX"[-self.dimensions :]

    @property
    def space(self) -> tuple[int, ...]:
        """The shape of a plane or of a volume."""
        return tuple(self.data.shape[self.axes.index(a)] for a in self.space_axes)

    @property
    def n_channels(self) -> int:
        """Number of channels; 1 where there is no channel axis."""
        return self.data.shape[self.axes.index("C")] if "C" in self.axes else 1

    @property
    def plane_axes(self) -> str:
        """The axes over which planes run: those of T and Z that there are."""
        over = "TZ" if self.dimensions == 2 else "T"
        return "".join(letter for letter in self.axes if letter in over)

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Number of planes along each of `plane_axes`."""
        return tuple(self.data.shape[self.axes.index(a)] for a in self.plane_axes)

    def planes(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of every plane along `plane_axes`; ``()`` for a 2-D image."""
        yield from np.ndindex(*self.plane_shape)

    def read(
        self,
        plane: tuple[int, ...] = (),
        channels: tuple[int, ...] | None = None,
        *window: slice,
    ) -> NDArray[Any]:
        """Read a window of one plane, or of one volume.

        Parameters
        ----------
        plane : tuple of int
            Index along `plane_axes`.
        channels : tuple of int, optional
            Channels to take, all by default.
        *window : slice
            One for each of `space_axes`; everything if there is none.

        Returns
        -------
        ndarray of shape (C, Y, X), of volumes (C, Z, Y, X)
            The window in the image's own dtype.
        """
        at: dict[str, int | slice]
        at = dict(zip(self.plane_axes, plane, strict=True))
        parts = window or (slice(None),) * self.dimensions
        at |= dict(zip(self.space_axes, parts, strict=True))
        at["C"] = slice(None)
        if channels is not None:
            # No channel outside of these is read, whatever lies between.
            at["C"] = slice(min(channels), max(channels) + 1)
        pixels: NDArray[Any] = np.asarray(self.data[tuple(at[a] for a in self.axes)])
        if "C" not in self.axes:
            pixels = pixels[np.newaxis]
        elif self.dimensions == 3:
            pixels = np.moveaxis(pixels, 1, 0)
        if channels is None or len(channels) == pixels.shape[0] == 1:
            return pixels
        return pixels[[channel - min(channels) for channel in channels]]


class _Rearranged:
    """An array with its axes in another order, alpha left out and booleans as uint8.

    What is asked of it is asked of the array in its own order, so that zarr, HDF5 and
    others that cannot be transposed are never read whole.
    """

    def __init__(self, data: ArrayLike, order: tuple[int, ...], without_alpha: bool):
        self._data, self._order = data, order
        sizes = list(data.shape)
        sizes[-1] -= without_alpha
        self.shape = tuple(sizes[axis] for axis in order)
        self.ndim = len(self.shape)
        self._is_boolean = np.dtype(data.dtype).kind == "b"
        self.dtype = np.dtype(np.uint8 if self._is_boolean else data.dtype)

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Read by whole numbers and forward slices; an ellipsis stands for the rest."""
        given = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis not in given:
            given.append(Ellipsis)
        at = given.index(Ellipsis)
        given[at : at + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        wanted: list[int | slice] = [0] * self.ndim
        for axis, size, part in zip(self._order, self.shape, given, strict=True):
            # Resolved against the own shape, which has no alpha.
            wanted[axis] = (
                slice(*part.indices(size))
                if isinstance(part, slice)
                else range(size)[part]
            )
        window = np.asarray(self._data[tuple(wanted)])
        kept = [axis for axis in self._order if isinstance(wanted[axis], slice)]
        window = window.transpose([sorted(kept).index(axis) for axis in kept])
        return window.view(np.uint8) if self._is_boolean else window

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read it all."""
        return np.asarray(self[()], dtype)


def _arranged(data: Any, order: tuple[int, ...], *, without_alpha: bool) -> ArrayLike:
    """Return a view of data in canonical order that reads nothing."""
    is_boolean = np.dtype(data.dtype).kind == "b"
    if isinstance(data, np.ndarray):
        view = data.view(np.uint8) if is_boolean else data
        arranged: NDArray[Any] = view[..., :3] if without_alpha else view
        return arranged.transpose(order)
    if order == tuple(range(len(order))) and not (without_alpha or is_boolean):
        unchanged: ArrayLike = data
        return unchanged
    return _Rearranged(data, order, without_alpha)


def part_of(
    image: Image,
    plane: tuple[int, ...],
    rows: slice,
    columns: slice,
    *,
    channel: int | None = None,
    intensity_range: Ranges | None = None,
) -> Image:
    """Copy a window of a plane of an image into memory, as an image of its own.

    Parameters
    ----------
    image : Image
        The whole.
    plane : tuple of int
        Which plane.
    rows, columns : slice
        The window.
    channel : int, optional
        The one channel to take; all if None.
    intensity_range : tuple of tuple of float, optional
        Of the channels taken, for the part to be seen as the whole is
        (`napari_unetic.image.normalise.fit_range`).
    """
    channels = None if channel is None else (channel,)
    data = np.array(image.read(plane, channels, rows, columns))
    has_channels = data.shape[0] > 1
    return replace(
        image,
        data=data if has_channels else data[0],
        axes="CYX" if has_channels else "YX",
        rgb=image.rgb and has_channels,
        notices=(),
        intensity_range=intensity_range,
    )


def as_image(
    image: Image | ArrayLike,
    axes: str | None = None,
    *,
    pixel_size: PixelSize | None = None,
    name: str = "image",
) -> Image:
    """Return an `Image` of anything array-like, its axes in canonical order.

    Parameters
    ----------
    image : Image or array-like
        An `Image` is returned as it is unless `axes` has other letters than its own.
    axes : str, optional
        One letter a dimension, in the array's order; guessed from the shape if None
        (`napari_unetic.axes.guess_axes`).
    pixel_size : PixelSize, optional
        Size of a pixel, where known.
    name : str
        For messages and provenance.

    Returns
    -------
    Image
        Colour where the channel axis is last and has 3 or 4 entries; a fourth (alpha)
        is dropped. Boolean data become uint8. Nothing is read: what is no NumPy array
        is rearranged window by window, as it is read.

    Raises
    ------
    UneticError
        If the axes do not fit or the data are not real numbers.
    """
    if isinstance(image, Image):
        if axes is None or canonical(check_axes(axes)) == image.axes:
            # The same letters in another order: those before it was transposed.
            return image
        # Canonical order is kept, so only the meaning of the axes changes.
        return as_image(
            image.data, axes, pixel_size=pixel_size or image.pixel_size, name=image.name
        )
    data: Any = image if hasattr(image, "dtype") else np.asarray(image)
    kind = np.dtype(data.dtype).kind
    if kind not in "buif":
        raise UneticError(
            f"Expected an image of integers or real numbers, got dtype {data.dtype} "
            f"({name}); convert it first."
        )
    text = check_axes(axes or guess_axes(data.shape), len(data.shape))
    notices: tuple[str, ...] = ()
    rgb = text[-1] == "C" and data.shape[-1] in (3, 4)
    if rgb and data.shape[-1] == 4:
        notices = (f"{name}: the alpha channel is left out.",)
    data = _arranged(data, canonical_permutation(text), without_alpha=bool(notices))
    return Image(
        data=data,
        axes=canonical(text),
        rgb=rgb,
        pixel_size=pixel_size or PixelSize(),
        name=name,
        notices=notices,
    )
