"""Progress: a bar on a terminal, sparse lines elsewhere, notices once."""

from __future__ import annotations

import io

import pytest

from napari_unetic.cli.progress import Progress, duration, figures
from napari_unetic.steps import Step


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_lines_are_sparse() -> None:
    """Where stderr is no terminal, steps within the interval print nothing."""
    stream = io.StringIO()

    with Progress("train", stream, interval=3600) as progress:
        for done in range(100):
            progress(Step(done, 100, "training"))

    assert stream.getvalue() == ""


def test_a_line_says_share_and_figures() -> None:
    """A line has the share done and the figures of the step."""
    stream = io.StringIO()

    with Progress("train", stream, interval=0) as progress:
        progress(Step(25, 100, "training", {"loss": 0.5, "seconds_left": 90}))

    assert stream.getvalue() == "train: training 25% (loss 0.5, 1:30 left)\n"


def test_notices_are_said_once_and_at_once() -> None:
    """A notice is one line, printed once however often it comes."""
    stream = io.StringIO()

    with Progress("segment", stream, interval=3600) as progress:
        for done in range(3):
            progress(Step(done, 3, "", notice="alpha is left out."))

    assert stream.getvalue() == "note: alpha is left out.\n"


def test_a_terminal_gets_a_bar() -> None:
    """On a terminal there is a bar, above which results and notices are printed."""
    stream = Terminal()

    with Progress("segment", stream) as progress:
        progress(Step(1, 4, "a.png", {"ap": 0.5}, notice="alpha is left out."))

    assert " 25%|" in stream.getvalue()
    assert "ap 0.5" in stream.getvalue()
    assert "note: alpha is left out.\n" in stream.getvalue()


def test_a_bar_stands_steps_of_unknown_total() -> None:
    """A step without a total, and one beyond it, do no harm."""
    stream = Terminal()

    with Progress("segment", stream) as progress:
        progress(Step(3, 0, "reading"))
        progress(Step(5, 4, "reading"))

    assert "reading" in stream.getvalue()


def test_results_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Results are printed on stdout, progress is not."""
    with Progress("segment") as progress:
        progress.result("3 objects")
        progress.note("a note.")

    said = capsys.readouterr()
    assert said.out == "3 objects\n"
    assert said.err == "note: a note.\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3725, "1:02:05"), (-1, "0:00")]
)
def test_durations_are_read_easily(seconds: float, text: str) -> None:
    """Seconds become minutes and hours."""
    assert duration(seconds) == text


def test_figures_are_named() -> None:
    """Names lose their underscores and numbers their length."""
    assert figures({"mean_ap": 0.123456, "loss": 12.0}) == "mean ap 0.1235, loss 12"
