"""``unetic doctor``: the report as lines, and its exit code."""

from __future__ import annotations

import pytest

from napari_unetic.doctor import Check


@pytest.mark.parametrize(
    ("status", "mark", "code"),
    [("ok", " ", 0), ("note", "-", 0), ("problem", "!", 1)],
)
def test_the_report_is_printed(
    unetic, monkeypatch: pytest.MonkeyPatch, status: str, mark: str, code: int
) -> None:
    """Each check is a line with its mark; a problem makes the exit code 1."""
    checks = [Check("Python", "3.11"), Check("models", "nuclei", status)]  # type: ignore[arg-type]
    monkeypatch.setattr("napari_unetic.doctor.report", lambda: checks)

    ended = unetic("doctor")

    assert ended.code == code
    assert ended.out == f"  Python  3.11\n{mark} models  nuclei\n"
