"""Times, names and failures in words."""

from __future__ import annotations

import pytest

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step
from napari_unetic.widgets.wording import (
    TimeLeft,
    duration,
    failure_sentence,
    is_defect,
    shortened,
)


@pytest.mark.parametrize(
    ("error", "beginning", "defect"),
    [
        (UneticError("Expected a,\n  got b; do c."), "Expected a, got b; do c.", False),
        (MemoryError(), "The memory does not suffice; close other", False),
        (RuntimeError("CUDA out of memory. Tried"), "The memory does not", False),
        (ImportError("No module named 'x'"), "A package cannot be loaded;", False),
        (PermissionError(13, "Permission denied"), "A file cannot be used;", False),
        (KeyError("model"), "This is a defect of napari-unetic; please", True),
    ],
)
def test_failures(error: Exception, beginning: str, defect: bool) -> None:
    """Every failure is one sentence that says what to do."""
    text = failure_sentence(error)
    assert text.startswith(beginning)
    assert text.endswith(".") and "\n" not in text
    assert is_defect(error) is defect


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.1 s"),
        (0.44, "0.4 s"),
        (7.02, "7 s"),
        (61, "61 s"),
        (200, "3 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    """Times are rounded as a person would say them."""
    assert duration(seconds) == text


def test_shortened() -> None:
    """Of a long name, beginning and end remain."""
    assert shortened("nuclei") == "nuclei"
    assert shortened("0121d6759c5adb290c8e", 9) == "0121…0c8e"


def test_time_left() -> None:
    """The time left follows from the pace after the first step."""
    now = [0.0]
    left = TimeLeft(clock=lambda: now[0])
    now[0] = 50.0  # loading the model says nothing about the pace
    assert left.text(Step(1, 5, "tile")) == ""
    now[0] = 60.0
    assert left.text(Step(2, 5, "tile")) == "about 30 s left"
    now[0] = 62.0
    assert left.text(Step(4, 5, "tile")) == "about 4 s left"
    assert left.text(Step(5, 5, "tile")) == ""
    assert left.text(Step(6, 0, "tile")) == ""
