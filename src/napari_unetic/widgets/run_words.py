"""What docks say of a training, in words; needs no Qt and no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

DOING = {
    "reading pairs": "Reading pairs",
    "judging": "Judging",
    "training": "Learning",
    "validating": "Validating",
    "predicting": "Setting thresholds",
    "tuning": "Setting thresholds",
}
"""What a training does, as the bar calls it."""

_DEVICES = {"cuda": "CUDA", "mps": "Metal", "cpu": "CPU"}


def counted(n: int, what: str) -> str:
    """Return "1 object", "2 objects"."""
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def progress_text(progress: Mapping[str, Any], seconds_left: float | None) -> str:
    """Return what stands on the bar while a run is trained.

    Parameters
    ----------
    progress : mapping
        The last ``progress`` record of its log; empty before the first.
    seconds_left : float or None
    """
    what = DOING.get(progress.get("what", ""), "Starting")
    if seconds_left is None:
        return f"{what} …"
    minutes, seconds = divmod(round(seconds_left), 60)
    hours, minutes_more = divmod(minutes, 60)
    if hours:
        return f"{what}, {hours} h {minutes_more:02d} min left"
    return f"{what}, {minutes}:{seconds:02d} left"


def n_threads(n_cores: int | None = None) -> int:
    """Return how many threads train, so that one core is left for the window."""
    return max(1, (n_cores or os.cpu_count() or 1) - 1)


def device_text(chosen: str, devices: Sequence[str], threads: int | None = None) -> str:
    """Return what a training runs on: "CUDA", "CPU, 3 threads".

    Parameters
    ----------
    chosen : {"auto", "cpu", "cuda", "mps"}
    devices : sequence of str
        That can be used here.
    threads : int, optional
        Of the CPU; `n_threads` of them if None.
    """
    if chosen == "auto":
        chosen = next(name for name in _DEVICES if name in (*devices, "cpu"))
    if chosen != "cpu":
        return _DEVICES[chosen]
    return f"CPU, {counted(threads or n_threads(), 'thread')}"


def when(created: str) -> str:
    """Return a time as "14:32" of today, or with its date."""
    try:
        at = datetime.fromisoformat(created).astimezone()
    except ValueError:
        return created
    if at.date() == datetime.now(at.tzinfo).date():
        return f"{at:%H:%M}"
    return f"{at:%Y-%m-%d %H:%M}"
