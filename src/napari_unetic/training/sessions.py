"""Train: begin a run, go on with one, or repeat one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unetic.errors import UneticError
from napari_unetic.image.resample import resample
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.folder import Model
from napari_unetic.model.registry import load_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.device import Device, choose_device
from napari_unetic.provenance import software_versions
from napari_unetic.settings import segment_settings
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.judges import Validation, as_trained
from napari_unetic.training.loop import Loop, start_weights
from napari_unetic.training.optimiser import make_optimiser
from napari_unetic.training.patches import PatchSource, Sample, load_samples
from napari_unetic.training.record import (
    describe,
    save_run_model,
    sized,
)
from napari_unetic.training.rehearsal import GeneratedSamples
from napari_unetic.training.run import (
    PAIRS,
    PairRecord,
    Run,
    RunPlan,
    refuse_existing,
)
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.schedule import Replay, Schedule
from napari_unetic.training.settings import usual_of
from napari_unetic.training.telling import Teller

if TYPE_CHECKING:
    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.kinds import AnyScores
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.semantic.decode import ClassDecodeSpec
    from napari_unetic.training.settings import TrainSettings


def train(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    *,
    from_model: str | Path | Model | None = None,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
) -> Path:
    """Train a model and return its folder; see `train_steps`."""
    return drain(
        train_steps(
            train_pairs,
            validation_pairs,
            out,
            settings,
            from_model=from_model,
            name=name,
            device=device,
            workers=workers,
        )
    )


def train_steps(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    *,
    from_model: str | Path | Model | None = None,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
) -> Steps[Path]:
    """Begin a run, yielding a step of progress for each step of the optimiser.

    Parameters
    ----------
    train_pairs : sequence of Pair
        What is learnt from.
    validation_pairs : sequence of Pair
        What the weights and the thresholds are chosen on.
    out : str or Path
        The run folder, to be made; see `napari_unetic.training.run`. It appears whole
        before the first step, and the best model so far is in it.
    settings : TrainSettings
        Network, budget, batch, learning rate, seed.
    from_model : str, Path or Model, optional
        Start from its weights, network and normalisation instead of a preset.
    name : str
        Name of the model; that of the run folder if empty.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train. bfloat16 is used where the device has it natively.
    workers : int
        Processes that make batches ahead. With more than 0 a script must guard its
        entry point (``if __name__ == "__main__":``) on Windows and macOS.

    Yields
    ------
    Step
        ``values`` holds ``loss``, ``seconds_left`` and the score of the last
        validation: ``ap`` (mean over IoU .50 to .90), or ``iou`` (mean over classes).

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    UneticError
        If there is nothing to train or validate on, an image is in both, the run
        exists, pairs do not fit the network, or the loss is not a number.
    """
    where = choose_device(device)
    run, samples = yield from _begin_steps(
        train_pairs, validation_pairs, out, settings, from_model, name, where
    )
    with run.locked():
        return (yield from _go_on_steps(run, samples, validation_pairs, where, workers))


def begin_train_steps(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    *,
    name: str = "",
    device: str = "auto",
    inside: Path | None = None,
) -> Steps[Run]:
    """Make the run folder of a training from scratch, and train nothing yet.

    `resume_steps`, or ``unetic train RUN``, goes on with it.

    Parameters
    ----------
    train_pairs, validation_pairs, out, settings, name, device
        As `train_steps`.
    inside : Path, optional
        A folder that holds all the pairs. It is moved into the run, which then holds
        all that it needs.

    Returns
    -------
    Run
        The folder appears whole.

    Raises
    ------
    UneticError
        As `train_steps`.
    """
    where = choose_device(device)
    run, _ = yield from _begin_steps(
        train_pairs, validation_pairs, out, settings, None, name, where, inside
    )
    return run


def _begin_steps(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    from_model: str | Path | Model | None,
    name: str,
    where: Device,
    inside: Path | None = None,
) -> Steps[tuple[Run, list[Sample]]]:
    """Check and read the pairs, and make the run folder."""
    folder = Path(out)
    _check_pairs(train_pairs, validation_pairs)
    base = load_model(from_model) if from_model is not None else None
    if base is None and (settings.rehearsal or settings.anchor):
        raise UneticError(
            "Expected a model to start from, since rehearsal and the pull to the start "
            "need one, got none; name it, or set them to 0."
        )
    description = describe(base, settings, name or folder.name)
    settings = usual_of(settings, description.network.dimensions)
    refuse_existing(folder)
    yield Step(0, 0, "reading pairs")
    samples = [
        s for pair in train_pairs for s in load_samples(pair, description, settings)
    ]
    for pair in validation_pairs:
        # They are read again later: a run that could not validate must not begin.
        load_samples(pair, description, settings)
    if base is None:
        description = sized(description, samples, settings)
    plan = RunPlan(
        settings=settings,
        description=description,
        parent=base.description.weights_sha256 if base else "",
        train=tuple(PairRecord.of(pair, inside) for pair in train_pairs),
        validation=tuple(PairRecord.of(pair, inside) for pair in validation_pairs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=software_versions(),
    )
    start = base.network.state_dict() if base else None

    def take_pairs_along(part: Path) -> None:
        if inside is not None:
            shutil.move(inside, part / PAIRS)

    return begin(folder, plan, start, where, take_pairs_along), samples


def resume_steps(
    folder: str | Path, *, device: str = "auto", workers: int = 0
) -> Steps[Path]:
    """Go on with a run that was interrupted; the steps are those of `train_steps`.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    device, workers
        As `train_steps`.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    UneticError
        If the folder is no run, the run is finished or being trained, or its images
        are no longer what they were.
    """
    run = _open(folder)
    if run.is_finished:
        raise UneticError(
            f"Expected an unfinished run, got {run.folder}, which is finished; its "
            f"model is {run.model}."
        )
    where = choose_device(device)
    with run.locked():
        # Whoever watches the run learns that something is done, and what.
        telling = Teller(RunLog(run.folder))
        samples, validation = yield from telling.relay(_read_steps(run))
        return (yield from _go_on_steps(run, samples, validation, where, workers))


def replay_steps(
    folder: str | Path, out: str | Path, *, device: str = "auto", workers: int = 0
) -> Steps[Path]:
    """Repeat a run step by step, at its learning rates; see `train_steps`.

    On the same machine with the same number of threads the weights are the same.

    Parameters
    ----------
    folder : str or Path
        The run to repeat; it must have ended.
    out : str or Path
        The new run folder.
    device, workers
        As `train_steps`.

    Returns
    -------
    Path
        The new model's folder.

    Raises
    ------
    UneticError
        As `resume_steps`, or if the log lacks a step.
    """
    run = _open(folder)
    replay = read_replay(run)
    refuse_existing(Path(out))
    where = choose_device(device)
    samples, validation = yield from _read_steps(run)
    again = begin(Path(out), run.plan, start_weights(run), where)
    with again.locked():
        return (
            yield from _go_on_steps(
                again, samples, validation, where, workers, schedule=replay
            )
        )


def _open(folder: str | Path) -> Run:
    run = Run.open(Path(folder))
    if run.plan.finetune is not None:
        raise UneticError(
            f"Expected the run of a training, got {run.folder}, a fine-tuning; go on "
            "with it by unetic train RUN, or start it anew from its pairs with --steps."
        )
    return run


def read_replay(run: Run) -> Replay:
    """Return the schedule of a run as its log tells it.

    Raises
    ------
    UneticError
        If the rate of a step is missing.
    """
    rates: dict[int, float] = {}
    validations = set()
    total = 0
    for record in RunLog(run.folder).read():
        if record["event"] == "rates":
            rates.update(enumerate(record["rates"], start=record["first"]))
        elif record["event"] == "validation":
            validations.add(record["step"])
        elif record["event"] == "end":
            total = record["step"]
    if total == 0 or any(step not in rates for step in range(total)):
        raise UneticError(
            f"Expected a finished run with a log of every step, got {run.folder}; go "
            "on with it first (unetic train RUN)."
        )
    return Replay(
        run.plan.settings, total, rates=rates, validations=frozenset(validations)
    )


def _check_pairs(train_pairs: Sequence[Pair], validation_pairs: Sequence[Pair]) -> None:
    for what, pairs in (("train", train_pairs), ("validate", validation_pairs)):
        if not pairs:
            raise UneticError(
                f"Expected at least one pair to {what} on, got none; give more pairs, "
                "or other ids."
            )
    both = {p.id for p in train_pairs} & {p.id for p in validation_pairs}
    if both:
        raise UneticError(
            f"Expected validation images apart from training images, got {len(both)} "
            f"in both ({min(both)}); take them out of one."
        )


def begin(
    folder: Path,
    plan: RunPlan,
    start: dict[str, Tensor] | None,
    device: Device,
    add: Callable[[Path], None] = lambda part: None,
) -> Run:
    """Make the run folder with the checkpoint of step 0; it appears whole.

    Parameters
    ----------
    folder : Path
        To be made.
    plan : RunPlan
        What is trained on what.
    start : dict of str to Tensor, optional
        Weights to start from; drawn by the plan's seed if None.
    device : Device
        Where to train.
    add : callable
        Called with the unfinished folder, to put more into it.

    Returns
    -------
    Run
    """
    # Weights are drawn by a generator of their own: the user's stays untouched.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.settings.seed)
        network = build_network(plan.description.network)
    average = deepcopy(network)
    if start is not None:
        network.load_state_dict(start)
    average.load_state_dict(network.state_dict())

    def prepare_folder(part: Path) -> None:
        add(part)
        run = Run(part, plan)
        schedule = Schedule(plan.settings, None)
        optimiser = make_optimiser(network, plan.settings)
        loop = Loop(run, schedule, device, network, average, optimiser)
        loop.log.write(
            "start",
            settings=plan.settings.model_dump(),
            training_images=len(plan.train),
            validation_images=len(plan.validation),
            software=plan.software,
        )
        loop.save()

    return Run.create(folder, plan, prepare_folder)


def _read_steps(run: Run) -> Steps[tuple[list[Sample], list[Pair]]]:
    """Read the pairs of a run, checking that they are what they were."""
    n = len(run.plan.train)
    samples = []
    for k, record in enumerate(run.plan.train, start=1):
        pair = record.pair(run.folder)
        samples += load_samples(pair, run.plan.description, run.plan.settings)
        yield Step(k, n, "reading pairs")
    return samples, [record.pair(run.folder) for record in run.plan.validation]


def _go_on_steps(
    run: Run,
    samples: list[Sample],
    validation: Sequence[Pair],
    device: Device,
    workers: int,
    schedule: Schedule | None = None,
) -> Steps[Path]:
    """Train from the newest checkpoint to the end, tune, and save the model.

    The run must be locked.
    """
    settings = run.plan.settings
    description = run.plan.description
    generated = GeneratedSamples(description) if settings.rehearsal else []
    source = PatchSource(samples, description, settings, generated)
    if schedule is None:
        total = settings.steps
        if settings.epochs is not None:
            total = settings.epochs * source.steps_per_epoch
        schedule = Schedule(settings, total)
    run.clear_stop()
    run.tidy()
    loop = Loop.load(run, schedule, device)
    loop.log.write("resume", step=loop.at.step, device=loop.device_text)
    judge = Validation(validation, device.name)
    teller = Teller(loop.log)
    teller.resumed(loop.at.step, loop.at.seconds)
    yield from teller.relay(loop.run_steps(source, judge, workers))
    if loop.is_done:
        yield from teller.relay(_finish_steps(loop, validation))
    return run.model


def _finish_steps(loop: Loop, validation: Sequence[Pair]) -> Steps[None]:
    """Tune the thresholds of the best model and mark the run as done."""
    from napari_unetic.training.curves import draw_curves

    best, lesson = loop.best_model(), loop.lesson
    decoding, scores = yield from _tuned_steps(loop, best, validation)
    found = {lesson.figure: lesson.objective(scores)}
    loop.log.write("tuned", decoding=decoding.model_dump(), **found)
    tuned = best.description.model_copy(
        update={"decoding": decoding, "scores": {"validation": lesson.summary(scores)}}
    )
    save_run_model(loop.run, Model(tuned, best.network), loop)
    draw_curves(loop.log.read(), loop.run.folder / "curves.png")
    minutes = round(loop.at.seconds / 60, 3)
    loop.log.write("end", step=loop.at.step, minutes=minutes)
    loop.run.set_finished()


def _tuned_steps(
    loop: Loop, model: Model, pairs: Sequence[Pair]
) -> Steps[tuple[DecodeSpec | ClassDecodeSpec, AnyScores]]:
    """Predict the maps of the validation pairs once, then tune on them."""
    description = model.description
    maps: list[NDArray[np.float16]] = []
    truths: list[NDArray[np.int32]] = []
    areas: list[NDArray[np.bool_] | None] = []
    settings = segment_settings(
        **as_trained(description), device=loop.device.name, precision="float32"
    )
    for k, pair in enumerate(pairs, start=1):
        image, truth = description.kind.read(pair)
        reviewed = pair.reviewed(truth.shape)
        work = prepare(plan_work(image, description, settings), model)
        for plane in work.plan.planes:
            made = drain(work.maps_steps(plane))
            if work.plan.grid != work.plan.image.space:
                made = resample(made, work.plan.grid, work.plan.image.space)
            maps.append(made.astype(np.float16))
            truths.append(truth[plane])
            areas.append(None if reviewed is None else reviewed[plane])
        yield Step(k, len(pairs), "predicting")
    is_tuned = loop.run.plan.settings.tune
    result = yield from loop.lesson.tune_steps(
        maps, truths, description.decoding, areas, lambda: not is_tuned
    )
    return result
