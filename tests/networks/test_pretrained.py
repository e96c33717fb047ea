"""Pretrained files of torchvision: read for their numbers alone."""

from __future__ import annotations

import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_unetic
from napari_unetic.errors import ModelError
from napari_unetic.networks import pretrained
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import PRESETS
from napari_unetic.networks.pretrained import read_pretrained

State = dict[str, Tensor]


def _state(encoder: str = "resnet18") -> State:
    """What torchvision distributes: each tensor of one value, so that files are small.

    The classifier is in it.
    """
    with torch.device("meta"):
        network = build_network(PRESETS[f"{encoder}-unet"].spec)
    assert isinstance(network.encoder, torch.nn.Module)
    state: State = OrderedDict()
    for k, (name, like) in enumerate(network.encoder.state_dict().items()):
        state[name] = torch.tensor(k, dtype=like.dtype).expand(like.shape)
    state["fc.weight"] = torch.tensor(0.5).expand(1000, 512)
    state["fc.bias"] = torch.tensor(0.5).expand(1000)
    return state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "weights.pth"


@pytest.mark.parametrize("encoder", ["resnet18", "resnet34"])
@pytest.mark.parametrize("is_new", [True, False])
def test_both_networks_and_both_formats_are_read(
    file: Path, encoder: str, is_new: bool
) -> None:
    """The encoder's tensors come out with their names; the classifier does not."""
    state = _state(encoder)
    torch.save(state, file, _use_new_zipfile_serialization=is_new)
    found = read_pretrained(file)
    assert found.encoder == encoder
    assert found.weights.keys() == state.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(v, state[k]) for k, v in found.weights.items())
    # It was read into a network of its own before anything could share memory.
    assert all(v.is_contiguous() for v in found.weights.values())


def test_files_from_before_batches_were_counted(file: Path) -> None:
    """The missing counters start at 0; half precision becomes single."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in _state().items()
        if not name.endswith("num_batches_tracked")
    }
    torch.save(state, file)
    weights = read_pretrained(file).weights
    assert int(weights["bn1.num_batches_tracked"]) == 0
    assert weights["conv1.weight"].dtype == torch.float32


class _Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("is_new", [True, False])
def test_hostile_files_are_not_run(file: Path, is_new: bool) -> None:
    """A file that asks for a command is refused, and the command not run."""
    mark = file.with_name("ran")
    content = {**_state(), "conv1.weight": _Hostile(f"touch '{mark}'")}
    torch.save(content, file, _use_new_zipfile_serialization=is_new)
    with pytest.raises(ModelError, match="more than numbers and was not run"):
        read_pretrained(file)
    assert not mark.exists()
    # The same file runs it where everything is allowed: the test can fail.
    torch.load(file, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(torch.nn.Linear(2, 2), "more than numbers", id="a whole model"),
        pytest.param({"state_dict": {}}, "names with tensors", id="a checkpoint"),
        pytest.param([torch.zeros(2)], "names with tensors", id="a list"),
        pytest.param({}, r"bn1.bias is missing", id="nothing"),
        pytest.param(
            {"x": torch.zeros(2)}, "bn1.bias is missing", id="another network"
        ),
    ],
)
def test_other_contents_are_refused(file: Path, content: Any, message: str) -> None:
    """The message says what was found."""
    torch.save(content, file)
    with pytest.raises(ModelError, match=message):
        read_pretrained(file)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("conv1.weight", torch.zeros(64, 1, 7, 7), r"shape \(64, 1, 7, 7\)"),
        ("conv1.weight", torch.zeros(64, 3, 7, 7, dtype=torch.int32), "torch.int32"),
        ("conv1.weight", torch.zeros(64, 3, 7, 7).to_sparse(), "no plain tensor"),
        ("bn1.bias", torch.full((64,), np.nan), "finite weights"),
        ("bn1.running_var", torch.full((64,), -1.0), "variances of 0 and more"),
        ("layer9.weight", torch.zeros(1), "'layer9.weight' is not in it"),
    ],
)
def test_other_tensors_are_refused(
    file: Path, name: str, value: Tensor, message: str
) -> None:
    """The message names the tensor."""
    torch.save({**_state(), name: value}, file)
    with pytest.raises(ModelError, match=message):
        read_pretrained(file)


def test_damaged_files_are_refused(file: Path) -> None:
    """Cut, changed or foreign bytes end in one sentence."""
    torch.save(_state(), file)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    pieces = [b"", b"text", whole[: len(whole) // 2], b"\x80\x04\x8d" + 8 * b"\xff"]
    for _ in range(60):
        changed = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(0, min(len(whole), 4000), 8)
        changed[at] = rng.integers(0, 256, 8)
        pieces.append(changed.tobytes())
    n_refused = 0
    for piece in pieces:
        file.write_bytes(piece)
        try:
            read_pretrained(file)
        except ModelError as error:
            n_refused += 1
            assert "\n" not in str(error)
    assert n_refused > 10


def test_what_is_no_file_or_too_large_is_refused(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a zip that only grows when it is unpacked."""
    with pytest.raises(ModelError, match="a folder"):
        read_pretrained(tmp_path)
    with pytest.raises(ModelError, match="nothing there"):
        read_pretrained(file)
    monkeypatch.setattr(pretrained, "MAX_BYTES", 100_000)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", bytes(1_000_000))
    assert file.stat().st_size < 10_000
    with pytest.raises(ModelError, match="got 1,000,000 in"):
        read_pretrained(file)


def test_no_other_place_opens_a_pickle() -> None:
    """``torch.load`` stands once in the package, with nothing allowed but numbers."""
    package = Path(napari_unetic.__file__).parent
    found = {
        path.relative_to(package).as_posix(): line.strip()
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "torch.load(" in line or "pickle.load" in line
    }
    assert list(found) == ["networks/pretrained.py"]
    assert "weights_only=True" in found["networks/pretrained.py"]
