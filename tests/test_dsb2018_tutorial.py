"""The tutorial's example: whose images are whose, and going on where it stopped."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import tifffile

from napari_unetic.samples import nuclei_sample
from napari_unetic.training.runlog import RunLog


@pytest.fixture(scope="module")
def example(repository: Path) -> dict[str, Any]:
    """The names in the example."""
    return runpy.run_path(str(repository / "examples" / "dsb2018_tutorial.py"))


def test_nobody_trains_on_what_is_scored(
    example: dict[str, Any], tmp_path: Path
) -> None:
    """Training, validation and scored images are apart; test ids are in none."""
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        for k in range(30):
            pixels = nuclei_sample((16, 16), 0)[kind == "labels"]
            tifffile.imwrite(tmp_path / kind / f"n{k}.tif", pixels.astype("uint16"))
    ids = [f"n{k}" for k in range(30)]
    lists = {"train": ids[:25], "test": ids[25:], "val_of_train_seed42": ids[:5]}
    split = tmp_path / "split.json"
    split.write_text(json.dumps(lists), encoding="utf-8")
    data = example["read_data"](tmp_path, split)
    train, validation, scored = (
        {pair.id for pair in part}
        for part in (data.train, data.validation, data.scored)
    )
    assert scored == set(ids[:5])
    assert (len(train), len(validation)) == (18, 2)
    assert train | validation == set(ids[5:25])


def test_the_settings_are_those_of_the_tutorial(example: dict[str, Any]) -> None:
    """Network, loss, optimiser, early stopping, and validation once an epoch."""
    settings = example["tutorial"]()
    assert (settings.preset, settings.loss) == ("keras-dsb2018", "bce")
    assert (settings.optimiser, settings.learning_rate) == ("adam", 1e-3)
    assert settings.patience == 2 and settings.validations == settings.epochs == 50
    assert settings.resize_px == 128 and not settings.tune


def test_the_tutorial_goes_on_where_it_stopped(
    example: dict[str, Any], tmp_path: Path
) -> None:
    """An unfinished run is gone on with, a finished one is taken as it is."""
    data = example["generate"](tmp_path / "data")
    settings = example["tutorial"](epochs=2, batch=1)
    run = tmp_path / "tutorial"
    first = example["train_or_go_on"](run, data, settings, 0)
    log = RunLog(run)
    events = [record["event"] for record in log.read()]
    assert events.count("resume") == 1 and events[-1] == "end"
    assert example["train_or_go_on"](run, data, settings, 0) == first
    assert [record["event"] for record in log.read()] == events
    (run / "finished").unlink()
    assert example["train_or_go_on"](run, data, settings, 0) == first
    assert [record["event"] for record in log.read()].count("resume") == 2
