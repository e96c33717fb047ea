"""Every example runs as it is, in an empty folder, and prints what it promises."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

PROMISES = {
    "dsb2018_tutorial.py": "ap_0.50_pooled",
    "segment_one_image.py": "objects\nobject ",
    "segment_folder.py": "nuclei_1.tif: ",
    "score_against_truth.py": "AP at IoU .50: 0.",
    "train_small_model.py": "objects found in ",
}
"""What each example prints."""


def test_all_examples_are_tested(repository: Path) -> None:
    """No example is left out of these tests."""
    found = {path.name for path in (repository / "examples").glob("*.py")}

    assert found == set(PROMISES)


@pytest.mark.parametrize("name", sorted(PROMISES))
def test_example_runs(
    name: str,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The example ends well and prints what it promises, and nothing else."""
    example = str(repository / "examples" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [example])

    runpy.run_path(example, run_name="__main__")

    said = capsys.readouterr()
    assert PROMISES[name] in said.out
    assert said.err == ""
