"""Pretrained encoders become safetensors: a file, or a model to train from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from napari_unetic.errors import ModelError
from napari_unetic.model.convert import convert_pretrained
from napari_unetic.model.folder import load_model_folder
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """The state of a ResNet-18."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        encoder = build_network(preset("resnet18-unet").spec).encoder
    assert isinstance(encoder, torch.nn.Module)
    return encoder.state_dict()


@pytest.fixture(scope="module")
def source(
    weights: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """That state with a classifier, as torchvision distributes it."""
    path = tmp_path_factory.mktemp("downloads") / "resnet18.pth"
    torch.save(
        {**weights, "fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)}, path
    )
    return path


def test_a_file_holds_the_encoder(
    source: Path, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    """Under torchvision's names, ready for ``network.encoder``."""
    out = tmp_path / "new" / "resnet18.safetensors"
    found = convert_pretrained(source, out)
    tensors = load_file(out)
    assert found.encoder == "resnet18"
    assert tensors.keys() == weights.keys()
    encoder = build_network(preset("resnet18-unet").spec).encoder
    assert isinstance(encoder, torch.nn.Module)
    assert list(encoder.load_state_dict(tensors)) == [[], []]
    assert torch.equal(encoder.conv1.weight, weights["conv1.weight"])
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_a_folder_is_a_model_on_that_encoder(
    source: Path, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    """It loads, has the encoder's weights, and is the same each time."""
    before = torch.random.get_rng_state()
    for name in ("one", "two"):
        convert_pretrained(source, tmp_path / name)
    assert torch.equal(torch.random.get_rng_state(), before)
    one, two = (load_model_folder(tmp_path / name) for name in ("one", "two"))
    state = one.network.state_dict()
    assert all(torch.equal(state[f"encoder.{k}"], v) for k, v in weights.items())
    assert one.description.weights_sha256 == two.description.weights_sha256
    assert one.description.name == "one"
    assert "not trained" in one.description.summary
    assert one.description.network.encoder == "resnet18"


@pytest.mark.parametrize("name", ["encoder.safetensors", "model"])
def test_nothing_is_replaced_unasked(source: Path, tmp_path: Path, name: str) -> None:
    """What exists stays, unless overwriting is allowed."""
    out = tmp_path / name
    convert_pretrained(source, out)
    with pytest.raises(ModelError, match="which exists"):
        convert_pretrained(source, out)
    convert_pretrained(source, out, overwrite=True)


def test_a_place_that_cannot_be_written_is_refused(
    source: Path, tmp_path: Path
) -> None:
    """A file where a folder should be ends in one sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="able to write"):
        convert_pretrained(source, tmp_path / "file" / "out.safetensors")
