"""Training: a run folder with a log and a model that is better than its start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_unetic.errors import UneticError
from napari_unetic.model.registry import load_model
from napari_unetic.predict import segment
from napari_unetic.training import train, train_settings, train_steps

if TYPE_CHECKING:
    from napari_unetic.networks.losses import LossParts
    from napari_unetic.pairs.pair import Pairs

QUICK = {"preset": "unetic-16", "batch": 2, "patch_px": 64, "learning_rate": 5e-3}


def _log(run: Path) -> list[dict[str, object]]:
    text = (run / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_short_training_finds_bright_discs(pairs: Pairs, tmp_path: Path) -> None:
    """Sixty steps suffice for discs; log, model and record tell of them."""
    settings = train_settings(steps=60, **QUICK)
    folder = train(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    assert folder == tmp_path / "run" / "model"
    model = load_model(folder)
    record = model.description.training
    assert record is not None and record.steps == 60
    assert record.images == {p.id: p.image_hash() for p in pairs[:4]}
    assert set(record.validation_images) == {p.id for p in pairs[4:]}
    assert model.description.working_diameter_px == pytest.approx(13, abs=2)
    lines = _log(tmp_path / "run")
    first = next(line for line in lines if line["event"] == "validation")
    reached = model.description.scores["validation"]["ap_pooled_0.50"]
    assert reached > 0.3 and reached > first["ap_50"]
    events = [line["event"] for line in lines]
    assert events[0] == "start" and events[-2:] == ["tuned", "end"]
    assert events.count("validation") == 20
    assert segment(np.asarray(pairs[5].image().data), model, device="cpu").max() >= 3


def test_the_same_seed_gives_the_same_weights(pairs: Pairs, tmp_path: Path) -> None:
    """Two trainings of one seed end in the same bits; another seed in others."""
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        settings = train_settings(steps=3, seed=seed, **QUICK)
        folder = train(pairs[:4], pairs[4:], tmp_path / name, settings, device="cpu")
        weights.append((folder / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_training_goes_on_from_a_model(pairs: Pairs, tmp_path: Path) -> None:
    """With --from, network and working diameter are the parent's."""
    settings = train_settings(steps=3, **QUICK)
    parent = train(pairs[:4], pairs[4:], tmp_path / "a", settings, device="cpu")
    child = train(
        pairs[:4],
        pairs[4:],
        tmp_path / "b",
        train_settings(steps=1, learning_rate=1e-9),
        from_model=parent,
        device="cpu",
    )
    before, after = load_model(parent), load_model(child)
    assert after.description.network == before.description.network
    assert after.description.training is not None
    assert after.description.training.parent == before.description.weights_sha256
    for name, value in before.network.named_parameters():
        torch.testing.assert_close(after.network.get_parameter(name), value)


@pytest.mark.parametrize(
    "name",
    ["keras-dsb2018", pytest.param("ronneberger2015", marks=pytest.mark.slow)],
)
def test_published_presets_can_be_trained(
    pairs: Pairs, tmp_path: Path, name: str
) -> None:
    """Colour input, valid convolutions, dropout: one step each."""
    settings = train_settings(steps=1, preset=name, batch=1, patch_px=64)
    folder = train(pairs[:1], pairs[5:], tmp_path / name, settings, device="cpu")
    assert load_model(folder).description.network.out_channels == 3


def test_a_budget_of_minutes_is_spent(pairs: Pairs, tmp_path: Path) -> None:
    """Training goes on until the time is up; the log tells when."""
    settings = train_settings(minutes=0.02, **QUICK)
    train(pairs[:4], pairs[4:], tmp_path / "m", settings, device="cpu")
    assert _log(tmp_path / "m")[-1]["minutes"] >= 0.02


def test_epochs_cover_all_pixels(pairs: Pairs, tmp_path: Path) -> None:
    """Two epochs are as many patches as have twice the pixels of all images."""
    settings = train_settings(epochs=2, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "e", settings, device="cpu")
    n_expected = 2 * round(4 * 80 * 90 / (2 * 64**2))
    assert max(s.done for s in steps if s.what == "training") == n_expected


def test_steps_tell_loss_ap_and_time_left(pairs: Pairs, tmp_path: Path) -> None:
    """What a progress bar shows."""
    settings = train_settings(steps=2, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    training = [s for s in steps if s.what == "training"]
    assert [s.done for s in training] == [1, 2]
    assert set(training[0].values) == {"loss", "ap", "seconds_left"}


def test_closing_keeps_the_best_model_so_far(pairs: Pairs, tmp_path: Path) -> None:
    """A training that is stopped leaves a model that can be loaded."""
    settings = train_settings(steps=40, **QUICK)
    steps = train_steps(pairs[:4], pairs[4:], tmp_path / "run", settings, device="cpu")
    for step in steps:
        if step.what == "training" and step.done == 5:
            steps.close()
            break
    assert load_model(tmp_path / "run").description.training is not None


@pytest.mark.parametrize(
    ("n_train", "n_validation", "message"),
    [(0, 2, "pair to train on"), (4, 0, "pair to validate on")],
)
def test_nothing_to_learn_from_is_refused(
    pairs: Pairs, tmp_path: Path, n_train: int, n_validation: int, message: str
) -> None:
    """Before anything is written."""
    with pytest.raises(UneticError, match=message):
        train(
            pairs[:n_train],
            pairs[4 : 4 + n_validation],
            tmp_path / "run",
            train_settings(steps=1),
        )
    assert not (tmp_path / "run").exists()


def test_validating_on_training_images_is_refused(pairs: Pairs, tmp_path: Path) -> None:
    """The message names one that is in both."""
    with pytest.raises(UneticError, match=r"1 in both \(disc3\)"):
        train(pairs[:4], pairs[3:], tmp_path / "run", train_settings(steps=1))


def test_an_existing_run_is_kept(pairs: Pairs, tmp_path: Path) -> None:
    """A run is never overwritten."""
    (tmp_path / "run").mkdir()
    with pytest.raises(UneticError, match="which exists"):
        train(pairs[:4], pairs[4:], tmp_path / "run", train_settings(steps=1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "expected one budget"),
        ({"steps": 1, "minutes": 2}, "got 2"),
        ({"minutes": -1}, "minutes: Input should be greater than 0"),
        ({"steps": 1, "batch": 0}, "batch"),
        ({"steps": 1, "colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    """The message names the field."""
    with pytest.raises(UneticError, match=message):
        train_settings(**values)


def test_a_loss_that_is_no_number_stops(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says so and what to do."""
    import napari_unetic.training.object_lesson as module

    real = module.instance_loss

    def broken(*arguments: torch.Tensor) -> object:
        return real(arguments[0] * float("nan"), *arguments[1:])

    monkeypatch.setattr(module, "instance_loss", broken)
    with pytest.raises(UneticError, match="finite loss, got nan at step 0"):
        train(
            pairs[:4],
            pairs[4:],
            tmp_path / "run",
            train_settings(steps=2, **QUICK),
            device="cpu",
        )


def test_a_gradient_that_overflows_is_passed_over(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights stay numbers, and training goes on."""
    import napari_unetic.training.object_lesson as module

    real, n_losses = module.instance_loss, 0

    def overflowing(*arguments: torch.Tensor) -> LossParts:
        nonlocal n_losses
        n_losses += 1
        parts = real(*arguments)
        if n_losses == 2:
            parts.total.register_hook(lambda gradient: gradient * float("inf"))
        return parts

    monkeypatch.setattr(module, "instance_loss", overflowing)
    folder = train(
        pairs[:4],
        pairs[4:],
        tmp_path / "run",
        train_settings(steps=4, **QUICK),
        device="cpu",
    )
    weights = load_model(folder).network.state_dict().values()
    assert n_losses == 4
    assert all(torch.isfinite(weight).all() for weight in weights)


def test_the_average_follows_and_gradients_are_clipped(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a step the average lies between start and new weights; norms are cut."""
    norms: list[float] = []
    real = torch.nn.utils.clip_grad_norm_

    def watched(parameters: object, largest: float) -> torch.Tensor:
        norms.append(largest)
        return real(parameters, largest)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
    settings = train_settings(steps=1, clip=0.25, **QUICK)
    train(pairs[:4], pairs[4:], tmp_path / "r", settings, device="cpu")
    assert norms == [0.25]
    first = load_tensors(tmp_path / "r" / "checkpoints" / "00000000")
    last = load_tensors(tmp_path / "r" / "checkpoints" / "00000001")
    name = "head.bias"
    start, new = first[f"network.{name}"], last[f"network.{name}"]
    # The decay of the first step is 2 / 11.
    expected = start + (1 - 2 / 11) * (new - start)
    torch.testing.assert_close(last[f"average.{name}"], expected)
    assert not torch.equal(start, new)


def load_tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint / "state.safetensors")
