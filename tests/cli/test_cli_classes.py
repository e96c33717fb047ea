"""Classes of pixels on the command line: train, segment, evaluate, score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_unetic.evaluation import evaluate, score
from napari_unetic.samples import nuclei_sample

SMALL = ("--preset", "unetic-16", "--batch", 2, "--patch", 64, "--workers", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated images with masks of two classes: large nuclei and small ones."""
    folder = tmp_path_factory.mktemp("classes")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for seed in range(4):
        image, labels = nuclei_sample((80, 96), seed)
        area = np.bincount(labels.ravel())
        classes = np.where(labels == 0, 0, 1 + (area < np.median(area[1:]))[labels])
        tifffile.imwrite(folder / "images" / f"n{seed}.tif", image)
        tifffile.imwrite(folder / "masks" / f"n{seed}.tif", classes.astype(np.uint8))
    return folder


@pytest.fixture
def run(unetic, data, tmp_path) -> Path:
    """A run of one step, with a setting of every kind."""
    options = {
        "--classes": "large,small=#00ff00",
        "--loss": "focal",
        "--class-weights": "1,2,3",
        "--border-weight": 10,
        "--border-width": 4,
        "--optimiser": "sgd",
        "--momentum": 0.8,
        "--schedule": "constant",
        "--warm-up": 0,
        "--average": 0,
        "--normalise": "division",
        "--resize": 64,
        "--validations": 1,
        "--val-fraction": 0.25,
        "--steps": 1,
    }
    pairs = [part for option in options.items() for part in option]
    ended = unetic(
        "train",
        *(data, "--out", tmp_path / "run", *SMALL, *pairs),
        *("--no-augmentation", "--no-tune"),
    )
    assert ended.code == 0, ended.err
    assert "binary mask" not in ended.err
    return tmp_path / "run"


def test_settings_reach_the_training(unetic, run) -> None:
    """Every option is in the record, and the model is what they ask for."""
    shown = json.loads(unetic("models", "show", run).out)
    settings = shown["training"]["settings"]
    wanted = {
        "loss": "focal",
        "class_weights": [1, 2, 3],
        "border_weight": 10,
        "border_px": 4,
        "optimiser": "sgd",
        "momentum": 0.8,
        "schedule": "constant",
        "warm_up": 0,
        "average": 0,
        "normalisation": "division",
        "resize_px": 64,
        "validations": 1,
        "tune": False,
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["augmentation"]["flip"] is False
    assert shown["target"]["classes"][2] == {"name": "small", "colour": "#00ff00"}
    assert shown["decoding"] == {"kind": "semantic", "threshold": 0.5}
    assert shown["resize_px"] == 64
    assert shown["normalisation"]["kind"] == "division"


def test_classes_are_written_and_scored(unetic, data, run, tmp_path) -> None:
    """Labels with a legend, a map each, IoU by class; as in Python."""
    report, scored = tmp_path / "e.json", tmp_path / "s.json"
    out = tmp_path / "out"
    segmented = unetic(
        *("segment", data / "images", "-o", out, "--model", run, "--maps"),
        *("--json", tmp_path / "rows.json"),
    )
    evaluated = unetic("evaluate", data, "--model", run, "--json", report)
    ended = unetic(*("score", out, data, "--classes", "large,small", "--json", scored))
    assert segmented.code == evaluated.code == ended.code == 0, segmented.err
    assert "objects" not in segmented.out and "% small" in segmented.out
    rows = json.loads((tmp_path / "rows.json").read_text("utf-8"))["images"]
    assert list(rows[0]["classes"]) == ["background", "large", "small"]
    assert rows[0]["n_objects"] is None
    assert rows[0]["provenance"]["classes"][1]["name"] == "large"
    with tifffile.TiffFile(out / "n0_maps.tif") as maps:
        assert maps.asarray().shape == (3, 80, 96)
        assert all(f'Name="{n}"' in str(maps.ome_metadata) for n in ("large", "small"))
    by_evaluate = json.loads(report.read_text("utf-8"))
    by_score = json.loads(scored.read_text("utf-8"))
    assert by_evaluate["iou_pooled"] == by_score["iou_pooled"]
    assert by_evaluate["mean_iou_pooled"] == evaluate(data, run).mean_iou
    in_python = score(out, data, classes=("large", "small"))
    assert in_python.to_json()["dice_pooled"] == by_score["dice_pooled"]
    assert "small" in evaluated.out and "mean IoU, pooled" in evaluated.out


def test_a_run_has_its_own_settings(unetic, run) -> None:
    """Options beside a run to go on with are refused by their own names."""
    for option in (("--no-tune",), ("--no-augmentation",), ("--classes", "a")):
        ended = unetic("train", run, *option)
        assert ended.code == 2 and f"got {option[0]} beside it" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--classes", "a,,b"), "names with commas"),
        (("--classes", "one"), "--class-weights 1,x"),
        (("--loss", "dice"), "'instances' for a model of objects"),
        (("--classes", "a", "--loss", "hinge"), "loss"),
        (("--classes", "a=blue"), "NAME=#rrggbb"),
    ],
)
def test_bad_settings_are_one_line(unetic, data, tmp_path, options, said) -> None:
    """Exit code 2, one sentence, and no run."""
    if "1,x" in said:
        options, said = (*options, "--class-weights", "1,x"), "numbers of 0 or more"
    ended = unetic("train", data, "--out", tmp_path / "r", "--steps", 1, *options)
    assert ended.code == 2
    assert said in ended.err and ended.err.count("error:") == 1
    assert not (tmp_path / "r").exists()


def test_masks_that_do_not_fit_are_refused(unetic, data, tmp_path) -> None:
    """Indices beyond the classes that were named, in training and in scores."""
    folder = tmp_path / "three"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for name in "ab":
            array = np.arange(4096, dtype=np.uint16).reshape(64, 64) % 5
            tifffile.imwrite(folder / kind / f"{name}.tif", array)
    trained = unetic(
        *("train", folder, "--out", tmp_path / "r", "--steps", 1, *SMALL),
        *("--classes", "a,b"),
    )
    scored = unetic("score", folder / "masks", folder / "masks", "--classes", "a,b")
    for ended in (trained, scored):
        assert ended.code == 2 and "got 4; number the classes so" in ended.err
