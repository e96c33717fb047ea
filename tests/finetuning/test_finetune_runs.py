"""A fine-tuning: a run that holds all it needs, and ends in a verdict."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.finetuning import (
    begin_finetune_steps,
    collect_pairs,
    finetune,
    finetune_settings,
    finetune_steps,
    resume_finetune_steps,
)
from napari_unetic.finetuning.folder import pairs_of, read_pair
from napari_unetic.finetuning.planes import as_seen, make_plane, training_sample
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.resample import resample_labels, scaled_shape
from napari_unetic.image.source import Image
from napari_unetic.model.registry import load_model
from napari_unetic.pairs import read_pairs
from napari_unetic.predict import segment
from napari_unetic.steps import drain
from napari_unetic.training import resume_steps
from napari_unetic.training.run import Run
from napari_unetic.training.runlog import RunLog

if TYPE_CHECKING:
    from napari_unetic.finetuning import CollectedPair, Finetuned

QUICK: dict[str, Any] = {
    "batch": 2,
    "patch_px": 64,
    "learning_rate": 5e-3,
    "norms": "learn",
    "rehearsal": 0.0,
    "augmentation": {"turn": 0, "bend": 0, "blank": 0, "invert": 0, "gamma": 0},
}


def _weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def learnt(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Finetuned]:
    """A run of 60 steps on discs, from random weights."""
    rows, columns = np.indices((96, 96))
    pairs = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        labels = np.zeros((96, 96), np.int32)
        for k, (y, x) in enumerate(np.ndindex(5, 5), start=1):
            at = 10 + 18 * y + rng.uniform(-2, 2), 10 + 18 * x + rng.uniform(-2, 2)
            labels[np.hypot(rows - at[0], columns - at[1]) < 7] = k
        image = 1000 + 3000 * (labels > 0) + rng.normal(0, 150, labels.shape)
        pairs += collect_pairs(image.astype(np.uint16), labels, name=f"discs{seed}")
    run = tmp_path_factory.mktemp("runs") / "discs"
    return run, finetune(base, pairs, run, steps=60, device="cpu", **QUICK)


def test_a_model_that_learnt_is_kept(
    learnt: tuple[Path, Finetuned], base: Path
) -> None:
    """Run, verdict file, log and model.json tell the same."""
    run, result = learnt
    verdict = result.verdict
    assert verdict is not None and verdict.is_kept, verdict
    assert verdict.old.ap_50 < 0.3 and verdict.new.ap_50 > 0.6
    assert verdict.sentence.endswith(f"on {verdict.n_objects} held-out objects: kept")
    said = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
    assert said["sentence"] == verdict.sentence
    description = load_model(run).description
    record = description.training
    assert record is not None and record.verdict == said
    assert record.parent == load_model(base).description.weights_sha256
    assert list(record.images) == list(record.labels) == ["discs0", "discs1"]
    assert record.curve[0]["step"] == 0 and record.curve[-1]["step"] == 60
    assert description.working_diameter_px == 14
    assert description.input_diameter_px == pytest.approx(14, abs=0.5)
    records = RunLog(run).read()
    events = [r["event"] for r in records if r["event"] != "progress"]
    assert events[-3:] == ["tuned", "verdict", "end"]
    told = [r for r in records if r["event"] == "progress"]
    assert {"reading pairs", "judging", "training", "tuning"} <= {
        r["what"] for r in told
    }
    assert told[-1]["step"] == 60
    for name in ("preview.png", "curves.png"):
        assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_the_new_model_segments(learnt: tuple[Path, Finetuned]) -> None:
    """By the run's folder, at the pairs' own size without any setting."""
    image = np.asarray(pairs_of(learnt[0])[0].image.data)
    assert 18 <= segment(image, learnt[0], device="cpu").max() <= 30


def test_wrong_labels_are_refused(
    learnt: tuple[Path, Finetuned], tmp_path: Path
) -> None:
    """Labels of other images teach nothing, and the verdict says so."""
    rng = np.random.default_rng(1)
    pairs = []
    for pair in pairs_of(learnt[0]):
        moved = np.roll(pair.labels, (9, 9), (0, 1))
        turned = np.rot90(moved, int(rng.integers(1, 4))).copy()
        pairs.append(replace(pair, labels=turned, held_out=None))
    result = finetune(learnt[0], pairs, tmp_path / "r", steps=30, device="cpu", **QUICK)
    assert result.verdict is not None
    assert result.verdict.verdict == "not better"
    assert load_model(tmp_path / "r").name == "r"  # it stays available


def test_another_round_holds_the_same_out(
    learnt: tuple[Path, Finetuned], base: Path, tmp_path: Path
) -> None:
    """The pairs of a run, and an image more: nobody changes sides."""
    extra = collect_pairs(
        np.random.default_rng(9).integers(0, 9, (96, 96), np.uint16),
        pairs_of(learnt[0])[0].labels,
        name="more",
    )
    settings = finetune_settings(steps=1, **QUICK)
    steps = finetune_steps(
        base, [*pairs_of(learnt[0]), *extra], tmp_path / "r", settings, device="cpu"
    )
    while not (tmp_path / "r").exists():
        next(steps)
    steps.close()
    before, after = Run.open(learnt[0]).plan, Run.open(tmp_path / "r").plan
    assert before.finetune is not None and after.finetune is not None
    assert after.finetune.planes[:2] == before.finetune.planes


def test_nothing_is_learnt_from_held_out_objects(
    learnt: tuple[Path, Finetuned],
) -> None:
    """Their area has weight zero in what patches are cut from, also when resampled."""
    run = Run.open(learnt[0])
    description = run.plan.description.model_copy(update={"working_diameter_px": 9.5})
    for k in range(2):
        pair, sides = read_pair(run, k)
        assert sides.judge.size
        plane = make_plane(pair, sides, 14, description)
        sample = training_sample(plane, description, 512)
        assert sample is not None and sample.reviewed is not None
        shape = pair.labels.shape
        grid = scaled_shape(shape, 9.5 / 14)
        assert sample.reviewed.shape == grid
        judge = resample_labels(plane.judge, shape, grid)
        assert not (sample.reviewed & judge).any()
        assert not np.isin(sample.labels[sample.reviewed], sides.judge).any()
        assert sample.centres is not None
        assert sample.reviewed[tuple(sample.centres.T)].all()


def test_steps_and_a_seed_give_the_same_weights(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """Also when it was interrupted, its folder moved, and its sources are gone."""
    whole = finetune(base, pairs, tmp_path / "a", steps=4, device="cpu", **QUICK)
    steps = finetune_steps(
        base, pairs, tmp_path / "b", finetune_settings(steps=4, **QUICK), device="cpu"
    )
    for step in steps:
        if step.what == "training" and step.done == 2:
            break
    steps.close()
    assert load_model(tmp_path / "b").description.training is not None
    (tmp_path / "far").mkdir()
    archive = shutil.make_archive(str(tmp_path / "run"), "zip", tmp_path / "b")
    shutil.rmtree(tmp_path / "b")
    shutil.unpack_archive(archive, tmp_path / "far" / "c")
    moved = drain(resume_finetune_steps(tmp_path / "far" / "c", device="cpu"))
    assert _weights(moved.model) == _weights(whole.model)
    assert moved.verdict == whole.verdict


def test_rehearsal_and_kept_norms_change_the_weights_repeatably(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """The means against forgetting depend on seed and step alone, too."""
    settings = {**QUICK, "norms": "keep", "rehearsal": 0.5, "anchor": 1.0}
    found = [
        _weights(
            finetune(base, pairs, tmp_path / n, steps=2, device="cpu", **settings).model
        )
        for n in ("a", "b")
    ]
    plain = finetune(base, pairs, tmp_path / "c", steps=2, device="cpu", **QUICK)
    assert found[0] == found[1] != _weights(plain.model)


def test_stop_leaves_a_run_to_go_on_with(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """The model so far is there, without a verdict."""
    settings = finetune_settings(steps=200, **QUICK)
    steps = finetune_steps(base, pairs, tmp_path / "r", settings, device="cpu")
    for step in steps:
        if step.what == "training" and step.done == 2:
            Run.open(tmp_path / "r").request_stop()
            break
    result = drain(steps)
    assert result.verdict is None and not Run.open(tmp_path / "r").is_finished
    assert load_model(result.model).name == "r"


def test_finish_ends_it_with_a_verdict(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """Enough is enough: what was learnt so far is tuned and judged."""
    settings = finetune_settings(steps=200, **QUICK)
    steps = finetune_steps(base, pairs, tmp_path / "r", settings, device="cpu")
    for step in steps:
        if step.what == "training" and step.done == 2:
            Run.open(tmp_path / "r").request_finish()
            break
    result = drain(steps)
    assert result.verdict is not None and Run.open(tmp_path / "r").is_finished
    with pytest.raises(UneticError, match="which is finished"):
        drain(resume_finetune_steps(tmp_path / "r"))


def test_changed_labels_are_told(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """A run does not go on with other labels than it was made with."""
    settings = finetune_settings(steps=3, **QUICK)
    steps = finetune_steps(base, pairs, tmp_path / "r", settings, device="cpu")
    while not (tmp_path / "r").exists():
        next(steps)
    steps.close()
    path = next((tmp_path / "r" / "pairs" / "labels").iterdir())
    tifffile.imwrite(path, tifffile.imread(path)[::-1])
    with pytest.raises(UneticError, match=r"labels of discs\d as they were"):
        drain(resume_finetune_steps(tmp_path / "r", device="cpu"))


def test_the_two_kinds_of_runs_are_told_apart(
    learnt: tuple[Path, Finetuned],
) -> None:
    """Going on with a fine-tuning as with a training is refused."""
    with pytest.raises(UneticError, match="a fine-tuning"):
        drain(resume_steps(learnt[0]))


def test_few_objects_are_refused_before_anything_is_written(
    base: Path, tmp_path: Path, pairs: list[CollectedPair]
) -> None:
    """The sentence says how many are missing."""
    few = replace(pairs[0], labels=np.where(pairs[0].labels < 8, pairs[0].labels, 0))
    with pytest.raises(UneticError, match="got 7; correct 3 more"):
        finetune(base, [few], tmp_path / "r", steps=1)
    assert not list(tmp_path.iterdir())


def test_other_channels_are_adapted_and_said(
    base: Path, tmp_path: Path, pairs: list[CollectedPair]
) -> None:
    """Two channels on a model of one; the notice names both numbers."""
    image = np.stack([np.asarray(pairs[0].image.data)] * 2)
    (two,) = collect_pairs(image, pairs[0].labels, axes="CYX", name="two")
    settings = finetune_settings(steps=1, **QUICK)
    steps = finetune_steps(base, [two], tmp_path / "r", settings, device="cpu")
    notices = []
    try:
        while True:
            notices.append(next(steps).notice)
    except StopIteration as end:
        model = load_model(end.value.model)
    assert any("from 1 to 2 channels" in notice for notice in notices)
    assert model.description.channels == ("channel 0", "channel 1")
    assert segment(image, model, axes="CYX", device="cpu").shape == (96, 96)
    with pytest.raises(UneticError, match="same channels"):
        finetune(base, [two, pairs[0]], tmp_path / "s", steps=1)


@pytest.mark.parametrize("are_dark", [False, True])
def test_dark_objects_start_from_thresholds_of_their_own(
    are_dark: bool, tmp_path: Path, pairs: list[CollectedPair]
) -> None:
    """The old model is judged as it takes such images by itself; no size is taken."""
    nuclei = load_model("nuclei").description
    assert nuclei.dark is not None
    wanted = nuclei.dark.decoding if are_dark else nuclei.decoding
    assert nuclei.dark.decoding != nuclei.decoding
    given = [
        collect_pairs(
            6000 - np.asarray(pair.image.data) if are_dark else pair.image.data,
            pair.labels,
            name=pair.id,
        )[0]
        for pair in pairs
    ]
    begin = begin_finetune_steps("nuclei", given, tmp_path / "r", device="cpu")
    planned = drain(begin).plan.description
    assert planned.decoding == wanted
    assert planned.dark is None
    assert planned.working_diameter_px == nuclei.working_diameter_px


@pytest.mark.parametrize("model", ["base", "nuclei"])
def test_planes_are_seen_as_their_stack_is(
    model: str, base: Path, tmp_path: Path, pairs: list[CollectedPair]
) -> None:
    """In training as in prediction, whether a model takes one channel or three."""
    one = np.asarray(pairs[0].image.data)
    stack = np.stack([one, one // 3])
    labels = np.stack([pairs[0].labels] * 2)
    given = collect_pairs(stack, labels, axes="ZYX", name="stack")
    chosen = str(base) if model == "base" else model
    run = drain(begin_finetune_steps(chosen, given, tmp_path / "r", device="cpu"))
    n_channels = run.plan.description.network.in_channels
    fitted = fit_normalisation(Image(stack, "ZYX"), n_channels)
    for k in range(2):
        pair, sides = read_pair(run, k)
        plane = make_plane(pair, sides, 14, run.plan.description)
        window = np.repeat(stack[k][np.newaxis], n_channels, axis=0)
        np.testing.assert_allclose(
            as_seen(plane, run.plan.description), fitted.apply(window), atol=1e-5
        )


def test_colours_and_floats_survive_the_folder(
    base: Path, tmp_path: Path, pairs: list[CollectedPair]
) -> None:
    """A pair comes back from the run as it was, whatever its kind."""
    labels, grey = pairs[0].labels, np.asarray(pairs[0].image.data)
    kinds = [
        collect_pairs(np.stack([grey // 256] * 3, -1).astype(np.uint8), labels)[0],
        collect_pairs(grey.astype(np.float32) / 7, labels, reviewed=labels > 0)[0],
    ]
    for k, pair in enumerate(kinds):
        steps = finetune_steps(
            base, [pair], tmp_path / f"r{k}", finetune_settings(steps=1), device="cpu"
        )
        while not (tmp_path / f"r{k}").exists():
            next(steps)
        steps.close()
        (found,) = pairs_of(tmp_path / f"r{k}")
        assert found.image_hash() == pair.image_hash()
        assert found.image.rgb == pair.image.rgb
        np.testing.assert_array_equal(found.labels, labels)
        on_disk = read_pairs(tmp_path / f"r{k}" / "pairs")
        assert len(on_disk) == 1
        assert (on_disk[0].reviewed_entry is not None) == (pair.reviewed is not None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"minutes": 0.5}, "at least 1 minute"),
        ({"epochs": 2}, "got epochs"),
        ({"steps": 1, "encoder_rate": 2}, "encoder_rate"),
        ({"steps": 1, "minutes": 2}, "got 2"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    """One sentence each."""
    with pytest.raises(UneticError, match=message):
        finetune_settings(**values)


def test_two_minutes_are_the_default() -> None:
    """And nothing else needs to be chosen."""
    assert finetune_settings().minutes == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_it_goes_on(
    pairs: list[CollectedPair], base: Path, tmp_path: Path
) -> None:
    """Five kills at random moments, tuning and judging included: the same weights."""
    whole = finetune(base, pairs, tmp_path / "a", steps=60, device="cpu", **QUICK)
    run = tmp_path / "b"
    steps = finetune_steps(
        base, pairs, run, finetune_settings(steps=60, **QUICK), device="cpu"
    )
    while not run.exists():
        next(steps)
    steps.close()
    command = [sys.executable, "-m", "napari_unetic", "train", str(run)]
    command += ["--device", "cpu", "--threads", "1", "--workers", "0"]
    rng = random.Random(0)
    n_killed = 0
    while True:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        n_before = len(RunLog(run).read())
        while n_killed < 5 and process.poll() is None:
            if len(RunLog(run).read()) > n_before + 2:
                time.sleep(rng.uniform(0, 1))
                process.send_signal(signal.SIGKILL)
                n_killed += 1
                break
            time.sleep(0.02)
        if process.wait() == 0:
            break
    assert n_killed >= 3
    assert _weights(run / "model") == _weights(whole.model)
    assert json.loads((run / "verdict.json").read_text(encoding="utf-8"))["verdict"]
