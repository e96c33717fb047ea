"""Out of memory: fewer tiles, smaller tiles, the CPU, and only then a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.maps import Preparation, plan_work, prepare
from napari_unetic.maps import preparation as module
from napari_unetic.maps.ladder import Rung, step_down
from napari_unetic.networks.device import Device, choose_device
from napari_unetic.networks.presets import PRESETS
from napari_unetic.settings import segment_settings
from napari_unetic.steps import Step, drain

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model

GPU = Device(torch.device("cuda"), "CUDA: found by torch")
CPU = Device(torch.device("cpu"), "CPU: asked for")

SHAPE = (2, 200, 700)

Fits = Callable[[str, int, int], bool]
"""Whether a device has room for so many tiles of so many rows."""


def test_the_rungs_in_order() -> None:
    """Half the batch, half the tile, the CPU with its own tile, its half, the end."""
    spec = PRESETS["unetic-24"].spec
    rung, said = Rung(GPU, 1000, 4), []
    rungs = [rung]
    while (lower := step_down(rung, spec, host_tile=256)) is not None:
        rung, notice = lower
        rungs.append(rung)
        said.append(notice)
    ways = [(r.device.name, r.tile, r.batch) for r in rungs]
    assert ways == [
        ("cuda", 1000, 4),
        ("cuda", 1000, 2),
        ("cuda", 1000, 1),
        ("cuda", 512, 1),
        ("cuda", 256, 1),
        ("cpu", 256, 1),
        ("cpu", 128, 1),
        ("cpu", 64, 1),
    ]
    assert said[0] == "CUDA: too little memory for 4 tiles at a time; trying 2."
    assert said[2] == "CUDA: too little memory for tiles of 1,000 pixels; trying 512."
    assert said[4] == "CUDA: too little memory; going on on the CPU."
    assert rung.device.reason == "CPU: too little memory on CUDA"


@pytest.fixture
def run_with(
    random_model: Callable[..., Model],
    smooth_image: Callable[..., NDArray[np.uint16]],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[Preparation, list[Step], NDArray[np.float32]]]:
    """Runs two planes of twelve tiles where memory is as the test says.

    A tile of 128 pixels takes more than 128 rows, of 64 pixels fewer.
    """
    monkeypatch.setattr("napari_unetic.maps.ladder.SMALLEST_GPU_TILE_PX", 64)
    model, image = random_model("keras-dsb2018", 2), smooth_image(SHAPE)
    run, network_on = module.run_network, module.network_on

    def work(
        fits: Fits, device: Device = GPU, batch: int = 4, *, load: bool = True
    ) -> tuple[Preparation, list[Step], NDArray[np.float32]]:
        def run_network(
            network: Any, windows: NDArray[np.float32], where: Device, *rest: Any
        ) -> NDArray[np.float32]:
            if not fits(where.name, windows.shape[0], windows.shape[2]):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return run(network, windows, choose_device("cpu"), *rest)

        def on(model: Model, where: Device, precision: str) -> Any:
            if where.name != "cpu" and not load:
                raise RuntimeError("CUDA error: out of memory")
            return network_on(model, choose_device("cpu"), precision)

        monkeypatch.setattr(module, "run_network", run_network)
        monkeypatch.setattr(module, "network_on", on)
        settings = segment_settings(axes="ZYX", device="cpu", tile=128)
        plan = plan_work(image, model.description, settings)
        work = prepare(replace(plan, device=device, batch=batch), model)
        steps: list[Step] = []
        maps = [drain(work.maps_steps(plane), steps.append) for plane in plan.planes]
        return work, steps, np.stack(maps)

    return work


@pytest.fixture(scope="module")
def expected(
    random_model: Callable[..., Model],
    smooth_image: Callable[..., NDArray[np.uint16]],
) -> NDArray[np.float32]:
    """The maps where there is memory enough."""
    model, image = random_model("keras-dsb2018", 2), smooth_image(SHAPE)
    settings = segment_settings(axes="ZYX", device="cpu", tile=128)
    work = prepare(plan_work(image, model.description, settings), model)
    return np.stack([drain(work.maps_steps((k,))) for k in range(2)])


@pytest.mark.parametrize(
    ("fits", "notices", "end"),
    [
        pytest.param(lambda *_: True, [], ("cuda", 128, 4), id="all fits"),
        pytest.param(
            lambda device, batch, rows: batch <= 2,
            ["trying 2"],
            ("cuda", 128, 2),
            id="smaller batch",
        ),
        pytest.param(
            lambda device, batch, rows: batch == 1 and rows < 128,
            ["trying 2", "trying 1", "trying 64"],
            ("cuda", 64, 1),
            id="smaller tile",
        ),
        pytest.param(
            lambda device, batch, rows: device == "cpu",
            ["trying 2", "trying 1", "trying 64", "on the CPU"],
            ("cpu", 128, 1),
            id="the CPU",
        ),
        pytest.param(
            lambda device, batch, rows: device == "cpu" and rows < 128,
            ["trying 2", "trying 1", "trying 64", "on the CPU", "trying 64"],
            ("cpu", 64, 1),
            id="smaller tile on the CPU",
        ),
    ],
)
def test_each_rung_gives_the_same_maps(
    fits: Fits,
    notices: list[str],
    end: tuple[str, int, int],
    run_with: Callable[..., Any],
    expected: NDArray[np.float32],
) -> None:
    """With a notice of each step down, in the steps, too; what was found out stays."""
    work, steps, maps = run_with(fits)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)
    rung = work.rung
    assert (rung.device.name, rung.tile, rung.batch) == end
    for found, part in zip(work.notices, notices, strict=True):
        assert found.endswith(f"{part}.")
    assert [step.notice for step in steps if step.notice] == work.notices
    record = work.provenance()
    assert (record["device"], record["tile"]) == end[:2]
    assert record["device_reason"] == rung.device.reason
    assert (steps[-1].done, steps[-1].total) == (24, 24)


def test_a_gpu_that_cannot_take_the_network_leaves_it_to_the_cpu(
    run_with: Callable[..., Any], expected: NDArray[np.float32]
) -> None:
    """Loading it is where memory runs out first."""
    work, _, maps = run_with(lambda *_: True, batch=1, load=False)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)
    assert work.rung.device.name == "cpu"


def test_memory_may_run_out_halfway(
    run_with: Callable[..., Any], expected: NDArray[np.float32]
) -> None:
    """Tiles that are done stay done, and progress only goes on."""
    runs = iter(range(10**6))
    work, steps, maps = run_with(
        lambda device, batch, rows: next(runs) < 3 or rows < 128, CPU, 1
    )
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5)
    assert len(work.notices) == 1
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert done[:4] == [1, 2, 3, 3] and done[4] == 3.25


def test_at_the_end_of_the_ladder_there_is_one_sentence(
    run_with: Callable[..., Any],
) -> None:
    """What came and what to do."""
    with pytest.raises(UneticError, match=r"tiles of 64 pixels, .*choose a region"):
        run_with(lambda *_: False)


def test_other_errors_come_through(
    run_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a lack of memory is answered by using less."""

    def fits(*_: object) -> bool:
        raise RuntimeError("Given groups=1, weight of size [4, 4, 3, 3]")

    with pytest.raises(RuntimeError, match="groups=1"):
        run_with(fits)


def test_little_memory_on_the_host_is_met_with_a_smaller_tile(
    run_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy's error counts, too, and so does what is free when the GPU fails."""
    monkeypatch.setattr(module, "free_on_host", lambda: 2_000_000)
    work, _, _ = run_with(lambda device, batch, rows: device == "cpu", batch=1)
    assert work.rung.device.name == "cpu" and work.rung.tile == 64
