"""The one progress protocol: long work is a generator that yields steps.

A script drains it, the command line drains it behind a progress bar, a dock relays
it. Closing the generator cancels the work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, TypeVar

Result = TypeVar("Result")

_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Step:
    """One record of progress.

    Parameters
    ----------
    done : float
        Work done so far, in the unit that `what` names.
    total : float
        All the work; 0 where it is not known.
    what : str
        What is being done, as a short phrase ("tile", "training").
    values : mapping of str to float
        Figures worth showing (loss, ap, seconds left).
    notice : str
        One sentence the user should read, or an empty text.
    """

    done: float
    total: float
    what: str
    values: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    notice: str = ""


Steps: TypeAlias = Generator[Step, None, Result]


def drain(
    steps: Generator[Step, None, Result],
    on_step: Callable[[Step], None] | None = None,
) -> Result:
    """Run a generator of steps to its end and return its result.

    Parameters
    ----------
    steps : generator of Step
        The work.
    on_step : callable, optional
        Called with each step as it comes.

    Returns
    -------
    object
        What the generator returned.
    """
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if on_step is not None:
            on_step(step)
