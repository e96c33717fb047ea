"""bfloat16 is taken by itself only where it was found to give what float32 gives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.instances.targets import make_targets
from napari_unetic.maps import Preparation, agreement, plan_work, precision, prepare
from napari_unetic.maps.agreement import Agreement, compare, known_agreement
from napari_unetic.maps.network import network_on
from napari_unetic.maps.precision import choose_precision, expected_precision
from napari_unetic.model.registry import load_model
from napari_unetic.networks.device import Device, choose_device, is_started
from napari_unetic.predict import segment_steps
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unetic.model.folder import Model

CPU = Device(torch.device("cpu"), "CPU: asked for")


@pytest.fixture(autouse=True)
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing was checked."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    monkeypatch.setattr(agreement, "_KNOWN", {})


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has bfloat16, as far as it says."""
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda device: True)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Agreement]:
    """The answers of the checks to come, in place of running the network."""
    answers: list[Agreement] = []

    def measure(model: Model, device: Device) -> Agreement:
        found = answers.pop(0)
        agreement._KNOWN[agreement._key(model.description, device)] = found
        return found

    monkeypatch.setattr(precision, "measure_agreement", measure)
    return answers


def prepared(model: Model, **settings: object) -> Preparation:
    """Prepare a small image."""
    image, _ = nuclei_sample((96, 96))
    chosen = segment_settings(device="cpu", **settings)
    return prepare(plan_work(image, model.description, chosen), model)


@pytest.mark.usefixtures("native")
def test_the_bundled_model_agrees_and_is_checked_once() -> None:
    """Another process finds the answer in the user's cache; the objects are the same.

    Emulated where the processor has no bfloat16: the numbers are the same.
    """
    model = load_model("nuclei")
    found = agreement.measure_agreement(model, CPU)
    assert found.is_enough and found.n_objects > 100
    agreement._KNOWN.clear()
    assert known_agreement(model.description, CPU) == found
    chosen = choose_precision("auto", model, CPU)
    assert chosen.name == "bfloat16"
    assert "% of pixels" in chosen.reason and str(found.n_objects) in chosen.reason


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Agreement(1, 1, 200), "bfloat16"),
        (Agreement(0.999, 0.99, 200), "bfloat16"),
        (Agreement(0.9989, 1, 200), "float32"),
        (Agreement(1, 0.985, 200), "float32"),
        (Agreement(1, 0, 0), "float32"),
    ],
)
def test_only_agreement_leads_to_bfloat16(
    found: Agreement, expected: str, checks: list[Agreement]
) -> None:
    """Enough pixels and enough objects, and some objects at all; the plan learns."""
    model = load_model("nuclei")
    assert expected_precision("auto", model.description, CPU) == "bfloat16"
    checks.append(found)
    work = prepared(model)
    assert work.precision.name == work.provenance()["precision"] == expected
    assert work.provenance()["precision_reason"] == work.precision.reason
    assert work.notices == []
    again = prepared(model)
    assert again.plan.precision == again.precision.name == expected
    assert ("bfloat16" in again.plan.text()) == (expected == "bfloat16")


@pytest.mark.usefixtures("native")
def test_a_check_that_cannot_be_made_leaves_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the reason."""

    def fail(*_: object) -> None:
        raise UneticError("Expected diameters, got none; give some.")

    monkeypatch.setattr(precision, "measure_agreement", fail)
    chosen = choose_precision("auto", load_model("nuclei"), CPU)
    assert chosen.name == "float32"
    assert chosen.reason.startswith("bfloat16 could not be checked: Expected")


@pytest.mark.usefixtures("native")
def test_weights_that_have_no_hash_stay_in_float32(
    random_model: Callable[..., Model],
) -> None:
    """An answer for one state of a network in training is none for the next."""
    assert prepared(random_model()).precision.name == "float32"


def test_without_circuits_auto_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is asked for is done, with a notice that it is slower."""
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda device: False)
    model = load_model("nuclei")
    assert choose_precision("auto", model, CPU).reason == "CPU without native bfloat16"
    assert prepared(model).precision.name == "float32"
    work = prepared(model, precision="bfloat16")
    assert work.precision.name == "bfloat16"
    assert len(work.notices) == 1 and "slower than float32" in work.notices[0]
    assert drain(work.maps_steps(())).dtype == np.float32


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_done_without_a_check(
    asked: str, checks: list[Agreement]
) -> None:
    """The network's own numbers are of that type, and nothing is remembered."""
    found = drain(
        segment_steps(nuclei_sample((96, 96))[0], device="cpu", precision=asked)
    )
    assert found.provenance["precision"] == asked
    network = network_on(load_model("nuclei"), choose_device("cpu"), asked)
    assert {str(p.dtype) for p in network.parameters()} == {f"torch.{asked}"}
    assert agreement._KNOWN == {}


def test_a_gpu_that_runs_nothing_is_not_started_by_a_plan() -> None:
    """What it can do is asked when it is needed."""
    gpu = Device(torch.device("cuda"), "CUDA: found by torch")
    if is_started(gpu.torch):
        pytest.skip("another test has started the GPU")
    description = load_model("nuclei").description
    assert expected_precision("auto", description, gpu) == "float32"


@pytest.mark.parametrize("text", ["", "{}", '{"pixels": "x"}', "[1]"])
def test_a_damaged_file_is_as_good_as_none(text: str) -> None:
    """The check is made again."""
    description = load_model("nuclei").description
    path = agreement._path(agreement._key(description, CPU))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert known_agreement(description, CPU) is None


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A file lies where the folder should be."""
    (tmp_path / "cache").write_text("")
    agreement._keep(agreement._path("key"), Agreement(1, 1, 1))
    assert (tmp_path / "cache").read_text() == ""


def test_what_is_known_holds_for_these_weights_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other weights, thresholds, versions of torch or processors ask anew."""
    description = load_model("nuclei").description
    keys = {agreement._key(description, CPU)}
    keys.add(
        agreement._key(description.model_copy(update={"weights_sha256": "a"}), CPU)
    )
    spec = description.decoding.model_copy(update={"contact": 0.3})
    keys.add(agreement._key(description.model_copy(update={"decoding": spec}), CPU))
    monkeypatch.setattr(torch, "__version__", "99")
    keys.add(agreement._key(description, CPU))
    monkeypatch.setattr(agreement, "processor_name", lambda: "another")
    keys.add(agreement._key(description, CPU))
    assert len(keys) == 5


def test_pixels_and_objects_are_counted_apart(
    random_model: Callable[..., Model],
) -> None:
    """One object of four gone is a quarter; a faint veil over one map is all pixels."""
    description = random_model().description
    labels = np.zeros((40, 40), np.int32)
    for k, (y, x) in enumerate([(2, 2), (2, 22), (22, 2), (22, 22)], start=1):
        labels[y : y + 10, x : x + 10] = k
    full: NDArray[Any] = make_targets(labels)
    assert compare(full, full, description) == Agreement(1, 1, 4)
    gone = full.copy()
    gone[:, 22:32, 22:32] = 0
    found = compare(full, gone, description)
    assert found.objects == 0.75 and found.n_objects == 4
    assert found.pixels == pytest.approx(1 - 100 / 1600)
    veil = full.copy()
    veil[2] += 0.021
    assert compare(full, veil, description).pixels == 0
