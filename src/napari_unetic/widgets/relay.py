"""The relay of steps out of a thread; needs no Qt."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step

logger = logging.getLogger(__name__)

Work = Generator[Step, None, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: with a value, with an error, or stopped before its end.

    Parameters
    ----------
    value : object
        What the work returned.
    error : Exception, optional
        What it raised, without its traceback, which would keep arrays alive.
    trace : str
        The traceback as text.
    stopped : bool
        Whether the work was stopped before its end.
    """

    value: Any = None
    error: Exception | None = None
    trace: str = ""
    stopped: bool = False


def failed(error: Exception) -> Outcome:
    """Return the outcome of work that raised an error, and log a defect."""
    trace = "".join(traceback.format_exception(error))
    if not isinstance(error, UneticError):
        logger.error("%s", trace)
    return Outcome(error=error.with_traceback(None), trace=trace)


def relay(steps: Work, stop: threading.Event) -> Generator[Step, None, Outcome]:
    """Pass on the steps of some work and return how it ended, whatever happens.

    A thread worker takes a `RuntimeError` out of a generator for a sign that it was
    deleted and never reports it, although nearly all errors of torch are such; and a
    worker that is told to quit leaves its generator open. Hence errors are returned,
    and the work is closed here, in the thread that ran it.

    Parameters
    ----------
    steps : generator of Step
        The work.
    stop : threading.Event
        Set to end the work after the current step.

    Yields
    ------
    Step
        The steps of the work.

    Returns
    -------
    Outcome
        The value the work returned, the error it raised, or that it was stopped.
    """
    try:
        with closing(steps):
            while not stop.is_set():
                try:
                    step = next(steps)
                except StopIteration as end:
                    return Outcome(value=end.value)
                yield step
    except Exception as error:  # whatever it is, the dock must hear of it
        return failed(error)
    return Outcome(stopped=True)
