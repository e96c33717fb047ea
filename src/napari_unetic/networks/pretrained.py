"""Pretrained ResNets from torchvision: a pickle opened once, and only for its numbers.

This is the one place that opens a ``.pth``. PyTorch's ``weights_only`` reads such a
file without running what is in it; what comes out is checked like all foreign input.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from napari_unetic.errors import ModelError
from napari_unetic.networks.build import build_network
from napari_unetic.networks.geometry import RESNET_BLOCKS
from napari_unetic.networks.presets import PRESETS

MAX_BYTES: Final = 500_000_000
"""More than this is no ResNet-18 or 34, which has 47 or 87 MB."""

TITLES: Final = {"resnet18": "ResNet-18", "resnet34": "ResNet-34"}

_CLASSIFIER = ("fc.weight", "fc.bias")

_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""All that damaged files were seen to raise when they are read."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A pretrained encoder.

    Parameters
    ----------
    encoder : {"resnet18", "resnet34"}
        Which.
    weights : dict of str to Tensor
        The state of a `napari_unetic.networks.resnet.ResNetEncoder` of three channels,
        float32.
    """

    encoder: str
    weights: dict[str, Tensor]

    @property
    def preset(self) -> str:
        """The preset with this encoder."""
        return f"{self.encoder}-unet"

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.encoder]


def read_pretrained(path: Path) -> Pretrained:
    """Read the weights of a ResNet-18 or 34 as torchvision distributes them.

    Parameters
    ----------
    path : Path
        A ``.pth`` file: a state dict, of any version of torchvision.

    Returns
    -------
    Pretrained
        Without the classifier.

    Raises
    ------
    ModelError
        If the file cannot be read, holds anything but tensors, another network, or
        values that are not finite.
    """
    _check_size(path)
    state = _tensors(path)
    for name in _CLASSIFIER:
        state.pop(name, None)
    encoder, problem = _matching(state)
    if problem:
        raise ModelError(
            "Expected the weights of a ResNet-18 or ResNet-34 with torchvision's "
            f"names, got others in {path} ({problem}); download one of these two."
        )
    weights = {}
    for name, like in _expected(encoder).items():
        # Files from before PyTorch 0.4.1 do not count the batches.
        value = state.get(name, torch.zeros((), dtype=torch.int64))
        weights[name] = value.detach().to(like.dtype).contiguous().clone()
        lowest = 0.0 if name.endswith("running_var") else float("-inf")
        if not (weights[name].isfinite().all() and (weights[name] >= lowest).all()):
            raise ModelError(
                f"Expected finite weights (variances of 0 and more) in {path}, got "
                f"others in {name!r}; download it again."
            )
    return Pretrained(encoder, weights)


def _check_size(path: Path) -> None:
    """Refuse what is no file, or would not fit in memory."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing there"
        raise ModelError(f"Expected a .pth file, got {path}, {what}; check the path.")
    n_bytes = path.stat().st_size
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                n_bytes = max(n_bytes, sum(i.file_size for i in packed.infolist()))
    except _BROKEN as error:
        raise _unreadable(path) from error
    if n_bytes > MAX_BYTES:
        raise ModelError(
            f"Expected at most {MAX_BYTES:,} bytes of weights, got {n_bytes:,} in "
            f"{path}; give a ResNet-18 or ResNet-34 of torchvision."
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    """Open the file; whatever is in it, nothing but its numbers comes out."""
    try:
        with warnings.catch_warnings():
            # Of odd versions of the format, which is read or refused all the same.
            warnings.simplefilter("ignore")
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"Expected a file that holds tensors alone, got {path}, which is damaged "
            "or asks for more than numbers and was not run; download the weights (a "
            "state dict) from where torchvision gets them."
        ) from error
    except _BROKEN as error:
        raise _unreadable(path) from error
    is_state = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor)
        for name, value in state.items()
    )
    if not is_state:
        raise ModelError(
            f"Expected a state dict, names with tensors, in {path}, got something "
            "else; save model.state_dict() alone."
        )
    return dict(state)


def _unreadable(path: Path) -> ModelError:
    return ModelError(
        f"Expected a .pth file as PyTorch writes it, got {path}, which is damaged or "
        "something else; download it again."
    )


def _expected(encoder: str) -> dict[str, Tensor]:
    """Return the names of an encoder's values with empty tensors of their shapes."""
    with torch.device("meta"):
        network = build_network(PRESETS[f"{encoder}-unet"].spec)
    assert isinstance(network.encoder, torch.nn.Module)
    return network.encoder.state_dict()


def _matching(state: dict[str, Tensor]) -> tuple[str, str]:
    """Return which encoder a state is of, and where it differs from that one."""
    # The larger has every name of the smaller.
    encoder = next(
        name for name in reversed(RESNET_BLOCKS) if name == "resnet18" or _is_34(state)
    )
    expected = _expected(encoder)
    for name in sorted(expected.keys() - state.keys()):
        if not name.endswith("num_batches_tracked"):
            return encoder, f"{name} is missing"
    for name in sorted(state.keys() - expected.keys()):
        return encoder, f"{name[:100]!r} is not in it"
    for name, value in state.items():
        like = expected[name]
        if value.is_meta or value.is_nested or value.layout != torch.strided:
            return encoder, f"{name} is no plain tensor"
        is_kind = value.dtype.is_floating_point == like.dtype.is_floating_point
        if value.shape != like.shape or not is_kind:
            return encoder, f"{name} is {value.dtype} of shape {tuple(value.shape)}"
    return encoder, ""


def _is_34(state: dict[str, Tensor]) -> bool:
    return "layer3.5.conv1.weight" in state
