"""The Train dock, in a real viewer: from images and labels to a model of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication

from napari_unetic.home import user_folder
from napari_unetic.model.registry import list_models
from napari_unetic.training.runs import list_trainings
from napari_unetic.training.settings import TrainSettings
from napari_unetic.widgets import run_process
from napari_unetic.widgets.train import TrainWidget
from napari_unetic.widgets.train_more import IN_SIGHT, NOT_FROM_SCRATCH, OF_VOLUMES

WAITS = """
import json, sys, time
from pathlib import Path
run = Path(sys.argv[1])
def log(event, **values):
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, **values}) + "\\n")
log("resume", step=0)
if sys.argv[2] == "learn":
    log("progress", step=3, what="training", done=3, total=9, loss=.5, seconds_left=70)
    log("validation", step=3, ap=0.3, ap_50=0.6)
for _ in range(3000):
    if (run / "stop").exists() or (run / "finish").exists():
        sys.exit(0)
    time.sleep(0.01)
"""
"""Stands in for a training that ends when it is asked to."""


def discs(seed: int = 0) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return an image of 25 bright discs, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((96, 96), np.int32)
    rows, columns = np.indices(labels.shape)
    for k, (y, x) in enumerate(np.ndindex(5, 5), start=1):
        at = 10 + 18 * y + rng.uniform(-2, 2), 10 + 18 * x + rng.uniform(-2, 2)
        labels[np.hypot(rows - at[0], columns - at[1]) < 7] = k
    image = 1000 + 3000 * (labels > 0) + rng.normal(0, 150, labels.shape)
    return image.astype(np.uint16), labels


@pytest.fixture
def rest(qtbot: Any) -> Callable[..., None]:
    """Wait until a dock neither works nor trains."""

    def wait(dock: TrainWidget, timeout: int = 30_000) -> None:
        qtbot.waitUntil(
            lambda: not dock.busy and not dock.training.running, timeout=timeout
        )

    return wait


@pytest.fixture
def dock(viewer: Any, rest: Any) -> TrainWidget:
    """A dock at rest whose trainings take a few small steps."""
    dock = TrainWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    rest(dock)
    dock.unit.choose("steps")
    dock.budget.setValue(3)
    assert dock.more.settings is not None
    for name, value in (("batch", 1), ("patch_px", 64), ("validations", 1)):
        dock.more.settings.write(name, value)
    dock.more.device.choose("cpu")
    return dock


@pytest.fixture
def pictures(viewer: Any) -> None:
    """Two images with labels in the viewer."""
    for k in range(2):
        image, labels = discs(k)
        viewer.add_image(image, name=f"field {k}")
        viewer.add_labels(labels, name=f"field {k} drawn")


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A process that waits stands in for the training; what it is told may change."""
    script, how = tmp_path / "training.py", ["wait"]
    script.write_text(WAITS, encoding="utf-8")
    monkeypatch.setattr(
        run_process,
        "train_command",
        lambda folder, *more: [sys.executable, str(script), str(folder), how[0]],
    )
    yield how
    for left in run_process._PROCESSES:
        left.wait(30)


def test_the_form_is_that_of_the_settings(dock: TrainWidget) -> None:
    """Every field is there once, in sight or folded, with bounds, and says its tip."""
    form = dock.more.settings
    assert form is not None
    shown = [name for fold in form.folds.values() for name in fold.fields]
    without = {"augmentation", *NOT_FROM_SCRATCH, *OF_VOLUMES}
    outer = {*TrainSettings.model_fields} - without
    inner = {*TrainSettings.model_fields["augmentation"].default.__class__.model_fields}
    assert sorted(shown) == sorted((outer - {*IN_SIGHT}) | inner)
    assert len(dock.controls_in_sight()) == 5
    assert not dock.more.unfolded and not any(f.unfolded for f in form.folds.values())
    learning = form.folds["Learning"].entries
    assert learning["batch"].control.maximum() == 1024
    assert learning["patience"].read() is None
    assert "AdamW" in form.folds["Optimiser"].entries["optimiser"].control.toolTip()
    assert form.values() == {"batch": 1, "patch_px": 64, "validations": 1}
    form.write("patience", 4)
    form.write("augmentation.flip", False)
    form.write("learning_rate", 0.01)
    values = dock.values()
    assert values["patience"] == 4 and values["augmentation"] == {"flip": False}
    assert values["learning_rate"] == 0.01
    settings = TrainSettings.model_validate(values)
    assert settings.augmentation.turn == TrainSettings(steps=1).augmentation.turn
    assert settings.steps == 3 and settings.preset == "unetic-16"


def test_says_why_it_cannot_begin(viewer: Any, dock: TrainWidget, rest: Any) -> None:
    """The button is grey, the reason above it, until it is put right."""
    assert dock.plan.text().startswith("No labelled image")
    assert not dock.button.isEnabled()
    image, labels = discs()
    viewer.add_image(np.tile(image, (2, 2)), name="cells")
    layer = viewer.add_labels(np.zeros((192, 192), np.int32), name="cells drawn")
    rest(dock)
    assert "got none; draw some there" in dock.plan.text()
    assert not dock.button.isEnabled()
    layer.data_setitem(np.nonzero(np.tile(labels, (2, 2))), 1)
    rest(dock)
    assert dock.plan.text().startswith("One image, of “cells”, a quarter of it held")
    assert "unetic-16, 0.48 M parameters; 3 steps, CPU" in dock.plan.text()
    assert dock.button.isEnabled()
    dock.classes.setText("cell=red")
    rest(dock)
    assert "got 'cell=red'" in dock.plan.text() and not dock.button.isEnabled()
    dock.classes.setText("cell, nucleus")
    rest(dock)
    assert "learns the classes cell, nucleus" in dock.plan.text()
    dock.more.settings.write("loss", "instances")
    assert not dock.button.isEnabled() and dock.plan.text().startswith("Expected")
    dock.more.settings.write("loss", "dice")
    assert dock.button.isEnabled()
    dock.budget.setValue(0)
    assert not dock.button.isEnabled() and "steps" in dock.plan.text()


@pytest.mark.usefixtures("pictures")
def test_layers_are_paired_by_name_and_can_be_left_out(
    viewer: Any, dock: TrainWidget, rest: Any
) -> None:
    """Labels that a model made are not learnt from unless somebody says so."""
    rest(dock)
    named = [(p.image.name, p.labels.name) for p in dock.more.layers.pairs]
    assert named == [("field 0", "field 0 drawn"), ("field 1", "field 1 drawn")]
    made = viewer.add_labels(discs()[1], name="made", metadata={"napari_unetic": {}})
    assert len(dock.more.layers.pairs) == 2
    dock.more.layers.tick(made, True)
    assert len(dock.more.layers.pairs) == 3
    viewer.layers.remove(made)
    dock.more.layers.tick(viewer.layers["field 0 drawn"], False)
    viewer.layers["field 1"].name = "other"
    rest(dock)
    assert [p.image.name for p in dock.more.layers.pairs] == ["other"]
    assert "got other alone" in dock.plan.text()


@pytest.mark.usefixtures("pictures")
def test_stopped_and_gone_on_with(
    dock: TrainWidget, rest: Any, qtbot: Any, waiting: list[str]
) -> None:
    """Curves and time left while it runs; what was stopped is offered again."""
    rest(dock)
    waiting[0] = "learn"
    dock.button.click()
    assert dock.button.text() == "Stop"
    qtbot.waitUntil(lambda: dock.training.running, timeout=30_000)
    qtbot.waitUntil(lambda: "1:10 left" in dock.report.progress.format())
    news = dock.training.news
    assert news is not None
    assert (news.figure, news.scores, news.losses) == ("ap", [(3, 0.3)], [(3, 0.5)])
    dock.button.click()
    assert dock.button.text() == "Stopping …"
    rest(dock)
    assert "go on with it at any time" in dock.report.message.text()
    assert dock.button.text() == "Train" and dock.button.isEnabled()
    assert dock.offers.text.text().startswith(
        "Unfinished: “field-0”, unetic-16 on 2 images"
    )
    assert dock.offers.accept.text() == "Go on with it"
    (state,) = list_trainings()
    (state.run.folder / "finish").unlink()
    waiting[0] = "wait"
    dock.offers.accept.click()
    qtbot.waitUntil(lambda: dock.training.running, timeout=30_000)
    dock.button.click()
    rest(dock)
    dock.offers.leave.click()
    rest(dock)
    assert not dock.offers.isVisibleTo(dock)


@pytest.mark.usefixtures("pictures")
def test_a_closed_dock_lets_it_go_on(
    viewer: Any, dock: TrainWidget, rest: Any, qtbot: Any, waiting: list[str]
) -> None:
    """Another one offers to follow it."""
    rest(dock)
    dock.button.click()
    qtbot.waitUntil(lambda: dock.training.running, timeout=30_000)
    run = dock.training.run
    assert run is not None
    viewer.window.remove_dock_widget(dock)
    assert not dock.training.running and not run.is_stop_requested
    other = TrainWidget(viewer)
    viewer.window.add_dock_widget(other, name="other")
    rest(other)
    assert other.offers.isVisibleTo(other)
    run.request_stop()
    dock.deleteLater()
    qtbot.wait(20)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("pictures")
def test_from_layers_to_a_model(dock: TrainWidget, rest: Any, open_dock: Any) -> None:
    """It is named, among the models, chosen to segment with, and a line of Python."""
    segment = open_dock()
    rest(dock)
    dock.button.click()
    rest(dock, timeout=200_000)
    assert dock.result.kept is not None, dock.report.message.text()
    assert dock.result.sentence.text().startswith("Mean AP 0.")
    assert "on 1 validation image, after 3 steps." in dock.result.sentence.text()
    assert "field-0" in dock.result.place.where.text()
    assert "field-0" in [model.name for model in list_models()]
    assert segment.model.currentText() == "field-0"
    dock.result.place.copy_python.click()
    assert "segment(image, 'field-0')" in QApplication.clipboard().text()
    assert (user_folder("runs") / "field-0" / "curves.png").is_file()
    assert dock.button.text() == "Train" and dock.button.isEnabled()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_classes_from_a_folder(
    dock: TrainWidget, rest: Any, tmp_path: Path, open_dock: Any
) -> None:
    """Classes of pixels, labels elsewhere, a budget of epochs, and their IoU."""
    for k in range(3):
        image, labels = discs(k)
        for kind, data in (("pictures", image), ("truth", labels)):
            (tmp_path / kind).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / kind / f"{k}.tif", data)
    segment = open_dock()
    dock.data.choose_path(tmp_path / "pictures")
    rest(dock)
    assert not dock.button.isEnabled() and "name the folder of" in dock.plan.text()
    dock.more.labels.setText(str(tmp_path / "truth"))
    dock.classes.setText("disc")
    dock.unit.choose("epochs")
    dock.budget.setValue(1)
    rest(dock)
    assert "3 images with labels, of “pictures”, 1 held" in dock.plan.text()
    assert "learns the class disc" in dock.plan.text() and "1 epoch" in dock.plan.text()
    dock.button.click()
    rest(dock, timeout=200_000)
    assert dock.result.sentence.text().startswith("Mean IoU 0."), (
        dock.report.message.text()
    )
    assert dock.training.news is not None and dock.training.news.figure == "iou"
    assert segment.model.currentText() == "pictures"
