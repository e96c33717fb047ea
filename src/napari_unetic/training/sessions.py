"""Train: begin a run, go on with one, or repeat one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unetic.errors import UneticError
from napari_unetic.networks.device import Device, choose_device
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.beginning import begin, begin_steps
from napari_unetic.training.ending import finish_steps
from napari_unetic.training.judges import Validation
from napari_unetic.training.loop import Loop, start_weights
from napari_unetic.training.patches import PatchSource, Sample, load_samples
from napari_unetic.training.rehearsal import GeneratedSamples
from napari_unetic.training.run import (
    Run,
    refuse_existing,
)
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.schedule import Replay, Schedule
from napari_unetic.training.telling import Teller

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.pairs.pair import Pair
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
    run, samples = yield from begin_steps(
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
    run, _ = yield from begin_steps(
        train_pairs, validation_pairs, out, settings, None, name, where, inside
    )
    return run


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
        yield from teller.relay(finish_steps(loop, validation))
    return run.model
