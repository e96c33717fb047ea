"""From layers and folders to what a training learns from; no window is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image as ImageLayer
from napari.layers import Labels

from napari_unetic.errors import UneticError
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.source import Image
from napari_unetic.pairs import read_pairs
from napari_unetic.steps import drain
from napari_unetic.training.patches import load_samples
from napari_unetic.training.record import describe
from napari_unetic.training.runs import (
    UserRun,
    decide,
    keep_model,
    list_trainings,
    summary,
    training_state,
    user_runs_folder,
)
from napari_unetic.training.sessions import resume_steps
from napari_unetic.training.settings import train_settings
from napari_unetic.widgets.train_jobs import (
    Request,
    about_run,
    begin_steps,
    checked,
    look_steps,
)
from napari_unetic.widgets.train_pairs import (
    FolderSource,
    LayerPair,
    LayerSource,
    Sharing,
    split_steps,
    survey_steps,
)
from napari_unetic.widgets.train_plan import (
    Survey,
    TrainPlan,
    budget_text,
    name_for,
    parameters_text,
)


def _plane(seed: int = 0, size: int = 96) -> tuple[Any, Any]:
    """Return an image of bright squares, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    for k, (y, x) in enumerate(np.ndindex(size // 24, size // 24), start=1):
        labels[24 * y + 4 : 24 * y + 18, 24 * x + 4 : 24 * x + 18] = k
    image = 1000 + 3000 * (labels > 0) + rng.normal(0, 150, labels.shape)
    return image.astype(np.uint16), labels


def _pair(seed: int = 0, size: int = 96, **more: Any) -> LayerPair:
    image, labels = _plane(seed, size)
    name = f"field {seed}"
    return LayerPair(
        ImageLayer(image, name=name, **more), Labels(labels, name=f"{name} labels")
    )


def _folder(folder: Path, n: int = 3) -> Path:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for k in range(n):
        image, labels = _plane(k)
        tifffile.imwrite(folder / "images" / f"{k}.tif", image)
        tifffile.imwrite(folder / "labels" / f"{k}.tif", labels)
    return folder


def test_layers_become_the_pairs_of_a_folder(tmp_path: Path) -> None:
    """Pixel by pixel, one plane a pair; the share decides how many are held back."""
    source = LayerSource((_pair(0), _pair(1), _pair(2)))
    survey = drain(survey_steps(source, Sharing(0.4)))
    assert (survey.n_train, survey.n_validation, survey.is_cut) == (2, 1, False)
    train, held = drain(split_steps(source, Sharing(0.4), tmp_path))
    assert (len(train), len(held)) == (2, 1)
    found = sorted(read_pairs(tmp_path), key=lambda pair: pair.id)
    for k, pair in enumerate(found):
        image, labels = pair.read()
        np.testing.assert_array_equal(image.read(())[0], _plane(k)[0])
        np.testing.assert_array_equal(labels, _plane(k)[1])


def test_planes_without_labels_are_left_out(tmp_path: Path) -> None:
    """Of a stack those with labels are learnt from, however few."""
    image, labels = _plane()
    stack = np.stack([image] * 5)
    drawn = np.zeros(stack.shape, np.int32)
    drawn[1], drawn[4] = labels, labels
    source = LayerSource((LayerPair(ImageLayer(stack, name="stack"), Labels(drawn)),))
    survey = drain(survey_steps(source, Sharing()))
    assert (survey.n_train, survey.n_validation) == (1, 1)
    train, held = drain(split_steps(source, Sharing(), tmp_path))
    assert {*train.ids, *held.ids} == {"0000-stack", "0001-stack"}


def test_planes_are_seen_as_the_stack_is(tmp_path: Path) -> None:
    """As in prediction: a plane that is dim in the stack is dim in training."""
    image, labels = _plane()
    stack = np.stack([image, image // 2])
    layers = LayerPair(ImageLayer(stack, name="stack"), Labels(np.stack([labels] * 2)))
    drain(split_steps(LayerSource((layers,)), Sharing(), tmp_path))
    description = describe(None, train_settings(steps=1), "x")
    samples = [
        s for pair in read_pairs(tmp_path) for s in load_samples(pair, description)
    ]
    whole = Image(stack, "ZYX")
    fitted = fit_normalisation(whole, 1)
    for k, sample in enumerate(samples):
        expected = fitted.apply(whole.read((k,)))
        np.testing.assert_allclose(sample.image, expected, atol=2e-3)


def test_a_single_image_is_cut_in_two(tmp_path: Path) -> None:
    """A quarter of it is held back, and nothing of it is in both parts."""
    pair = _pair(0, size=192)
    source = LayerSource((pair,))
    survey = drain(survey_steps(source, Sharing()))
    assert survey.is_cut and "a quarter of it held back" in survey.text
    train, held = drain(split_steps(source, Sharing(), tmp_path))
    (kept,), (back,) = list(train), list(held)
    rows = [one.read()[0].read(())[0] for one in (kept, back)]
    assert [part.shape for part in rows] == [(144, 192), (48, 192)]
    np.testing.assert_array_equal(np.concatenate(rows), pair.image.data)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param(LayerSource(()), "No labelled image", id="none"),
        pytest.param(LayerSource((_pair(),)), "got field 0 alone", id="too small"),
        pytest.param(
            LayerSource(
                (LayerPair(_pair().image, Labels(np.zeros((96, 96), int), name="e")),)
            ),
            "Expected labels to learn from in e, got none",
            id="empty",
        ),
        pytest.param(
            LayerSource((LayerPair(_pair().image, Labels(np.ones((30, 30), int))),)),
            "which do not fit it",
            id="other size",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(source: LayerSource, said: str) -> None:
    """In one sentence that says what to do."""
    with pytest.raises(UneticError, match=said):
        drain(survey_steps(source, Sharing()))


def test_channels_and_colours_reach_the_files(tmp_path: Path) -> None:
    """All channels or the one asked for; a colour image stays one."""
    image, labels = _plane()
    two = ImageLayer(np.stack([image, 2 * image]), axis_labels=("c", "y", "x"))
    colour = ImageLayer(np.stack([image >> 6] * 3, axis=-1).astype(np.uint8), rgb=True)
    for k, (layer, channel, n, rgb) in enumerate(
        [(two, None, 2, False), (two, 1, 1, False), (colour, None, 3, True)]
    ):
        folder = tmp_path / str(k)
        source = LayerSource((LayerPair(layer, Labels(labels)),) * 2, channel)
        drain(split_steps(source, Sharing(), folder))
        found = read_pairs(folder)[0].image()
        assert (found.n_channels, found.rgb) == (n, rgb)
        expected = {None: image, 1: 2 * image}[channel] if not rgb else image >> 6
        np.testing.assert_array_equal(found.read(())[0], expected)
    source = LayerSource((LayerPair(two, Labels(labels)),) * 2, 2)
    with pytest.raises(UneticError, match="channel from 0 to 1"):
        drain(split_steps(source, Sharing(), tmp_path / "x"))


def test_a_folder_is_looked_at(tmp_path: Path) -> None:
    """In any layout; one image alone has nothing to hold back."""
    found = drain(survey_steps(FolderSource(_folder(tmp_path / "three")), Sharing()))
    assert found.text == "3 images with labels, of “three”, 1 held back"
    alone = FolderSource(_folder(tmp_path / "one", 1))
    with pytest.raises(UneticError, match="at least two images"):
        drain(survey_steps(alone, Sharing()))


def test_the_plan_in_words() -> None:
    """What is learnt from, what, with which network, how long and where."""
    survey = Survey(11, 1, "“cells”")
    plan = TrainPlan(survey, (), "unetic-16, 0.48 M parameters", "30 min", "CPU")
    assert plan.text == (
        "12 images with labels, of “cells”, 1 held back to choose weights with; learns "
        "objects, one by one. unetic-16, 0.48 M parameters; 30 min, CPU."
    )
    assert "learns the class a." in TrainPlan(survey, ("a",), "", "", "").text
    assert "the classes a, b." in TrainPlan(survey, ("a", "b"), "", "", "").text
    assert budget_text("minutes", 1.5) == "1.5 min"
    assert budget_text("epochs", 1) == "1 epoch"
    assert budget_text("steps", 1200) == "1,200 steps"
    assert (parameters_text(480_000), parameters_text(31e6)) == ("0.48 M", "31 M")
    assert name_for("My cells (1).zip") == "My-cells--1"
    assert name_for("") == "trained"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"minutes": 0.0}, "minutes"),
        ({"epochs": 2.5}, "epochs"),
        ({"steps": 5, "loss": "dice"}, "instances"),
        ({"steps": 5, "resize_px": 64}, "Expected classes"),
        ({"steps": 5, "classes": ("a", "b=red")}, "NAME=#rrggbb, got 'b=red'"),
        ({"steps": 5, "classes": ("a",), "class_weights": ("x",)}, "class_weights"),
        ({"steps": 5, "preset": "cicek2016"}, "a model for planes"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    values: dict[str, Any], said: str
) -> None:
    """Before anything is begun, in one sentence."""
    with pytest.raises(UneticError, match=said) as caught:
        checked(values, "name")
    assert "\n" not in str(caught.value)


def test_a_name_no_folder_can_have_is_refused() -> None:
    """The sentence is that of the models."""
    with pytest.raises(UneticError, match="Expected a plain name"):
        checked({"steps": 5}, "a/b")


def test_what_there_is_to_choose_from() -> None:
    """Networks for planes, ours first, each with its number of parameters."""
    pytest.importorskip("pyqtgraph", exc_type=ImportError)
    around = drain(look_steps())
    names = [network.name for network in around.networks]
    assert names[0] == "unetic-16" and "keras-dsb2018" in names
    assert "cicek2016" not in names and around.devices[0] == "auto"
    assert 400_000 < around.networks[0].n_parameters < 600_000
    assert around.trainings == []


def _begin(source: LayerSource | FolderSource, name: str, **values: Any) -> UserRun:
    values = {"steps": 2, "batch": 1, "patch_px": 32, "validations": 1} | values
    request = Request(source, Sharing(), checked(values, name), name, "cpu")
    return training_state(drain(begin_steps(request)).folder)


def test_a_run_of_layers_holds_its_pairs_and_can_be_moved(tmp_path: Path) -> None:
    """It goes on elsewhere, tells its progress, and its model is kept by name."""
    state = _begin(LayerSource((_pair(0), _pair(1))), "mine")
    run = state.run
    assert run.folder == user_runs_folder() / "mine"
    assert about_run(state) == "unetic-16 on 2 images"
    assert [s.name for s in list_trainings()] == ["mine"] and state.is_open
    assert [path.name for path in user_runs_folder().iterdir()] == ["mine"]
    paths = [record.image["path"] for record in (*run.plan.train, *run.plan.validation)]
    assert all(str(path).startswith("pairs/images/") for path in paths)
    moved = run.folder.rename(tmp_path / "moved")
    drain(resume_steps(moved))
    log = (moved / "log.jsonl").read_text()
    assert '"what": "training"' in log and '"what": "predicting"' in log
    state = training_state(moved)
    assert keep_model(state) == "mine" and keep_model(state) == "mine"
    assert training_state(moved).decision == "used"
    said = summary(state.run)
    assert said.startswith("mean AP 0.") and said.endswith("image, after 2 steps")


def test_a_run_of_a_folder_names_its_files(tmp_path: Path) -> None:
    """They are not copied; a name in use gets a number; what is left is not offered."""
    folder = _folder(tmp_path / "three")
    first, second = (_begin(FolderSource(folder), "three") for _ in range(2))
    assert (first.name, second.name) == ("three", "three-2")
    assert Path(str(first.run.plan.train[0].image["path"])).parent.parent == folder
    assert not (first.run.folder / "pairs").exists()
    decide(first.run.folder, "left")
    assert [s.name for s in list_trainings() if s.is_open] == ["three-2"]


def test_a_run_that_cannot_begin_leaves_nothing() -> None:
    """Two channels do not fit a network for one."""
    image, labels = _plane()
    two = ImageLayer(np.stack([image, image]), axis_labels=("c", "y", "x"))
    source = LayerSource((LayerPair(two, Labels(labels)),) * 2)
    with pytest.raises(UneticError, match="Expected 1 channel"):
        _begin(source, "mine")
    assert list(user_runs_folder().iterdir()) == []
