"""``unetic train``: train a model on pairs of images and labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetic.cli.options import (
    add_device,
    add_pairs,
    fraction,
    id_list,
    positive_integer,
    positive_number,
    torch_threads,
    whole_number,
)
from napari_unetic.cli.progress import Progress

if TYPE_CHECKING:
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
}
"""Arguments and the fields of the training settings that they set."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model on pairs of images and labels",
        description="Train a model on pairs of images and labels; it ends up in "
        "RUN/model.",
    )
    add_pairs(parser)
    parser.add_argument(
        "--out", metavar="RUN", required=True, help="folder of this training"
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
        "--workers",
        type=whole_number,
        default=0,
        metavar="N",
        help="processes that prepare patches (default: 0, the training does it)",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, say where the model is, and return the exit code."""
    from napari_unetic.pairs.readers import read_split
    from napari_unetic.steps import drain

    settings = settings_of(arguments)
    held_out = {"val_ids": arguments.val_ids, "val_fraction": arguments.val_fraction}
    with Progress("train") as progress:
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
        from napari_unetic.training import train_steps

        with torch_threads(arguments.threads):
            model = drain(
                train_steps(
                    train_pairs,
                    validation_pairs,
                    Path(arguments.out),
                    settings,
                    from_model=arguments.from_model,
                    device=arguments.device,
                    workers=arguments.workers,
                ),
                progress,
            )
    print(model)
    return 0


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
