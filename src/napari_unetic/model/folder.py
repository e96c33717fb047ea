"""Model folders: ``model.json`` and ``weights.safetensors``, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_unetic.errors import ModelError
from napari_unetic.model.description import FORMAT, FORMAT_VERSION, ModelDescription
from napari_unetic.networks.unet import Block, UNet

DESCRIPTION_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Model:
    """A description with its weights in place.

    Parameters
    ----------
    description : ModelDescription
        What the model is.
    network : UNet
        With the weights loaded, in evaluation mode on the CPU. Shared by all who hold
        the model: copy it before changing it.
    """

    description: ModelDescription
    network: UNet

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name


def load_model_folder(folder: Path) -> Model:
    """Load a model from its folder.

    Parameters
    ----------
    folder : Path
        Holds ``model.json`` and ``weights.safetensors``.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If the folder is missing, damaged, foreign or too new.
    """
    description = load_description(folder)
    try:
        data = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise ModelError(
            f"Expected {WEIGHTS_FILE} in the model folder {folder}, got "
            f"{error.strerror}; copy the folder again."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if description.weights_sha256 and found != description.weights_sha256:
        raise ModelError(
            f"Expected weights with SHA-256 {description.weights_sha256[:12]}… in "
            f"{folder}, got {found[:12]}…; copy the folder again."
        )
    network = UNet(description.network)
    try:
        network.load_state_dict(load_tensors(data))
    except (SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"Expected weights that fit {DESCRIPTION_FILE} in {folder}, got others "
            f"({str(error).splitlines()[0]}); copy the folder again."
        ) from error
    network.eval()
    return Model(description, network)


def load_description(folder: Path) -> ModelDescription:
    """Read and check ``model.json``; raises `ModelError` as `load_model_folder`."""
    path = folder / DESCRIPTION_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"Expected a model folder with {DESCRIPTION_FILE}, got {folder} "
            f"({error.strerror}); give the folder of a model or the name of one."
        ) from error
    except ValueError as error:
        raise ModelError(
            f"Expected JSON in {path}, got something else ({error}); copy the model "
            "again."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(
            f"Expected the model format {FORMAT!r} in {path}, got another file; "
            "give a folder that was made by napari-unetic."
        )
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(
            f"Expected format version {FORMAT_VERSION} in {path}, got {version!r}; "
            "update napari-unetic."
        )
    try:
        return ModelDescription.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"Expected a valid description in {path}, got a wrong {field!r} "
            f"({first['msg']}); copy the model again."
        ) from error


def save_model(
    folder: Path,
    description: ModelDescription,
    weights: dict[str, Tensor],
    *,
    overwrite: bool = False,
) -> ModelDescription:
    """Write a model folder; it appears whole or not at all.

    Parameters
    ----------
    folder : Path
        To be made; its parent must exist.
    description : ModelDescription
        Its SHA-256 is filled in.
    weights : dict of str to Tensor
        State of the network.
    overwrite : bool
        Whether an existing folder may be replaced.

    Returns
    -------
    ModelDescription
        As written.

    Raises
    ------
    ModelError
        If the folder exists and may not be replaced.
    """
    if folder.exists() and not overwrite:
        raise ModelError(
            f"Expected a new folder for the model, got {folder}, which exists; choose "
            "another name or allow overwriting."
        )
    data = save_tensors({k: v.detach().cpu().contiguous() for k, v in weights.items()})
    description = description.model_copy(
        update={"weights_sha256": hashlib.sha256(data).hexdigest()}
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        (part / WEIGHTS_FILE).write_bytes(data)
        text = description.model_dump_json(indent=1)
        (part / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")
        part.chmod(0o755)
        if folder.exists():
            # A folder cannot be replaced in one step; the old one leaves first.
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            os.replace(folder, old / folder.name)
            os.replace(part, folder)
            shutil.rmtree(old)
        else:
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return description


def folded(network: UNet) -> UNet:
    """Return a copy for prediction, batch norm folded into the convolutions.

    Folding changes results by rounding only and saves the norms' passes over memory.
    """
    copy = UNet(network.spec)
    copy.load_state_dict(network.state_dict())
    copy.eval()
    for block in copy.modules():
        if not isinstance(block, Block):
            continue
        layers = list(block)
        for k, layer in enumerate(layers):
            if isinstance(layer, nn.BatchNorm2d):
                convolution = layers[k - 1]
                assert isinstance(convolution, nn.Conv2d)
                block[k - 1] = fuse_conv_bn_eval(convolution, layer)
                block[k] = nn.Identity()
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    return copy
