"""Which device is chosen, and why."""

from __future__ import annotations

import pytest
import torch

from napari_unetic.errors import UneticError
from napari_unetic.networks import device as module
from napari_unetic.networks.device import choose_device, has_native_bfloat16


def test_auto_says_why_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the CPU is taken, and the reason given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    chosen = choose_device()
    assert chosen.name == "cpu"
    assert chosen.reason.startswith("CPU: this ") or "torch has" in chosen.reason


def test_auto_takes_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA comes before the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().name == "cuda"


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
