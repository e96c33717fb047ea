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

from napari_unetic.cli.options import (
    UsageError,
    add_choice,
    add_device,
    fraction,
    id_list,
    positive_integer,
    positive_number,
    torch_threads,
    whole_number,
)
from napari_unetic.cli.progress import Progress

if TYPE_CHECKING:
    from types import FrameType

    from napari_unetic.pairs.pair import Pairs
    from napari_unetic.steps import Steps
    from napari_unetic.training.settings import TrainSettings

DEFAULT_MINUTES = 30.0
"""Budget where none is given."""

SETTINGS = {
    "preset": "preset",
    "minutes": "minutes",
    "epochs": "epochs",
    "steps": "steps",
    "batch": "batch",
    "patch": "patch_px",
    "lr": "learning_rate",
    "seed": "seed",
    "patience": "patience",
}
"""Arguments and the fields of the training settings that they set."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model on pairs of images and labels",
        description="Train a model on pairs of images and labels; it ends up in "
        "RUN/model. A training that was interrupted goes on with `unetic train RUN`. "
        "Ctrl-C ends it with the current step and keeps the best model so far; so "
        "does a file named stop in RUN.",
    )
    parser.add_argument(
        "data",
        nargs="?",
        metavar="DATA|RUN",
        help="a DSB2018 folder or zip, a folder with images/ and labels/ (or masks/), "
        "or a folder of images (labels from --labels); or a run to go on with",
    )
    add_choice(parser)
    parser.add_argument("--out", metavar="RUN", help="folder of this training")
    parser.add_argument(
        "--replay",
        metavar="RUN",
        help="repeat a finished run step by step, at its learning rates, into --out",
    )
    parser.add_argument(
        "--preview",
        metavar="PNG",
        help="write a picture of augmented patches with their targets, and end",
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--from",
        dest="from_model",
        metavar="MODEL",
        help="start from this model (a name or a folder) instead of random weights",
    )
    start.add_argument(
        "--preset", metavar="P", help="network to train from scratch (default: ours)"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--minutes",
        type=positive_number,
        metavar="M",
        help=f"train for M minutes (default: {DEFAULT_MINUTES:g})",
    )
    budget.add_argument(
        "--epochs",
        type=positive_integer,
        metavar="N",
        help="train on as many patches as cover all training pixels N times",
    )
    budget.add_argument(
        "--steps", type=positive_integer, metavar="N", help="take N optimiser steps"
    )
    validation = parser.add_mutually_exclusive_group()
    validation.add_argument(
        "--val-ids",
        type=id_list,
        metavar="FILE.json:KEY",
        action="append",
        help="validate on these ids and never train on them (may be repeated)",
    )
    validation.add_argument(
        "--val-fraction",
        type=fraction,
        metavar="F",
        help="validate on this fraction of the images, chosen by the seed",
    )
    parser.add_argument(
        "--seed", type=whole_number, metavar="S", help="seed of everything random"
    )
    parser.add_argument(
        "--batch", type=positive_integer, metavar="N", help="patches a step"
    )
    parser.add_argument(
        "--patch",
        type=positive_integer,
        metavar="PX",
        help="side of a patch, in pixels",
    )
    parser.add_argument(
        "--lr", type=positive_number, metavar="RATE", help="highest learning rate"
    )
    parser.add_argument(
        "--patience",
        type=positive_integer,
        metavar="N",
        help="end early after N validations without a better one (there are 20 in a "
        "training; default: never)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=1,
        metavar="N",
        help="processes that prepare patches (default: 1; 0: the training does it)",
    )
    add_device(parser)
    parser.set_defaults(run=run)


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

    machine = {"device": arguments.device, "workers": arguments.workers}
    if arguments.replay is not None:
        return replay_steps(arguments.replay, folder, **machine)
    if arguments.out is None:
        _refuse_settings(arguments)
        return resume_steps(folder, **machine)
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


def _preview(arguments: argparse.Namespace) -> int:
    """Write the strip of augmented patches."""
    from napari_unetic.model.registry import load_model
    from napari_unetic.training.preview import write_preview

    if arguments.data is None:
        raise UsageError("Expected DATA to preview, got none; name it.")
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
        **{name: value for name, value in held_out.items() if value is not None},
    )
    progress.notes(train_pairs.notices)
    progress.notes(validation_pairs.notices)
    progress.line(
        f"train: {len(train_pairs)} images, validation: {len(validation_pairs)}"
    )
    return train_pairs, validation_pairs


def _refuse_settings(arguments: argparse.Namespace) -> None:
    """Refuse settings beside a run to go on with: it has its own."""
    names = [*SETTINGS, "from_model", "labels", "ids", "exclude_ids", "val_ids"]
    given = [name for name in names if getattr(arguments, name) is not None]
    if given:
        flag = "--" + given[0].removesuffix("_model").replace("_", "-")
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


def settings_of(arguments: argparse.Namespace) -> TrainSettings:
    """Return the settings of the training: those given, defaults for the rest."""
    from napari_unetic.training.settings import train_settings

    given = {
        field: value
        for name, field in SETTINGS.items()
        if (value := getattr(arguments, name)) is not None
    }
    if not {"minutes", "epochs", "steps"} & set(given):
        given["minutes"] = DEFAULT_MINUTES
    return train_settings(**given)
