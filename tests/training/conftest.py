"""Small pairs to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_unetic.pairs.readers import read_pairs

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """Six generated images of bright discs, some touching, with their labels."""
    for k in range(6):
        rng = np.random.default_rng(k)
        labels = np.zeros((80, 90), np.uint16)
        rows, columns = np.indices(labels.shape)
        for number in range(1, 13):
            at = rng.uniform(8, 72), rng.uniform(8, 82)
            labels[np.hypot(rows - at[0], columns - at[1]) < 7] = number
        image = 1000 + 3000 * (labels > 0) + rng.normal(0, 200, labels.shape)
        for name, array in (("images", image.astype(np.uint16)), ("labels", labels)):
            folder = tmp_path / "data" / name
            folder.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / f"disc{k}.tif", array)
    return read_pairs(tmp_path / "data")
