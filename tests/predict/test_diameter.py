"""The diameter of objects is found from a small part of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.image.source import Image
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict.diameter import LOOKING, estimate_diameter_steps
from napari_unetic.predict.votes import DiameterEstimate, Found, vote
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain


def _estimate(image: Any, **settings: object) -> DiameterEstimate:
    chosen = segment_settings(device="cpu", precision="float32", **settings)
    return drain(estimate_diameter_steps(image, "nuclei", chosen))


def _true(labels: NDArray[np.integer]) -> float:
    sizes = np.bincount(labels.ravel())[1:]
    return float(2 * np.sqrt(np.median(sizes[sizes > 0]) / np.pi))


@pytest.mark.parametrize("size", [12, 24, 48, 96])
def test_generated_nuclei(size: int) -> None:
    """Nuclei of 12 to 96 pixels are told to within a quarter."""
    image, labels = nuclei_sample(
        (512, 512), 1, n_nuclei=round(60_000 / size**2) + 3, diameter=(size, 1.2 * size)
    )
    found = _estimate(image)
    assert found.diameter == pytest.approx(_true(labels), rel=0.25)
    assert found.n_objects > 0 and 0 < found.sure <= 1 and found.seconds > 0


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (200, 200)])
def test_nothing_to_find(shape: tuple[int, int]) -> None:
    """An image without objects has no diameter."""
    found = _estimate(np.zeros(shape, np.uint8))
    assert found.diameter is None and found.n_objects == 0 and found.sure == 0


class _Counted:
    """A large lazy image: nuclei in one corner, and a count of the pixels read."""

    def __init__(self, side: int, tile: NDArray[np.uint16]):
        self.shape, self.ndim, self.dtype = (side, side), 2, tile.dtype
        self.tile, self.n_read = tile, 0

    def __getitem__(self, key: Any, /) -> NDArray[np.uint16]:
        rows, columns = (
            np.arange(*part.indices(self.shape[0]))
            for part in key  # always two slices here
        )
        self.n_read += rows.size * columns.size
        n = self.tile.shape[0]
        values = self.tile[np.ix_(rows % n, columns % n)]
        start = self.shape[0] - 5 * n
        inside = (rows[:, None] >= start) & (columns >= start)
        return np.where(inside, values, 90).astype(np.uint16)


def test_a_large_image_is_not_read_whole() -> None:
    """Of 400 megapixels a hundredth is read, and objects in a corner are found."""
    tile, labels = nuclei_sample((1000, 1000), 2, n_nuclei=300, diameter=(22, 26))
    data = _Counted(20_000, tile)
    found = _estimate(Image(data, "YX"))
    assert found.diameter == pytest.approx(_true(labels), rel=0.2)
    assert data.n_read < 0.01 * 20_000**2


def test_channel_plane_and_region_are_kept_to() -> None:
    """What lies in other channels, planes and regions has no say."""
    small, labels = nuclei_sample((300, 300), 3, n_nuclei=40, diameter=(18, 22))
    large, _ = nuclei_sample((300, 300), 4, n_nuclei=4, diameter=(70, 80))
    stack = np.stack([np.stack([large, large]), np.stack([large, small])])
    found = _estimate(Image(stack, "ZCYX"), channel=1, plane=1)
    assert found.diameter == pytest.approx(_true(labels), rel=0.25)
    beside = np.concatenate([small, large], axis=1)
    found = _estimate(beside, region=(0, 0, 300, 260))
    assert found.diameter == pytest.approx(_true(labels), rel=0.25)


def test_a_diameter_that_is_set_changes_nothing() -> None:
    """It is what is asked for."""
    image, _ = nuclei_sample((256, 256), 5, n_nuclei=20, diameter=(20, 24))
    assert _estimate(image).diameter == _estimate(image, diameter=90).diameter


@pytest.mark.parametrize(("size", "is_usual"), [(24, True), (90, False)])
def test_a_step_before_each_further_run(size: int, is_usual: bool) -> None:
    """Objects of the usual size need one run, others more; each can be stopped."""
    n = 90_000 // size**2
    image, _ = nuclei_sample((512, 512), 6, n_nuclei=n, diameter=(size, 1.1 * size))
    steps = estimate_diameter_steps(image, "nuclei", segment_settings(device="cpu"))
    seen = [step.what for step in steps]
    assert seen[0] == "tile"
    further = seen.count(LOOKING.what)
    assert further == 0 if is_usual else 2 <= further <= 3


def test_sure_objects_of_a_fitting_size_outvote_others() -> None:
    """Many fragments with low scores at a wrong size lose against a few sure ones."""
    sure = Found(np.full(6, 40.0), np.full(6, 1.0), np.full(6, 0.9))
    fragments = Found(np.full(60, 8.0), np.full(60, 3.0), np.full(60, 0.4))
    found = vote(sure.and_those(fragments))
    assert found.diameter == 40 and found.n_objects == 6
    assert vote(fragments).sure < found.sure < vote(sure).sure


def test_many_small_objects_outvote_one_blob() -> None:
    """The median is over objects, not over their area."""
    small = Found(np.linspace(18, 22, 30), np.full(30, 1.0), np.full(30, 0.8))
    blob = Found(np.full(1, 60.0), np.full(1, 3.0), np.full(1, 0.8))
    assert vote(small.and_those(blob)).diameter == pytest.approx(20, abs=1)


@pytest.mark.slow
def test_large_nuclei_that_were_never_trained_on(data_folder: Path) -> None:
    """U2OS nuclei of 60 to 100 pixels are told to within 15 %."""
    for pair in read_pairs(data_folder / "u2os_nuclei"):
        image, labels = pair.read()
        assert _estimate(image).diameter == pytest.approx(_true(labels), rel=0.15)
