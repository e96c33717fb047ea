"""Which device is chosen, and why."""

from __future__ import annotations

import pytest
import torch

from napari_unetic.errors import UneticError
from napari_unetic.networks import device as module
from napari_unetic.networks.device import (
    choose_device,
    empty_cache,
    free_on,
    has_native_bfloat16,
    is_out_of_memory,
)


def test_auto_says_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the CPU is taken, and the reason given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    chosen = choose_device()
    assert chosen.name == "cpu"
    assert chosen.reason.startswith(("CPU: this ", "CPU: torch has "))
    assert choose_device("cpu").reason == "CPU: asked for"


def test_auto_takes_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA comes before the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    chosen = choose_device()
    assert (chosen.name, chosen.reason) == ("cuda", "CUDA: found by torch")


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says why and what else to use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UneticError, match="Expected a cuda device, got none"):
        choose_device("cuda")


def test_an_unknown_device_is_refused() -> None:
    """The message lists what there is."""
    with pytest.raises(UneticError, match="auto, cpu, cuda, mps, got 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True}, False),
    ],
)
def test_bfloat16_is_native_only_with_its_own_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: bool
) -> None:
    """Emulated bfloat16 is slower than float32 and is not used."""
    monkeypatch.setattr(
        module.torch.cpu, "get_capabilities", lambda: capabilities, raising=False
    )
    assert has_native_bfloat16(torch.device("cpu")) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("std::bad_alloc"), True),
        (MemoryError(), True),
        (RuntimeError("Given groups=1, weight of size [4, 4, 3, 3]"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(
    error: Exception, expected: bool
) -> None:
    """Whichever library met it."""
    assert is_out_of_memory(error) is expected


def test_the_error_of_this_torch_is_known() -> None:
    """A tensor that no machine holds fails as a lack of memory."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert is_out_of_memory(caught.value)


def test_asking_what_is_free_starts_no_gpu() -> None:
    """A CPU has no memory of its own, and a GPU that is not used is not asked."""
    assert free_on(torch.device("cpu")) is None
    if not torch.cuda.is_initialized():
        assert free_on(torch.device("cuda")) is None
    empty_cache(torch.device("cpu"))
