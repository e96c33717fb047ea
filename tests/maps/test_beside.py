"""Work beside the network: in its order, its errors raised, none with one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.source import as_image
from napari_unetic.maps import plan_work, prepare
from napari_unetic.maps.beside import Beside, may_work_beside
from napari_unetic.maps.network import run_network
from napari_unetic.model.folder import Model
from napari_unetic.networks.device import choose_device
from napari_unetic.predict import segment_steps
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

MakeModel = Callable[..., Model]
MakeImage = Callable[..., NDArray[np.uint16]]

LONG = 20.0
"""Seconds after which what never comes is given up."""


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set how many threads torch has; afterwards as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch say that it has two threads.

    Really with two, networks this small run no faster, and many times slower where
    other programs want the same cores.
    """
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


@pytest.mark.parametrize("is_threaded", [False, True])
def test_work_is_done_in_its_order(is_threaded: bool) -> None:
    """One after the other, and all of it once it was waited for."""
    done: list[int] = []
    with Beside(is_threaded=is_threaded) as beside:
        for k in range(5):
            beside.follow(lambda k=k: done.append(k))  # type: ignore[misc]
        beside.wait()
        assert done == [0, 1, 2, 3, 4]
        assert beside.start(lambda: 7).result() == 7


@pytest.mark.parametrize("is_threaded", [False, True])
def test_errors_come_through(is_threaded: bool) -> None:
    """At the latest when more is to be done."""

    def fail() -> None:
        raise UneticError("Expected this.")

    with Beside(is_threaded=is_threaded) as beside, pytest.raises(UneticError):
        beside.follow(fail)
        beside.follow(lambda: None)


def test_one_thread_stays_one(threads: Callable[[int], None]) -> None:
    """On a CPU nothing goes on beside a network that has one thread."""
    cpu = choose_device("cpu")
    threads(1)
    assert not may_work_beside(cpu)
    threads(2)
    assert may_work_beside(cpu)


class Watched:
    """An array that counts its windows, and says when the second is asked for."""

    def __init__(self, data: NDArray[Any]):
        self.data, self.shape, self.ndim = data, data.shape, data.ndim
        self.dtype = data.dtype
        self.n_reads = 0
        self.second = threading.Event()

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.n_reads += 1
        if self.n_reads >= 2:
            self.second.set()
        window: NDArray[Any] = self.data[key]
        return window


@pytest.mark.usefixtures("two_threads")
def test_the_next_window_is_read_while_the_network_runs(
    random_model: MakeModel,
    smooth_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network's first run ends only once the second window was asked for."""
    model, lazy = random_model(), Watched(smooth_image((200, 90)))
    plan = plan_work(lazy, model.description, segment_settings(tile=64, device="cpu"))
    work = prepare(plan, model)
    expected = drain(work.maps_steps(()))
    lazy.n_reads = 0
    lazy.second.clear()

    def waiting(*args: Any) -> NDArray[np.float32]:
        assert lazy.second.wait(LONG)
        return run_network(*args)

    monkeypatch.setattr("napari_unetic.maps.preparation.run_network", waiting)
    np.testing.assert_array_equal(drain(work.maps_steps(())), expected)
    assert lazy.n_reads == plan.n_tiles


@pytest.mark.usefixtures("two_threads")
def test_a_plane_is_decoded_while_the_network_runs_on_the_next(
    random_model: MakeModel,
    smooth_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The network's second run ends only once the first plane is being decoded."""
    from napari_unetic.predict import bands

    model, image = random_model(), smooth_image((2, 90, 80))
    settings = {"axes": "ZYX", "diameter": "usual", "device": "cpu"}
    expected = drain(segment_steps(image, model, **settings))
    decoding, runs, decode_all = threading.Event(), [], bands.decode_all

    def told(*args: Any) -> Any:
        decoding.set()
        return decode_all(*args)

    def waiting(*args: Any) -> NDArray[np.float32]:
        runs.append(1)
        assert len(runs) < 2 or decoding.wait(LONG)
        return run_network(*args)

    monkeypatch.setattr(bands, "decode_all", told)
    monkeypatch.setattr("napari_unetic.maps.preparation.run_network", waiting)
    found = drain(segment_steps(image, model, **settings))
    assert len(runs) == 2
    np.testing.assert_array_equal(found.labels, expected.labels)


@pytest.mark.usefixtures("two_threads")
def test_what_fails_beside_the_network_is_raised(
    random_model: MakeModel,
    smooth_image: MakeImage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the generator, and no thread is left behind."""
    model, image = random_model(), smooth_image((3, 60, 50))

    def fail(*args: Any) -> Any:
        raise ValueError("broken")

    monkeypatch.setattr("napari_unetic.predict.bands.decode_all", fail)
    n_before = threading.active_count()
    with pytest.raises(ValueError, match="broken"):
        drain(segment_steps(as_image(image, "ZYX"), model, device="cpu"))
    assert threading.active_count() == n_before


@pytest.mark.usefixtures("two_threads")
def test_closing_leaves_no_thread(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """Whatever goes on beside is ended with the generator."""
    n_before = threading.active_count()
    steps = segment_steps(
        smooth_image((300, 200)), random_model(), tile=64, device="cpu"
    )
    for _ in range(3):
        next(steps)
    assert threading.active_count() > n_before
    steps.close()
    assert threading.active_count() == n_before
