"""The line that says what will happen, before it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array
import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.model.description import ModelDescription
from napari_unetic.networks.presets import preset
from napari_unetic.settings import SegmentSettings
from napari_unetic.widgets.plan_line import forecast

MODEL = ModelDescription(
    name="toy",
    network=preset("unetic-16").spec,
    channels=("any",),
    working_diameter_px=20,
)


class Reads:
    """Counts the blocks of images that are read."""

    n = 0


def lazy(shape: tuple[int, ...]) -> Any:
    """An image that is read block by block."""

    def count(block: NDArray[Any]) -> NDArray[Any]:
        Reads.n += 1
        return block

    image = dask.array.zeros(shape, chunks=64, dtype=np.float32)
    return image.map_blocks(count, meta=np.zeros((0,) * len(shape), np.float32))


def layer_of(*shapes: tuple[int, ...]) -> ImageLayer:
    """A layer of one level or several; napari itself reads some of it for the view."""
    levels = [lazy(shape) for shape in shapes]
    data = levels if len(levels) > 1 else levels[0]
    layer = ImageLayer(data, multiscale=len(levels) > 1, contrast_limits=(0, 1))
    Reads.n = 0
    return layer


@pytest.fixture(autouse=True)
def _reads_nothing() -> Iterator[None]:
    """No pixel is read to tell what will happen."""
    yield
    assert Reads.n == 0


def test_plane() -> None:
    """Axes, size, tiles, memory and device are told."""
    plan = forecast(layer_of((100, 200)), MODEL, SegmentSettings())
    assert plan.text.startswith("YX, 100 × 200, 1 tile of ")
    assert " GB, " in plan.text and "\n" not in plan.text
    assert plan.source.level == 0 and plan.settings == SegmentSettings()


def test_stack_and_plane() -> None:
    """Of a stack it is told how many planes are done."""
    layer = layer_of((5, 100, 200))
    assert (
        "ZYX, 5 × 100 × 200, 5 tiles" in forecast(layer, MODEL, SegmentSettings()).text
    )
    one = forecast(layer, MODEL, SegmentSettings(plane=(3,)))
    assert "1 of 5 planes, 1 tile" in one.text


def test_level() -> None:
    """Of a multiscale image the level is told whose objects have the right size."""
    layer = layer_of((400, 600), (200, 300), (100, 150))
    assert forecast(layer, MODEL, SegmentSettings()).text.startswith("YX, 400 × 600")
    coarse = forecast(layer, MODEL, SegmentSettings(diameter=40))
    assert coarse.text.startswith("Level 1: YX, 200 × 300")
    assert coarse.settings.diameter == 40 and coarse.plan.zoom == pytest.approx(1)


def test_region_on_a_level() -> None:
    """A region is given in pixels of level 0, whichever level is segmented."""
    layer = layer_of((800, 800), (400, 400))
    settings = SegmentSettings(diameter=40, region=Region.box(0, 0, 200, 200))
    rows, columns = forecast(layer, MODEL, settings).plan.box
    margin = 2 * 20
    assert rows == columns == slice(0, 100 + margin)


def test_what_does_not_fit() -> None:
    """What stands against it is told instead."""
    layer = layer_of((100, 200))
    with pytest.raises(UneticError, match="correct the diameter"):
        forecast(layer, MODEL, SegmentSettings(diameter=5000))
    with pytest.raises(UneticError, match="covers no pixel"):
        forecast(layer, MODEL, SegmentSettings(region=Region.box(300, 0, 310, 5)))
