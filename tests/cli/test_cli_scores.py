"""``unetic score`` and ``unetic evaluate``: a table, and the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from skimage.measure import label

KEYS = {
    "n_images",
    "n_objects",
    "ap_pooled",
    "ap_per_image",
    "f1_pooled",
    "pq_pooled",
    "mean_ap_pooled_9",
    "mean_ap_per_image_10",
    "images",
}


@pytest.fixture
def data(tmp_path: Path, squares: NDArray[np.uint8]) -> Path:
    """A data set of two images with labels."""
    folder = tmp_path / "data"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for name, image in (("a", squares), ("b", squares[::-1].copy())):
        tifffile.imwrite(folder / "images" / f"{name}.tif", image)
        truth = label(image > 0).astype(np.uint16)
        tifffile.imwrite(folder / "labels" / f"{name}.tif", truth)
    return folder


def test_score_of_the_truth_is_1(unetic, data) -> None:
    """Labels against themselves score 1, in the table and in JSON."""
    report = data / "scores.json"

    ended = unetic("score", data / "labels", data / "labels", "--json", report)

    content = json.loads(report.read_text(encoding="utf-8"))
    assert ended.code == 0, ended.err
    assert ended.out.startswith("2 images, 6 true objects, 6 predicted")
    assert set(content) >= KEYS
    assert content["ap_pooled"]["0.50"] == 1
    assert content["mean_ap_per_image_10"] == 1
    assert len(content["images"]) == 2


def test_results_of_segment_are_scored(unetic, data, threshold_model) -> None:
    """What segment writes is matched by name with the truth."""
    unetic("segment", data / "images", "-o", data / "out", "--model", threshold_model)

    ended = unetic("score", data / "out", data / "labels")

    assert ended.code == 0, ended.err
    assert ended.out.startswith("2 images, 6 true objects, 6 predicted")


def test_evaluate_is_segment_and_score(unetic, data, threshold_model) -> None:
    """Evaluate gives what segmenting and scoring give, and the time."""
    one, two = data / "one.json", data / "two.json"
    unetic("segment", data / "images", "-o", data / "out", "--model", threshold_model)
    unetic("score", data / "out", data / "labels", "--json", one)

    ended = unetic(
        "evaluate", data, "--model", threshold_model, "--json", two, "--threads", 1
    )

    first = json.loads(one.read_text(encoding="utf-8"))
    second = json.loads(two.read_text(encoding="utf-8"))
    assert ended.code == 0, ended.err
    assert second["threads"] == 1
    assert second["seconds_per_megapixel"] > 0
    for key in KEYS - {"images"}:
        assert first[key] == second[key]


def test_evaluate_takes_chosen_ids(unetic, data, threshold_model) -> None:
    """--ids and --exclude-ids choose the images."""
    (data / "split.json").write_text('{"test": ["a"], "b": "other"}')

    for option, key in (("--ids", "test"), ("--exclude-ids", "other")):
        ended = unetic(
            "evaluate",
            data,
            "--model",
            threshold_model,
            option,
            f"{data / 'split.json'}:{key}",
        )
        assert ended.code == 0, ended.err
        assert ended.out.startswith("1 image, 3 true objects")


def test_missing_predictions_are_refused(unetic, data) -> None:
    """A truth without prediction is an error in one line."""
    (data / "out").mkdir()
    tifffile.imwrite(data / "out" / "a_labels.tif", np.zeros((24, 32), np.uint16))

    ended = unetic("score", data / "out", data / "labels")

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "got none for 1 (b)" in line


def test_unwritable_json_is_refused_before_work(unetic, data) -> None:
    """A report that cannot be written is refused before anything is read."""
    ended = unetic("score", data / "labels", data / "labels", "--json", data)

    assert ended.code == 2
    assert "--json" in ended.err
    assert ended.out == ""
