"""Model folders: what is saved is loaded, and the damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from napari_unetic.errors import ModelError
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import load_model_folder, save_model
from napari_unetic.model.registry import find_model, list_models, load_model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet

SPEC = NetworkSpec(in_channels=1, out_channels=3, widths=(2, 4))


def _save(folder: Path, **changes: object) -> ModelDescription:
    described = ModelDescription(
        name="tiny", network=SPEC, channels=("grey",), working_diameter_px=20
    ).model_copy(update=changes)
    torch.manual_seed(0)
    return save_model(folder, described, UNet(SPEC).state_dict())


def test_saved_is_loaded(tmp_path: Path) -> None:
    """Description and weights come back bit by bit."""
    saved = _save(tmp_path / "tiny", summary="µ")
    loaded = load_model_folder(tmp_path / "tiny")
    assert loaded.description == saved
    torch.manual_seed(0)
    for name, value in UNet(SPEC).state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)
    assert not loaded.network.training
    assert sorted(p.name for p in tmp_path.rglob("*")) == [
        "model.json",
        "tiny",
        "weights.safetensors",
    ]


def test_a_name_in_use_is_kept(tmp_path: Path) -> None:
    """An existing folder is replaced only if asked."""
    _save(tmp_path / "tiny")
    with pytest.raises(ModelError, match="which exists"):
        _save(tmp_path / "tiny")
    described = load_model_folder(tmp_path / "tiny").description
    save_model(
        tmp_path / "tiny",
        described.model_copy(update={"name": "new"}),
        UNet(SPEC).state_dict(),
        overwrite=True,
    )
    assert load_model_folder(tmp_path / "tiny").name == "new"
    assert len(list(tmp_path.iterdir())) == 1


def _change(folder: Path, **values: object) -> None:
    path = folder / "model.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "other"}, "another file"),
        ({"format_version": 99}, "got 99; update napari-unetic"),
        ({"name": ""}, "wrong 'name'"),
        ({"surprise": 1}, "wrong 'surprise'"),
        ({"working_diameter_px": -1}, "wrong 'working_diameter_px'"),
        ({"weights_sha256": "0" * 64}, "Expected weights with SHA-256 000000000000"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, values: dict[str, object], message: str
) -> None:
    """One sentence names the trouble."""
    _save(tmp_path / "m")
    _change(tmp_path / "m", **values)
    with pytest.raises(ModelError, match=message):
        load_model_folder(tmp_path / "m")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    """Tensors must fit the description."""
    _save(tmp_path / "m")
    network = {**SPEC.model_dump(), "widths": [2, 6]}
    _change(tmp_path / "m", network=network)
    with pytest.raises(ModelError, match=r"Expected weights that fit model\.json"):
        load_model_folder(tmp_path / "m")


def test_cut_weights_and_text_are_refused(tmp_path: Path) -> None:
    """A broken copy is told from a whole one."""
    _save(tmp_path / "m")
    _change(tmp_path / "m", weights_sha256="")
    weights = tmp_path / "m" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="Expected weights"):
        load_model_folder(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="Expected JSON"):
        load_model_folder(tmp_path / "m")


def test_models_are_found_by_name_folder_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User models live under UNETIC_HOME; a run folder stands for its model."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    _save(tmp_path / "models" / "mine")
    _save(tmp_path / "run" / "model")
    assert find_model("mine") == tmp_path / "models" / "mine"
    assert find_model(tmp_path / "run") == tmp_path / "run" / "model"
    assert [e.name for e in list_models() if not e.bundled] == ["mine"]


def test_an_unknown_model_is_refused() -> None:
    """The message lists the known ones."""
    with pytest.raises(ModelError, match=r"nuclei.*got 'nucleus'"):
        find_model("nucleus")


def test_a_model_is_loaded_once_until_it_changes(tmp_path: Path) -> None:
    """The same object comes back, and another after the folder was replaced."""
    _save(tmp_path / "m")
    first = load_model(tmp_path / "m")
    assert load_model(tmp_path / "m") is first
    save_model(
        tmp_path / "m",
        first.description.model_copy(update={"name": "new"}),
        UNet(SPEC).state_dict(),
        overwrite=True,
    )
    assert load_model(tmp_path / "m").name == "new"
