"""The parser of the whole command line, and how its errors end."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, cast

from napari_unetic.cli import (
    demo,
    doctor,
    evaluate,
    fetch,
    models,
    score,
    segment,
    train,
)
from napari_unetic.cli.options import UsageError
from napari_unetic.errors import UneticError

COMMANDS = (segment, train, evaluate, score, models, fetch, demo, doctor)
"""The modules of the subcommands, in the order of the help."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others of this program."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help').")


class _ShowVersion(argparse.Action):
    """Print the version, looked up only when asked for."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            text = version("napari-unetic")
        except PackageNotFoundError:
            text = "(not installed)"
        print(f"unetic {text}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``unetic`` with all its subcommands."""
    parser = _Parser(
        prog="unetic",
        description="Segment microscopy images with a U-Net, train it, score it.",
        epilog="Each command explains itself: unetic COMMAND --help",
    )
    parser.add_argument(
        "--version", action=_ShowVersion, nargs=0, help="print the version and end"
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for module in COMMANDS:
        module.add_parser(commands)
    return parser


def run_command(argv: Sequence[str] | None = None) -> int:
    """Parse, run the subcommand, and turn errors into one line and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold what the console's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            arguments = build_parser().parse_args(argv)
            run = cast("Callable[[argparse.Namespace], int]", arguments.run)
            return run(arguments)
        finally:
            # Here, so that a closed pipe is met below and not when Python ends.
            sys.stdout.flush()
    except UneticError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted; what was complete is kept.", 130)
    except BrokenPipeError:
        # The reader of our output (head, less) has left: nothing to say, and Python
        # must not try to flush into the closed pipe when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error}; check the path, its rights and the free space.")


def _fail(sentence: str, code: int = 2) -> int:
    """Print one line on stderr and return `code`."""
    print(f"unetic: error: {' '.join(sentence.split())}", file=sys.stderr, flush=True)
    return code
