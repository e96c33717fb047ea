"""The Fine-tune dock, in a real viewer: from corrections to a verdict and back."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unetic.finetuning.runs import list_runs, run_state
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import save_model
from napari_unetic.model.registry import find_model, list_models, user_models_folder
from napari_unetic.model.store import add_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.training.runs import user_runs_folder
from napari_unetic.widgets import run_closing, run_process
from napari_unetic.widgets.finetune import FinetuneWidget
from napari_unetic.widgets.run_process import Machine

STAND_IN = """
import json, shutil, sys, time
from pathlib import Path
run, how = Path(sys.argv[1]), json.loads(sys.argv[2])
if how.get("error"):
    sys.exit(how["error"])
def log(event, **values):
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, **values}) + "\\n")
def wait(*names):
    for _ in range(2000):
        if any((run / name).exists() for name in names):
            return
        time.sleep(0.01)
log("resume", step=0)
log("validation", step=0, ap=0.3, ap_50=0.61)
if how.get("wait"):
    wait("stop")
    sys.exit(0)
log("progress", step=1, what="training", done=1, total=2, loss=0.9, seconds_left=9)
log("validation", step=1, ap=0.4, ap_50=0.7)
log("progress", step=2, what="training", done=2, total=2, loss=0.5, seconds_left=5)
if how.get("learn"):
    wait("finish", "go")
shutil.copytree(how["model"], run / "model")
old = {"ap_50": 0.61, "mean_ap": 0.3, "found": 9, "missed": 5, "extra": 1}
new = {"ap_50": 0.78, "mean_ap": 0.4, "found": 11, "missed": 3, "extra": 0}
verdict = {"verdict": how["verdict"], "n_objects": 14, "old": old, "new": new,
           "share_better": 0.9}
(run / "verdict.json").write_text(json.dumps(verdict))
log("verdict", **verdict, sentence="x")
(run / "finished").touch()
"""
"""Stands in for the training: a process, too, that writes what the real one writes."""


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


def make_model(folder: Path, seed: int) -> Path:
    """Save a small model of random weights."""
    import torch

    spec = preset("unetic-16").spec.model_copy(update={"out_channels": 3})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(spec)
    description = ModelDescription(
        name=folder.name, network=spec, channels=("grey",), working_diameter_px=14
    )
    save_model(folder, description, network.state_dict())
    return folder


@pytest.fixture
def start_model(tmp_path: Path) -> str:
    """The name of a small model among the user's."""
    return add_model(make_model(tmp_path / "base", 0)).name


class Training:
    """What the process that stands in for the training does."""

    def __init__(self, script: Path, model: Path) -> None:
        self.script = script
        self.how: dict[str, Any] = {"model": str(model), "verdict": "kept"}

    def command(self, folder: Path, machine: Machine, spent: float) -> list[str]:
        return [sys.executable, str(self.script), str(folder), json.dumps(self.how)]


@pytest.fixture
def training(
    tmp_path: Path, start_model: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Training]:
    """The stand-in; each of its processes has ended when the test has."""
    script = tmp_path / "training.py"
    script.write_text(STAND_IN, encoding="utf-8")
    stand_in = Training(script, make_model(tmp_path / "better", 1))
    monkeypatch.setattr(run_process, "train_command", stand_in.command)
    yield stand_in
    for left in run_process._PROCESSES:
        left.wait(30)


@pytest.fixture
def open_finetune(
    viewer: Any, qtbot: Any, start_model: str
) -> Callable[..., FinetuneWidget]:
    """Open a dock that starts from the small model, and wait until it is at rest."""

    def open_one(name: str = "Fine-tune") -> FinetuneWidget:
        dock = FinetuneWidget(viewer)
        viewer.window.add_dock_widget(dock, name=name)
        qtbot.waitUntil(lambda: not dock.busy, timeout=30_000)
        choose_start(dock, start_model)
        dock.more.steps.number = 4
        return dock

    return open_one


def choose_start(dock: FinetuneWidget, name: str) -> None:
    dock.more.start.choose(next(e for e in dock.more.start.objects if e.name == name))


@pytest.fixture
def rest(qtbot: Any) -> Callable[..., None]:
    """Wait until a dock neither works nor trains."""

    def wait(dock: FinetuneWidget, timeout: int = 30_000) -> None:
        qtbot.waitUntil(
            lambda: not dock.busy and not dock.training.running, timeout=timeout
        )

    return wait


@pytest.fixture
def ready(
    viewer: Any, open_finetune: Callable[..., FinetuneWidget], rest: Any
) -> FinetuneWidget:
    """A dock with an image and 25 objects drawn on it."""
    dock = open_finetune()
    image, labels = discs()
    viewer.add_image(image, name="discs")
    viewer.add_labels(labels, name="drawn")
    rest(dock)
    assert dock.button.isEnabled(), dock.plan.text()
    return dock


def test_says_why_it_cannot_begin(viewer: Any, open_finetune: Any, rest: Any) -> None:
    """Without image, labels or ten objects the button is grey, the reason above it."""
    dock = open_finetune()
    assert not dock.button.isEnabled()
    assert dock.plan.text().startswith("No image")
    image, labels = discs()
    viewer.add_image(image, name="discs")
    rest(dock)
    assert dock.plan.text().startswith("No labels") and not dock.button.isEnabled()
    layer = viewer.add_labels(np.where(labels < 8, labels, 0), name="drawn")
    rest(dock)
    assert "7" in dock.plan.text() and "3 more" in dock.plan.text()
    assert not dock.button.isEnabled()
    layer.data_setitem(np.nonzero((labels > 7) & (labels < 11)), 9)
    layer.data_setitem(np.nonzero(labels == 8), 8)
    layer.data_setitem(np.nonzero(labels == 10), 10)
    rest(dock)
    assert dock.button.isEnabled(), dock.plan.text()
    assert "5 to learn from, 5 held out" in dock.plan.text()
    assert "Starts from base; 4 steps, CPU" in dock.plan.text()
    dock.more.steps.number = None
    assert "; 2 min, " in dock.plan.text()
    layer.undo()
    rest(dock)
    assert not dock.button.isEnabled()


def test_one_channel_is_learnt_from_unless_all_are_chosen(
    viewer: Any, open_finetune: Any, rest: Any
) -> None:
    """Of two channels the first, where nobody said another; a grey image has none."""
    dock = open_finetune()
    image, labels = discs()
    viewer.add_image(image, name="grey")
    viewer.add_labels(labels, name="drawn")
    rest(dock)
    assert dock.more.channel.count() == 0 and dock.more.channel.value is None
    viewer.add_image(np.stack([image, image]), name="two", axis_labels=("c", "y", "x"))
    dock.image.choose(viewer.layers["two"])
    rest(dock)
    assert [dock.more.channel.itemText(k) for k in range(3)] == ["0", "1", "all"]
    assert dock.more.channel.value == 0
    dock.more.channel.setCurrentIndex(1)
    rest(dock)
    dock.more.start.setCurrentIndex(0)
    assert dock.more.channel.value == 1


def test_a_better_model_is_kept_and_can_be_undone(
    ready: FinetuneWidget, training: Training, rest: Any, open_dock: Any
) -> None:
    """It is among the models, chosen to segment with; undone, the old one is again."""
    segment = open_dock()
    segment.model.choose(next(e for e in segment.model.objects if e.name == "base"))
    ready.button.click()
    assert ready.button.text() == "Stop"
    rest(ready)
    assert ready.verdict.sentence.text() == (
        "AP 0.61 → 0.78 on 14 held-out objects: kept."
    )
    assert ready.verdict.figures()[0] == ["AP at IoU .50", "0.61", "0.78"]
    assert ready.verdict.figures()[3] == ["missed", "5", "3"]
    news = ready.training.news
    assert news is not None
    assert news.scores == [(0, 0.61), (1, 0.7)]
    assert news.losses == [(1, 0.9), (2, 0.5)]
    assert find_model("base-tuned").parent == user_models_folder()
    assert segment.model.currentText() == "base-tuned"
    assert ready.button.text() == "Improve" and ready.button.isEnabled()
    assert list_runs()[0].decision == "used"
    ready.verdict.place.copy_python.click()
    assert "segment(image, 'base-tuned')" in QApplication.clipboard().text()
    assert ready.verdict.old.text() == "Undo: go back to base"
    ready.verdict.old.click()
    rest(ready)
    assert segment.model.currentText() == "base"
    assert "base-tuned" not in [m.name for m in list_models()]
    ready.verdict.use.click()
    rest(ready)
    assert segment.model.currentText() == "base-tuned"


def test_the_curves_are_one_click_from_the_verdict(
    ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """They make room for the verdict and come back, until the next round begins."""
    ready.button.click()
    rest(ready)
    assert not ready.verdict.isHidden() and ready.view.isHidden()
    ready.verdict.curves.click()
    assert not ready.verdict.isHidden() and not ready.view.isHidden()
    ready.verdict.curves.click()
    assert ready.view.isHidden()
    ready.verdict.curves.click()
    ready.verdict.forget()
    assert ready.view.isHidden()


def test_one_that_is_not_better_is_not_kept(
    ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """The old model goes on being used, unless a person says otherwise."""
    training.how["verdict"] = "not better"
    ready.button.click()
    rest(ready)
    assert "not better, old model kept" in ready.verdict.sentence.text()
    assert [m.name for m in list_models() if not m.bundled] == ["base"]
    (state,) = list_runs()
    assert state.decision == "old" and (state.run.folder / "model").is_dir()
    assert ready.verdict.use.text() == "Use it anyway"
    assert not ready.verdict.old.isVisibleTo(ready)
    ready.verdict.use.click()
    rest(ready)
    assert "base-tuned" in [m.name for m in list_models()]


def test_where_it_is_too_few_a_person_decides(
    ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """Nothing is kept before one of two buttons is pressed."""
    training.how["verdict"] = "too few to tell"
    ready.button.click()
    rest(ready)
    assert ready.verdict.use.isVisibleTo(ready) and ready.verdict.old.isVisibleTo(ready)
    assert list_runs()[0].is_open
    ready.verdict.old.click()
    rest(ready)
    assert list_runs()[0].decision == "old"
    assert [m.name for m in list_models() if not m.bundled] == ["base"]


def test_stop_judges_what_was_learnt(
    ready: FinetuneWidget, training: Training, rest: Any, qtbot: Any
) -> None:
    """It answers at once, and the training ends with a verdict."""
    training.how["learn"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    qtbot.waitUntil(lambda: ready.training.news.has_learnt, timeout=30_000)
    qtbot.waitUntil(lambda: "Learning" in ready.report.progress.format())
    run = ready.training.run
    assert run is not None
    ready.button.click()
    assert ready.button.text() == "Stopping …" and not ready.button.isEnabled()
    assert run.is_finish_requested and not run.is_stop_requested
    rest(ready)
    assert "kept" in ready.verdict.sentence.text()


def test_stopped_before_it_learnt_it_can_be_gone_on_with(
    ready: FinetuneWidget, training: Training, rest: Any, qtbot: Any
) -> None:
    """The run is offered again, and goes on."""
    training.how["wait"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    ready.button.click()
    assert ready.button.text() == "Stopping …"
    rest(ready)
    assert "go on with it" in ready.report.message.text()
    assert ready.offers.text.text().startswith("Unfinished: “base-tuned”, from base")
    training.how["wait"] = False
    (user_runs_folder() / "base-tuned" / "stop").unlink()
    ready.offers.accept.click()
    rest(ready)
    assert "kept" in ready.verdict.sentence.text()
    assert not ready.offers.isVisibleTo(ready)


def test_a_death_is_said_and_the_run_offered(
    ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """The last words of the process stand in the dock; the button recovers."""
    training.how["error"] = "unetic: error: Expected memory, got none; buy some."
    ready.button.click()
    rest(ready)
    assert ready.report.message.text() == (
        "The training ended early: Expected memory, got none; buy some."
    )
    assert ready.button.text() == "Improve" and ready.button.isEnabled()
    assert ready.offers.accept.text() == "Go on with it"
    ready.offers.leave.click()
    rest(ready)
    assert not ready.offers.isVisibleTo(ready)
    assert list_runs()[0].decision == "left"


def test_no_process_can_be_started(
    ready: FinetuneWidget,
    training: Training,
    rest: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That, too, is a sentence, and the button recovers."""
    monkeypatch.setattr(run_process, "train_command", lambda *a: ["/nowhere/python"])
    ready.button.click()
    rest(ready)
    assert "see that it is there and readable" in ready.report.message.text()
    assert ready.button.text() == "Improve" and ready.button.isEnabled()


def test_settings_out_of_bounds_are_refused_before_anything_is_written(
    ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """As a name that no folder can have."""
    ready.more.name.setText("a/b")
    ready.button.click()
    rest(ready)
    assert "Expected a plain name" in ready.report.message.text()
    assert list_runs() == []
    ready.more.name.setText("mine")
    ready.button.click()
    rest(ready)
    assert list_runs()[0].name == "mine"
    assert "mine" in [m.name for m in list_models()]


def test_the_next_round_starts_from_the_base_with_all_pairs(
    viewer: Any, ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """Unless continuing is chosen; held-out objects stay held out."""
    ready.button.click()
    rest(ready)
    first = list_runs()[0].run.plan
    image, labels = discs(1)
    viewer.add_image(image, name="more")
    viewer.add_labels(labels, name="more drawn")
    ready.image.choose(viewer.layers["more"])
    ready.labels.choose(viewer.layers["more drawn"])
    rest(ready)
    assert ready.plan.text().startswith("50 objects on 2 images (here 25")
    assert "Starts from base;" in ready.plan.text()
    ready.more.go_on.setChecked(True)
    assert "Starts from “base-tuned”, the last round;" in ready.plan.text()
    ready.more.go_on.setChecked(False)
    ready.button.click()
    rest(ready)
    second = next(s for s in list_runs() if s.name == "base-tuned-2").run.plan
    assert second.parent == first.parent
    assert [pair.id for pair in second.train] == ["discs", "more"]
    assert first.finetune is not None and second.finetune is not None
    assert second.finetune.planes[0].held_out == first.finetune.planes[0].held_out


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[FinetuneWidget, str], Any]:
    """Answer the question of a closing window, which is taken for a shown one."""
    monkeypatch.setattr(run_closing, "_is_shown", lambda window: True)

    def close(dock: FinetuneWidget, answer: str) -> bool:
        """Return whether the window would stay."""

        def press(box: QMessageBox) -> None:
            next(b for b in box.buttons() if b.text() == answer).click()

        monkeypatch.setattr(QMessageBox, "exec", press)
        dock.work.closing.listen()
        return dock.work.closing.eventFilter(dock.work.closing.window, QCloseEvent())

    return close


def test_closing_asks_first(
    ready: FinetuneWidget, training: Training, qtbot: Any, answered: Any
) -> None:
    """The window stays if it should; or the training goes on without it."""
    training.how["learn"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    run = ready.training.run
    assert run is not None
    assert answered(ready, "Do not close") and ready.training.running
    assert not answered(ready, "Go on in the background")
    assert not ready.training.running
    assert not run.is_stop_requested and not run.is_finish_requested
    (run.folder / "go").touch()
    qtbot.waitUntil(lambda: run.is_finished, timeout=30_000)
    (state,) = list_runs()
    assert state.is_open and state.verdict is not None


def test_closing_can_stop_it(
    ready: FinetuneWidget, training: Training, qtbot: Any, answered: Any
) -> None:
    """The process ends; the run can be gone on with."""
    training.how["wait"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    run = ready.training.run
    assert run is not None
    assert not answered(ready, "Stop")
    for left in run_process._PROCESSES:
        left.wait(30)
    assert not run_state(run.folder).run.is_finished


def test_a_script_that_closes_the_viewer_is_not_asked(
    viewer: Any, ready: FinetuneWidget, training: Training, qtbot: Any
) -> None:
    """Nobody may be there to answer: the training goes on."""
    training.how["learn"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    run = ready.training.run
    assert run is not None
    viewer.close()
    (run.folder / "go").touch()
    qtbot.waitUntil(lambda: run.is_finished, timeout=30_000)


def test_a_closed_dock_lets_it_go_on_and_another_shows_the_verdict(
    viewer: Any,
    ready: FinetuneWidget,
    training: Training,
    qtbot: Any,
    rest: Any,
    open_finetune: Any,
) -> None:
    """Two docks may be open; a run that one follows is not offered by the other."""
    training.how["learn"] = True
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    run = ready.training.run
    assert run is not None
    other = open_finetune("other")
    assert not other.offers.isVisibleTo(other)
    viewer.window.remove_dock_widget(ready)
    assert not ready.training.running
    (run.folder / "go").touch()
    qtbot.waitUntil(lambda: run.is_finished, timeout=30_000)
    other._find()
    rest(other)
    assert other.offers.accept.text() == "See the verdict"
    other.offers.accept.click()
    rest(other)
    assert "kept" in other.verdict.sentence.text()
    assert len(other.pairs.pairs) == 1
    assert "base-tuned" in [m.name for m in list_models()]
    ready.deleteLater()
    qtbot.wait(20)


def test_compare_leaves_no_trace(
    viewer: Any, ready: FinetuneWidget, training: Training, rest: Any
) -> None:
    """Before, after, both by a key; then layers, selection, keys are as they were."""
    ready.button.click()
    rest(ready)
    names = [layer.name for layer in viewer.layers]
    selected = set(viewer.layers.selection)
    keys = dict(viewer.keymap)
    ready.verdict.compare.click()
    rest(ready)
    before, after = ready._compare.layers
    assert [layer.name for layer in viewer.layers[2:]] == [before.name, after.name]
    assert before.visible and after.visible
    assert not viewer.layers["drawn"].visible
    assert "Press C" in ready.verdict.keys.text()
    assert ready.labels.value == viewer.layers["drawn"]
    ready._compare.switch()
    assert (before.visible, after.visible) == (True, False)
    ready._compare.switch()
    assert (before.visible, after.visible) == (False, True)
    ready.verdict.compare.click()
    assert [layer.name for layer in viewer.layers] == names
    assert set(viewer.layers.selection) == selected and dict(viewer.keymap) == keys
    assert viewer.layers["drawn"].visible
    assert not ready.verdict.keys.isVisibleTo(ready)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_loop(
    viewer: Any, open_finetune: Any, open_dock: Any, rest: Any, idle: Any
) -> None:
    """Segment, correct by painting, improve, segment with the new model."""
    segment, dock = open_dock(), open_finetune()
    image, truth = discs()
    viewer.add_image(image, name="discs")
    segment.model.choose(next(e for e in segment.model.objects if e.name == "base"))
    segment.button.click()
    idle(segment)
    layer = viewer.layers["discs base"]
    dock.labels.choose(layer)
    rest(dock)
    assert "none yet" in dock.plan.text() or "got none" in dock.plan.text()
    for number in range(1, 21):
        where = np.nonzero(truth == number)
        layer.data_setitem(where, np.full(len(where[0]), 100 + number))
    rest(dock)
    assert dock.button.isEnabled(), dock.plan.text()
    dock.more.steps.number = 40
    dock.more.patch.number, dock.more.batch.number = 64, 2
    dock.more.device.choose("cpu")
    dock.button.click()
    rest(dock, timeout=200_000)
    assert dock.verdict.sentence.text().startswith("AP "), dock.report.message.text()
    state = list_runs()[0]
    assert state.verdict is not None and state.run.is_finished
    if state.decision != "used":
        dock.verdict.use.click()
        rest(dock)
    assert segment.model.currentText() == "base-tuned"
    segment.button.click()
    idle(segment)
    assert "discs base-tuned" in viewer.layers


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_zipped_and_moved_trains_elsewhere_and_comes_back(
    ready: FinetuneWidget, tmp_path: Path, rest: Any, qtbot: Any
) -> None:
    """Begun by the dock, trained by the shell from another folder, added as a zip."""
    import subprocess

    ready.more.steps.number = 3
    ready.more.patch.number, ready.more.batch.number = 64, 2
    ready.button.click()
    qtbot.waitUntil(lambda: ready.training.running, timeout=30_000)
    run = ready.training.run
    assert run is not None
    ready.button.click()
    rest(ready, timeout=120_000)
    far = tmp_path / "far"
    shutil.copytree(run.folder, far / "moved")
    shutil.rmtree(run.folder)
    for name in ("stop", "finish", "finished"):
        (far / "moved" / name).unlink(missing_ok=True)
    command = run_process.train_command(far / "moved", Machine("cpu"))
    subprocess.run(command, check=True, timeout=200)
    with zipfile.ZipFile(tmp_path / "moved.zip", "w") as file:
        for path in (far / "moved").rglob("*"):
            file.write(path, path.relative_to(far))
    assert add_model(tmp_path / "moved.zip").name == "base-tuned"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_is_a_minute(ready: FinetuneWidget, rest: Any) -> None:
    """From the click to the verdict, start-up included, within a tenth."""
    import time

    ready.more.steps.number = None
    ready.minutes.setValue(1)
    ready.more.device.choose("cpu")
    began = time.monotonic()
    ready.button.click()
    rest(ready, timeout=200_000)
    assert ready.verdict.state is not None, ready.report.message.text()
    assert time.monotonic() - began < 66 + 3
