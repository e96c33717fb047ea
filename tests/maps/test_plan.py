"""The plan: what will happen, told before a pixel is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.image.source import as_image
from napari_unetic.maps import Plan, plan_work, prepare
from napari_unetic.maps.memory import FIXED_BYTES
from napari_unetic.maps.pace import Paces, measure_pace
from napari_unetic.model.folder import Model
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

MakeModel = Callable[..., Model]


class Unreadable:
    """An array that fails where a pixel of it is read."""

    dtype = np.dtype(np.uint16)

    def __init__(self, *shape: int):
        self.shape, self.ndim = shape, len(shape)

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError(f"{key} was read")


def _plan(image: Any, model: Model, **settings: object) -> Plan:
    values = {"device": "cpu"} | settings
    return plan_work(image, model.description, segment_settings(**values))


def test_no_pixel_is_read(random_model: MakeModel) -> None:
    """A plan is made of shapes alone, in whatever order the axes come."""
    data = Unreadable(7, 900, 1100, 3)
    plan = _plan(data, random_model(), axes="ZYXC", channel=1, region="10,20,300,400")
    assert plan.image.axes == "ZCYX"
    assert len(plan.planes) == 7
    assert plan.text() and plan.bytes > 0


def test_the_line_says_what_will_happen(
    random_model: MakeModel, paces: Paces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Axes, size, tiles, memory, device and why; time once the pace is known."""
    reason = "napari_unetic.networks.device.why_no_gpu"
    monkeypatch.setattr(reason, lambda: "this torch has no CUDA")
    model = random_model()
    plan = _plan(Unreadable(2048, 2048), model, device="auto", tile=1000)
    assert plan.text().startswith("YX, 2,048 × 2,048, 9 tiles of 1,008, ")
    if plan.device.name == "cpu":
        assert plan.text().endswith("GB, CPU: this torch has no CUDA")
    assert "about" not in plan.text()
    measure_pace(model, plan.device, paces)
    assert ", about " in plan.text()
    part = _plan(Unreadable(9, 200, 200), model, plane=4, region="0,0,10,10")
    assert part.text().startswith("ZYX, 9 × 200 × 200, 50 × 50 of it, 1 of 9 planes, ")


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("unetic-16", {}, "colour as grey"),
        ("keras-128", {}, "in colour"),
        ("keras-128", {"channel": 1}, "one of its colours"),
    ],
)
def test_the_line_says_what_is_made_of_colours(
    name: str, settings: dict[str, Any], said: str, random_model: MakeModel
) -> None:
    """And does not count red, green and blue as a size."""
    picture = as_image(np.zeros((50, 40, 3), np.uint8))
    plan = _plan(picture, random_model(name, 2), **settings)
    assert plan.text().startswith(f"YX, 50 × 40, {said}, 1 tile of ")


def test_a_region_has_two_diameters_of_context(random_model: MakeModel) -> None:
    """In pixels of the image, as far as it goes."""
    model = random_model(working_diameter_px=20.0)
    image = Unreadable(1000, 1000)
    plan = _plan(image, model, region="100,30,150,80")
    assert plan.box == (slice(60, 190), slice(0, 120)) == plan.map_box
    smaller = _plan(image, model, region="100,30,150,80", diameter=10)
    assert smaller.box == (slice(80, 170), slice(10, 100))
    assert smaller.grid == (2000, 2000)
    for part, map_part in zip(smaller.box, smaller.map_box, strict=True):
        assert map_part.start <= 2 * part.start and map_part.stop >= 2 * part.stop
    assert smaller.map_shape < (190, 190)


def test_planes_are_all_or_the_one(random_model: MakeModel) -> None:
    """By their index over T and Z."""
    image = as_image(Unreadable(2, 3, 60, 60), "TZYX")
    assert _plan(image, random_model()).planes == tuple(np.ndindex(2, 3))
    assert _plan(image, random_model(), plane=(1, 2)).planes == ((1, 2),)


@pytest.mark.parametrize("settings", [{}, {"region": "30,40,90,99"}, {"plane": 1}])
def test_as_many_tiles_as_planned_are_done(
    settings: dict[str, object], random_model: MakeModel
) -> None:
    """The last step is the last tile."""
    stack = np.zeros((2, 150, 130), np.uint8)
    model = random_model()
    plan = _plan(stack, model, axes="ZYX", tile=64, **settings)
    work, steps = prepare(plan, model), []
    for plane in plan.planes:
        drain(work.maps_steps(plane), steps.append)
    assert [step.done for step in steps] == list(range(1, plan.n_tiles + 1))
    assert {step.total for step in steps} == {plan.n_tiles}


def test_the_tile_is_chosen_by_memory(
    random_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less free memory, smaller tiles; the one asked for is taken as it is."""
    model, image = random_model(), Unreadable(3000, 3000)
    sides = []
    for free in (1e12, 8e8, 2e8, 1.5e8):
        monkeypatch.setattr(
            "napari_unetic.maps.plan.free_on_host", lambda free=free: int(free)
        )
        plan = _plan(image, model)
        computing = plan.bytes - FIXED_BYTES - 3000 * 3000 * (4 + 3 * 4)
        assert computing <= max(free / 2, 31 * 3000 * 3000)
        sides.append(plan.tile)
    assert sides == sorted(sides, reverse=True) and sides[0] > 2 * sides[-1] >= 128
    assert _plan(image, model, tile=512).tile == 512
    assert _plan(Unreadable(90, 90), model, tile=512).tile == 96


def test_what_cannot_fit_into_memory_is_refused(random_model: MakeModel) -> None:
    """Before anything is read, with what would help; a region of it fits."""
    image = Unreadable(3_000_000, 2_000_000)
    with pytest.raises(UneticError, match=r"fit into the free memory .*choose a reg"):
        _plan(image, random_model())
    assert _plan(image, random_model(), region="5,5,900,900").n_tiles == 1


def test_the_time_is_that_of_the_work(random_model: MakeModel, paces: Paces) -> None:
    """Unknown at first; then about in proportion to planes and area."""
    model = random_model()
    plan = _plan(Unreadable(4, 1000, 1000), model, axes="ZYX")
    assert plan.seconds is None
    measure_pace(model, plan.device, paces)
    one = _plan(Unreadable(1000, 1000), model).seconds
    assert plan.seconds is not None and one is not None
    assert 3 * one < plan.seconds < 4.2 * one
    assert (_plan(Unreadable(2000, 2000), model).seconds or 0) > 3.5 * one


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((90, 90), {"plane": 1}, "plane as no number, .*got 1; give one"),
        ((7, 90, 90), {"plane": 7}, "from 0 to 6 along Z of image, got 7"),
        ((2, 9, 90, 90), {"plane": 3}, "plane as T and Z of image, got 3; give one"),
        ((90, 90), {"pixel_size": 0.3}, "model with a known pixel size"),
        ((90, 90), {"diameter": 1e-9}, "within a factor of 50"),
        ((90, 90), {"region": "95,3,99,9"}, "region in an image of 90 rows"),
        ((90, 90), {"axes": "ZYX"}, "Expected 2 axes"),
        ((5, 90, 90), {"axes": "CYX"}, "pick one with channel"),
        ((90, 90, 3), {"channel": 3}, "channel from 0 to 2 of image, got 3"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    shape: tuple[int, ...],
    settings: dict[str, object],
    message: str,
    random_model: MakeModel,
) -> None:
    """What was expected, what came, what to do; no pixel is read for it."""
    with pytest.raises(UneticError, match=message):
        _plan(Unreadable(*shape), random_model(), **settings)


def test_other_weights_than_planned_are_refused(random_model: MakeModel) -> None:
    """A model whose files changed after the plan is not taken in silence."""
    plan = _plan(np.zeros((70, 70)), random_model())
    other = random_model(weights_sha256="others")
    with pytest.raises(UneticError, match="that were planned for, got others"):
        prepare(plan, other)
