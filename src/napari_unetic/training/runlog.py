"""The log of a run: one JSON object a line, flushed at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class RunLog:
    """Appends records to ``log.jsonl`` in a run folder.

    Parameters
    ----------
    run : Path
        The run folder; it must exist.
    """

    def __init__(self, run: Path):
        self._path = run / "log.jsonl"

    def write(self, event: str, **values: Any) -> None:
        """Append one record.

        Parameters
        ----------
        event : str
            What happened: ``start``, ``step``, ``validation``, ``tuned``, ``end``.
        **values
            Anything JSON can hold.
        """
        line = json.dumps({"event": event, **values}, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
