"""The command line: ``unetic`` and ``python -m napari_unetic``.

Each module holds one subcommand as `add_parser` and `run`; none imports torch, napari,
matplotlib or Qt before its `run` is called.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        0 where all went well, 1 where some inputs failed, 2 for bad arguments or where
        nothing succeeded, 130 where the user interrupted.
    """
    from napari_unetic.cli import heap
    from napari_unetic.cli.parser import run_command

    if argv is None:
        # This process is the command's own; that of a caller is left as it is.
        heap.keep_freed_memory()
    return run_command(argv)
