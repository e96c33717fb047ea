"""``unetic models``: which models there are, and what is in them."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the subcommand with its own two."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models",
        help="list the models, or show one",
        description="List the models that can be named, or show one's description.",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="list|show", required=True, parser_class=type(parser)
    )
    listing = actions.add_parser("list", help="list the models by name")
    listing.set_defaults(run=run_list)
    show = actions.add_parser("show", help="print the description of a model")
    show.add_argument("model", metavar="MODEL", help="name or folder of a model")
    show.add_argument(
        "--all",
        action="store_true",
        help="also the hashes of every image it was trained on",
    )
    show.set_defaults(run=run_show)


def run_list(arguments: argparse.Namespace) -> int:
    """Print a line for each model."""
    from napari_unetic.model.registry import list_models, user_models_folder

    entries = list_models()
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        where = "bundled" if entry.bundled else str(entry.path)
        about = f"  {entry.description.summary}" if entry.description.summary else ""
        print(f"{entry.name:{width}}  {where}{about}")
    if not entries:
        print("no models", file=sys.stderr)
    print(f"note: your own models lie in {user_models_folder()}", file=sys.stderr)
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """Print a model's folder on stderr and its description, as JSON, on stdout."""
    from napari_unetic.model.folder import load_description
    from napari_unetic.model.registry import find_model

    folder = find_model(arguments.model)
    shown = load_description(folder).model_dump(mode="json")
    record = shown.get("training")
    if record and not arguments.all:
        for name in ("images", "validation_images"):
            record[name] = f"{len(record[name])} images (see --all)"
    print(f"note: {folder}", file=sys.stderr)
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return 0
