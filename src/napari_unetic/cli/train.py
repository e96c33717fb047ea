"""``unetic train``: train a model on pairs of images and labels."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetic.cli.options import UsageError, torch_threads
from napari_unetic.cli.progress import Progress
from napari_unetic.cli.train_options import (
    FLAGS,
    SETTINGS,
    add_train_parser,
    given_settings,
    settings_of,
)

if TYPE_CHECKING:
    from types import FrameType

    from napari_unetic.pairs.pair import Pairs
    from napari_unetic.steps import Steps
    from napari_unetic.training.settings import TrainSettings


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    add_train_parser(commands, run)


def run(arguments: argparse.Namespace) -> int:
    """Train, say where the model is, and return the exit code."""
    from napari_unetic.steps import drain
    from napari_unetic.training.run import PLAN_FILE, Run

    if arguments.preview is not None:
        return _preview(arguments)
    folder = _run_folder(arguments, PLAN_FILE)
    with (
        Progress("train") as progress,
        torch_threads(arguments.threads),
        _stopping(folder) as was_interrupted,
    ):
        model = drain(_steps(arguments, folder, progress), progress)
        verdict = _verdict(folder)
        if verdict:
            progress.line(verdict)
    if not Run.open(folder).is_finished:
        print(
            f"stopped; go on with: unetic train {folder}",
            file=sys.stderr,
        )
    print(model)
    return 130 if was_interrupted() else 0


def _run_folder(arguments: argparse.Namespace, plan_file: str) -> Path:
    """Check which of the three ways is asked for, and return the run's folder."""
    if arguments.replay is not None and arguments.data is not None:
        raise UsageError(
            "Expected DATA or --replay RUN, got both; leave one of them out."
        )
    if arguments.replay is None and arguments.data is None:
        raise UsageError("Expected DATA or a RUN, got none; name one.")
    if arguments.out is not None:
        return Path(arguments.out)
    if arguments.data is not None and (Path(arguments.data) / plan_file).is_file():
        return Path(arguments.data)
    raise UsageError(
        "Expected --out RUN, a folder for this training, got none; name one."
    )


def _steps(
    arguments: argparse.Namespace, folder: Path, progress: Progress
) -> Steps[Path]:
    """Return the training that is asked for."""
    from napari_unetic.training import replay_steps, resume_steps, train_steps
    from napari_unetic.training.run import Run

    machine = {"device": arguments.device, "workers": arguments.workers}
    if arguments.replay is not None:
        return replay_steps(arguments.replay, folder, **machine)
    if arguments.out is None:
        _refuse_settings(arguments)
        if Run.open(folder).plan.finetune is not None:
            return _go_on_finetuning(folder, machine, arguments.spent)
        return resume_steps(folder, **machine)
    if arguments.held_out is not None:
        return _finetune(arguments, folder, progress, machine)
    settings = settings_of(arguments)
    train_pairs, validation_pairs = _split(arguments, settings, progress)
    return train_steps(
        train_pairs,
        validation_pairs,
        folder,
        settings,
        from_model=arguments.from_model,
        **machine,
    )


def _finetune(
    arguments: argparse.Namespace,
    folder: Path,
    progress: Progress,
    machine: dict[str, Any],
) -> Steps[Path]:
    """Read the pairs and return the fine-tuning of a model on them."""
    from napari_unetic.finetuning import finetune_settings, finetune_steps
    from napari_unetic.pairs.readers import read_pairs

    if arguments.from_model is None:
        raise UsageError(
            "Expected --from MODEL to fine-tune, got --held-out alone; name the model."
        )
    settings = finetune_settings(**given_settings(arguments))
    pairs = read_pairs(
        arguments.data,
        labels=arguments.labels,
        ids=arguments.ids,
        exclude_ids=arguments.exclude_ids,
    )
    progress.notes(pairs.notices)
    steps = finetune_steps(
        arguments.from_model,
        pairs,
        folder,
        settings,
        held_out=arguments.held_out,
        spent=arguments.spent + _seconds_since_start(),
        **machine,
    )
    return (yield from steps).model


def _go_on_finetuning(
    folder: Path, machine: dict[str, Any], spent: float
) -> Steps[Path]:
    """Return what goes on with a fine-tuning."""
    from napari_unetic.finetuning import resume_finetune_steps

    spent += _seconds_since_start()
    steps = resume_finetune_steps(folder, spent=spent, **machine)
    return (yield from steps).model


def _verdict(folder: Path) -> str:
    """Return the sentence of a fine-tuning that is finished; empty for others."""
    from napari_unetic.training.runlog import RunLog

    said = [r["sentence"] for r in RunLog(folder).read() if r["event"] == "verdict"]
    return str(said[-1]) if said else ""


def _seconds_since_start() -> float:
    """Return how long this process has run, where it runs this command alone."""
    program = Path(sys.argv[0])
    if program.stem != "unetic" and program.parent.name != "napari_unetic":
        return 0.0
    import time

    import psutil

    began: float = psutil.Process().create_time()
    return max(0.0, time.time() - began)


def _preview(arguments: argparse.Namespace) -> int:
    """Write the strip of augmented patches."""
    from napari_unetic.model.registry import load_model
    from napari_unetic.training.preview import write_preview

    if arguments.data is None:
        raise UsageError("Expected DATA to preview, got none; name it.")
    if arguments.held_out is not None:
        raise UsageError(
            "Expected a training to preview, got --held-out; leave one of them out."
        )
    settings = settings_of(arguments)
    base = load_model(arguments.from_model) if arguments.from_model else None
    with Progress("train") as progress:
        pairs, _ = _split(arguments, settings, progress)
        write_preview(pairs, Path(arguments.preview), settings, base)
    print(arguments.preview)
    return 0


def _split(
    arguments: argparse.Namespace, settings: TrainSettings, progress: Progress
) -> tuple[Pairs, Pairs]:
    """Read the pairs to train and to validate on."""
    from napari_unetic.pairs.readers import read_split

    held_out = {"val_ids": arguments.val_ids, "val_fraction": arguments.val_fraction}
    train_pairs, validation_pairs = read_split(
        arguments.data,
        labels=arguments.labels,
        ids=arguments.ids,
        exclude_ids=arguments.exclude_ids,
        seed=settings.seed,
        as_classes=_is_for_classes(arguments, settings),
        **{name: value for name, value in held_out.items() if value is not None},
    )
    progress.notes(train_pairs.notices)
    progress.notes(validation_pairs.notices)
    progress.line(
        f"train: {len(train_pairs)} images, validation: {len(validation_pairs)}"
    )
    return train_pairs, validation_pairs


def _is_for_classes(arguments: argparse.Namespace, settings: TrainSettings) -> bool:
    """Whether classes are learnt, by the settings or the model to start from."""
    if arguments.from_model is None:
        return bool(settings.classes)
    from napari_unetic.model.registry import load_model

    return load_model(arguments.from_model).description.kind.noun == "classes"


def _refuse_settings(arguments: argparse.Namespace) -> None:
    """Refuse settings beside a run to go on with: it has its own."""
    names = [
        *SETTINGS,
        *("from_model", "labels", "ids", "exclude_ids"),
        *("val_ids", "val_fraction", "held_out"),
    ]
    given = [name for name in names if getattr(arguments, name) is not None]
    if given:
        flag = "--" + FLAGS.get(given[0], given[0]).replace("_", "-")
        raise UsageError(
            f"Expected a run alone to go on with, got {flag} beside it; leave it out, "
            "or start a new run with --out."
        )


@contextmanager
def _stopping(folder: Path) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C end the training with its current step.

    A second one, or one before the run is there, interrupts at once.

    Parameters
    ----------
    folder : Path
        The run folder, which may not be there yet.

    Yields
    ------
    callable
        Whether Ctrl-C was pressed.
    """
    pressed = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if pressed.is_set() or not folder.is_dir():
            raise KeyboardInterrupt
        pressed.set()
        (folder / "stop").touch()

    if threading.current_thread() is not threading.main_thread():
        # Only the main thread gets signals.
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
