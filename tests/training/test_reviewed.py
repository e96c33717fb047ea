"""Partial labels: nothing is learnt from, or scored, outside the reviewed area."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

from napari_unetic.errors import UneticError
from napari_unetic.evaluation import evaluate
from napari_unetic.model.description import ModelDescription
from napari_unetic.networks.losses import instance_loss
from napari_unetic.networks.presets import preset
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.training import train, train_settings
from napari_unetic.training.augment import NO_AUGMENTATION
from napari_unetic.training.patches import PatchSource, load_samples
from napari_unetic.training.run import Run

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs


def _review(folder: Path, mask: np.ndarray, one: str = "disc0") -> None:
    (folder / "reviewed").mkdir(exist_ok=True)
    tifffile.imwrite(folder / "reviewed" / f"{one}.tif", mask.astype(np.uint8))


def _left(shape: tuple[int, int] = (80, 90)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:, : shape[1] // 2] = True
    return mask


def test_masks_are_found_beside_the_labels(pairs: Pairs, tmp_path: Path) -> None:
    """In the folder, in a zip of it, and beside a folder named by labels=."""
    data = tmp_path / "data"
    _review(data, _left())
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        for path in sorted(data.rglob("*.tif")):
            file.write(path, path.relative_to(tmp_path))
    sources = (
        read_pairs(data),
        read_pairs(tmp_path / "data.zip"),
        read_pairs(data / "images", labels=data / "labels"),
    )
    for found in sources:
        assert found.ids == pairs.ids
        area = found[0].reviewed((80, 90))
        assert area is not None
        np.testing.assert_array_equal(area, _left())
        assert found[1].reviewed((80, 90)) is None


def test_a_mask_of_another_shape_is_refused(pairs: Pairs, tmp_path: Path) -> None:
    """The message names both shapes and the image."""
    _review(tmp_path / "data", _left((70, 90)))
    pair = read_pairs(tmp_path / "data")[0]
    with pytest.raises(UneticError, match=r"shape \(80, 90\).*disc0.*\(70, 90\)"):
        pair.reviewed((80, 90))


@pytest.mark.parametrize("name", ["unetic-16", "ronneberger2015"])
def test_the_gradient_outside_is_nothing(
    pairs: Pairs, tmp_path: Path, name: str
) -> None:
    """Pixels outside move no weight; those inside do."""
    _review(tmp_path / "data", _left())
    description = ModelDescription(
        name="x", network=preset(name).spec, channels=("grey",), working_diameter_px=14
    )
    pair = read_pairs(tmp_path / "data")[0]
    settings = train_settings(
        steps=1, batch=1, patch_px=80, augmentation=NO_AUGMENTATION
    )
    source = PatchSource(load_samples(pair, description), description, settings)
    batch = source[0]
    logits = torch.full(batch.targets.shape, 0.123, requires_grad=True)
    targets, weights = torch.from_numpy(batch.targets), torch.from_numpy(batch.weights)
    instance_loss(logits, targets, weights).total.backward()
    assert logits.grad is not None
    inside = batch.weights[0, 0] > 0
    assert 0.3 < inside.mean() < 0.7
    gradient = logits.grad[0].numpy()
    assert not gradient[:, ~inside].any()
    assert (gradient[:2, inside] != 0).all()


def test_augmented_patches_move_the_area_along(pairs: Pairs, tmp_path: Path) -> None:
    """Only reviewed pixels have weight, however a patch is turned."""
    _, labels = pairs[0].read()
    _review(tmp_path / "data", labels > 0)
    description = ModelDescription(
        name="x",
        network=preset("unetic-16").spec,
        channels=("grey",),
        working_diameter_px=14,
    )
    pair = read_pairs(tmp_path / "data")[0]
    settings = train_settings(steps=1, batch=4, patch_px=64, augmentation={"blank": 0})
    source = PatchSource(load_samples(pair, description), description, settings)
    for step in range(3):
        batch = source[step]
        assert ((batch.weights[:, 0] > 0) == (batch.targets[:, 0] > 0)).mean() > 0.99


def test_training_and_scores_take_the_area(pairs: Pairs, tmp_path: Path) -> None:
    """The run knows the masks, and false labels outside cost no score."""
    data = tmp_path / "data"
    settings = train_settings(
        steps=40, preset="unetic-16", batch=2, patch_px=64, learning_rate=5e-3
    )
    _review(data, _left(), "disc0")
    found = read_pairs(data)
    model = train(found[:4], found[4:], tmp_path / "run", settings, device="cpu")
    plan = Run.open(tmp_path / "run").plan
    assert plan.train[0].reviewed is not None and plan.train[1].reviewed is None
    assert plan.train[0].pair(Path()).reviewed((80, 90)) is not None
    honest = evaluate(read_pairs(data, ids="disc5"), model, device="cpu")
    labels = found[5].labels()
    spoilt = labels.astype(np.uint16)
    spoilt[:, 45:] = 0
    spoilt[60:75, 70:85] = 99
    tifffile.imwrite(data / "labels" / "disc5.tif", spoilt)
    _review(data, _left(), "disc5")
    partial = evaluate(read_pairs(data, ids="disc5"), model, device="cpu")
    assert partial.total.n_true < honest.total.n_true
    assert not (partial.total.pixel_fp > honest.total.pixel_fp)
    (data / "reviewed" / "disc5.tif").unlink()
    fooled = evaluate(read_pairs(data, ids="disc5"), model, device="cpu")
    assert fooled.total.ap[0] <= partial.total.ap[0]
    assert fooled.total.pixel_fp > partial.total.pixel_fp
