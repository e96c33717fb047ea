"""Means against forgetting: encoder rate, pull to the start, norms, rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from napari_unetic.errors import UneticError
from napari_unetic.model.registry import load_model
from napari_unetic.training import train, train_settings
from napari_unetic.training.patches import PatchSource, load_samples
from napari_unetic.training.rehearsal import GeneratedSamples

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs

QUICK = {"preset": "unetic-16", "batch": 2, "patch_px": 64, "learning_rate": 5e-3}


@pytest.fixture
def parent(pairs: Pairs, tmp_path: Path) -> Path:
    """A model after one step."""
    return train(pairs[:1], pairs[5:], tmp_path / "p", train_settings(steps=1, **QUICK))


def _trained(
    parent: Path, pairs: Pairs, run: Path, **settings: object
) -> dict[str, torch.Tensor]:
    train(
        pairs[:1],
        pairs[5:],
        run,
        train_settings(steps=2, **{**QUICK, **settings}),
        from_model=parent,
        device="cpu",
    )
    return load_file(run / "checkpoints" / "00000002" / "state.safetensors")


def test_a_rate_of_nothing_leaves_the_encoder(
    parent: Path, pairs: Pairs, tmp_path: Path
) -> None:
    """Encoder and bottom keep their weights; the decoder learns."""
    state = _trained(parent, pairs, tmp_path / "r", encoder_rate=0)
    for name, before in load_model(parent).network.named_parameters():
        is_same = torch.equal(state[f"network.{name}"], before)
        assert is_same == name.startswith(("encoder", "bottom")), name


def test_a_strong_pull_brings_the_start_back(
    parent: Path, pairs: Pairs, tmp_path: Path
) -> None:
    """With a pull of 1 / rate each step ends where it began."""
    state = _trained(parent, pairs, tmp_path / "r", anchor=1e6)
    for name, before in load_model(parent).network.named_parameters():
        torch.testing.assert_close(state[f"network.{name}"], before)


def test_kept_norms_keep_their_statistics(
    parent: Path, pairs: Pairs, tmp_path: Path
) -> None:
    """Means and variances stay, while weights learn."""
    state = _trained(parent, pairs, tmp_path / "r", norms="keep")
    before = load_model(parent).network.state_dict()
    names = [name for name in before if name.endswith(("running_mean", "running_var"))]
    assert names
    for name in names:
        assert torch.equal(state[f"network.{name}"], before[name])
    assert not torch.equal(state["network.head.weight"], before["head.weight"])


def test_rehearsed_patches_are_to_stay_as_they_were(
    parent: Path, pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their targets are what the start says of them; the others' are the labels'."""
    import napari_unetic.training.object_lesson as module

    real = module.instance_loss
    losses = []

    def watched(
        logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> object:
        said = torch.sigmoid(logits.detach())
        losses.append((said - targets).abs().mean(dim=(1, 2, 3)))
        assert (weights[-1] == 1).all()
        return real(logits, targets, weights)

    monkeypatch.setattr(module, "instance_loss", watched)
    _trained(parent, pairs, tmp_path / "r", norms="keep", rehearsal=0.5)
    # Norms use the statistics of the start, so at first both say the same.
    assert losses[0][1] < 1e-2 < losses[0][0]


def test_rehearsal_needs_a_model(pairs: Pairs, tmp_path: Path) -> None:
    """From random weights there is nothing to remember."""
    with pytest.raises(UneticError, match="a model to start from"):
        train(
            pairs[:1],
            pairs[5:],
            tmp_path / "r",
            train_settings(steps=1, rehearsal=0.5, **QUICK),
        )


def test_the_last_patches_are_generated(parent: Path, pairs: Pairs) -> None:
    """A quarter of eight: two; at least one, and never all."""
    description = load_model(parent).description
    samples = load_samples(pairs[0], description)
    generated = GeneratedSamples(description)
    counts = [
        PatchSource(
            samples,
            description,
            train_settings(steps=1, batch=batch, patch_px=32, rehearsal=share),
            generated,
        )[0].n_rehearsed
        for batch, share in ((8, 0.25), (4, 0.01), (2, 0.9))
    ]
    assert counts == [2, 1, 1]
