"""Progress on stderr: a bar on a terminal, sparse lines elsewhere, notices once."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unetic.steps import Step

LINE_INTERVAL = 10.0
"""Seconds between two lines where stderr is no terminal."""

_REFRESH_SECONDS = 0.1


class Progress:
    """Shows steps as they come; call it with each, for example from `steps.drain`.

    Parameters
    ----------
    title : str
        What stands before the bar.
    stream : text file, optional
        Where to write; stderr by default.
    interval : float
        Least number of seconds between two lines where `stream` is no terminal.
    """

    def __init__(
        self,
        title: str,
        stream: IO[str] | None = None,
        *,
        interval: float = LINE_INTERVAL,
    ) -> None:
        self._title = title
        self._stream = sys.stderr if stream is None else stream
        self._interval = interval
        self._last_line = time.monotonic()
        self._last_shown = -math.inf
        self._seen: set[str] = set()
        self._bar: Any = None
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=0,
                desc=title,
                file=self._stream,
                leave=False,
                dynamic_ncols=True,
                bar_format="{desc}: {percentage:3.0f}%|{bar}|{postfix} {elapsed}",
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if step.notice:
            self.note(step.notice)
        if self._bar is not None:
            self._bar.total = step.total or None
            self._bar.n = min(step.done, step.total) if step.total else step.done
            self._bar.set_description_str(
                f"{self._title}: {step.what}" if step.what else self._title,
                refresh=False,
            )
            self._bar.set_postfix_str(figures(step.values), refresh=False)
            if time.monotonic() - self._last_shown >= _REFRESH_SECONDS:
                self._last_shown = time.monotonic()
                self._bar.refresh()
        elif time.monotonic() - self._last_line >= self._interval:
            self._last_line = time.monotonic()
            self.line(_sentence(self._title, step))

    def line(self, text: str) -> None:
        """Write a line of its own on the stream, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def result(self, text: str) -> None:
        """Write a line on stdout, above the bar where there is one."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    def note(self, notice: str) -> None:
        """Write ``note: ...``, once a notice."""
        if notice not in self._seen:
            self._seen.add(notice)
            self.line(f"note: {notice}")

    def notes(self, notices: Iterable[str]) -> None:
        """Write each of `notices`, once."""
        for notice in notices:
            self.note(notice)


def figures(values: Mapping[str, float]) -> str:
    """Return figures as text: ``loss 0.123, ap 0.61, 1:30 left``."""
    parts = []
    for name, value in values.items():
        if name == "seconds_left":
            parts.append(f"{duration(value)} left")
        else:
            parts.append(f"{name.replace('_', ' ')} {value:.4g}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _sentence(title: str, step: Step) -> str:
    """Return a step as one line of text."""
    if step.total:
        part = f"{min(step.done / step.total, 1):.0%}"
    else:
        part = f"{step.done:g}"
    words = f"{title}: {step.what} {part}" if step.what else f"{title}: {part}"
    extra = figures(step.values)
    return f"{words} ({extra})" if extra else words
