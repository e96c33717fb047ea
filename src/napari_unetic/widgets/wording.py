"""How a dock words what it has to say: times, names, failures."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_unetic.errors import UneticError

if TYPE_CHECKING:
    from napari_unetic.steps import Step

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "unable to allocate")


def failure_sentence(error: BaseException) -> str:
    """Say in one sentence what went wrong and what to do.

    Parameters
    ----------
    error : exception
        What was raised.

    Returns
    -------
    str
        The text of a `UneticError`; for anything else a sentence made of it.
    """
    text = " ".join(str(error).split())
    if isinstance(error, UneticError):
        return text
    detail = shortened(text or type(error).__name__, 200)
    if isinstance(error, MemoryError) or any(m in text.lower() for m in _OUT_OF_MEMORY):
        return (
            "The memory does not suffice; close other programs or take a smaller "
            f"image ({detail})."
        )
    if isinstance(error, ImportError):
        return f"A package cannot be loaded; install napari-unetic again ({detail})."
    if isinstance(error, OSError):
        return f"A file cannot be used; see that it is there and readable ({detail})."
    return (
        f"This is a defect of napari-unetic; please report it with its details "
        f"({type(error).__name__}: {detail})."
    )


def is_defect(error: BaseException) -> bool:
    """Whether an error is our fault rather than the input's or the machine's."""
    return failure_sentence(error).startswith("This is a defect")


def shortened(text: str, length: int = 32) -> str:
    """Return a text with its middle left out where it is longer than `length`."""
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def foldable(text: str) -> str:
    """Return a text without words too long for a narrow dock, such as file names."""
    return re.sub(r"\S{33,}", lambda word: shortened(word[0]), text)


def duration(seconds: float) -> str:
    """Return a time as a person would say it: "0.4 s", "3 min", "2 h 5 min"."""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f}".removesuffix(".0") + " s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class TimeLeft:
    """Estimates the time left from the pace so far.

    Parameters
    ----------
    clock : callable
        Returns seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None

    def text(self, step: Step) -> str:
        """Return "about 12 s left", or an empty text while that is not known."""
        now = self._clock()
        # The first step has also waited for the model to load: it tells no pace.
        if self._first is None or step.done < self._first[1]:
            self._first = (now, step.done)
            return ""
        elapsed, done = now - self._first[0], step.done - self._first[1]
        if elapsed < 0.5 or done <= 0 or step.done >= step.total:
            return ""
        seconds = (step.total - step.done) * elapsed / done
        return f"about {duration(max(1, round(seconds)))} left"
