"""``unetic doctor``: what this installation can do."""

from __future__ import annotations

import argparse
from typing import Any

_MARKS = {"ok": " ", "note": "-", "problem": "!"}


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="show versions, device, screen and free memory",
        description="Show what this installation can do: versions, device and why "
        "there is no GPU, Qt, screen, free memory. Lines marked '-' are limits, "
        "lines marked '!' are problems. Send this with a report of a fault.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 1 if there is a problem that prevents segmenting."""
    from napari_unetic.doctor import report

    checks = report()
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{_MARKS[check.status]} {check.name:{width}}  {check.text}")
    return int(any(check.status == "problem" for check in checks))
