"""The picture of augmented patches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_unetic.cli import main
from napari_unetic.training.preview import write_preview
from napari_unetic.training.settings import train_settings

if TYPE_CHECKING:
    import pytest

    from napari_unetic.pairs.pair import Pairs


def test_patches_stand_above_their_targets(pairs: Pairs, tmp_path: Path) -> None:
    """Two batches of four in a row: images grey, targets in colour below them."""
    settings = train_settings(steps=1, batch=4, patch_px=64)
    write_preview(pairs[:3], tmp_path / "strip.png", settings)
    strip = np.asarray(Image.open(tmp_path / "strip.png")).astype(int)
    assert strip.shape == (2 * 64 + 4, 8 * (64 + 4), 3)
    images, targets = strip[:64], strip[64:128]
    assert (np.ptp(images, axis=-1) == 0).all() and images.std() > 10
    assert (targets[..., 2] > 100).any() and (np.ptp(targets, axis=-1) > 0).any()


def test_the_command_writes_it_and_trains_nothing(
    pairs: Pairs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`unetic train DATA --preview PNG` ends with the picture."""
    out = tmp_path / "p.png"
    data = str(tmp_path / "data")
    assert main(["train", data, "--preview", str(out), "--patch", "64"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert str(out) in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"data", "p.png"}
