"""The user's runs: how they stand, what was decided, what was held out before."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.finetuning import begin_finetune_steps, finetune_settings
from napari_unetic.finetuning.runs import (
    held_out_before,
    list_runs,
    read_verdict,
    run_state,
)
from napari_unetic.finetuning.verdict import VERDICT_FILE
from napari_unetic.steps import drain
from napari_unetic.training.runs import decide, free_name, user_runs_folder

if TYPE_CHECKING:
    from napari_unetic.finetuning import CollectedPair
    from napari_unetic.training.run import Run


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))


def _begin(base: Path, pairs: list[CollectedPair], name: str) -> Run:
    settings = finetune_settings(steps=1)
    folder = user_runs_folder() / name
    return drain(
        begin_finetune_steps(base, pairs, folder, settings, name=name, device="cpu")
    )


def test_a_run_is_begun_and_nothing_is_trained(
    base: Path, pairs: list[CollectedPair]
) -> None:
    """It is there, whole, unlocked, with its pairs; no step was taken."""
    run = _begin(base, pairs, "a")
    assert (run.folder / "pairs" / "labels").is_dir()
    assert run.trainer is None and not run.is_finished
    assert not (run.folder / "model").exists()
    state = run_state(run.folder)
    assert state.is_open and state.verdict is None
    assert (state.name, state.parent_name) == ("a", "base")


def test_runs_are_listed_the_newest_first(
    base: Path, pairs: list[CollectedPair], tmp_path: Path
) -> None:
    """What is no fine-tuning, unfinished or unreadable there is left out."""
    first = _begin(base, pairs[:1], "first")
    second = _begin(base, pairs[:1], "second")
    plan = first.folder / "run.json"
    created = second.plan.created
    plan.write_text(
        plan.read_text(encoding="utf-8").replace(created, "2020-01-01T00:00:00+00:00"),
        encoding="utf-8",
    )
    (user_runs_folder() / "notes").mkdir()
    (user_runs_folder() / "broken").mkdir()
    (user_runs_folder() / "broken" / "run.json").write_text("{", encoding="utf-8")
    assert [state.name for state in list_runs()] == ["second", "first"]
    assert list_runs(tmp_path / "nowhere") == []


def test_a_run_in_training_names_its_process(
    base: Path, pairs: list[CollectedPair]
) -> None:
    """By the lock, while that is held."""
    run = _begin(base, pairs[:1], "a")
    with run.locked():
        assert run_state(run.folder).trainer == str(os.getpid())
    assert run_state(run.folder).trainer is None


def test_decisions_are_kept(base: Path, pairs: list[CollectedPair]) -> None:
    """A run that was decided about is not open; a damaged decision is none."""
    folder = _begin(base, pairs[:1], "a").folder
    decide(folder, "used", "mine")
    state = run_state(folder)
    assert (state.decision, state.model, state.is_open) == ("used", "mine", False)
    (folder / "decision.json").write_text('{"decision": "other"}', encoding="utf-8")
    assert run_state(folder).is_open


def test_an_unreadable_verdict_is_none(tmp_path: Path) -> None:
    """Damaged or missing: the dock says so instead of ending."""
    assert read_verdict(tmp_path) is None
    for text in ("", "[]", '{"verdict": "kept"}'):
        (tmp_path / VERDICT_FILE).write_text(text, encoding="utf-8")
        assert read_verdict(tmp_path) is None


def test_a_free_name_is_found(tmp_path: Path) -> None:
    """Neither that of a run, nor of a model, bundled or not."""
    assert free_name("cells") == "cells"
    (user_runs_folder() / "cells").mkdir(parents=True)
    assert free_name("cells") == "cells-2"
    (tmp_path / "home" / "models" / "cells-2").mkdir(parents=True)
    assert free_name("cells") == "cells-3"
    assert free_name("nuclei") == "nuclei-2"


def test_held_out_stays_so_in_a_later_session(
    base: Path, pairs: list[CollectedPair]
) -> None:
    """Pairs collected anew know what an earlier run held out of the same image."""
    run = _begin(base, pairs, "a")
    assert run.plan.finetune is not None
    other = replace(pairs[0], image=pairs[1].image, id="other")
    strange = replace(pairs[0], image=replace(pairs[0].image, data=np.eye(96)))
    found = held_out_before([pairs[0], other, strange])
    expected = np.isin(pairs[0].labels, run.plan.finetune.planes[0].held_out)
    assert found[0].held_out is not None and expected.any()
    np.testing.assert_array_equal(found[0].held_out, expected)
    assert found[1].held_out is not None and found[2].held_out is None
    kept = replace(pairs[0], held_out=~expected)
    assert held_out_before([kept])[0].held_out is kept.held_out


def test_a_training_is_no_fine_tuning(
    base: Path, pairs: list[CollectedPair], tmp_path: Path
) -> None:
    """Its state is refused in a sentence."""
    folder = _begin(base, pairs[:1], "a").folder
    path = folder / "run.json"
    import json

    plan = json.loads(path.read_text(encoding="utf-8")) | {"finetune": None}
    path.write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(UneticError, match="got the training"):
        run_state(folder)
    assert list_runs() == []
