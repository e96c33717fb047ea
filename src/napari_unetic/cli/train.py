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
    names,
    numbers,
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

FINETUNE_MINUTES = 2.0
"""The same for a fine-tuning."""

SETTINGS = {
    "preset": "preset",
    "minutes": "minutes",
    "epochs": "epochs",
    "steps": "steps",
    "batch": "batch",
    "patch": "patch_px",
    "patch_planes": "patch_planes",
    "anisotropy": "anisotropy",
    "lr": "learning_rate",
    "seed": "seed",
    "patience": "patience",
    "encoder_rate": "encoder_rate",
    "rehearsal": "rehearsal",
    "anchor": "anchor",
    "channels": "channels",
    "contact_gap": "contact_gap_px",
    "clean_labels": "clean",
    "classes": "classes",
    "loss": "loss",
    "class_weights": "class_weights",
    "border_weight": "border_weight",
    "border_width": "border_px",
    "normalise": "normalisation",
    "resize": "resize_px",
    "optimiser": "optimiser",
    "momentum": "momentum",
    "schedule": "schedule",
    "warm_up": "warm_up",
    "average": "average",
    "validations": "validations",
    "tune": "tune",
    "augmentation": "augmentation",
}
"""Arguments and the fields of the training settings that they set."""


_FLAGS = {"from_model": "from", "tune": "no-tune", "augmentation": "no-augmentation"}
"""Arguments whose option has another name."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model on pairs of images and labels",
        description="Train a model on pairs of images and labels; it ends up in "
        "RUN/model. A training that was interrupted goes on with `unetic train RUN`. "
        "Ctrl-C ends it with the current step and keeps the best model so far; so "
        "does a file named stop in RUN. With --held-out a model is fine-tuned on a few "
        "corrected objects, and judged on those held out.",
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
    validation.add_argument(
        "--held-out",
        type=fraction,
        metavar="F",
        help="fine-tune --from MODEL: judge the old and the new model on about this "
        "fraction of the objects, at least five, and learn from the others (0.25 is "
        f"usual; the budget is then {FINETUNE_MINUTES:g} minutes unless one is given, "
        "all included)",
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
        "--patch-planes",
        type=positive_integer,
        metavar="N",
        help="planes of a patch, of networks for volumes (default: 16)",
    )
    parser.add_argument(
        "--anisotropy",
        type=positive_number,
        metavar="A",
        help="how many pixels the planes of volumes are apart (default: as the files "
        "say, else 1)",
    )
    parser.add_argument(
        "--lr", type=positive_number, metavar="RATE", help="highest learning rate"
    )
    parser.add_argument(
        "--encoder-rate",
        type=share,
        metavar="F",
        help="learning rate of the encoder as a fraction; 0 trains the decoder only",
    )
    parser.add_argument(
        "--rehearsal",
        type=fraction,
        metavar="F",
        help="fraction of each batch that shows generated nuclei, on which the model "
        "is held to what it said before, so that it forgets less",
    )
    parser.add_argument(
        "--anchor",
        type=non_negative,
        metavar="A",
        help="pull the weights towards those of --from by this times the rate",
    )
    parser.add_argument(
        "--patience",
        type=positive_integer,
        metavar="N",
        help="end early after N validations without a better one (default: never)",
    )
    parser.add_argument(
        "--validations",
        type=positive_integer,
        metavar="N",
        help="validations in a whole training, evenly spread (default: 20)",
    )
    parser.add_argument(
        "--channels",
        type=positive_integer,
        metavar="N",
        help="that the network takes; grey images fill all (default: the preset's)",
    )
    parser.add_argument(
        "--contact-gap",
        type=non_negative,
        metavar="PX",
        help="objects so many pixels apart count as meeting, where the network learns "
        "to keep them apart (default: 0; those one pixel apart always do)",
    )
    parser.add_argument(
        "--clean-labels",
        action="store_const",
        const=True,
        help="leave out single brush stamps of 5 × 5 pixels and pieces of an object "
        "that touch its largest piece nowhere",
    )
    _add_classes(parser)
    _add_optimiser(parser)
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=1,
        metavar="N",
        help="processes that prepare patches (default: 1; 0: the training does it)",
    )
    parser.add_argument(
        "--spent",
        type=non_negative,
        default=0.0,
        metavar="S",
        help="seconds of the minutes of a fine-tuning that went by before this command "
        "was started, as for collecting its pairs",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def _add_classes(parser: argparse.ArgumentParser) -> None:
    """Add what a training for classes of pixels has beside that for objects."""
    group = parser.add_argument_group("classes of pixels (semantic segmentation)")
    group.add_argument(
        "--classes",
        type=names,
        metavar="NAME[,NAME]",
        help="learn classes of pixels instead of objects: their names, or NAME=#rrggbb "
        "with colours for the legend; one from masks of 0 and 1, 0 and 255 or labels, "
        "several from masks of the numbers 0 (background), 1, 2, ...",
    )
    group.add_argument(
        "--loss",
        metavar="NAME",
        help="bce, cross-entropy, dice, bce-dice, focal or tversky for classes "
        "(default: bce-dice), instances for objects",
    )
    group.add_argument(
        "--class-weights",
        type=numbers,
        metavar="W,W[,W]",
        help="how much pixels of each class count in the loss, the background first",
    )
    group.add_argument(
        "--border-weight",
        type=non_negative,
        metavar="W",
        help="how much more the narrowest gaps between objects count (Ronneberger "
        "2015: 10; default: 0)",
    )
    group.add_argument(
        "--border-width",
        type=positive_number,
        metavar="PX",
        help="pixels over which that falls (default: 5)",
    )
    group.add_argument(
        "--resize",
        type=positive_integer,
        metavar="PX",
        help="bring every image to PX × PX pixels, as tutorials do (default: images "
        "keep their size, which is better)",
    )


def _add_optimiser(parser: argparse.ArgumentParser) -> None:
    """Add how the network is taught."""
    group = parser.add_argument_group("optimiser and input")
    group.add_argument(
        "--optimiser", choices=("adamw", "adam", "sgd"), help="(default: adamw)"
    )
    group.add_argument(
        "--momentum", type=fraction, metavar="F", help="of SGD (default: 0.9)"
    )
    group.add_argument(
        "--schedule",
        choices=("cosine", "constant"),
        help="course of the learning rate after the warm-up (default: cosine)",
    )
    group.add_argument(
        "--warm-up",
        type=fraction,
        metavar="F",
        help="fraction of the budget in which the rate rises (default: 0.03)",
    )
    group.add_argument(
        "--average",
        type=fraction,
        metavar="F",
        help="decay of the moving average of the weights that is kept; 0 for the "
        "weights themselves (default: 0.999)",
    )
    group.add_argument(
        "--normalise",
        choices=("percentile", "division"),
        help="by each image's percentiles, or a division by 255 (default: percentiles, "
        "or for classes as the preset's source does)",
    )
    group.add_argument(
        "--no-augmentation",
        dest="augmentation",
        action="store_const",
        const="none",
        help="show patches as they lie in the images",
    )
    group.add_argument(
        "--no-tune",
        dest="tune",
        action="store_const",
        const=False,
        help="leave the thresholds as they are, at 0.5 for classes",
    )


def share(text: str) -> float:
    """Return `text` as a number from 0 to 1."""
    return 1.0 if text.strip() in ("1", "1.0") else fraction(text)


def non_negative(text: str) -> float:
    """Return `text` as a finite number of 0 or more."""
    try:
        return 0.0 if float(text) == 0 else positive_number(text)
    except ValueError:
        return positive_number(text)


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
    settings = finetune_settings(**_given(arguments))
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
        flag = "--" + _FLAGS.get(given[0], given[0]).replace("_", "-")
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

    given = _given(arguments)
    if not {"minutes", "epochs", "steps"} & set(given):
        given["minutes"] = DEFAULT_MINUTES
    return train_settings(**given)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given, by the names of their fields."""
    given = {
        field: value
        for name, field in SETTINGS.items()
        if (value := getattr(arguments, name)) is not None
    }
    if "augmentation" in given:
        from napari_unetic.training.augment import NO_AUGMENTATION

        given["augmentation"] = NO_AUGMENTATION
    return given
