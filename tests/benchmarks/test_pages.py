"""Tables in the pages are what the scripts make of the results beside them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PAGES = [
    ("docs/speed.md", ["speed_page.py", "docs/speed"]),
    ("docs/networks.md", ["family.py", "--page", "docs/networks/family.json"]),
    (
        "docs/models/nuclei.md",
        ["accuracy/factors.py", "--page", "docs/models/factors.json"],
    ),
    ("docs/training.md", ["finetune/page.py", "docs/finetune/choices.jsonl"]),
    ("docs/training.md", ["tutorial_page.py", "docs/networks/tutorial.json"]),
    ("docs/finetune.md", ["finetune/page.py", "docs/finetune/results.jsonl"]),
]
"""Pages with the scripts that fill them in and what these read."""


@pytest.mark.parametrize(("page", "command"), PAGES)
def test_no_figure_was_typed(page: str, command: list[str], tmp_path: Path) -> None:
    """Filled in again, a page is what it is."""
    script, *arguments = command
    copy = tmp_path / "page.md"
    shutil.copy(ROOT / page, copy)
    made = [sys.executable, str(ROOT / "benchmarks" / script), *arguments, str(copy)]
    subprocess.run(made, check=True, cwd=ROOT, timeout=100)
    assert copy.read_text("utf-8") == (ROOT / page).read_text("utf-8")
