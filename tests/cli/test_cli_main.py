"""The command line as a whole: help, errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from napari_unetic.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "COMMAND", id="none"),
        pytest.param(["segmnet"], "invalid choice: 'segmnet'", id="unknown"),
        pytest.param(["segment"], "INPUT", id="no input"),
        pytest.param(["models"], "ACTION", id="no action"),
        pytest.param(["segment", "x", "--diametre", "3"], "--diametre", id="option"),
    ],
)
def test_wrong_usage_is_one_line(unetic, arguments: list[str], message: str) -> None:
    """Wrong usage ends with exit code 2 and one line that names the fault."""
    ended = unetic(*arguments)

    assert ended.code == 2
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith("unetic: error: ")
    assert message in line
    assert "--help" in line


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the version of the distribution."""
    import napari_unetic

    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert not end.value.code
    assert capsys.readouterr().out == f"unetic {napari_unetic.__version__}\n"


def test_a_closed_pipe_is_no_error() -> None:
    """``unetic --help | head -0`` and the like end without a traceback."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as closed:
        child = subprocess.run(
            [sys.executable, "-m", "napari_unetic", "segment", "--help"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    assert "Traceback" not in child.stderr
    assert "Exception ignored" not in child.stderr


def test_defects_are_not_hidden(unetic, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is no fault of the input stays an exception."""
    from napari_unetic.cli import models

    def broken(arguments: object) -> int:
        raise RuntimeError("a defect")

    monkeypatch.setattr(models, "run_list", broken)

    with pytest.raises(RuntimeError, match="a defect"):
        unetic("models", "list")
