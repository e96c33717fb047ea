"""``unetic score``: compare label images with ground truth."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetic.cli.options import add_choice, names
from napari_unetic.cli.progress import Progress
from napari_unetic.cli.results import check_json, write_json
from napari_unetic.steps import drain


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "score",
        help="compare label images with ground truth",
        description="Compare label images with ground truth, matched by name "
        "(NAME_labels.tif goes with NAME).",
    )
    parser.add_argument(
        "pred", metavar="PRED", help="label images to score: a file or a folder"
    )
    parser.add_argument(
        "truth",
        metavar="TRUTH",
        help="true label images: a file, a folder or a zip; or a data set with images",
    )
    add_choice(parser)
    parser.add_argument(
        "--classes",
        metavar="NAME[,NAME]",
        type=names,
        help="the images show classes of pixels, not objects: names of class 1, 2, ...",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write all scores to FILE, as JSON"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table of scores."""
    from napari_unetic.evaluation import score_steps

    json_path = check_json(arguments.json)
    with Progress("score") as progress:
        scores = drain(
            score_steps(
                arguments.pred,
                arguments.truth,
                labels=arguments.labels,
                ids=arguments.ids,
                exclude_ids=arguments.exclude_ids,
                classes=arguments.classes,
            ),
            progress,
        )
    if json_path is not None:
        write_json(json_path, scores.to_json())
    print(scores.table())
    return 0
