"""Scoring label images by name, and a model on pairs."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from napari_unetic.errors import UneticError
from napari_unetic.evaluation import evaluate, evaluate_steps, score, score_steps
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.networks.unet import UNet
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import Segmentation, segment
from napari_unetic.steps import Step, drain

TRUE = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 2, 2]], np.uint16)
HALF = np.array([[3, 3, 0, 0, 0, 0], [0, 0, 0, 0, 9, 9]], np.uint16)
NOTHING = np.zeros_like(TRUE)


def write(folder, **arrays):
    """Write label images; two underscores in a name stand for a subfolder."""
    for name, array in arrays.items():
        path = folder / f"{name.replace('__', '/')}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array)
    return folder


def zipped(folder, path):
    """Put a folder in a zip beside it."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder))
    return path


def names(scores):
    return [row.name for row in scores.images]


def test_arrays_are_scored_as_one_image():
    """Two arrays give one row; an object at IoU exactly .5 counts."""
    scores = score(HALF, TRUE)
    assert names(scores) == ["image"]
    assert scores.pooled("ap")["0.50"] == 1
    assert scores.pooled("ap")["0.55"] == pytest.approx(1 / 3)
    assert scores.seconds_per_megapixel is None


def test_arrays_and_files_give_the_same(tmp_path):
    """A file scores like its array, also against an array, under the truth's name."""
    write(tmp_path, a_labels=HALF, true=TRUE)
    expected = score(HALF, TRUE).pooled("pq")
    for pred in (HALF, tmp_path / "a_labels.tif"):
        for truth in (TRUE, str(tmp_path / "true.tif")):
            assert score(pred, truth).pooled("pq") == expected
    assert names(score(HALF, tmp_path / "true.tif")) == ["true"]


@pytest.mark.parametrize("ending", ["", "_labels", "_masks", "_cp_masks", "_mask"])
def test_folders_are_matched_by_name(tmp_path, ending):
    """NAME goes with NAME_labels and its like, whichever side has the ending."""
    truth = write(tmp_path / "truth", a=TRUE, b=TRUE)
    pred = write(tmp_path / "pred", **{f"a{ending}": TRUE, f"b{ending}": HALF})
    scores = score(pred, truth)
    assert names(scores) == ["a", "b"]
    assert [row.tp[1] for row in scores.images] == [2, 1]
    assert names(score(truth, pred)) == ["a", "b"]


def test_a_zip_is_scored_like_its_folder(tmp_path):
    """Truth and prediction may each lie in a zip."""
    truth = write(tmp_path / "truth", a=TRUE, b=TRUE)
    pred = write(tmp_path / "pred", a_labels=TRUE, b_labels=HALF)
    expected = score(pred, truth).to_json()
    truth_zip = zipped(truth, tmp_path / "truth.zip")
    pred_zip = zipped(pred, tmp_path / "pred.zip")
    assert score(pred, truth_zip).to_json() == expected
    assert score(pred_zip, truth_zip).to_json() == expected


def test_subfolders_tell_files_of_one_name_apart(tmp_path):
    """Equal names in two subfolders go each with its own."""
    truth = write(tmp_path / "truth", one__a=TRUE, two__a=TRUE)
    pred = write(tmp_path / "pred", one__a_labels=TRUE, two__a_labels=NOTHING)
    scores = score(pred, truth)
    assert {row.name: row.tp[0] for row in scores.images} == {"one/a": 2, "two/a": 0}


def test_a_name_alone_is_enough_where_it_is_the_only_one(tmp_path):
    """Predictions that kept subfolders go with a flat truth, and the reverse."""
    flat = write(tmp_path / "flat", a=TRUE, b=TRUE)
    deep = write(tmp_path / "deep", x__images__a_labels=TRUE, y__b_labels=HALF)
    assert names(score(deep, flat)) == ["a", "b"]
    assert names(score(flat, deep)) == ["x/images/a", "y/b"]


def test_images_beside_their_labels_are_no_labels(tmp_path):
    """Where files end in _labels, others are taken for images, with a notice."""
    image = np.full(TRUE.shape, 200, np.uint16)
    pred = write(tmp_path / "pred", a=image, a_labels=TRUE, b=image, b_labels=TRUE)
    truth = write(tmp_path / "truth", a=TRUE, b=TRUE)
    scores = score(pred, truth)
    assert scores.pooled("ap")["0.95"] == 1
    assert any("taken for images" in notice for notice in scores.notices)


def test_predictions_without_truth_are_left_out_with_a_notice(tmp_path):
    """More predictions than truth are no error, but are said."""
    truth = write(tmp_path / "truth", a=TRUE)
    pred = write(tmp_path / "pred", a=TRUE, b=TRUE)
    steps = []
    scores = drain(score_steps(pred, truth), steps.append)
    notice = "Predictions left out because they have no truth: 1."
    assert notice in scores.notices
    assert notice in [step.notice for step in steps]
    assert score(pred, pred, ids=["a"]).notices == ()


def test_ids_choose_and_exclude(tmp_path):
    """Ids may be given as texts or as a list in a JSON file."""
    truth = write(tmp_path / "truth", a=TRUE, b=TRUE, c=TRUE)
    lists = tmp_path / "ids.json"
    lists.write_text(json.dumps({"test": ["a", "c"]}))
    assert names(score(truth, truth, ids=f"{lists}:test")) == ["a", "c"]
    assert names(score(truth, truth, exclude_ids=["a"])) == ["b", "c"]


def test_a_data_set_is_a_truth(tmp_path):
    """Images with masks, as a folder or a zip, are scored by their masks."""
    for one in ("a", "b"):
        for part in ("images", "masks"):
            (tmp_path / "bowl" / one / part).mkdir(parents=True)
        image = np.zeros((*TRUE.shape, 3), np.uint8)
        Picture.fromarray(image).save(tmp_path / "bowl" / one / "images" / f"{one}.png")
        for label in (1, 2):
            mask = ((TRUE == label) * 255).astype(np.uint8)
            Picture.fromarray(mask).save(
                tmp_path / "bowl" / one / "masks" / f"m{label}.png"
            )
    pred = write(tmp_path / "pred", a_labels=HALF, b_labels=TRUE)
    for truth in (tmp_path / "bowl", zipped(tmp_path / "bowl", tmp_path / "bowl.zip")):
        scores = score(pred, truth)
        assert names(scores) == ["a", "b"]
        assert [row.tp[1] for row in scores.images] == [1, 2]
    corrected = write(tmp_path / "corrected", a=NOTHING, b=TRUE)
    scores = score(pred, tmp_path / "bowl.zip", labels=corrected, ids=["a"])
    assert [row.n_true for row in scores.images] == [0]


def test_steps_count_images_and_tell_the_score():
    """The last step is the whole, with the pooled AP so far."""
    steps = []
    drain(score_steps(HALF, TRUE), steps.append)
    assert (steps[-1].done, steps[-1].total) == (1, 1)
    assert steps[-1].values == {"ap": 1.0}


def test_what_cannot_be_matched_is_refused(tmp_path):
    """Each refusal is one sentence that says what is wrong."""
    truth = write(tmp_path / "truth", a=TRUE, b=TRUE, c=TRUE)
    pred = write(tmp_path / "pred", a=TRUE)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "twice", a_mask=TRUE, a_labels=TRUE)
    write(tmp_path / "small", a=TRUE[:1])
    write(tmp_path / "deep", x__a=TRUE, y__a=TRUE)
    for sentence, arguments in {
        r"each of 3 true .* none for 2 \(b, c\)": (pred, truth),
        "two folders or zips, got one of each": (pred / "a.tif", truth),
        "Expected label images .* got none": (pred, tmp_path / "empty"),
        "Expected one label image for a": (tmp_path / "twice", truth),
        r"a: Expected predicted labels .* got \(1, 6\)": (tmp_path / "small", pred),
        "none for 1": (tmp_path / "deep", pred),
        "one name for several": (pred, tmp_path / "deep"),
        "does not exist": (tmp_path / "absent", truth),
        "absent.tif": (tmp_path / "absent.tif", pred / "a.tif"),
        "whole numbers": (TRUE * 0.5, TRUE),
    }.items():
        with pytest.raises(UneticError, match=sentence):
            score(*arguments)
    with pytest.raises(UneticError, match="true labels of the chosen ids"):
        score(truth, truth, ids=["z"])


@pytest.fixture
def pairs(tmp_path):
    """Three images whose pixels are their labels, and one true object too many."""
    labels = {"a": TRUE, "b": HALF, "c": NOTHING}
    write(tmp_path / "images", **labels)
    write(tmp_path / "labels", **{**labels, "c": HALF})
    return read_pairs(tmp_path)


@pytest.fixture
def model():
    """A small network that was never trained."""
    torch.manual_seed(0)
    network = NetworkSpec(in_channels=1, out_channels=3, widths=(4, 8))
    description = ModelDescription(
        name="untrained", network=network, channels=("any",), working_diameter_px=10
    )
    return Model(description, UNet(network).eval())


@pytest.fixture
def perfect(monkeypatch):
    """Stand in for the network: the labels are the pixels, in 2 s of 3 tiles."""
    seen = []

    def segment_steps(image, model, **settings):
        seen.append((image, settings, torch.get_num_threads()))
        for tile in range(3):
            yield Step(tile + 1, 3, "tile", notice="Mind the gap." if tile else "")
        labels = np.asarray(image.data)
        return Segmentation(
            labels=labels,
            axes="YX",
            extent=tuple(slice(0, size) for size in labels.shape),
            full_shape=labels.shape,
            n_objects=2,
            scores=np.ones(2, np.float32),
            seconds=2.0,
            provenance={},
            notices=("Dim image.",),
        )

    monkeypatch.setattr("napari_unetic.predict.segment_steps", segment_steps)
    return seen


def test_a_model_is_scored_on_pairs(pairs, model, perfect):
    """A row a pair, the seconds by the pixels of all, and the settings passed on."""
    steps = []
    work = evaluate_steps(pairs, model, channel=0, diameter=12, device="cpu", tile=64)
    scores = drain(work, steps.append)
    assert names(scores) == ["a", "b", "c"]
    assert [row.ap[0] for row in scores.images] == [1, 1, 0]
    assert scores.pooled("recall")["0.50"] == pytest.approx(4 / 6)
    assert scores.seconds_per_megapixel == pytest.approx(6e6 / (3 * TRUE.size))
    assert scores.threads == torch.get_num_threads()
    assert "Dim image." in scores.notices
    settings = perfect[0][1]
    assert settings == {
        "channel": 0,
        "diameter": 12,
        "pixel_size": None,
        "device": "cpu",
        "tile": 64,
    }
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert {step.total for step in steps} == {3}
    assert done[-1] == 3
    assert steps[-1].values == {"ap": pytest.approx(4 / 6)}
    assert "Mind the gap." in [step.notice for step in steps]


def test_reading_is_over_before_the_clock_starts(pairs, model, perfect):
    """The network gets pixels in memory, not a file to be read."""
    evaluate(pairs, model)
    assert all(type(image.data) is np.ndarray for image, _, _ in perfect)
    assert not any(isinstance(image.data, np.memmap) for image, _, _ in perfect)


def test_threads_hold_while_it_runs_and_no_longer(pairs, model, perfect):
    """The number is set, reported, and put back, also when the work is stopped."""
    before = torch.get_num_threads()
    wanted = before + 1
    scores = evaluate(pairs, model, threads=wanted)
    assert scores.threads == wanted
    assert perfect[0][2] == wanted
    assert torch.get_num_threads() == before
    steps = evaluate_steps(pairs, model, threads=wanted)
    next(steps)
    assert torch.get_num_threads() == wanted
    steps.close()
    assert torch.get_num_threads() == before
    with pytest.raises(UneticError, match="at least 1 thread"):
        evaluate(pairs, model, threads=0)


def test_the_labels_scored_are_those_that_segment_gives(pairs, model):
    """Evaluating is segmenting and scoring, with any model, trained or not."""
    scores = evaluate(pairs, model, device="cpu")
    for pair, row in zip(pairs, scores.images, strict=True):
        image, labels = pair.read()
        again = score(segment(image, model, device="cpu"), labels).images[0]
        assert (again.tp, again.fp, again.fn) == (row.tp, row.fp, row.fn)
    assert scores.seconds_per_megapixel > 0
    assert json.loads(json.dumps(scores.to_json()))["threads"] == scores.threads


def test_a_path_is_read_as_pairs(tmp_path, pairs, model, perfect):
    """A data set may be given by its path."""
    assert names(evaluate(tmp_path, model)) == ["a", "b", "c"]


def test_real_masks_score_one_against_themselves(data_folder, tmp_path):
    """Five images of the Data Science Bowl, written as label images, score 1 each."""
    archive = data_folder / "dsb2018" / "stage1_train.zip"
    chosen = read_pairs(archive)[:5]
    for pair in chosen:
        tifffile.imwrite(tmp_path / f"{pair.id}_labels.tif", pair.annotation().labels)
    scores = score(tmp_path, archive, ids=[pair.id for pair in chosen])
    assert len(scores.images) == 5
    assert scores.mean_ap_per_image_10 == 1


def test_classes_are_scored_pixel_by_pixel():
    """Not by objects; arrays hold class numbers as they are."""
    truth, pred = np.array([[0, 1, 2, 2]]), np.array([[0, 1, 1, 2]])
    scores = score(pred, truth, classes=("cell", "edge"))
    assert scores.pooled("iou") == {"background": 1, "cell": 0.5, "edge": 0.5}
    assert score(pred > 0, truth > 0, classes="cell").mean_iou == 1


def test_masks_of_any_form_are_scored_as_one_class(tmp_path):
    """0/255 against numbers of objects that touch: the same pixels, so 1."""
    labels = np.array([[1, 1, 2, 2, 0, 0], [1, 1, 2, 2, 0, 0]], np.uint16)
    write(tmp_path, pred__a=(255 * (labels > 0)).astype(np.uint8), true__a=labels)
    by_class = score(tmp_path / "pred", tmp_path / "true", classes="cell")
    assert by_class.mean_iou == 1 and not by_class.notices
    assert score(tmp_path / "pred", tmp_path / "true").pooled("ap")["0.95"] < 1
