"""Where a network runs: which device, why, and in which precision."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import torch

from napari_unetic.errors import UneticError

DEVICES = ("auto", "cpu", "cuda", "mps")

_TITLES = {"cpu": "CPU", "cuda": "CUDA", "mps": "Metal"}

_NO_ROOM = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "could not allocate",
    "bad_alloc",
)
"""What torch, cuDNN, cuBLAS, Metal and oneDNN say where memory runs out."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device with the reason for it.

    Parameters
    ----------
    torch : torch.device
        For torch.
    reason : str
        One line: which, and why this one ("CPU: this torch has no CUDA").
    """

    torch: torch.device
    reason: str

    @property
    def name(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.torch.type


def why_no_gpu() -> str:
    """Say in one phrase why no GPU can be used; empty if one can."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return ""
    if torch.version.cuda is None and torch.version.hip is None:
        if platform.system() == "Darwin":
            return "this Mac has no Metal device that torch can use"
        return "this torch has no CUDA"
    return "torch has CUDA but finds no GPU or driver"


def choose_device(name: str = "auto") -> Device:
    """Choose the device to run on.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        ``auto`` takes a GPU where torch can use one.

    Returns
    -------
    Device

    Raises
    ------
    UneticError
        If the name is unknown or the device asked for is not there.
    """
    if name not in DEVICES:
        raise UneticError(
            f"Expected a device out of {', '.join(DEVICES)}, got {name!r}; use auto."
        )
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        chosen = next(kind for kind, is_there in there.items() if is_there)
        why = why_no_gpu() if chosen == "cpu" else "found by torch"
        return Device(torch.device(chosen), f"{_TITLES[chosen]}: {why}")
    if not there[name]:
        raise UneticError(
            f"Expected a {name} device, got none ({why_no_gpu() or 'another GPU kind'})"
            "; use auto or cpu."
        )
    return Device(torch.device(name), f"{_TITLES[name]}: asked for")


def usable_devices() -> list[str]:
    """Return the names that can be chosen here, "auto" first."""
    found = []
    for name in DEVICES:
        try:
            choose_device(name)
        except UneticError:
            continue
        found.append(name)
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the host has too little memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in text for part in _NO_ROOM)


def is_started(device: torch.device) -> bool:
    """Whether a CUDA device runs something already."""
    ask = getattr(torch.cuda, "is_initialized", bool)
    return device.type == "cuda" and bool(ask())


def free_on(device: torch.device) -> int | None:
    """Return the bytes free on a GPU, or None where that cannot be told at no cost.

    Asking a GPU that nothing runs on yet would start it, which takes a second.
    """
    if is_started(device):
        return int(torch.cuda.mem_get_info(device)[0])
    return None


def empty_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to a GPU; a CPU keeps none."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def has_native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 on this device by its own circuits.

    On a CPU that takes AVX-512 BF16 or AMX instructions; elsewhere it is emulated and
    slower. On CUDA it takes compute capability 8.0.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    # Older torch has only the private question, and none about AMX.
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is None:
        return bool(torch.cpu._is_avx512_bf16_supported())
    capabilities = ask()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
