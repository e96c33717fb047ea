"""Augmentation: one random draw moves image and labels together.

Geometry (flips, quarter turns, free rotation, zoom, elastic deformation) acts on both;
intensity (gain, offset, gamma, blur, uneven light, noise, saturation, inversion, JPEG,
tints of colour) on the image alone, after normalisation, where 0 is background and 1
the brightest objects. What happens to a plane happens to all planes of a volume alike,
which is drawn from some planes on and may be turned upside down besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from napari_unetic.image.tiles import reflect

Share = Annotated[float, Field(ge=0, le=1)]

_DIMMEST = 0.15
"""Level above background at which saturation begins at the earliest."""


class Augmentation(BaseModel):
    """The share of patches that each kind of variation acts on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(True, title="Flips and quarter turns")
    turn: Share = Field(2 / 3, title="Free turn, zoom by .7 to 1.4 and stretch")
    bend: Share = Field(2 / 9, title="Elastic deformation; part of the free turns")
    gamma: Share = Field(0.5, title="Gamma of .6 to 1.65")
    light: Share = Field(0.2, title="Slope of illumination")
    blur: Share = Field(0.2, title="Blur of .3 to 1.5 pixels")
    gain: Share = Field(0.7, title="Gain of .6 to 1.5 and offset")
    noise: Share = Field(0.4, title="Noise of up to 8 % of the range")
    saturate: Share = Field(0.05, title="Saturation of up to the brightest 15 %")
    invert: Share = Field(0.02, title="Inverted contrast")
    jpeg: Share = Field(0.05, title="JPEG artefacts, quality 30 to 95")
    tint: Share = Field(0.0, title="Tints: each channel of a colour image by itself")
    blank: Share = Field(0.02, title="Noise instead of a patch, without objects")


NO_AUGMENTATION = Augmentation(
    flip=False,
    turn=0,
    bend=0,
    gamma=0,
    light=0,
    blur=0,
    gain=0,
    noise=0,
    saturate=0,
    invert=0,
    jpeg=0,
    tint=0,
    blank=0,
)
"""Patches as they lie in the images."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which pixels of a source image make a patch, as coordinates.

    Parameters
    ----------
    coordinates : ndarray of shape (2, Y, X), float32
        Row and column in the source of each pixel of the patch.
    is_exact : bool
        Whether they are whole numbers, so that nothing needs interpolation.
    planes : ndarray of shape (Z,), int, or None
        Which planes of a volume; None for a plane.
    """

    coordinates: NDArray[np.float32]
    is_exact: bool
    planes: NDArray[np.intp] | None = None


def draw_window(
    shape: tuple[int, ...],
    size: int,
    rng: np.random.Generator,
    shares: Augmentation,
    *,
    n_planes: int = 1,
    centre: NDArray[np.intp] | None = None,
) -> Window:
    """Draw a patch of an image.

    Parameters
    ----------
    shape : tuple of int
        Of the source: (planes,) rows and columns.
    size : int
        Pixels a side of the patch.
    rng : numpy.random.Generator
        All randomness comes from it.
    shares : Augmentation
        How often to turn, flip, zoom and bend.
    n_planes : int
        Planes of the patch, where the source is a volume.
    centre : ndarray of shape (2,), int, optional
        Row and column to have in the middle, as far as the patch stays inside; any
        place if None.

    Returns
    -------
    Window
        Patches that are not turned freely keep their pixels, turned by quarters and
        flipped.
    """
    is_free = rng.random() < shares.turn
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    matrix: NDArray[np.float64] = np.eye(2)
    if shares.flip:
        matrix = _turn(rng.integers(4) * (np.pi / 2)) @ np.diag(
            [rng.choice((-1.0, 1.0)), 1.0]
        )
        matrix = np.rint(matrix)
    zoom = 1.0
    if is_free:
        zoom = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
        stretch = float(np.exp(rng.uniform(-0.1, 0.1)))
        scale = np.diag([stretch / zoom, 1 / (stretch * zoom)])
        matrix = _turn(rng.uniform(0, 2 * np.pi)) @ scale @ matrix
    moved = np.tensordot(matrix.astype(np.float32), grid, axes=1)
    if is_free and rng.random() * shares.turn < shares.bend:
        moved += _bend(size, rng)
    wanted = (None, None) if centre is None else centre.tolist()
    middle = [
        _draw_centre(n, size / zoom, rng) if at is None else _inside(at, n, size / zoom)
        for n, at in zip(shape[-2:], wanted, strict=True)
    ]
    if not is_free:
        # On whole pixels: the grid's own centre lies between two of them if even.
        middle = [np.floor(c) + (size - 1) / 2 % 1 for c in middle]
    coordinates = moved + np.asarray(middle, np.float32)[:, None, None]
    planes = None
    if len(shape) == 3:
        planes = _draw_planes(shape[0], n_planes, rng, may_flip=shares.flip)
    return Window(coordinates.astype(np.float32), not is_free, planes)


def _draw_planes(
    n: int, size: int, rng: np.random.Generator, *, may_flip: bool
) -> NDArray[np.intp]:
    """Draw neighbouring planes out of `n`; in half of the cases upside down."""
    start = -(size - n) // 2 if n <= size else int(rng.integers(n - size + 1))
    planes = reflect(np.arange(start, start + size), n)
    return planes[::-1] if may_flip and rng.random() < 0.5 else planes


def _turn(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _draw_centre(n: int, size: float, rng: np.random.Generator) -> float:
    """Draw a centre such that a straight patch stays inside, if it can."""
    if n <= size:
        return (n - 1) / 2
    return float(rng.uniform(size / 2, n - size / 2)) - 0.5


def _inside(at: int, n: int, size: float) -> float:
    """Return the centre nearest to a place such that a straight patch stays inside."""
    if n <= size:
        return (n - 1) / 2
    return min(max(at, size / 2 - 0.5), n - size / 2 - 0.5)


def _bend(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a smooth displacement of a few pixels (Simard et al. 2003, section 2)."""
    n_knots = max(4, size // 48 + 2)
    knots = rng.normal(0, rng.uniform(1, 4), (2, n_knots, n_knots))
    factor = size / n_knots
    bent = [ndimage.zoom(k, factor, order=2, mode="nearest") for k in knots]
    return np.stack([b[:size, :size] for b in bent]).astype(np.float32)


def take(
    array: NDArray[np.generic], window: Window, *, order: int
) -> NDArray[np.float32]:
    """Return the patch of one plane or volume.

    Parameters
    ----------
    array : ndarray of shape (Y, X) or (Z, Y, X)
        The source; beyond its edge it is reflected.
    window : Window
        Which pixels.
    order : {0, 1}
        0 for labels (nearest), 1 for images (linear).

    Returns
    -------
    ndarray of the window's shape, float32
        Exact windows copy pixels, whatever `order`.
    """
    at = window.coordinates
    if window.planes is not None:
        whole = Window(at, window.is_exact)
        return np.stack([take(array[z], whole, order=order) for z in window.planes])
    if window.is_exact:
        rows, columns = (
            reflect(np.rint(c).astype(np.intp), n)
            for c, n in zip(at, array.shape, strict=True)
        )
        return array[rows, columns].astype(np.float32)
    # Only the part that the patch needs is looked at: sources can be large.
    low = [max(0, int(np.floor(c.min())) - 1) for c in at]
    high = [
        min(n, int(np.ceil(c.max())) + 2) for c, n in zip(at, array.shape, strict=True)
    ]
    low = [min(a, n - 1) for a, n in zip(low, array.shape, strict=True)]
    high = [max(a, b + 1) for a, b in zip(high, low, strict=True)]
    part = array[low[0] : high[0], low[1] : high[1]]
    inside = at - np.asarray(low, np.float32)[:, None, None]
    taken: NDArray[np.float32] = ndimage.map_coordinates(
        part.astype(np.float32), inside, order=order, mode="mirror", prefilter=False
    )
    return taken


def vary_intensity(
    image: NDArray[np.float32], rng: np.random.Generator, shares: Augmentation
) -> NDArray[np.float32]:
    """Return the image under other light, focus and noise.

    Parameters
    ----------
    image : ndarray of shape (C, Y, X) or (C, Z, Y, X), float32
        Normalised.
    rng : numpy.random.Generator
        All randomness comes from it.
    shares : Augmentation
        How often each kind.

    Returns
    -------
    ndarray of the same shape, float32
    """
    result = image
    if rng.random() < shares.invert:
        result = 1 - result
    if shares.tint and len(image) > 1 and rng.random() < shares.tint:
        result = _tinted(result, rng)
    if rng.random() < shares.gamma:
        # Powers of negative values do not exist; they are noise below background.
        power = float(np.exp(rng.uniform(-0.5, 0.5)))
        result = np.sign(result) * np.abs(result) ** np.float32(power)
    if rng.random() < shares.light:
        result = result * _light(image.shape[-2:], rng)
    if rng.random() < shares.blur:
        sigma = rng.uniform(0.3, 1.5)
        result = ndimage.gaussian_filter(result, sigma, axes=(-2, -1))
    if rng.random() < shares.gain:
        result = result * rng.uniform(0.6, 1.5) + rng.uniform(-0.1, 0.1)
    if rng.random() < shares.noise:
        noise = rng.standard_normal(result.shape, dtype=np.float32)
        result = result + np.float32(rng.uniform(0.005, 0.08)) * noise
    if rng.random() < shares.saturate:
        result = _saturated(result, rng.uniform(0.85, 1))
    if rng.random() < shares.jpeg:
        quality = int(rng.integers(30, 96))
        planes = result.reshape(-1, *result.shape[-2:])
        read = np.stack([_jpeg(plane, quality) for plane in planes])
        result = read.reshape(result.shape)
    return np.asarray(result, np.float32)


def _tinted(
    image: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the image under another stain: channels swapped, mixed, and stretched.

    Each channel takes up to .3 of the one that it is paired with, then a gain of .7 to
    1.3 and an offset of up to .1 of its own; one in four images loses its colours.
    """
    n = len(image)
    if rng.random() < 0.25:
        grey = np.tensordot(rng.dirichlet(np.full(n, 4.0)), image, axes=1)
        return np.repeat(grey[None], n, axis=0).astype(np.float32)
    order = rng.permutation(n) if rng.random() < 0.25 else np.arange(n)
    share, gain, offset = (
        rng.uniform(low, high, (n, 1, 1)).astype(np.float32)
        for low, high in ((0, 0.3), (0.7, 1.3), (-0.1, 0.1))
    )
    mixed = (1 - share) * image[order] + share * image[np.roll(order, 1)]
    tinted: NDArray[np.float32] = gain * mixed + offset
    return tinted


def _saturated(image: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return the image as from a camera whose range ends within that of the objects.

    All above the level below which that share of the pixels lies becomes 1, which the
    normalisation would make of it.
    """
    level = float(np.quantile(image, share))
    # Of little but background nothing can be told apart above the level.
    if level <= _DIMMEST:
        return image
    cut: NDArray[np.float32] = (np.minimum(image, level) / level).astype(np.float32)
    return cut


def _jpeg(channel: NDArray[np.floating], quality: int) -> NDArray[np.float32]:
    """Return a plane of a channel as it comes out of a JPEG file."""
    low, high = float(channel.min()), float(channel.max())
    if high <= low:
        return channel.astype(np.float32)
    grey = np.rint((channel - low) * (255 / (high - low))).astype(np.uint8)
    file = BytesIO()
    Pillow.fromarray(grey).save(file, "JPEG", quality=quality)
    read = np.asarray(Pillow.open(file), np.float32)
    return read * np.float32((high - low) / 255) + np.float32(low)


def _light(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a slope of illumination between half and one and a half."""
    angle = rng.uniform(0, 2 * np.pi)
    rows = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None] * np.sin(angle)
    columns = np.linspace(-1, 1, shape[1], dtype=np.float32)[None] * np.cos(angle)
    slope: NDArray[np.float32] = 1 + rng.uniform(0, 0.35) * (rows + columns)
    return slope.astype(np.float32)


def blank(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a picture without objects: noise of some grain on some level.

    An image without objects is stretched like any other by its percentiles, so that
    its noise fills the range; a network that never saw this finds objects in it.
    """
    noise = rng.standard_normal(shape, dtype=np.float32)
    grain = rng.uniform(0, 2)
    if grain > 0.4:
        noise = ndimage.gaussian_filter(noise, grain, axes=(-2, -1))
    noise /= max(float(noise.std()), 1e-6)
    return noise * np.float32(rng.uniform(0, 0.3)) + np.float32(rng.uniform(0, 0.8))
