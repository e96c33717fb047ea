"""What is held out of each kind of image: by the rule, and never a test image."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import ndimage

ACCURACY = Path(__file__).resolve().parents[2] / "benchmarks" / "accuracy"
HELD_OUT = Path(__file__).parents[1] / "model" / "dsb2018_held_out.json"


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that holds images out."""
    monkeypatch.syspath_prepend(str(ACCURACY))
    return importlib.import_module("held_out")


def test_a_quarter_is_held_out_in_two_halves(rule: ModuleType) -> None:
    """Of a hundred images that stand alone each half gets an eighth."""
    held = rule.hold_out([[f"image {k}"] for k in range(100)])
    assert len(held["report"]) in (12, 13) and len(held["choose"]) in (12, 13)
    assert not set(held["report"]) & set(held["choose"])


def test_groups_are_not_parted(rule: ModuleType) -> None:
    """A group is in one half as a whole, or in none."""
    groups = [[f"{k} {part}" for part in "abcd"] for k in range(18)]
    held = rule.hold_out(groups)
    for group in groups:
        inside = [set(group) & set(half) for half in held.values()]
        assert sorted(map(len, inside)) in ([0, 0], [0, 4])
    assert sum(map(len, held.values())) == 16


def test_the_order_does_not_matter(rule: ModuleType) -> None:
    """Only ids decide."""
    groups = [[f"image {k}"] for k in range(40)]
    assert rule.hold_out(groups) == rule.hold_out(groups[::-1])


def test_a_shifted_copy_is_alike(rule: ModuleType) -> None:
    """A copy under a shift correlates by 1, another picture does not."""
    rng = np.random.default_rng(0)
    one, other = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    pictures = [p / np.linalg.norm(p) for p in (one, np.roll(one, 9, 1), other)]
    alike = rule.likeness(np.stack(pictures)) >= rule.ALIKE
    assert alike[0, 1] and not alike[0, 2]


def test_quarters_of_a_field_go_together(rule: ModuleType) -> None:
    """Images that continue each other are one group, a stranger is another."""
    noise = np.random.default_rng(0).standard_normal((160, 160)).astype(np.float32)
    field = ndimage.gaussian_filter(noise, 4)
    tiles = [field[:80, :40], field[80:, :40], field[:80, 40:80], field[80:, 120:]]
    groups = rule.together(list("abcd"), rule.continued(tiles) >= rule.ALIKE)
    assert sorted(map(sorted, groups)) == [["a", "b", "c"], ["d"]]


def test_the_lists_are_sound() -> None:
    """Halves have no common id, hold what they say, and no image of other lists."""
    listed = json.loads((ACCURACY / "kinds.json").read_text(encoding="utf-8"))
    fluorescence = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    every: list[str] = []
    for kind, counts in listed["counts"].items():
        if kind == "fluorescence":
            continue
        for half in ("choose", "report"):
            ids = listed[f"{kind}, {half}"]
            assert len(ids) == counts[half]["images"]
            every += ids
        share = sum(counts[half]["images"] for half in ("choose", "report"))
        assert 0.2 <= share / counts["images"] <= 0.3
    assert sorted(every) == listed["held out"] == sorted(set(every))
    for kind in ("test", "validation"):
        assert not set(every) & set(fluorescence[kind])
