"""How fast the machine is: a short trial, then what every run shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.maps import pace as module
from napari_unetic.maps import plan_work, prepare
from napari_unetic.maps.pace import (
    DECODE,
    Paces,
    Work,
    measure_pace,
    network_work,
)
from napari_unetic.networks.device import choose_device
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unetic.model.folder import Model


def test_more_work_says_more() -> None:
    """The first figure stands; a large run all but replaces it, a small one does not.

    Half a megapixel is a third of all that is known, on the scale of factors.
    """
    paces, work = Paces(), Work("network")
    assert paces.of(work) is None
    paces.learn(work, 0.1, 0.8)
    assert paces.of(work) == pytest.approx(8)
    paces.learn(work, 0.5, 0.5)
    assert paces.of(work) == pytest.approx(8 ** (2 / 3))
    paces.learn(work, 999, 999 * 2)
    assert paces.of(work) == pytest.approx(2, rel=0.01)
    assert paces.of(Work("decode")) is None


@pytest.mark.parametrize("name", ["unetic-24", "ronneberger2015"])
def test_a_model_is_tried_once(
    name: str, random_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time what is known is returned, and the network does not run."""
    runs: list[tuple[int, ...]] = []
    run = module.run_network

    def counted(
        network: Any, windows: NDArray[np.float32], device: Any
    ) -> NDArray[np.float32]:
        runs.append(windows.shape)
        return run(network, windows, device)

    monkeypatch.setattr(module, "run_network", counted)
    paces, model, device = Paces(), random_model(name), choose_device("cpu")
    seconds = measure_pace(model, device, paces)
    assert seconds > 0 and len(runs) == 4
    known = paces.of(network_work(model.description, device))
    assert known == pytest.approx(seconds)
    assert (paces.of(DECODE) or 0) > 0
    assert measure_pace(model, device, paces) == known
    assert len(runs) == 4


def test_a_real_run_teaches_the_pace(
    random_model: Callable[..., Model], paces: Paces
) -> None:
    """Without a trial, too."""
    model = random_model()
    image = np.zeros((70, 70), np.uint8)
    plan = plan_work(image, model.description, SegmentSettings(device="cpu"))
    work = network_work(model.description, plan.device)
    assert paces.of(work) is None
    drain(prepare(plan, model).maps_steps(()))
    assert (paces.of(work) or 0) > 0
