"""Pretrained encoders to safetensors: a file of weights, or a model to train."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save as save_tensors

from napari_unetic.errors import ModelError
from napari_unetic.image.channels import COLOURS
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import discard, hidden_name, save_model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.networks.pretrained import Pretrained, read_pretrained

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network

WEIGHTS_SUFFIX = ".safetensors"

_WORKING_DIAMETER_PX = 20.0
"""Of objects, until it has been trained: that of the nuclei of the bundled model."""


def convert_pretrained(
    source: str | Path, out: str | Path, *, overwrite: bool = False
) -> Pretrained:
    """Convert a pretrained ResNet of torchvision to safetensors.

    Parameters
    ----------
    source : str or Path
        The ``.pth`` file of a ResNet-18 or 34.
    out : str or Path
        A file ending in ``.safetensors`` gets the encoder's weights under torchvision's
        names, short of the classifier. Anything else becomes a model folder: a U-Net on
        that encoder, its decoder not trained, to start a training from.
    overwrite : bool
        Whether what exists there may be replaced.

    Returns
    -------
    Pretrained
        What was read.

    Raises
    ------
    ModelError
        As `napari_unetic.networks.pretrained.read_pretrained`, or if `out` exists or
        cannot be written.
    """
    target = Path(out)
    if target.suffix.lower() == WEIGHTS_SUFFIX:
        _check_free(target, overwrite=overwrite)
        pretrained = read_pretrained(Path(source))
        _write_file(target, save_tensors(pretrained.weights))
        return pretrained
    pretrained = read_pretrained(Path(source))
    network = with_encoder(pretrained)
    description = ModelDescription(
        name=(target.absolute().name or pretrained.preset)[:100],
        summary=f"U-Net on a pretrained {pretrained.title}, its decoder not trained",
        network=network.spec,
        channels=COLOURS,
        working_diameter_px=_WORKING_DIAMETER_PX,
    )
    save_model(target, description, network.state_dict(), overwrite=overwrite)
    return pretrained


def with_encoder(pretrained: Pretrained) -> Network:
    """Return the preset network of a pretrained encoder, with its weights in place.

    The decoder's weights are random, the same each time.
    """
    spec = preset(pretrained.preset).spec
    spec = spec.model_copy(update={"out_channels": TargetSpec().n_maps})
    # Drawn by a generator of its own: the caller's stays untouched.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = build_network(spec)
    assert isinstance(network.encoder, torch.nn.Module)
    network.encoder.load_state_dict(pretrained.weights)
    return network


def _check_free(target: Path, *, overwrite: bool) -> None:
    if target.is_dir() or (os.path.lexists(target) and not overwrite):
        raise ModelError(
            f"Expected a new file for the weights, got {target}, which exists; choose "
            "another name or allow overwriting."
        )


def _write_file(target: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    part = hidden_name(target, "new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, target)
    except OSError as error:
        raise ModelError(
            f"Expected to be able to write {target}, got {error.strerror or error}; "
            "choose another place, or make room there."
        ) from error
    finally:
        discard(part)
