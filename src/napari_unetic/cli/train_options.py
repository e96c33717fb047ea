"""Options of ``unetic train``, and the settings of a training that they make."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_unetic.cli.options import (
    add_choice,
    add_device,
    fraction,
    id_list,
    names,
    numbers,
    positive_integer,
    positive_number,
    whole_number,
)

if TYPE_CHECKING:
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


FLAGS = {"from_model": "from", "tune": "no-tune", "augmentation": "no-augmentation"}
"""Arguments whose option has another name."""


def add_train_parser(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add the subcommand.

    Parameters
    ----------
    commands : argparse subparsers
    run : callable
        What is called with its arguments.
    """
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


def settings_of(arguments: argparse.Namespace) -> TrainSettings:
    """Return the settings of the training: those given, defaults for the rest."""
    from napari_unetic.training.settings import train_settings

    given = given_settings(arguments)
    if not {"minutes", "epochs", "steps"} & set(given):
        given["minutes"] = DEFAULT_MINUTES
    return train_settings(**given)


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
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
