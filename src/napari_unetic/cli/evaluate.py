"""``unetic evaluate``: segment images with ground truth and score the result."""

from __future__ import annotations

import argparse
from typing import Any

from napari_unetic.cli.options import (
    add_model,
    add_pairs,
    add_settings,
    add_threads,
    chosen_settings,
)
from napari_unetic.cli.progress import Progress
from napari_unetic.cli.results import check_json, write_json
from napari_unetic.steps import drain

SETTINGS = ("channel", "diameter", "pixel_size", "device", "tile")
"""The settings of a segmentation that can be evaluated; all else is the model's."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="segment images with ground truth and score the result",
        description="Segment images whose labels are known and score the result.",
    )
    add_pairs(parser)
    add_model(parser)
    add_settings(parser, SETTINGS)
    add_threads(parser)
    parser.add_argument(
        "--json", metavar="FILE", help="also write all scores to FILE, as JSON"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table of scores."""
    from napari_unetic.evaluation import evaluate_steps
    from napari_unetic.model.registry import load_model
    from napari_unetic.pairs.readers import read_pairs

    json_path = check_json(arguments.json)
    settings = chosen_settings(arguments, SETTINGS)
    with Progress("evaluate") as progress:
        model = load_model(arguments.model)
        pairs = read_pairs(
            arguments.data,
            labels=arguments.labels,
            ids=arguments.ids,
            exclude_ids=arguments.exclude_ids,
            as_classes=model.description.kind.noun == "classes",
        )
        scores = drain(
            evaluate_steps(
                pairs,
                model,
                channel=settings.channel,
                pixel_size=settings.pixel_size,
                diameter=settings.diameter,
                device=settings.device,
                tile=settings.tile,
                threads=arguments.threads,
            ),
            progress,
        )
    if json_path is not None:
        write_json(json_path, scores.to_json())
    print(scores.table())
    return 0
