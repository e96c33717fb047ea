"""What README promises literally."""

from __future__ import annotations

from pathlib import Path

import pytest


def fenced_lines(repository: Path) -> list[str]:
    """Return the lines inside README's fenced blocks."""
    lines: list[str] = []
    inside = False
    for line in (repository / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside:
            lines.append(line)
    return lines


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            'python -m pip install -c constraints.txt -e ".[all]" && unetic demo',
            id="demo",
        ),
        pytest.param(
            'python -m pip install -c constraints.txt -e ".[test]" && '
            "python -m pytest -n 2 --dist loadfile",
            id="tests",
        ),
    ],
)
def test_readme_holds_the_two_commands(repository: Path, command: str) -> None:
    """Each of the two commands stands in README once, on a line of its own."""
    assert fenced_lines(repository).count(command) == 1


def test_readme_names_the_system_packages(repository: Path) -> None:
    """One line of README installs what a bare Debian lacks for napari's window."""
    (line,) = (
        line
        for line in fenced_lines(repository)
        if line.startswith("sudo apt-get install")
    )

    assert {"xvfb", "libegl1", "libxcb-cursor0", "libxcb-icccm4"} <= set(line.split())
