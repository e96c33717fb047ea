"""Runs: whole from the start, one writer, gone on with after anything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.model.registry import load_model
from napari_unetic.steps import drain
from napari_unetic.training import (
    replay_steps,
    resume_steps,
    train,
    train_settings,
    train_steps,
)
from napari_unetic.training.checkpoint import load_checkpoint
from napari_unetic.training.run import Run
from napari_unetic.training.runlog import RunLog

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs

QUICK = {
    "preset": "unetic-16",
    "batch": 1,
    "patch_px": 64,
    "learning_rate": 5e-3,
    "tune": False,
}
DROPOUT = {**QUICK, "preset": "keras-dsb2018", "validations": 2}


def _weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def _interrupted(pairs: Pairs, run: Path, at_step: int, **settings: object) -> None:
    """Train until a step and close."""
    steps = train_steps(
        pairs[:4], pairs[4:], run, train_settings(**settings), device="cpu"
    )
    for step in steps:
        if step.what == "training" and step.done == at_step:
            break
    steps.close()


@pytest.mark.parametrize("settings", [QUICK, DROPOUT], ids=["batch norm", "dropout"])
def test_interrupted_and_resumed_equals_uninterrupted(
    pairs: Pairs, tmp_path: Path, settings: dict[str, object]
) -> None:
    """With a budget of steps the weights are the same bit by bit."""
    whole = train(
        pairs[:4],
        pairs[4:],
        tmp_path / "whole",
        train_settings(steps=6, **settings),
        device="cpu",
    )
    _interrupted(pairs, tmp_path / "cut", 3, steps=6, **settings)
    resumed = drain(resume_steps(tmp_path / "cut", device="cpu"))
    assert _weights(resumed) == _weights(whole)
    ends = [r for r in RunLog(tmp_path / "cut").read() if r["event"] == "end"]
    assert [r["step"] for r in ends] == [6]


def test_reading_is_told(pairs: Pairs, tmp_path: Path) -> None:
    """Whoever watches a run that is gone on with sees the pairs being read."""
    _interrupted(pairs, tmp_path / "r", 1, steps=2, **QUICK)
    before = len(RunLog(tmp_path / "r").read())
    going = resume_steps(tmp_path / "r", device="cpu")
    assert next(going).what == "reading pairs"
    (record,) = RunLog(tmp_path / "r").read()[before:]
    going.close()
    assert (record["event"], record["what"]) == ("progress", "reading pairs")
    assert (record["done"], record["total"]) == (1, 4)


def test_a_run_appears_whole(pairs: Pairs, tmp_path: Path) -> None:
    """Before the first step it has its plan and a checkpoint to go on from."""
    settings = train_settings(steps=2, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    while not (tmp_path / "run").exists():
        step = next(steps)
    assert step.what == "reading pairs" or step.done == 1
    steps.close()
    assert {p.name for p in tmp_path.iterdir()} == {"data", "run"}
    assert Run.open(tmp_path / "run").plan.settings == settings
    assert load_checkpoint(tmp_path / "run" / "checkpoints") is not None


def test_a_finished_run_says_so(pairs: Pairs, tmp_path: Path) -> None:
    """Going on with it is refused and names its model."""
    train(pairs[:4], pairs[4:], tmp_path / "r", train_settings(steps=1, **QUICK))
    with pytest.raises(UneticError, match=r"which is finished; its model is .*model"):
        drain(resume_steps(tmp_path / "r"))
    assert (tmp_path / "r" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_two_writers_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    """While one trains, another is told which process does."""
    settings = train_settings(steps=9, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "r", settings, device="cpu")
    for step in steps:
        if step.what == "training":
            break
    with pytest.raises(UneticError, match=f"which process {os.getpid()} trains"):
        drain(resume_steps(tmp_path / "r", device="cpu"))
    steps.close()
    assert not (tmp_path / "r" / "lock").exists()


def test_the_lock_of_a_dead_process_is_taken_over(pairs: Pairs, tmp_path: Path) -> None:
    """A killed training does not block the next; nor does a reused number."""
    _interrupted(pairs, tmp_path / "r", 1, steps=2, **QUICK)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    import socket

    for pid in (child.pid, os.getpid()):
        said = {"pid": pid, "started": 1.0, "host": socket.gethostname()}
        (tmp_path / "r" / "lock").write_text(json.dumps(said))
        with Run.open(tmp_path / "r").locked():
            pass
    drain(resume_steps(tmp_path / "r", device="cpu"))


def test_a_stop_file_ends_it_within_a_step(pairs: Pairs, tmp_path: Path) -> None:
    """The best model is kept, and the run can be gone on with."""
    settings = train_settings(steps=500, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "r", settings, device="cpu")
    after = 0
    for step in steps:
        if step.what != "training":
            continue
        if step.done == 3:
            (tmp_path / "r" / "stop").touch()
        after += step.done > 3
    assert after <= 1
    assert load_model(tmp_path / "r").description.training is not None
    assert not Run.open(tmp_path / "r").is_finished
    going = resume_steps(tmp_path / "r", device="cpu")
    assert next(s for s in going if s.what == "training").done == 4
    going.close()


def test_minutes_can_be_replayed(pairs: Pairs, tmp_path: Path) -> None:
    """A budget of time is repeated step by step to the same weights."""
    settings = train_settings(minutes=0.03, **QUICK)
    first = train(pairs[:4], pairs[4:], tmp_path / "a", settings, device="cpu")
    again = drain(replay_steps(tmp_path / "a", tmp_path / "b", device="cpu"))
    assert _weights(again) == _weights(first)


def test_a_run_from_a_model_can_be_replayed(pairs: Pairs, tmp_path: Path) -> None:
    """It begins with the weights that the run began with, wherever the model is."""
    parent = train(
        pairs[:4], pairs[4:], tmp_path / "p", train_settings(steps=2, **QUICK)
    )
    settings = train_settings(minutes=0.02, batch=1, patch_px=64)
    first = train(
        pairs[:4], pairs[4:], tmp_path / "a", settings, from_model=parent, device="cpu"
    )
    shutil.rmtree(tmp_path / "p")
    again = drain(replay_steps(tmp_path / "a", tmp_path / "b", device="cpu"))
    assert _weights(again) == _weights(first)


def test_patience_ends_early(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two validations that are no better the training ends and is tuned."""
    monkeypatch.setattr(
        "napari_unetic.training.object_lesson.objective", lambda scores: 0.5
    )
    settings = train_settings(steps=20, patience=2, **QUICK)
    train(pairs[:4], pairs[4:], tmp_path / "r", settings, device="cpu")
    last = RunLog(tmp_path / "r").read()[-1]
    assert (last["event"], last["step"]) == ("end", 3)


def test_changed_images_are_told(pairs: Pairs, tmp_path: Path) -> None:
    """A run does not go on with other images than it began with."""
    _interrupted(pairs, tmp_path / "r", 1, steps=3, **QUICK)
    path = tmp_path / "data" / "images" / "disc1.tif"
    tifffile.imwrite(path, tifffile.imread(path) + 1)
    with pytest.raises(UneticError, match="image of disc1 as it was"):
        drain(resume_steps(tmp_path / "r", device="cpu"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "readable run.json"),
        ("[]", "another file"),
        ('{"format": "napari-unetic run", "format_version": 9}', "got 9; update"),
        ('{"format": "napari-unetic run", "format_version": 1}', "wrong 'settings'"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """One sentence each."""
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UneticError, match=message):
        Run.open(tmp_path)


def test_a_run_without_a_readable_checkpoint_is_refused(
    pairs: Pairs, tmp_path: Path
) -> None:
    """A cut checkpoint is passed over for the one before, if there is one."""
    _interrupted(pairs, tmp_path / "r", 2, steps=4, **QUICK)
    folder = tmp_path / "r" / "checkpoints"
    newest = max(folder.iterdir())
    (newest / "state.safetensors").write_bytes(b"cut")
    found = load_checkpoint(folder)
    assert found is not None and found[1]["at"]["step"] < int(newest.name)
    for path in folder.iterdir():
        (path / "state.json").write_text("{")
    with pytest.raises(UneticError, match="Expected a checkpoint"):
        drain(resume_steps(tmp_path / "r", device="cpu"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_it_goes_on(pairs: Pairs, tmp_path: Path) -> None:
    """Twenty kills at random moments; the run still ends in the same weights."""
    data = str(tmp_path / "data")
    common = ["--device", "cpu", "--threads", "1", "--workers", "0"]
    budget = [
        *("--steps", "400", "--preset", "unetic-16", "--batch", "1", "--patch", "64"),
        *("--val-fraction", "0.3"),
    ]
    command = [sys.executable, "-m", "napari_unetic", "train"]

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *arguments, *common],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    whole, run = tmp_path / "whole", tmp_path / "run"
    assert start(data, "--out", str(whole), *budget).wait() == 0
    rng = random.Random(0)
    n_killed = 0
    process = start(data, "--out", str(run), *budget)
    while not run.exists():
        assert process.poll() is None
        time.sleep(0.01)
    while n_killed < 20:
        before = len(RunLog(run).read())
        deadline = time.monotonic() + rng.uniform(0, 1)
        while time.monotonic() < deadline or (
            # Kills while Python starts prove little: wait for a sign of life, often.
            n_killed % 2 and len(RunLog(run).read()) == before
        ):
            if process.poll() is not None:
                break
            time.sleep(0.01)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_killed += 1
        process = start(str(run))
    assert process.wait() == 0
    assert n_killed == 20
    assert _weights(run / "model") == _weights(whole / "model")
    assert not [p for p in run.iterdir() if p.name.startswith(".")]


def test_the_next_model_does_not_inherit_how_dark_objects_are_taken(
    pairs: Pairs, tmp_path: Path
) -> None:
    """That was found out for the images of the model it starts from."""
    base = load_model("nuclei")
    assert base.description.dark is not None
    settings = train_settings(steps=1, **QUICK)
    made = train(
        pairs[:4], pairs[4:], tmp_path / "r", settings, from_model=base, device="cpu"
    )
    assert load_model(made).description.dark is None
