"""The time that a fine-tuning has spent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """The time that a fine-tuning has spent in this process.

    Parameters
    ----------
    before : float
        Seconds that the process had spent when the clock was made.
    """

    before: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the process began."""
        return self.before + time.perf_counter() - self.began
