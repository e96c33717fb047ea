"""What the log of a training says so far, read a bit at a time; needs no Qt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOG_FILE = "log.jsonl"
PREVIEW_FILE = "preview.png"

READABLE = 1_000_000
"""Bytes that are read at a time, so that a long log holds nothing up."""


class RunNews:
    """Follows the log of a run, which another process writes.

    Parameters
    ----------
    folder : Path
        The run.
    figures : sequence of str
        Names of scores: the first that a validation has is taken.
    """

    def __init__(self, folder: Path, figures: Sequence[str] = ("ap_50",)) -> None:
        self.folder = folder
        self.losses: list[tuple[int, float]] = []
        self.scores: list[tuple[int, float]] = []
        self.figure = ""
        self._figures = tuple(figures)
        self.progress: dict[str, Any] = {}
        self._offset = 0
        self._rest = b""

    @property
    def has_learnt(self) -> bool:
        """Whether the first step of the optimiser is done."""
        return int(self.progress.get("step", 0)) > 0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end, where that is known."""
        left: float | None = self.progress.get("seconds_left")
        return left

    def read(self) -> bool:
        """Read what is new, and return whether there is anything.

        Half a line, which is being written, is left for the next time.
        """
        try:
            with (self.folder / LOG_FILE).open("rb") as file:
                file.seek(self._offset)
                found = file.read(READABLE)
        except OSError:
            return False
        self._offset += len(found)
        lines = (self._rest + found).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._take(line)
        return len(lines) > 0

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            event = record["event"]
        except (ValueError, KeyError, TypeError):
            return  # A line that a kill cut short.
        if event == "resume":
            self._forget_after(record["step"])
        elif event == "validation":
            self._take_scores(record)
        elif event == "progress":
            self.progress = record
            if record["loss"] is not None:
                self.losses.append((record["step"], record["loss"]))

    def _take_scores(self, record: dict[str, Any]) -> None:
        self.figure = next((name for name in self._figures if name in record), "")
        if self.figure:
            self.scores.append((record["step"], record[self.figure]))

    def _forget_after(self, step: int) -> None:
        """Training goes on from a checkpoint, and repeats what came after it."""
        self.losses = [point for point in self.losses if point[0] <= step]
        self.scores = [point for point in self.scores if point[0] <= step]
