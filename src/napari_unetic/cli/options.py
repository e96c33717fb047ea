"""Arguments and checks that several subcommands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from napari_unetic.errors import UneticError
from napari_unetic.settings import SegmentSettings, segment_settings


class UsageError(UneticError):
    """Arguments that do not go together or mean nothing."""


def positive_integer(text: str) -> int:
    """Return `text` as a whole number of at least 1."""
    return _whole_number(text, 1)


def whole_number(text: str) -> int:
    """Return `text` as a whole number of at least 0."""
    return _whole_number(text, 0)


def _whole_number(text: str, minimum: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {minimum}, got {text!r}"
        )
    return value


def positive_number(text: str) -> float:
    """Return `text` as a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Return the parts of `text` between commas."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(
            f"expected names with commas between, got {text!r}"
        )
    return parts


def numbers(text: str) -> tuple[float, ...]:
    """Return the numbers of 0 or more in `text` between commas."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (-1.0,)
    if not all(value >= 0 and math.isfinite(value) for value in values):
        raise argparse.ArgumentTypeError(
            f"expected numbers of 0 or more with commas between, got {text!r}"
        )
    return values


def fraction(text: str) -> float:
    """Return `text` as a number from 0 up to, not including, 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number from 0 up to (not including) 1, got {text!r}"
        )
    return value


def id_list(text: str) -> str:
    """Return ``FILE.json:KEY`` as it is.

    Anything else is refused here: it would be taken for an id that nothing has, and a
    list of ids to leave out would be left out itself.
    """
    if ".json:" not in text.lower():
        raise argparse.ArgumentTypeError(f"expected FILE.json:KEY, got {text!r}")
    return text


_METAVARS = {
    "axes": "AXES",
    "channel": "C",
    "plane": "P",
    "region": "R",
    "diameter": "PX|auto|usual",
    "pixel_size": "UM",
    "sensitivity": "S",
    "splitting": "S",
    "smallest": "PX",
    "tile": "PX",
}


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add an option for each of the named settings of a segmentation.

    Their values stay texts until `chosen_settings`, which knows what they must be.
    """
    for name in names:
        field = SegmentSettings.model_fields[name]
        option: dict[str, Any] = {"metavar": _METAVARS.get(name)}
        shown = str(field.default)
        if field.annotation is bool:
            option = {"action": argparse.BooleanOptionalAction}
            shown = "yes" if field.default else "no"
        elif name not in _METAVARS:
            option = {"choices": get_args(field.annotation)}
        flag = f"--{name.replace('_', '-')}"
        action = parser.add_argument(flag, default=field.default, **option)
        # Set here, since Python before 3.13 adds the default to switches by itself.
        said = (field.description or "").rstrip(".").replace("%", "%%")
        default = "" if field.default is None else f" (default: {shown})"
        action.help = said[:1].lower() + said[1:] + default


def chosen_settings(
    arguments: argparse.Namespace, names: Sequence[str]
) -> SegmentSettings:
    """Return the settings that the options of `add_settings` were given.

    Raises
    ------
    UneticError
        If a value is out of bounds or two exclude each other.
    """
    return segment_settings(**{name: getattr(arguments, name) for name in names})


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``."""
    parser.add_argument(
        "--model",
        default="nuclei",
        metavar="M",
        help="name or folder of a model (default: nuclei)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device`` and ``--threads``."""
    add_settings(parser, ["device"])
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads``."""
    parser.add_argument(
        "--threads",
        type=positive_integer,
        metavar="N",
        help="processor threads to use (default: as torch decides)",
    )


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which pairs of image and labels to take."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a DSB2018 folder or zip, a folder with images/ and labels/ (or masks/), "
        "or a folder of images (labels from --labels)",
    )
    add_choice(parser)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose among the pairs of a data set."""
    parser.add_argument(
        "--labels",
        metavar="ZIP|DIR",
        help="take the true labels from here, by id, instead of from the data set",
    )
    parser.add_argument(
        "--ids",
        type=id_list,
        metavar="FILE.json:KEY",
        action="append",
        help="take these ids only: KEY names a list in FILE, or FILE maps ids to texts "
        "and KEY is the text (may be repeated)",
    )
    parser.add_argument(
        "--exclude-ids",
        type=id_list,
        metavar="FILE.json:KEY",
        action="append",
        help="leave these ids out, whatever --ids says (may be repeated)",
    )


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Limit the processor threads of torch for a while, where a number is given."""
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
