"""``unetic train``: from a folder of pairs to a model that segments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from napari_unetic.samples import nuclei_sample, nuclei_stack

SMALL = ("--preset", "unetic-16", "--batch", 2, "--patch", 64, "--threads", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated data set of five images with labels, and lists of ids."""
    folder = tmp_path_factory.mktemp("nuclei")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for seed in range(5):
        image, labels = nuclei_sample((96, 96), seed)
        tifffile.imwrite(folder / "images" / f"n{seed}.tif", image)
        tifffile.imwrite(folder / "labels" / f"n{seed}.tif", labels.astype("uint16"))
    lists = {"train": ["n0", "n1", "n2", "n3"], "val": ["n3"], "test": ["n4"]}
    (folder / "split.json").write_text(json.dumps(lists))
    return folder


def test_a_trained_model_segments(unetic, data, tmp_path) -> None:
    """The model is at RUN/model, its path on stdout, and other commands take it."""
    run = tmp_path / "run"

    trained = unetic("train", data, "--out", run, "--steps", 2, "--seed", 3, *SMALL)
    shown = unetic("models", "show", run, "--all")
    segmented = unetic(
        "segment", data / "images" / "n0.tif", "-o", tmp_path, "--model", run
    )

    assert trained.code == 0, trained.err
    assert trained.out == f"{run / 'model'}\n"
    assert segmented.code == 0, segmented.err
    record = json.loads(shown.out)["training"]
    assert record["steps"] == 2
    assert record["settings"]["seed"] == 3
    assert record["settings"]["patch_px"] == 64
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines][-1] == "end"


def test_validation_ids_are_never_trained_on(unetic, data, tmp_path) -> None:
    """An id in --val-ids is not trained on, though --ids lists it too."""
    split = data / "split.json"

    ended = unetic(
        "train",
        data,
        "--out",
        tmp_path / "run",
        "--ids",
        f"{split}:train",
        "--val-ids",
        f"{split}:val",
        "--exclude-ids",
        f"{split}:test",
        "--steps",
        1,
        *SMALL,
    )

    record = json.loads(unetic("models", "show", tmp_path / "run", "--all").out)
    assert ended.code == 0, ended.err
    assert "train: 3 images, validation: 1" in ended.err
    assert sorted(record["training"]["images"]) == ["n0", "n1", "n2"]
    assert sorted(record["training"]["validation_images"]) == ["n3"]


def test_training_starts_from_a_model(unetic, data, tmp_path) -> None:
    """--from takes another run's weights and says so in the record."""
    first, second = tmp_path / "first", tmp_path / "second"
    unetic("train", data, "--out", first, "--steps", 1, *SMALL)

    ended = unetic(
        "train", data, "--out", second, "--from", first, "--steps", 1, *SMALL[2:]
    )

    parent = json.loads(unetic("models", "show", first).out)
    child = json.loads(unetic("models", "show", second).out)
    assert ended.code == 0, ended.err
    assert child["training"]["parent"] == parent["weights_sha256"]


def test_epochs_are_a_budget(unetic, data, tmp_path) -> None:
    """--epochs trains on as many patches as cover all pixels that often."""
    run = tmp_path / "run"

    ended = unetic("train", data, "--out", run, "--epochs", 1, *SMALL)

    record = json.loads(unetic("models", "show", run).out)["training"]
    assert ended.code == 0, ended.err
    assert record["settings"]["epochs"] == 1
    assert record["steps"] >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--steps", "1", "--minutes", "1"], "not allowed with", id="two"),
        pytest.param(["--patch", "8"], "patch_px", id="patch"),
        pytest.param(["--lr", "0"], "--lr: expected a number above 0", id="rate"),
        pytest.param(["--val-fraction", "1"], "--val-fraction", id="fraction"),
        pytest.param(["--preset", "vnet"], "got 'vnet'", id="preset"),
        pytest.param(["--exclude-ids", "n4"], "expected FILE.json:KEY", id="ids"),
        pytest.param(["--from", "no-such"], "got 'no-such'", id="from"),
    ],
)
def test_bad_arguments_are_one_line(
    unetic, data, tmp_path, arguments: list[str], message: str
) -> None:
    """A bad argument ends with exit code 2, one line, and no run folder."""
    ended = unetic("train", data, "--out", tmp_path / "run", *arguments)

    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("unetic: error: ")
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run").exists()


def test_a_run_that_exists_is_refused(unetic, data, tmp_path) -> None:
    """A run folder is never written over."""
    ended = unetic("train", data, "--out", tmp_path, "--steps", 1, *SMALL)

    assert ended.code == 2
    assert "which exists" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_held_out_fine_tunes_and_judges(unetic, data, tmp_path) -> None:
    """--held-out starts from a model, ends in a sentence, and can be added."""
    base, run = tmp_path / "base", tmp_path / "run"
    unetic("train", data, "--out", base, "--steps", 1, *SMALL)

    tuned = unetic(
        *("train", data, "--from", base, "--held-out", 0.25, "--out", run),
        *("--steps", 2, "--rehearsal", 0, "--encoder-rate", 0.5, *SMALL[2:]),
    )

    record = json.loads(unetic("models", "show", run, "--all").out)["training"]
    assert tuned.code == 0, tuned.err
    assert tuned.out == f"{run / 'model'}\n"
    assert tuned.err.splitlines()[-1] == record["verdict"]["sentence"]
    assert "held-out objects: " in record["verdict"]["sentence"]
    assert record["settings"]["encoder_rate"] == 0.5
    assert (run / "pairs" / "images").is_dir()


def test_a_fine_tuning_is_gone_on_with(unetic, data, tmp_path) -> None:
    """`unetic train RUN` knows what kind of run it is; a stop leaves no verdict."""
    from napari_unetic.finetuning import finetune_settings, finetune_steps

    base, run = tmp_path / "base", tmp_path / "run"
    unetic("train", data, "--out", base, "--steps", 1, *SMALL)
    settings = finetune_settings(steps=2, batch=2, patch_px=64, rehearsal=0.0)
    steps = finetune_steps(base, data, run, settings, device="cpu")
    while not run.exists():
        next(steps)
    steps.close()

    ended = unetic("train", run, "--threads", 1, "--workers", 0)

    assert ended.code == 0, ended.err
    assert "held-out objects: " in ended.err.splitlines()[-1]
    assert (run / "finished").exists()


def test_what_went_by_before_counts(
    unetic, data, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--spent is taken off the minutes of a fine-tuning, beside Python's own start."""
    from napari_unetic import finetuning
    from napari_unetic.finetuning import begin_finetune_steps
    from napari_unetic.steps import Step, drain

    base, run = tmp_path / "base", tmp_path / "run"
    unetic("train", data, "--out", base, "--steps", 1, *SMALL)
    drain(begin_finetune_steps(base, data, run, device="cpu"))
    asked = {}

    def resume(folder, **values):
        asked.update(values)
        yield Step(0, 0, "training")
        return finetuning.Finetuned(run / "model", None)

    monkeypatch.setattr(finetuning, "resume_finetune_steps", resume)
    ended = unetic("train", run, "--spent", "7.5")
    assert ended.code == 0, ended.err
    assert 7.5 <= asked["spent"] < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--held-out", "0.25"], "--from MODEL", id="no model"),
        pytest.param(["--spent", "-1"], "--spent", id="spent"),
        pytest.param(
            ["--held-out", "0.25", "--from", "nuclei", "--minutes", "0.2"],
            "at least 1 minute",
            id="short",
        ),
        pytest.param(
            ["--held-out", "0.25", "--from", "nuclei", "--epochs", "2"],
            "got epochs",
            id="epochs",
        ),
        pytest.param(
            ["--held-out", "0.25", "--val-fraction", "0.1"], "not allowed", id="both"
        ),
        pytest.param(["--rehearsal", "0.5"], "a model to start from", id="rehearsal"),
        pytest.param(["--encoder-rate", "2"], "--encoder-rate", id="rate"),
    ],
)
def test_bad_fine_tunings_are_one_line(
    unetic, data, tmp_path, arguments: list[str], message: str
) -> None:
    """Exit code 2, one line, and no run folder."""
    ended = unetic("train", data, "--out", tmp_path / "run", *arguments)

    assert ended.code == 2
    assert message in ended.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_stacks_are_trained_on_and_segmented_as_volumes(unetic, tmp_path) -> None:
    """--preset unetic-3d: from pairs of stacks to objects through their planes."""
    for kind in ("images", "labels"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for seed in range(2):
        for kind, array in zip(
            ("images", "labels"), nuclei_stack((8, 40, 44), seed), strict=True
        ):
            path = tmp_path / "data" / kind / f"s{seed}.tif"
            tifffile.imwrite(path, array.astype("uint16"))
    run, stack = tmp_path / "run", tmp_path / "data" / "images" / "s0.tif"

    options = ("--preset", "unetic-3d", "--steps", 1, "--batch", 1, "--patch", 32)
    options += ("--patch-planes", 8, "--anisotropy", 3, "--no-tune", "--threads", 1)
    trained = unetic("train", tmp_path / "data", "--out", run, *options)
    segmented = unetic("segment", stack, "-o", tmp_path, "--model", run, "--maps")
    refused = unetic(
        "segment", stack, "-o", tmp_path / "b", "--model", run, "--axes", "TYX"
    )

    assert trained.code == 0, trained.err
    assert segmented.code == 0, segmented.err
    description = json.loads((run / "model" / "model.json").read_text("utf-8"))
    assert (description["axes"], description["anisotropy"]) == ("ZYX", 3)
    assert tifffile.imread(tmp_path / "s0_labels.tif").shape == (8, 40, 44)
    assert tifffile.imread(tmp_path / "s0_maps.tif").shape == (8, 3, 40, 44)
    assert refused.code == 2 and "takes volumes, got the axes TYX" in refused.err
