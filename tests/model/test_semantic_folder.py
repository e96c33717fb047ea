"""Folders of models of classes; folders of before stay readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_unetic.errors import ModelError
from napari_unetic.image.normalise import DivisionSpec
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.model.description import ModelDescription, object_kind
from napari_unetic.model.folder import load_model_folder, save_model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import semantic_target


def _save(folder: Path, **changes: Any) -> ModelDescription:
    target = semantic_target(["cell", "edge"])
    spec = NetworkSpec(in_channels=1, out_channels=3, widths=(2, 4))
    description = ModelDescription(
        name="classes",
        network=spec,
        channels=("grey",),
        target=target,
        decoding=ClassDecodeSpec(threshold=0.4),
        normalisation=DivisionSpec(),
        resize_px=128,
        working_diameter_px=20,
    )
    torch.manual_seed(0)
    changed = description.model_copy(update=changes)
    return save_model(folder, changed, UNet(spec).state_dict())


def test_classes_come_back(tmp_path: Path) -> None:
    """Legend, threshold, normalisation and size."""
    saved = _save(tmp_path / "m")
    assert load_model_folder(tmp_path / "m").description == saved
    written = json.loads((tmp_path / "m" / "model.json").read_text("utf-8"))
    assert written["target"]["classes"][2] == {"name": "edge", "colour": "#56b4e9"}
    with pytest.raises(ModelError, match=r"of objects, got 'classes', .* pixels"):
        object_kind(saved)


def test_folders_of_before_are_read(tmp_path: Path) -> None:
    """Those that say nothing of kinds or a size hold objects and percentiles."""
    _save(
        tmp_path / "m",
        target=ModelDescription.model_fields["target"].default,
        decoding=DecodeSpec(contact=0.3),
        normalisation=ModelDescription.model_fields["normalisation"].default,
        resize_px=None,
    )
    path = tmp_path / "m" / "model.json"
    content = json.loads(path.read_text("utf-8"))
    del content["resize_px"], content["dark"]
    del content["target"]["kind"], content["normalisation"]["kind"]
    path.write_text(json.dumps(content), "utf-8")
    found = load_model_folder(tmp_path / "m").description
    assert object_kind(found).decoding.contact == 0.3
    assert found.normalisation.kind == "percentile"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["target"]["classes"].pop(), "2 maps out of the network"),
        (lambda d: d.update(decoding={"foreground": 0.5}), "thresholds for semantic"),
        (lambda d: d["target"].update(kind="depth"), "wrong 'target'"),
        (lambda d: d["normalisation"].update(divisor=0), "divisor"),
        (lambda d: d["target"]["classes"][1].update(colour="red"), "colour"),
        (
            lambda d: d.update(target={"kind": "instances"}, decoding={}),
            "only with classes",
        ),
        (
            lambda d: d.update(dark={"diameter_px": 30, "decoding": {}}),
            "dark objects only with objects",
        ),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    """Each with a sentence that says what does not fit."""
    _save(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ModelError, match=said):
        load_model_folder(tmp_path / "m")
