"""Fine-tune: begin a run, go on with one, and end with a verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.clock import Clock
from napari_unetic.finetuning.folder import read_pair
from napari_unetic.finetuning.judging import HeldOut, Preview, preview_crop
from napari_unetic.finetuning.making import begin_run, read_collected
from napari_unetic.finetuning.planes import (
    Plane,
    as_seen,
    make_plane,
    predict_maps,
    training_sample,
)
from napari_unetic.finetuning.settings import HELD_OUT, finetune_settings
from napari_unetic.finetuning.verdict import VERDICT_FILE, Tally, Verdict, judge
from napari_unetic.image.resample import resample, resample_labels, scaled_shape
from napari_unetic.image.writing import atomic_path
from napari_unetic.model.description import object_kind
from napari_unetic.model.folder import Model
from napari_unetic.model.registry import load_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.device import Device, choose_device
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.curves import draw_curves
from napari_unetic.training.loop import Loop, start_weights
from napari_unetic.training.patches import PatchSource, Sample
from napari_unetic.training.record import save_run_model
from napari_unetic.training.rehearsal import GeneratedSamples
from napari_unetic.training.run import Run, refuse_existing
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.schedule import Schedule
from napari_unetic.training.telling import Teller
from napari_unetic.training.tune import objective, tune_steps

if TYPE_CHECKING:
    from napari_unetic.finetuning.collected import CollectedPair
    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings

_SAVING_SECONDS = 2.0
_DECODINGS = 45
"""About how many different thresholds a whole tuning tries."""

_TUNING_SHARE = 0.08
"""Of the budget that tuning may take, beside the maps that it needs."""


@dataclass(frozen=True, slots=True)
class Finetuned:
    """What a fine-tuning gives.

    Parameters
    ----------
    model : Path
        Folder of the new model, whatever the verdict.
    verdict : Verdict or None
        None where it was stopped; it can be gone on with.
    """

    model: Path
    verdict: Verdict | None


def finetune(
    model: str | Path | Model,
    pairs: Sequence[CollectedPair] | Sequence[Pair] | str | Path,
    out: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    held_out: float = HELD_OUT,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
    **settings: object,
) -> Finetuned:
    """Make a model better from a few corrected objects; see `finetune_steps`.

    Parameters
    ----------
    minutes, steps
        The budget, one of them: minutes from the call to the verdict (2 if neither is
        given), or steps of the optimiser, with which one seed gives the same weights.
    **settings
        Fields of `TrainSettings`, as `finetune_settings` takes them.
    """
    chosen = finetune_settings(minutes=minutes, steps=steps, **settings)
    return drain(
        finetune_steps(
            model,
            pairs,
            out,
            chosen,
            held_out=held_out,
            name=name,
            device=device,
            workers=workers,
        )
    )


def finetune_steps(
    model: str | Path | Model,
    pairs: Sequence[CollectedPair] | Sequence[Pair] | str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    held_out: float = HELD_OUT,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
    spent: float = 0.0,
) -> Steps[Finetuned]:
    """Begin a fine-tuning, yielding a step of progress for each of the optimiser's.

    Parameters
    ----------
    model : str, Path or Model
        What to start from.
    pairs : sequence of CollectedPair or Pair, or path
        Corrected planes; a path is read by `napari_unetic.pairs.read_pairs`.
    out : str or Path
        The run folder, to be made. It holds all that is needed: wherever it is moved,
        `resume_finetune_steps` goes on with it.
    settings : TrainSettings, optional
        From `finetune_settings`, whose defaults are taken if None.
    held_out : float
        About which share of the objects is only judged by, at least five; 0 for none,
        and then for no verdict.
    name : str
        Of the new model; that of the run folder if empty.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train.
    workers : int
        Processes that make batches ahead.
    spent : float
        Seconds of a budget of minutes that are spent already, as by Python's start.

    Yields
    ------
    Step
        ``values`` holds ``loss``, ``ap`` on the held-out objects and ``seconds_left``.

    Returns
    -------
    Finetuned

    Raises
    ------
    UneticError
        If there are too few objects, channels do not fit, or the run exists.
    """
    clock = Clock(spent)
    run = yield from begin_finetune_steps(
        model, pairs, out, settings, held_out=held_out, name=name, device=device
    )
    result = yield from _go_on_steps(run, choose_device(device), workers, clock)
    return result


def begin_finetune_steps(
    model: str | Path | Model,
    pairs: Sequence[CollectedPair] | Sequence[Pair] | str | Path,
    out: str | Path,
    settings: TrainSettings | None = None,
    *,
    held_out: float = HELD_OUT,
    name: str = "",
    device: str = "auto",
) -> Steps[Run]:
    """Make the run folder of a fine-tuning and train nothing yet.

    `resume_finetune_steps`, or ``unetic train RUN``, goes on with it, also elsewhere.

    Parameters
    ----------
    model, pairs, out, settings, held_out, name, device
        As `finetune_steps`.

    Returns
    -------
    Run
        The folder appears whole.

    Raises
    ------
    UneticError
        As `finetune_steps`.
    """
    folder = Path(out)
    refuse_existing(folder)
    where = choose_device(device)
    base = load_model(model)
    yield Step(0, 0, "reading pairs")
    planes = read_collected(pairs)
    run = begin_run(
        folder, base, planes, settings or finetune_settings(), held_out, name, where
    )
    assert run.plan.finetune is not None
    for notice in run.plan.finetune.notices:
        yield Step(0, 0, "reading pairs", notice=notice)
    return run


def resume_finetune_steps(
    folder: str | Path, *, device: str = "auto", workers: int = 0, spent: float = 0.0
) -> Steps[Finetuned]:
    """Go on with a fine-tuning that was interrupted or made elsewhere.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    device, workers, spent
        As `finetune_steps`.

    Returns
    -------
    Finetuned

    Raises
    ------
    UneticError
        If it is no fine-tuning, finished or being trained, or its files are not what
        they were.
    """
    clock = Clock(spent)
    run = Run.open(Path(folder))
    if run.plan.finetune is None:
        raise UneticError(
            f"Expected the run of a fine-tuning, got the training {run.folder}; go on "
            "with it by unetic train."
        )
    if run.is_finished:
        raise UneticError(
            f"Expected an unfinished run, got {run.folder}, which is finished; its "
            f"model is {run.model}."
        )
    result = yield from _go_on_steps(run, choose_device(device), workers, clock)
    return result


def _planes_steps(run: Run) -> Steps[list[Plane]]:
    """Read the pairs of a run, checking that they are what they were."""
    assert run.plan.finetune is not None
    n = len(run.plan.train)
    planes = []
    for k in range(n):
        pair, sides = read_pair(run, k)
        planes.append(
            make_plane(pair, sides, run.plan.finetune.diameter_px, run.plan.description)
        )
        yield Step(k + 1, n, "reading pairs")
    return planes


def _go_on_steps(
    run: Run, device: Device, workers: int, clock: Clock
) -> Steps[Finetuned]:
    """Train from the newest checkpoint to the end, tune, judge, save, and tell."""
    with run.locked():
        run.clear_stop()
        run.tidy()
        teller = Teller(RunLog(run.folder), run.plan.settings.minutes, clock)
        steps = _train_and_judge_steps(run, device, workers, clock, teller)
        return (yield from teller.relay(steps))


def _train_and_judge_steps(
    run: Run, device: Device, workers: int, clock: Clock, teller: Teller
) -> Steps[Finetuned]:
    settings, description = run.plan.settings, run.plan.description
    planes = yield from _planes_steps(run)
    made = (training_sample(p, description, settings.patch_px) for p in planes)
    samples: list[Sample] = [s for s in made if s is not None]
    generated = GeneratedSamples(description) if settings.rehearsal else []
    source = PatchSource(samples, description, settings, generated)
    judge = HeldOut([p for p in planes if p.sides.judge.size], device.name)
    old = yield from _old_steps(run, judge)
    tuning = _tuning_seconds(judge, settings)
    verdict_seconds = 1.5 * old.seconds + _SAVING_SECONDS
    schedule = Schedule(settings, settings.steps, reserve=tuning + verdict_seconds)
    loop = Loop.load(run, schedule, device)
    loop.log.write("resume", step=loop.at.step, device=loop.device_text)
    teller.resumed(loop.at.step, loop.at.seconds + loop.at.overhead)
    if loop.at.step == 0:
        _log_start(loop, old)
    yield from _train_steps(loop, source, judge, workers, clock)
    if not loop.is_done:
        return Finetuned(run.model, None)
    limit = None
    if settings.minutes is not None:
        left = 60 * settings.minutes - loop.at.seconds - loop.at.overhead
        limit = max(left - verdict_seconds, tuning)
    verdict = yield from _finish_steps(loop, planes, judge, old.tally, limit, clock)
    return Finetuned(run.model, verdict)


@dataclass(frozen=True, slots=True, eq=False)
class _Old:
    """The model before, on the held-out objects, and how long that took."""

    tally: Tally
    ap: float
    ap_50: float
    seconds: float


def _old_steps(run: Run, judge: HeldOut) -> Steps[_Old]:
    """Score the model that the run began with."""
    network = build_network(run.plan.description.network)
    network.load_state_dict(start_weights(run))
    model = Model(run.plan.description, network.eval())
    began = time.perf_counter()
    found = yield from judge.tally_steps(model)
    seconds = time.perf_counter() - began
    scores = yield from judge.judge_steps(model)
    ap_50 = scores.pooled("ap")["0.50"] if scores.images else 0.0
    return _Old(found, objective(scores) if scores.images else 0.0, ap_50, seconds)


def _tuning_seconds(judge: HeldOut, settings: TrainSettings) -> float:
    """Return the seconds to keep for tuning, by what judging took."""
    if settings.minutes is None:
        return 0.0
    wanted = judge.seconds + _DECODINGS * judge.decode_seconds
    return 2 * judge.seconds + min(wanted, _TUNING_SHARE * 60 * settings.minutes)


def _log_start(loop: Loop, old: _Old) -> None:
    """Begin the curve with the model before."""
    loop.log.write("validation", step=0, seconds=0.0, ap=old.ap, ap_50=old.ap_50)


def _train_steps(
    loop: Loop, source: PatchSource, judge: HeldOut, workers: int, clock: Clock
) -> Steps[None]:
    """Relay the steps of the loop, with a picture every few seconds."""
    preview = _preview(loop, judge)
    steps = loop.run_steps(source, judge, workers, clock.seconds)
    try:
        for step in steps:
            yield step
            if preview is not None:
                preview.draw(loop)
    finally:
        steps.close()


def _preview(loop: Loop, judge: HeldOut) -> Preview | None:
    """Return what draws held-out objects; None where there are none."""
    if not judge.planes:
        return None
    plane, description = judge.planes[0], loop.run.plan.description
    image = plane.pair.image
    old = image.shape_yx
    grid = scaled_shape(old, description.working_diameter_px / plane.diameter)
    pixels = resample(as_seen(plane, description), old, grid)
    area = resample_labels(plane.judge, old, grid)
    if not area.any():
        return None
    return Preview(loop.run.folder, preview_crop(pixels, area, loop))


def _finish_steps(
    loop: Loop,
    planes: Sequence[Plane],
    held_out: HeldOut,
    old: Tally,
    limit: float | None,
    clock: Clock,
) -> Steps[Verdict]:
    """Tune on the objects learnt from, judge on the others, and save."""
    run = loop.run
    model = loop.candidate()
    # No time at all leaves the thresholds as they are.
    seconds = limit if run.plan.settings.tune else 0.0
    decoding, ap = yield from _tuned_steps(model, planes, loop.device.name, seconds)
    loop.log.write("tuned", decoding=decoding.model_dump(), ap=ap)
    tuned = model.description.model_copy(update={"decoding": decoding})
    model = Model(tuned, model.network)
    new = yield from held_out.tally_steps(model)
    verdict = judge(old, new)
    report = {**verdict.model_dump(), "sentence": verdict.sentence}
    scores = {"held_out": {"n_objects": verdict.n_objects, **verdict.new.model_dump()}}
    described = tuned.model_copy(update={"scores": scores})
    save_run_model(run, Model(described, model.network), loop, report)
    with atomic_path(run.folder / VERDICT_FILE) as part:
        part.write_text(_json(report), encoding="utf-8")
    loop.log.write("verdict", **report)
    draw_curves(loop.log.read(), run.folder / "curves.png")
    minutes = round(clock.seconds / 60, 3)
    loop.log.write("end", step=loop.at.step, minutes=minutes)
    run.set_finished()
    return verdict


def _tuned_steps(
    model: Model, planes: Sequence[Plane], device: str, limit: float | None
) -> Steps[tuple[DecodeSpec, float]]:
    """Tune thresholds on the areas learnt from, within a number of seconds."""
    began = time.perf_counter()
    learnt = [plane for plane in planes if plane.learn.any()]
    found = []
    for k, plane in enumerate(learnt, start=1):
        found.append(predict_maps(model, plane, plane.learn, device))
        yield Step(k, len(learnt), "predicting")
    spec, scores = yield from tune_steps(
        [one.maps for one in found],
        [one.truth for one in found],
        object_kind(model.description).decoding,
        [one.area for one in found],
        is_late=lambda: limit is not None and time.perf_counter() - began > limit,
    )
    return spec, objective(scores)


def _json(report: dict[str, object]) -> str:
    return json.dumps(report, indent=1, ensure_ascii=False) + "\n"
