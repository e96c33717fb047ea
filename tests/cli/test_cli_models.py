"""``unetic models``: what there is and what is in it."""

from __future__ import annotations

import json
import shutil

import pytest


def test_list_names_the_models(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each model is a line: its name, where it is, and what it is for."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    shutil.copytree(threshold_model, tmp_path / "models" / "mine")

    ended = unetic("models", "list")

    lines = [line.split() for line in ended.out.splitlines()]
    assert ended.code == 0
    assert ["nuclei", "bundled"] in [line[:2] for line in lines]
    assert ["mine", str(tmp_path / "models" / "mine")] in [line[:2] for line in lines]
    assert "Bright pixels are objects" in ended.out


def test_show_prints_the_description(unetic, threshold_model) -> None:
    """The description is JSON on stdout; where it lies is said on stderr."""
    ended = unetic("models", "show", threshold_model)

    assert ended.code == 0
    assert json.loads(ended.out)["name"] == "threshold"
    assert str(threshold_model) in ended.err


def test_show_counts_the_training_images(unetic) -> None:
    """The hashes of training images are counted, and printed with --all."""
    short = json.loads(unetic("models", "show", "nuclei").out)
    whole = json.loads(unetic("models", "show", "nuclei", "--all").out)

    n_images = len(whole["training"]["images"])
    assert n_images > 100
    assert short["training"]["images"] == f"{n_images} images (see --all)"


def test_an_unknown_model_is_one_line(unetic) -> None:
    """A name that is no model's ends with exit code 2 and the names there are."""
    ended = unetic("models", "show", "nucleii")

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "got 'nucleii'" in line


def test_a_model_comes_and_goes(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An added model has a name everywhere, and none once it is removed."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    place = tmp_path / "models" / "mine"

    added = unetic("models", "add", threshold_model, "--name", "mine")
    shown = unetic("models", "show", "mine")
    path = unetic("models", "path", "mine")
    again = unetic("models", "add", threshold_model, "--name", "mine")
    forced = unetic("models", "add", threshold_model, "--name", "mine", "--overwrite")
    removed = unetic("models", "remove", "mine")
    gone = unetic("models", "path", "mine")

    assert (added.code, added.out.strip()) == (0, str(place))
    assert "--model mine" in added.err
    assert json.loads(shown.out)["name"] == "mine"
    assert (path.code, path.out.strip()) == (0, str(place))
    assert again.code == 2 and "in use" in again.err
    assert forced.code == 0
    assert (removed.code, removed.out.strip()) == (0, str(place))
    assert gone.code == 2 and len(gone.err.splitlines()) == 1
    assert list((tmp_path / "models").iterdir()) == []


def test_path_without_a_name_is_the_store(
    unetic, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is printed whether it exists or not; an empty name is no name."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))

    ended = unetic("models", "path")

    assert (ended.code, ended.out.strip()) == (0, str(tmp_path / "home" / "models"))
    assert not (tmp_path / "home").exists()
    assert unetic("models", "path", "").code == 2


def test_a_zip_is_added_and_segments(
    unetic, tmp_path, threshold_model, images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that came as a zip does what the folder does."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    packed = shutil.make_archive(str(tmp_path / "sent"), "zip", threshold_model)

    assert unetic("models", "add", packed).code == 0
    ended = unetic("segment", images / "a.png", "--model", "threshold")

    assert ended.code == 0
    assert "3 objects" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "nowhere"], "which does not exist"),
        (["add", "net.pth"], "a pickle"),
        (["remove", "nuclei"], "which is bundled"),
        (["remove", "../x"], "Expected a plain name"),
        (["remove", "nobody"], "Expected one of your own models (none)"),
        (["path", "nobody"], "got 'nobody'"),
        (["show", "net.pth"], "a pickle"),
    ],
)
def test_refusals_are_one_line(
    unetic,
    tmp_path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    """What cannot be done ends with exit code 2 and a sentence."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"\x80\x04.")

    ended = unetic("models", *arguments)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("unetic: error: Expected") and message in line
    assert not (tmp_path / "home").exists()


def test_list_says_what_is_damaged(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that holds no readable model is named on stderr, with the reason."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    shutil.copytree(threshold_model, tmp_path / "models" / "bad")
    (tmp_path / "models" / "bad" / "model.json").write_text("{")

    ended = unetic("models", "list")

    assert ended.code == 0
    assert "bad" not in ended.out
    assert "note: bad is left out: Expected JSON" in ended.err


def test_presets_lists_every_network(unetic) -> None:
    """A line each, with parameters, field, cost and source below their headings."""
    from napari_unetic.networks.presets import PRESETS

    ended = unetic("models", "presets")

    assert ended.code == 0
    head, *lines = ended.out.splitlines()
    assert head.split() == ["network", "parameters", "field", "GFLOP/Mpx", "source"]
    assert [line.split()[0] for line in lines] == list(PRESETS)
    (line,) = (line for line in lines if line.startswith("ronneberger2015 "))
    assert line.split()[1:6] == ["31,030,658", "204", "×", "204", "1,653"]
    assert line.endswith(PRESETS["ronneberger2015"].source)


def test_convert_makes_a_model_to_train_from(unetic, tmp_path) -> None:
    """A pretrained file becomes a model, and a file that is hostile one line."""
    import torch

    from napari_unetic.networks.build import build_network
    from napari_unetic.networks.presets import preset

    encoder = build_network(preset("resnet18-unet").spec).encoder
    torch.save(encoder.state_dict(), tmp_path / "resnet18.pth")
    torch.save(encoder, tmp_path / "hostile.pth")
    out = tmp_path / "start"

    made = unetic("models", "convert", tmp_path / "resnet18.pth", "--out", out)
    shown = unetic("models", "show", out)
    again = unetic("models", "convert", tmp_path / "resnet18.pth", "--out", out)
    hostile = unetic("models", "convert", tmp_path / "hostile.pth", "--out", out)

    assert (made.code, made.out.strip()) == (0, str(out))
    assert f"unetic train DATA --from {out}" in made.err
    assert json.loads(shown.out)["network"]["encoder"] == "resnet18"
    assert again.code == 2 and "which exists" in again.err
    assert hostile.code == 2 and "was not run" in hostile.err
    assert len(hostile.err.splitlines()) == 1


def test_convert_makes_a_file(unetic, tmp_path) -> None:
    """A name ending in .safetensors gets the encoder alone."""
    import torch
    from safetensors.torch import load_file

    from napari_unetic.networks.build import build_network
    from napari_unetic.networks.presets import preset

    encoder = build_network(preset("resnet18-unet").spec).encoder
    torch.save(encoder.state_dict(), tmp_path / "resnet18.pth")
    out = tmp_path / "encoder.safetensors"

    made = unetic("models", "convert", tmp_path / "resnet18.pth", "--out", out)
    unetic("models", "convert", tmp_path / "resnet18.pth", "--out", out, "--overwrite")

    assert (made.code, made.out.strip()) == (0, str(out))
    assert "ResNet-18, 120 tensors" in made.err
    assert "conv1.weight" in load_file(out)
