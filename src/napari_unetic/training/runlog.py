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
            What happened: ``start``, ``resume``, ``step``, ``rates``, ``validation``,
            ``stopped``, ``tuned``, ``end``; in a fine-tuning ``progress`` and
            ``verdict``, too.
        **values
            Anything JSON can hold.
        """
        line = json.dumps({"event": event, **values}, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return the records, less what a kill undid.

        Training goes on from a checkpoint, which may lie before the last records; those
        of steps that were then trained again are left out.
        """
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        records: list[dict[str, Any]] = []
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                # Only the last line before a kill can be cut.
                continue
            if record.get("event") == "resume":
                records = [r for r in records if r.get("step", 0) <= record["step"]]
            records.append(record)
        return records
