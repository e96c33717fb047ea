"""The page about networks says what is counted, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_unetic.networks.cost import cost
from napari_unetic.networks.presets import PRESETS

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def _rows() -> dict[str, list[str]]:
    """The table's rows by the name of the network."""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `([\w+-]+)` \|(.*)\|$", line):
            rows[found[1]] = [cell.strip() for cell in found[2].split("|")]
    return rows


def test_the_table_has_every_network() -> None:
    """In the order of the presets, before other tables."""
    assert list(_rows())[: len(PRESETS)] == list(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_is_right(name: str) -> None:
    """Its figures are those that are counted."""
    found = cost(PRESETS[name].spec)
    field = " × ".join(map(str, found.receptive_field_px))
    cells = _rows()[name]
    assert cells[:3] == [
        f"{found.n_parameters:,}",
        field,
        f"{found.gflop_per_megapixel:,.0f}",
    ]
    assert cells[-1] == PRESETS[name].source


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """And prints what the comment says."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.strip() == code.rpartition("# ")[2].strip()
