"""A part equals the whole: tiles, regions, planes, at any zoom and size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.image.region import Region
from napari_unetic.maps import Plan, plan_work, prepare
from napari_unetic.model.folder import Model
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

Image = NDArray[np.uint16]
MakeModel = Callable[..., Model]
MakeImage = Callable[..., Image]

SHAPES = ("unetic-24", "keras-dsb2018", "ronneberger2015")
"""Presets with and without a stem, with and without padding."""


def _plan(image: Any, model: Model, **settings: object) -> Plan:
    values = {"device": "cpu"} | settings
    return plan_work(image, model.description, segment_settings(**values))


def _maps(
    image: Any, model: Model, plane: tuple[int, ...] = (), **settings: object
) -> NDArray[np.float32]:
    plan = _plan(image, model, **settings)
    return drain(prepare(plan, model).maps_steps(plane))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(201, 277), (64, 400), (130, 97)])
def test_tiled_equals_whole(
    name: str,
    shape: tuple[int, int],
    random_model: MakeModel,
    smooth_image: MakeImage,
) -> None:
    """Maps of many tiles agree with those of one to 1e-5."""
    model, image = random_model(name), smooth_image(shape)
    whole = _maps(image, model, tile=4096)
    assert whole.std() > 1e-3
    tiled = _maps(image, model, tile=112)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("zoom", [0.77, 1.0, 1.3])
@pytest.mark.parametrize("tile", [64, None])
def test_a_region_equals_the_whole_image_there(
    name: str,
    zoom: float,
    tile: int | None,
    random_model: MakeModel,
    smooth_image: MakeImage,
) -> None:
    """A box has real pixels around it and lies on the grid of the whole image."""
    model, image = random_model(name), smooth_image((217, 323))
    whole = _maps(image, model, diameter=20 / zoom)
    region = Region.box(101, 157, 110, 183)
    plan = _plan(image, model, diameter=20 / zoom, region=region, tile=tile)
    part = drain(prepare(plan, model).maps_steps(()))
    assert part.shape[1:] == plan.map_shape < whole.shape[1:]
    np.testing.assert_allclose(
        part, whole[(slice(None), *plan.map_box)], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("zoom", [0.37, 2.0])
def test_tiles_equal_the_whole_where_the_image_is_resampled(
    zoom: float, random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """Each tile resamples its own window of the image."""
    model, image = random_model("unetic-16"), smooth_image((140, 201))
    whole = _maps(image, model, diameter=20 / zoom, tile=4096)
    assert whole.shape[1:] == (round(140 * zoom), round(201 * zoom))
    tiled = _maps(image, model, diameter=20 / zoom, tile=112)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


def test_a_plane_equals_that_plane_of_the_stack(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """The normalisation is that of all planes, also when one is done."""
    model = random_model()
    scales = np.array([1, 30, 200], np.uint16)
    stack = np.stack([smooth_image((60, 70), k) // s for k, s in enumerate(scales)])
    everything = prepare(_plan(stack, model, axes="ZYX"), model)
    alone = prepare(_plan(stack, model, axes="ZYX", plane=1), model)
    assert alone.plan.planes == ((1,),)
    assert alone.normalisation == everything.normalisation
    np.testing.assert_array_equal(
        drain(alone.maps_steps((1,))), drain(everything.maps_steps((1,)))
    )


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 33)])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 1.7])
def test_any_size_works(
    name: str,
    shape: tuple[int, int],
    zoom: float,
    random_model: MakeModel,
    smooth_image: MakeImage,
) -> None:
    """Down to a single pixel there are maps, of the size that was planned."""
    plan = _plan(smooth_image(shape), random_model(name), diameter=20 / zoom)
    maps = drain(prepare(plan, random_model(name)).maps_steps(()))
    assert maps.shape == (3, *plan.map_shape)
    assert np.isfinite(maps).all()


def test_a_colour_of_an_image_equals_that_colour_alone(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """Channels 0, 1 and 2 are red, green and blue; without one colour becomes grey."""
    model = random_model()
    rgb = np.stack([smooth_image((50, 60), k) >> 8 for k in range(3)], axis=-1)
    for channel in range(3):
        np.testing.assert_array_equal(
            _maps(rgb, model, channel=channel), _maps(rgb[..., channel], model)
        )
    grey = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(_maps(rgb, model), _maps(grey, model), atol=1e-4)


class Recorded:
    """An array without transposition that knows the largest part asked of it."""

    def __init__(self, data: NDArray[Any]):
        self.data, self.shape, self.ndim = data, data.shape, data.ndim
        self.dtype = data.dtype
        self.largest = 0

    def __getitem__(self, key: Any) -> NDArray[Any]:
        window: NDArray[Any] = self.data[key]
        self.largest = max(self.largest, window.size)
        return window


@pytest.mark.parametrize("zoom", [0.1, 0.5, 1.0, 2.0])
def test_only_windows_are_read(
    zoom: float,
    random_model: MakeModel,
    smooth_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a tile nor a resampled one asks for the plane, whatever the axes."""
    monkeypatch.setattr("napari_unetic.maps.view._BAND_PX", 200_000)
    model = random_model("unetic-24")
    lazy = Recorded(np.stack([smooth_image((2000, 1500), k) for k in range(3)], -1))
    settings = {"axes": "YXC", "channel": 1, "diameter": 20 / zoom, "tile": 64}
    work = prepare(_plan(lazy, model, **settings), model)
    # Fitting takes every n-th row and column; tiles take what they need.
    assert lazy.largest < 2000 * 1500
    lazy.largest = 0
    steps = work.maps_steps(())
    for _ in range(3):
        next(steps)
    steps.close()
    side = (64 + 2 * model.description.network.tile_rule.halo) / zoom
    assert 0 < lazy.largest <= min((side + 4) ** 2, 220_000)


def test_only_the_channel_asked_for_is_read(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """Of many stains one is read."""
    model = random_model()
    lazy = Recorded(np.stack([smooth_image((90, 80), k) for k in range(9)]))
    work = prepare(_plan(lazy, model, axes="CYX", channel=4), model)
    maps = drain(work.maps_steps(()))
    assert lazy.largest == 90 * 80
    np.testing.assert_array_equal(maps, _maps(lazy.data[4], model))
