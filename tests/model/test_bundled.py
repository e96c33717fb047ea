"""The bundled model: small, clean of test images, and sensible on odd images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_unetic.instances.counts import score_image
from napari_unetic.model.registry import BUNDLED, list_models, load_model
from napari_unetic.networks.network import n_parameters
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import segment
from napari_unetic.samples import nuclei_sample

HELD_OUT = json.loads(
    (Path(__file__).parent / "dsb2018_held_out.json").read_text(encoding="utf-8")
)


def test_nuclei_is_bundled() -> None:
    """It is listed first and named."""
    first = list_models()[0]
    assert first.name == "nuclei" and first.bundled
    assert first.description.name == "nuclei"
    assert first.description.licence == "BSD-3-Clause"
    assert first.description.summary


def test_it_is_small() -> None:
    """At most 3 million parameters, and 12 MB with all that is bundled."""
    assert n_parameters(load_model("nuclei").network) <= 3_000_000
    size = sum(p.stat().st_size for p in BUNDLED.rglob("*") if p.is_file())
    assert size <= 12_000_000
    assert not [p for p in BUNDLED.rglob("*") if p.suffix in (".pt", ".pth", ".pkl")]


def test_no_held_out_image_was_trained_on() -> None:
    """None of the 50 test and 67 validation images, by id and by pixels."""
    assert len(HELD_OUT["test"]) == 50 and len(HELD_OUT["validation"]) == 67
    record = load_model("nuclei").description.training
    assert record is not None
    assert len(record.images) > 300
    for kind in ("test", "validation"):
        assert not set(HELD_OUT[kind]) & set(record.images)
        assert not set(HELD_OUT[kind].values()) & set(record.images.values())
    chosen_on = set(record.validation_images.values())
    assert chosen_on and not set(HELD_OUT["test"].values()) & chosen_on


def test_nothing_that_is_held_out_of_other_kinds_was_trained_on() -> None:
    """By the list from which their scores come; near-duplicates are in it together."""
    listed = Path(__file__).parents[2] / "benchmarks" / "accuracy" / "kinds.json"
    held_out = json.loads(listed.read_text(encoding="utf-8"))["held out"]
    record = load_model("nuclei").description.training
    assert record is not None
    assert len(held_out) == 30
    assert not set(held_out) & set(record.images)


def test_the_held_out_hashes_are_those_of_the_images(data_folder: Path) -> None:
    """The list above is computed from the images themselves."""
    source = data_folder / "dsb2018"
    pairs = read_pairs(
        source / "stage1_train.zip", ids=f"{source / 'stardist_split.json'}:test"
    )
    assert {p.id: p.image_hash() for p in pairs} == HELD_OUT["test"]


def test_training_images_are_those_of_the_data_folder(data_folder: Path) -> None:
    """The recorded hashes belong to images of the data set."""
    record = load_model("nuclei").description.training
    assert record is not None
    some = sorted(record.images)[::40]
    pairs = read_pairs(data_folder / "dsb2018" / "stage1_train.zip", ids=some)
    assert {p.id: p.image_hash() for p in pairs} == {k: record.images[k] for k in some}


@pytest.mark.parametrize("value", [0, 1, 200])
def test_a_constant_image_has_no_object(value: int) -> None:
    """Black, dim or bright throughout: there is nothing to tell apart."""
    assert not segment(np.full((200, 180), value, np.uint8)).any()


def test_noise_has_no_object() -> None:
    """An image without objects is stretched until its noise fills the range."""
    rng = np.random.default_rng(0)
    for noise in (
        rng.poisson(100, (256, 256)).astype(np.uint16),
        rng.normal(0, 1, (256, 256)).astype(np.float32),
    ):
        assert segment(noise).max() <= 2


def test_the_inside_of_an_object_does_not_fall_to_pieces() -> None:
    """An image that is all foreground gives at most a few objects."""
    rows, columns = np.mgrid[:256, :256]
    inside = 3000 + 200 * np.sin(rows / 40) * np.cos(columns / 50)
    noisy = np.random.default_rng(0).normal(inside, 20).astype(np.uint16)
    assert segment(noisy).max() <= 12


def test_generated_nuclei_are_found() -> None:
    """The sample of the demo, whose truth is known."""
    image, truth = nuclei_sample((512, 512), seed=3)
    score = score_image(truth, segment(image))
    assert score.ap[0] > 0.8


def test_real_nuclei_are_found(data_folder: Path) -> None:
    """Validation images of DSB2018, as they come in the zip."""
    source = data_folder / "dsb2018"
    pairs = read_pairs(
        source / "stage1_train.zip",
        ids=f"{source / 'stardist_split.json'}:val_of_train_seed42",
    )
    hits = total = 0
    for pair in pairs[:12]:
        image, truth = pair.read()
        score = score_image(truth, segment(image))
        hits += score.tp[0]
        total += score.tp[0] + score.fp[0] + score.fn[0]
    assert hits / total > 0.75
