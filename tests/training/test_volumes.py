"""Training on volumes: patches, augmentation, and a model that segments stacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image
from napari_unetic.image.writing import write_labels
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.targets import make_targets
from napari_unetic.model.registry import load_model
from napari_unetic.networks.presets import PRESETS
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment
from napari_unetic.samples import VOXEL_SIZE, nuclei_stack
from napari_unetic.training import record, train, train_settings
from napari_unetic.training.augment import (
    NO_AUGMENTATION,
    Augmentation,
    blank,
    draw_window,
    take,
    vary_intensity,
)
from napari_unetic.training.patches import PatchSource, load_samples
from napari_unetic.training.preview import preview_strip
from napari_unetic.training.record import describe, sized
from napari_unetic.training.settings import usual_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unetic.axes import PixelSize
    from napari_unetic.pairs.pair import Pair, Pairs

TINY: dict[str, Any] = {
    "preset": "unetic-3d",
    "batch": 1,
    "patch_px": 32,
    "patch_planes": 8,
    "tune": False,
    "validations": 1,
}


def _write(
    folder: Path,
    shape: tuple[int, int, int],
    n: int,
    size: PixelSize | None = VOXEL_SIZE,
) -> Pairs:
    for seed in range(n):
        image, labels = nuclei_stack(shape, seed)
        for kind, array in (("images", image), ("labels", labels)):
            path = folder / kind / f"s{seed}.ome.tif"
            write_labels(path, array.astype(np.uint16), axes="ZYX", pixel_size=size)
    return read_pairs(folder)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """Three small generated z-stacks with their labels."""
    return _write(tmp_path_factory.mktemp("stacks"), (9, 64, 70), 3)


def _source(pairs: Sequence[Pair], **settings: Any) -> PatchSource:
    chosen = train_settings(steps=1, **{**TINY, "batch": 2, **settings})
    description = describe(None, chosen, "deep")
    samples = [s for pair in pairs for s in load_samples(pair, description)]
    return PatchSource(samples, sized(description, samples, chosen), chosen)


@pytest.mark.parametrize("seed", range(6))
def test_image_and_labels_move_together(seed: int) -> None:
    """A volume that shows the labels still shows them after any draw."""
    labels = nuclei_stack((12, 90, 80), 3)[1]
    rng = np.random.default_rng(seed)
    window = draw_window(labels.shape, 64, rng, Augmentation(), n_planes=8)
    moved = take(labels, window, order=0)
    image = take((labels > 0).astype(np.float32), window, order=1)
    assert moved.shape == (8, 64, 64)
    assert ((image > 0.5) == (moved > 0)).mean() > 0.98


def test_patches_are_cut_along_z_too() -> None:
    """Neighbouring planes from anywhere, in both orders; few ones are mirrored."""
    volume = np.arange(12)[:, None, None] * np.ones((12, 40, 40))
    rng, firsts, orders = np.random.default_rng(0), set(), set()
    for _ in range(60):
        window = draw_window(volume.shape, 32, rng, Augmentation(), n_planes=5)
        planes = take(volume, window, order=0)[:, 0, 0]
        assert set(np.diff(planes)) in ({1.0}, {-1.0})
        firsts.add(planes.min())
        orders.add(planes[0] < planes[-1])
    assert firsts == set(range(8)) and orders == {True, False}
    few = draw_window((3, 40, 40), 32, rng, NO_AUGMENTATION, n_planes=6)
    assert few.planes is not None and few.planes.tolist() == [2, 1, 0, 1, 2, 1]


def test_intensity_varies_in_volumes() -> None:
    """Every kind acts on a volume and leaves its shape."""
    everything = Augmentation(
        gamma=1, light=1, blur=1, gain=1, noise=1, saturate=1, invert=1, jpeg=1
    )
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (2, 6, 32, 32)).astype(np.float32)
    varied = vary_intensity(image, rng, everything)
    assert varied.shape == image.shape and varied.dtype == np.float32
    assert not np.allclose(varied, image)
    noise = blank((1, 6, 32, 32), np.random.default_rng(3))
    assert noise.shape == (1, 6, 32, 32) and noise.std() > 0


def test_a_batch_of_volumes(stacks: Pairs) -> None:
    """Patches have as many planes as the stacks, on the stride; targets are 3-D."""
    source = _source(stacks, patch_planes=16, augmentation=NO_AUGMENTATION)
    batch = source[0]
    assert batch.images.shape == (2, 1, 12, 32, 32)
    assert batch.targets.shape == batch.weights.shape == (2, 3, 12, 32, 32)
    np.testing.assert_array_equal(batch.images, source[0].images)
    picture = preview_strip(source, 1)
    assert picture.shape == (2 * 32 + 4, 2 * (32 + 4), 3)
    valid = _source(stacks, preset="cicek2016", channels=1)[0]
    assert valid.images.shape[2:] == (12 + 88, 36 + 88, 36 + 88)
    assert valid.targets.shape[2:] == (12, 36, 36)


def test_what_is_learnt_of_the_stacks(stacks: Pairs) -> None:
    """Diameters are those seen in planes, the distance of planes is the files'."""
    description = _source(stacks).lesson.kind  # type: ignore[attr-defined]
    assert description.anisotropy == pytest.approx(3.077, abs=1e-3)
    chosen = train_settings(steps=1, **TINY)
    start = describe(None, chosen, "deep")
    samples = [s for pair in stacks for s in load_samples(pair, start)]
    found = sized(start, samples, chosen)
    assert found.axes == "ZYX" and found.network.dimensions == 3
    # Nuclei of 20 to 35 pixels, some of them cut by the edges.
    assert 15 < found.working_diameter_px < 32
    told = sized(start, samples, chosen.model_copy(update={"anisotropy": 1.5}))
    assert told.anisotropy == 1.5
    labels = samples[0].labels.astype(np.int32)
    np.testing.assert_array_equal(
        found.kind.make_targets(labels), make_targets(labels, anisotropy=3.077)
    )


def test_stacks_that_do_not_say_how_far_apart(tmp_path: Path) -> None:
    """Planes then count as far apart as pixels, and the model leaves it open."""
    pairs = _write(tmp_path, (6, 40, 40), 1, None)
    chosen = train_settings(steps=1, **TINY)
    start = describe(None, chosen, "deep")
    found = sized(start, load_samples(pairs[0], start), chosen)
    assert found.anisotropy is None and found.kind.anisotropy == 1  # type: ignore[union-attr]


def test_volumes_have_smaller_patches() -> None:
    """Unless they are given; planes keep what they have."""
    usual = usual_of(train_settings(steps=1), 3)
    assert (usual.patch_px, usual.batch, usual.patch_planes) == (64, 4, 16)
    given = usual_of(train_settings(steps=1, patch_px=96, batch=8), 3)
    assert (given.patch_px, given.batch) == (96, 8)
    assert usual_of(train_settings(steps=1), 2) == train_settings(steps=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"preset": "unetic-3d", "classes": "a", "resize_px": 64}, "takes volumes"),
        ({"preset": "unetic-16", "anisotropy": 2}, "only for a network for volumes"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], said: str) -> None:
    """One sentence each."""
    with pytest.raises(UneticError, match=said):
        describe(None, train_settings(steps=1, **settings), "deep")


def test_planes_are_no_volumes_to_train_on(pairs: Pairs, tmp_path: Path) -> None:
    """Images without Z are refused before anything is trained."""
    with pytest.raises(UneticError, match="planes along Z for 'run', which takes vol"):
        train(
            pairs[:1],
            pairs[1:2],
            tmp_path / "run",
            train_settings(steps=1, **TINY),
            device="cpu",
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "unetic-3d" else pytest.mark.slow)
        for name, one in PRESETS.items()
        if one.spec.dimensions == 3
    ],
)
def test_presets_for_volumes_are_trained_and_run(
    stacks: Pairs, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each, made narrow: two steps, a validation; the model takes the next stack."""
    own = PRESETS[name]
    widths = tuple(4 * width // own.spec.widths[0] for width in own.spec.widths)
    narrow = replace(own, spec=own.spec.model_copy(update={"widths": widths}))
    monkeypatch.setattr(record, "preset", lambda name, dimensions: narrow)
    # In smaller ones norms at the bottom see so few voxels that bfloat16 finds no
    # variance among them.
    more = {"preset": name, "batch": 2, "patch_px": 64}
    settings = train_settings(steps=2, channels=1, **{**TINY, **more})
    folder = train(stacks[:2], stacks[2:], tmp_path / "run", settings, device="cpu")
    model = load_model(folder)
    assert model.description.axes == "ZYX"
    assert model.description.network.out_channels == 3
    assert "ap_pooled_0.50" in model.description.scores["validation"]
    labels = segment(read_image(stacks[0].image_entry.open()), model, device="cpu")
    assert labels.shape == (9, 64, 70)


def test_classes_of_voxels_are_trained(stacks: Pairs, tmp_path: Path) -> None:
    """Binary masks of volumes teach a class; training goes on from its model."""
    settings = train_settings(
        steps=1, classes="nucleus", border_weight=5, class_weights=(1, 2), **TINY
    )
    folder = train(stacks[:1], stacks[1:2], tmp_path / "a", settings, device="cpu")
    model = load_model(folder)
    assert model.description.target.kind == "semantic"
    again = train_settings(steps=1, batch=1, patch_px=32, tune=False, norms="keep")
    child = train(
        stacks[:1],
        stacks[1:2],
        tmp_path / "b",
        again,
        from_model=folder,
        device="cpu",
    )
    assert load_model(child).description.network == model.description.network


@pytest.mark.slow
def test_generated_volumes_are_rehearsed(stacks: Pairs, tmp_path: Path) -> None:
    """A model for volumes is held to what it said of generated stacks."""
    settings = train_settings(steps=1, **TINY)
    folder = train(stacks[:1], stacks[1:2], tmp_path / "a", settings, device="cpu")
    more = {"batch": 2, "patch_px": 32, "patch_planes": 8, "tune": False}
    again = train_settings(steps=1, rehearsal=0.5, anchor=0.1, **more)
    child = train(
        stacks[:1], stacks[1:2], tmp_path / "b", again, from_model=folder, device="cpu"
    )
    assert load_model(child).description.axes == "ZYX"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_short_training_finds_nuclei_in_stacks(tmp_path: Path) -> None:
    """After 300 steps on four stacks a good part of another one is found."""
    pairs = _write(tmp_path / "data", (16, 128, 128), 5)
    settings = train_settings(
        steps=300, preset="unetic-3d", batch=2, learning_rate=5e-3, validations=3
    )
    folder = train(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    image, truth = nuclei_stack((16, 128, 128), 77)
    score = score_image(truth, segment(image, folder, axes="ZYX", device="cpu"))
    assert score.ap[0] > 0.3
