"""What the Fine-tune dock reads and says; no window is opened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from napari_unetic.finetuning.held_out import FEWEST
from napari_unetic.widgets import finetune_plan
from napari_unetic.widgets.finetune_plan import Round
from napari_unetic.widgets.run_log import RunNews
from napari_unetic.widgets.run_words import n_threads, progress_text


def _write(folder: Path, *records: dict[str, Any]) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def _progress(step: int, loss: float | None, **more: Any) -> dict[str, Any]:
    return {
        "event": "progress",
        "step": step,
        "what": "training",
        "done": step,
        "total": 10,
        "loss": loss,
        "seconds_left": None,
        **more,
    }


def test_a_log_is_read_a_bit_at_a_time(tmp_path: Path) -> None:
    """Only what is new, and half a line when its other half has come."""
    news = RunNews(tmp_path)
    assert not news.read() and not news.has_learnt
    _write(
        tmp_path,
        {"event": "start", "settings": {}},
        {"event": "validation", "step": 0, "ap": 0.1, "ap_50": 0.2},
        _progress(1, 0.9, seconds_left=60.5),
    )
    assert news.read() and not news.read()
    assert news.scores == [(0, 0.2)] and news.losses == [(1, 0.9)]
    assert news.has_learnt and news.seconds_left == 60.5
    line = json.dumps(_progress(2, 0.5)) + "\n"
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line[:20])
    news.read()
    assert len(news.losses) == 1
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line[20:] + "{broken\n[]\n")
    news.read()
    assert news.losses == [(1, 0.9), (2, 0.5)]


def test_what_a_kill_undid_is_taken_back(tmp_path: Path) -> None:
    """Training goes on from a checkpoint: later points are drawn anew."""
    news = RunNews(tmp_path)
    _write(
        tmp_path,
        *(_progress(step, 1 / step) for step in (2, 4, 6)),
        {"event": "validation", "step": 5, "ap": 0.1, "ap_50": 0.2},
        {"event": "resume", "step": 4},
        _progress(5, 0.3),
    )
    news.read()
    assert [step for step, _ in news.losses] == [2, 4, 5]
    assert news.scores == []


def _round(**values: Any) -> Round:
    usual: dict[str, Any] = {
        "here": "12 objects: 7 edited, 5 added",
        "n_here": 12,
        "n_other": 0,
        "n_images": 1,
        "share": 0.25,
        "start": "nuclei",
        "device": "CPU, 1 thread",
        "minutes": 2.0,
    }
    return Round(**usual | values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            {},
            "12 objects: 7 edited, 5 added on 1 image; 7 to learn from, 5 held out to "
            "judge by. Starts from nuclei; 2 min, CPU, 1 thread.",
        ),
        (
            {"n_other": 28, "n_images": 2, "minutes": 1.5},
            "40 objects on 2 images (here 12 objects: 7 edited, 5 added); about 30 to "
            "learn from, about 10 held out to judge by. Starts from nuclei; 1.5 min, "
            "CPU, 1 thread.",
        ),
        (
            {"here": "", "n_here": 0, "n_other": 10, "share": 0, "steps": 300},
            "10 objects on 1 image, none of them on this one; all to learn from, none "
            "to judge by. Starts from nuclei; 300 steps, CPU, 1 thread.",
        ),
    ],
)
def test_the_plan_in_words(values: dict[str, Any], text: str) -> None:
    """How many objects, how they are used, what it starts from, how long and where."""
    assert _round(**values).problem == ""
    assert _round(**values).text == text


@pytest.mark.parametrize(
    ("values", "lacking"),
    [({"n_here": 7}, 3), ({"n_here": 1, "n_other": 3}, 6), ({"n_here": 10}, 0)],
)
def test_too_few_objects_are_said_with_what_is_missing(
    values: dict[str, Any], lacking: int
) -> None:
    """Ten are enough, five on each side; without judging five."""
    problem = _round(**values).problem
    assert (f"Correct or accept {lacking} more" in problem) is (lacking > 0)
    assert _round(**values, share=0.0).problem == "" or values["n_here"] < 5


def test_the_least_number_is_that_of_the_engine() -> None:
    """The dock must not promise what the engine refuses."""
    assert finetune_plan.FEWEST == FEWEST


@pytest.mark.parametrize(
    ("progress", "left", "text"),
    [
        ({}, None, "Starting …"),
        ({"what": "judging"}, None, "Judging …"),
        ({"what": "training"}, 72.4, "Learning, 1:12 left"),
        ({"what": "tuning"}, 4.0, "Setting thresholds, 0:04 left"),
        ({"what": "training"}, 5400.0, "Learning, 1 h 30 min left"),
    ],
)
def test_the_bar_says_what_is_done(
    progress: dict[str, Any], left: float | None, text: str
) -> None:
    """With the time left, where it is known."""
    assert progress_text(progress, left) == text


def test_one_core_is_left_for_the_window() -> None:
    """Of two cores one trains; of one, that one."""
    assert [n_threads(n) for n in (1, 2, 8)] == [1, 1, 7]


def test_the_command_is_that_of_the_shell(tmp_path: Path) -> None:
    """The same interpreter, `unetic train RUN`, and options that it knows."""
    run_process = pytest.importorskip("napari_unetic.widgets.run_process")
    from napari_unetic.cli.parser import build_parser

    command = run_process.train_command(
        tmp_path, run_process.Machine("cpu", workers=0), 1.234
    )
    assert command[:3] == [sys.executable, "-m", "napari_unetic"]
    arguments = build_parser().parse_args(command[3:])
    assert (arguments.data, arguments.device) == (str(tmp_path), "cpu")
    assert arguments.threads >= 1 and arguments.spent == 1.23
    assert arguments.workers == 0


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("train: step 1\nunetic: error: Expected a, got b; do c.\n", 2, "Expected a"),
        ("Traceback:\n  x\nRuntimeError: no\n", 1, "RuntimeError: no"),
        ("", -9, "ended from outside (signal 9)"),
        ("train: training 5%\n", None, "without a word"),
    ],
)
def test_a_death_is_said_in_a_sentence(
    tmp_path: Path, output: str, code: int | None, said: str
) -> None:
    """The last thing that the process printed, or how it was ended."""
    run_process = pytest.importorskip("napari_unetic.widgets.run_process")
    (tmp_path / run_process.OUTPUT_FILE).write_text(output, encoding="utf-8")
    text = run_process.failure(tmp_path, code)
    assert said in text and "\n" not in text
