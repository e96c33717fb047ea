"""Torch is left as it was found, and what a caller has set does not change maps."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.maps import Preparation, plan_work, prepare
from napari_unetic.maps.pace import Paces, measure_pace
from napari_unetic.networks.device import choose_device
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_unetic.model.folder import Model


def _state() -> dict[str, Any]:
    """Everything that belongs to the process or the thread, and not to a tensor."""
    return {
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "random": torch.random.get_rng_state().tolist(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ),
        "mkldnn": torch.backends.mkldnn.enabled,
        "matmul": torch.get_float32_matmul_precision(),
    }


@pytest.fixture
def ready(
    random_model: Callable[..., Model],
    smooth_image: Callable[..., NDArray[np.uint16]],
) -> Callable[[], Preparation]:
    """Prepares an image of four tiles, with a network that was not used before."""

    def make() -> Preparation:
        model = random_model()
        settings = segment_settings(device="cpu", tile=64)
        plan = plan_work(smooth_image((120, 110)), model.description, settings)
        return prepare(plan, model)

    return make


def test_all_is_as_before_while_and_after_maps_are_made(
    ready: Callable[[], Preparation],
) -> None:
    """Also between two tiles, when the caller's code runs."""
    before = _state()
    steps = ready().maps_steps(())
    for _ in range(3):
        next(steps)
        assert _state() == before
    drain(steps)
    assert _state() == before


def test_all_is_as_before_after_an_error(
    ready: Callable[[], Preparation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the network comes through, and nothing stays changed."""
    before, work = _state(), ready()

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(type(work.model.network), "maps_of", fail)
    with pytest.raises(RuntimeError, match="broken"):
        drain(work.maps_steps(()))
    assert _state() == before


def test_all_is_as_before_when_work_is_given_up(
    ready: Callable[[], Preparation],
) -> None:
    """Closing the generator is how work is stopped."""
    before = _state()
    steps = ready().maps_steps(())
    next(steps)
    steps.close()
    assert _state() == before


def test_all_is_as_before_after_a_trial(random_model: Callable[..., Model]) -> None:
    """The pace is measured without a trace."""
    before = _state()
    measure_pace(random_model(), choose_device("cpu"), Paces())
    assert _state() == before


@contextmanager
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(_double, id="float64"),
        pytest.param(torch.no_grad, id="no_grad"),
        pytest.param(torch.inference_mode, id="inference_mode"),
        pytest.param(lambda: torch.autocast("cpu", torch.bfloat16), id="autocast"),
        pytest.param(lambda: torch.device("meta"), id="default device"),
    ],
)
def test_what_a_caller_has_set_does_not_change_maps(
    setting: Callable[[], Any], ready: Callable[[], Preparation]
) -> None:
    """Maps are float32, of a network in float32, whatever is set around it."""
    expected = drain(ready().maps_steps(()))
    work = ready()
    with setting():
        inside = _state()
        found = drain(work.maps_steps(()))
        assert _state() == inside
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
