"""``unetic models``: models and networks: list, show, add, remove, convert."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the subcommand with its own."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "models",
        help="list, show, add, remove and convert models; list networks",
        description="List the models that can be named, show one, add your own, "
        "remove it; list the networks that can be trained, and convert a pretrained "
        "encoder for one of them.",
    )
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=type(parser)
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
    _add_changes(actions)
    path = actions.add_parser(
        "path",
        help="print the folder of a model, or of your own models",
        description="Print the folder of a model; without MODEL, the folder that holds "
        "your own models (UNETIC_HOME moves it).",
    )
    path.add_argument(
        "model", nargs="?", metavar="MODEL", help="name or folder of a model"
    )
    path.set_defaults(run=run_path)
    _add_networks(actions)


def _add_changes(actions: Any) -> None:
    """Add the two that change the store."""
    adding = actions.add_parser(
        "add",
        help="copy a model to your own models, so that it has a name",
        description="Copy a model to your own models. It is loaded once first; one "
        "that is damaged is refused.",
    )
    adding.add_argument(
        "source", metavar="SOURCE", help="a model folder, a run, or a zip of either"
    )
    adding.add_argument(
        "--name", metavar="NAME", help="the name it gets (default: its own)"
    )
    adding.add_argument(
        "--overwrite", action="store_true", help="replace a model of the same name"
    )
    adding.set_defaults(run=run_add)
    removing = actions.add_parser("remove", help="delete one of your own models")
    removing.add_argument("model", metavar="NAME", help="name of the model")
    removing.set_defaults(run=run_remove)


def _add_networks(actions: Any) -> None:
    """Add the two that are about networks without trained weights."""
    presets = actions.add_parser(
        "presets",
        help="list the networks that can be trained, with their size and cost",
        description="List the networks by the name that train --preset takes: "
        "parameters (weights and biases), the side of the square that an output pixel "
        "depends on, and billions of multiplications and additions in the convolutions "
        "for a megapixel of maps (a megavoxel for the 3-D ones), counted and not "
        "timed.",
    )
    presets.set_defaults(run=run_presets)
    convert = actions.add_parser(
        "convert",
        help="convert a pretrained ResNet-18 or 34 of torchvision",
        description="Convert the weights of a ResNet-18 or 34 that torchvision "
        "distributes. The file is opened for its numbers alone; nothing in it is run.",
    )
    convert.add_argument("source", metavar="FILE.pth", help="the weights")
    convert.add_argument(
        "--out",
        metavar="OUT",
        required=True,
        help="a model folder to train from (train DATA --from OUT), or a file ending "
        "in .safetensors for the encoder's weights alone",
    )
    convert.add_argument(
        "--overwrite", action="store_true", help="replace what is there"
    )
    convert.set_defaults(run=run_convert)


def run_list(arguments: argparse.Namespace) -> int:
    """Print a line for each model."""
    from napari_unetic.model.registry import (
        damaged_models,
        list_models,
        user_models_folder,
    )
    from napari_unetic.model.weights import shortened

    entries = list_models()
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        where = "bundled" if entry.bundled else str(entry.path)
        summary = shortened(entry.description.summary)
        about = f"  {summary}" if summary else ""
        print(f"{entry.name:{width}}  {where}{about}")
    if not entries:
        print("no models", file=sys.stderr)
    for name, problem in damaged_models().items():
        print(f"note: {name} is left out: {problem}", file=sys.stderr)
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


def run_add(arguments: argparse.Namespace) -> int:
    """Copy a model into the store and print its folder."""
    from napari_unetic.model.store import add_model

    entry = add_model(
        arguments.source, name=arguments.name, overwrite=arguments.overwrite
    )
    print(entry.path)
    print(f"note: use it as --model {entry.name}", file=sys.stderr)
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove a model from the store and print where it was."""
    from napari_unetic.model.store import remove_model

    print(remove_model(arguments.model))
    return 0


def run_path(arguments: argparse.Namespace) -> int:
    """Print the folder of a model, or that of the user's models."""
    from napari_unetic.model.registry import find_model, user_models_folder

    model = arguments.model
    print(user_models_folder() if model is None else find_model(model))
    return 0


def run_presets(arguments: argparse.Namespace) -> int:
    """Print a table of the networks."""
    from napari_unetic.networks.cost import cost
    from napari_unetic.networks.presets import PRESETS

    rows = [("network", "parameters", "field", "GFLOP/Mpx", "source")]
    for entry in PRESETS.values():
        found = cost(entry.spec)
        field = " × ".join(map(str, found.receptive_field_px))
        gflop = f"{found.gflop_per_megapixel:,.0f}"
        rows.append((entry.name, f"{found.n_parameters:,}", field, gflop, entry.source))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures, source in rows:
        aligned = (f"{f:>{w}}" for f, w in zip(figures, widths[1:-1], strict=True))
        print("  ".join([f"{name:{widths[0]}}", *aligned, source]))
    return 0


def run_convert(arguments: argparse.Namespace) -> int:
    """Convert, and print what was written."""
    from napari_unetic.model.convert import WEIGHTS_SUFFIX, convert_pretrained

    out = arguments.out
    found = convert_pretrained(arguments.source, out, overwrite=arguments.overwrite)
    print(out)
    what = f"{found.title}, {len(found.weights)} tensors"
    if not out.lower().endswith(WEIGHTS_SUFFIX):
        what += f"; its decoder is not trained: unetic train DATA --from {out}"
    print(f"note: {what}", file=sys.stderr)
    return 0
