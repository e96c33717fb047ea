"""Which level of a multiscale layer is segmented, and where its pixels lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from numpy.typing import NDArray

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.settings import SegmentSettings

TOLERANCE = 1.1
"""By how much objects may be smaller than the model's before a finer level is taken.
Pyramids halve, so that objects of 1.9 times the model's diameter would else be
segmented at nearly four times the cost, for the same result."""

_WINDOW_PX = 24
_FINE_PX = 256
_WINDOWS = (0.5, 0.25, 0.75, 0.1, 0.9)


def level_data(layer: ImageLayer, level: int = 0) -> Any:
    """Return the data of one level of a layer; nothing is read.

    Parameters
    ----------
    layer : napari.layers.Image
        Of one level or several.
    level : int
        0 is the finest.

    Returns
    -------
    array-like

    Raises
    ------
    UneticError
        If there is no such level.
    """
    levels: Sequence[Any] = layer.data if layer.multiscale else [layer.data]
    if not 0 <= level < len(levels):
        raise UneticError(
            f"Expected a level from 0 to {len(levels) - 1} of {layer.name}, got "
            f"{level}; 0 is the finest."
        )
    data = levels[level]
    # xarray transposes by name, we by position.
    return data.data if hasattr(data, "dims") else data


def level_factors(layer: ImageLayer, level: int) -> tuple[float, ...]:
    """Return how many pixels of level 0 one of a level covers along each dimension.

    Parameters
    ----------
    layer : napari.layers.Image
        Of one level or several.
    level : int
        0 is the finest.

    Returns
    -------
    tuple of float
        As `factors_between`.
    """
    return factors_between(level_data(layer, 0), level_data(layer, level), layer.ndim)


def factors_between(fine: Any, coarse: Any, ndim: int) -> tuple[float, ...]:
    """Return how many pixels of one level one of a coarser one covers.

    Parameters
    ----------
    fine, coarse : array-like
        Data of the levels; only their shapes count.
    ndim : int
        Dimensions to compare; one of colours comes behind them.

    Returns
    -------
    tuple of float
        A whole number where the sizes are those of a pyramid that halves (thirds,
        ...), whatever it does with an odd row at the end; else the ratio of the
        sizes.
    """
    sizes = zip(fine.shape[:ndim], coarse.shape[:ndim], strict=True)
    return tuple(_factor(n, m) for n, m in sizes)


def _factor(size: int, coarse: int) -> float:
    ratio = size / coarse
    for whole in (math.floor(ratio), math.ceil(ratio)):
        if whole and math.floor(size / whole) <= coarse <= math.ceil(size / whole):
            return float(whole)
    return ratio


def object_diameter(description: ModelDescription, settings: SegmentSettings) -> float:
    """Return the diameter that objects are taken to have, in pixels of level 0."""
    working = description.working_diameter_px
    if settings.pixel_size is not None and description.pixel_size_um is not None:
        return working * description.pixel_size_um / settings.pixel_size
    return settings.given_diameter or description.input_diameter_px or working


def best_level(
    layer: ImageLayer, description: ModelDescription, settings: SegmentSettings
) -> int:
    """Return the level to segment: finer ones would cost more and show no more.

    Parameters
    ----------
    layer : napari.layers.Image
        Of one level or several. No pixel is read.
    description : ModelDescription
        Of the model.
    settings : SegmentSettings
        Diameter or pixel size, in pixels of level 0.

    Returns
    -------
    int
        The coarsest level on which objects are not smaller than those that the
        network saw, give or take `TOLERANCE`, and that has all planes and channels
        of level 0.
    """
    levels = range(len(layer.data) if layer.multiscale else 1)
    factors = [level_factors(layer, level) for level in levels]
    return fitting_level(factors, description, object_diameter(description, settings))


def fitting_level(
    factors: Sequence[tuple[float, ...]],
    description: ModelDescription,
    diameter: float,
) -> int:
    """Return what `best_level` does, for objects of a diameter.

    Parameters
    ----------
    factors : sequence of tuple of float
        Of each level.
    description : ModelDescription
        Of the model.
    diameter : float
        In pixels of level 0.
    """
    largest = TOLERANCE * diameter / description.working_diameter_px
    best = 0
    for level, along in enumerate(factors):
        # Rows and columns alone may shrink; which they are need not be known.
        shrunk = [factor for factor in along if factor != 1]
        if level and len(shrunk) <= 2 and max(along) <= largest:
            best = level
    return best


def settings_on_level(
    settings: SegmentSettings,
    description: ModelDescription,
    factors_yx: tuple[float, float],
    offsets_yx: tuple[float, float],
    found: float | None = None,
) -> SegmentSettings:
    """Return settings as they are in the pixels of a level.

    Parameters
    ----------
    settings : SegmentSettings
        In pixels of level 0.
    description : ModelDescription
        Of the model.
    factors_yx : tuple of float
        Pixels of level 0 that one of the level covers along Y and X.
    offsets_yx : tuple of float
        Where the level's first pixel lies, in pixels of level 0.
    found : float, optional
        The diameter to take instead of one that is to be found out, in pixels of
        level 0: on another level there is nothing to be found out any more.

    Returns
    -------
    SegmentSettings
        Axes are left out: the image has been understood already.
    """
    update: dict[str, Any] = {"axes": None}
    area = factors_yx[0] * factors_yx[1]
    side = math.sqrt(area)
    if settings.seeks_diameter and found is not None:
        update["diameter"] = found / side
    elif settings.pixel_size is not None:
        update["pixel_size"] = settings.pixel_size * side
    elif area != 1:
        update["diameter"] = object_diameter(description, settings) / side
    if area != 1:
        if settings.smallest is not None:
            update["smallest"] = round(settings.smallest / area)
        if settings.region is not None:
            update["region"] = _on_level(settings.region, factors_yx, offsets_yx)
    return settings.model_copy(update=update)


def _on_level(
    region: Region, factors: tuple[float, float], offsets: tuple[float, float]
) -> Region:
    return Region(
        tuple(
            tuple(
                ((y - offsets[0]) / factors[0], (x - offsets[1]) / factors[1])
                for y, x in polygon
            )
            for polygon in region.polygons
        )
    )


def level_offsets(
    fine: Any, coarse: Any, factors: tuple[float, ...]
) -> tuple[float, ...]:
    """Return where the centre of a level's first pixel lies, in pixels of level 0.

    A pyramid is made of means, and its pixel then lies in the middle of those it
    covers; or of every second row and column, and then it lies on the first of them.
    Nothing but the pixels tells which, so a few windows of them are read.

    Parameters
    ----------
    fine, coarse : array-like
        Data of level 0 and of the level.
    factors : tuple of float
        Of the level, from `level_factors`; a dimension beyond them has factor 1.

    Returns
    -------
    tuple of float
        One a factor; ``(factor - 1) / 2``, or 0 where the first window that tells them
        apart is just every ``factor``-th row and column of level 0.
    """
    middle = tuple((factor - 1) / 2 for factor in factors)
    if max(factors) == 1 or any(factor != int(factor) for factor in factors):
        return middle
    for part in _WINDOWS:
        window, first, last = _compared(fine, coarse, [int(f) for f in factors], part)
        is_first = np.array_equal(window, first)
        if is_first != np.array_equal(window, last) or not is_first:
            return tuple(0.0 for _ in factors) if is_first else middle
    return middle


def _compared(
    fine: Any, coarse: Any, factors: list[int], part: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return a window of a level, and the first and last pixels that its ones cover."""
    here, there, firsts, lasts = [], [], [], []
    for axis, size in enumerate(coarse.shape):
        factor = factors[axis] if axis < len(factors) else 1
        length = max(2, min(_WINDOW_PX, _FINE_PX // factor)) if factor > 1 else 1
        # What lies beyond the last whole pixel may be padded, or left out.
        size = min(size, fine.shape[axis] // factor)
        start = max(0, min(round(part * size), size - length))
        stop = min(start + length, size)
        here.append(slice(start, stop))
        there.append(slice(factor * start, factor * stop))
        firsts.append(slice(None, None, factor))
        lasts.append(slice(factor - 1, None, factor))
    window, covered = np.asarray(coarse[tuple(here)]), np.asarray(fine[tuple(there)])
    return window, covered[tuple(firsts)], covered[tuple(lasts)]
