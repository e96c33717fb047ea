"""Model folders: ``model.json`` and ``weights.safetensors``, never a pickle."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors.torch import save as save_tensors

from napari_unetic.errors import ModelError
from napari_unetic.model.parts import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    FolderSource,
    Parts,
    read_description,
    read_parts,
)
from napari_unetic.model.weights import fill_network, shape_network
from napari_unetic.networks.folding import fold_norms

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.networks.network import Network

HIDDEN: Final = ".unetic-"
"""How the names of folders begin that are being written or removed."""

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Model:
    """A description with its weights in place.

    Parameters
    ----------
    description : ModelDescription
        What the model is.
    network : Network
        With the weights loaded, in evaluation mode on the CPU. Shared by all who hold
        the model: copy it before changing it.
    """

    description: ModelDescription
    network: Network

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
        If the folder is missing, damaged, foreign, too new, or its network is larger
        than any sensible one.
    """
    return build_model(read_parts(FolderSource(folder)))


def load_description(folder: Path) -> ModelDescription:
    """Read and check ``model.json``; raises `ModelError` as `load_model_folder`."""
    return read_description(FolderSource(folder))


def build_model(parts: Parts) -> Model:
    """Make a model of its parts.

    Parameters
    ----------
    parts : Parts
        Description and weights.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If the weights are damaged, do not fit the network or are not finite.
    """
    network = shape_network(parts.description.network, parts.place)
    return Model(parts.description, fill_network(network, parts.weights, parts.place))


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
        To be made, with the folders above it.
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
        If the folder exists and may not be replaced, or cannot be written.
    """
    data = save_tensors({k: v.detach().cpu().contiguous() for k, v in weights.items()})
    description = description.model_copy(
        update={"weights_sha256": hashlib.sha256(data).hexdigest()}
    )
    write_model(folder, Parts(description, data, str(folder)), overwrite=overwrite)
    return description


def write_model(folder: Path, parts: Parts, *, overwrite: bool = False) -> None:
    """Write the two files of a model as `save_model` does.

    Parameters
    ----------
    folder : Path
        To be made, with the folders above it.
    parts : Parts
        What to write.
    overwrite : bool
        Whether an existing folder may be replaced.

    Raises
    ------
    ModelError
        If the folder exists and may not be replaced, or cannot be written.

    Notes
    -----
    Two processes may write the same folder: one comes last, and neither mixes its
    files with the other's. A replaced folder is missing for a moment.
    """
    if os.path.lexists(folder) and not overwrite:
        raise _exists(folder)
    part = hidden_name(folder, "new")
    try:
        part.mkdir(parents=True)
        (part / WEIGHTS_FILE).write_bytes(parts.weights)
        text = parts.description.model_dump_json(indent=1)
        (part / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")
        _put(part, folder, overwrite=overwrite)
    except OSError as error:
        raise ModelError(
            f"Expected to be able to write the model {folder}, got "
            f"{error.strerror or error}; choose another place, or make room there."
        ) from error
    finally:
        discard(part)


def hidden_name(folder: Path, what: str) -> Path:
    """Return a name beside `folder` that is in nobody's use and in no list."""
    return folder.with_name(f"{HIDDEN}{what}-{secrets.token_hex(8)}")


def discard(path: Path) -> None:
    """Remove a file, a link or a folder with all it holds, as far as that works."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _put(part: Path, folder: Path, *, overwrite: bool) -> None:
    """Rename `part` to `folder`."""
    for _ in range(_TRIES):
        try:
            os.replace(part, folder)
            return
        except OSError:
            if not os.path.lexists(folder):
                raise
            if not overwrite:
                raise _exists(folder) from None
        # A folder cannot be replaced in one step; the old one leaves first.
        old = hidden_name(folder, "old")
        try:
            os.replace(folder, old)
        except FileNotFoundError:
            continue  # Somebody else has just moved it away.
        try:
            os.replace(part, folder)
        except OSError:
            if not os.path.lexists(folder):
                os.replace(old, folder)
                raise
            discard(old)  # Somebody else has just put theirs there.
            continue
        discard(old)
        return
    raise ModelError(
        f"Expected to be the only one who writes {folder}, got others that never stop; "
        "try again later."
    )


def _exists(folder: Path) -> ModelError:
    return ModelError(
        f"Expected a new folder for the model, got {folder}, which exists; choose "
        "another name or allow overwriting."
    )


def folded(network: Network) -> Network:
    """Return a copy for prediction, batch norm folded into the convolutions.

    Folding changes results by rounding only and saves the norms' passes over memory.
    """
    # Not built anew, which would draw from the caller's random numbers.
    copy = deepcopy(network).eval()
    fold_norms(copy)
    for parameter in copy.parameters():
        parameter.requires_grad_(False)
    return copy
