"""``unetic models``: what there is and what is in it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
