"""The two files of a model, read from wherever they lie and checked on the way."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from pydantic import ValidationError
from pydantic_core import from_json

from napari_unetic.errors import ModelError
from napari_unetic.model.description import FORMAT, FORMAT_VERSION, ModelDescription
from napari_unetic.model.weights import shape_network, shortened, weights_limit

DESCRIPTION_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "weights.safetensors"

MAX_DESCRIPTION_BYTES: Final = 64_000_000
"""Enough for the hashes of half a million training images."""

PICKLES: Final = frozenset({".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
"""Suffixes of files that run code when they are opened."""

_LARGEST_INTEGER = 2**63 - 1


class Source(Protocol):
    """A place that holds the files of a model."""

    @property
    def place(self) -> str:
        """What messages call it."""

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's bytes.

        Raises
        ------
        ModelError
            If there is no such file, it cannot be read or has more than `limit` bytes.
        """


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A model folder.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    folder: Path

    @property
    def place(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's bytes; as `Source.read`."""
        path = self.folder / name
        try:
            # A pipe or a device would never end.
            if not path.is_file():
                raise self._missing(name)
            with path.open("rb") as file:
                size = path.stat().st_size
                # One byte more, in case it grows meanwhile.
                data = file.read(min(size, limit) + 1)
        except OSError as error:
            raise ModelError(
                f"Expected a readable {name} in {self.folder}, got "
                f"{error.strerror or error}; check its rights or copy the model again."
            ) from error
        if max(len(data), size) > limit:
            raise too_large(name, self.place, size, limit)
        return data

    def _missing(self, name: str) -> ModelError:
        if not self.folder.is_dir():
            what = "is a file" if self.folder.exists() else "does not exist"
            return ModelError(
                f"Expected a model folder, got {self.folder}, which {what}; give "
                "the folder of a model."
            )
        names = (path.name for path in self.folder.iterdir())
        return missing(name, self.place, names)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model folder holds.

    Parameters
    ----------
    description : ModelDescription
        With the SHA-256 of the weights.
    weights : bytes
        The safetensors file.
    place : str
        Where they come from.
    """

    description: ModelDescription
    weights: bytes
    place: str


def missing(name: str, place: str, names: Iterable[str]) -> ModelError:
    """Return the error for a place that does not hold a file of a model.

    Parameters
    ----------
    name : str
        The file.
    place : str
        Where it should be.
    names : iterable of str
        What is there instead.
    """
    pickles = sorted(n for n in names if PurePosixPath(n).suffix.lower() in PICKLES)
    if pickles:
        return ModelError(
            f"Expected {DESCRIPTION_FILE} and {WEIGHTS_FILE} in {place}, got "
            f"{shortened(repr(pickles[0]))}, a pickle, which can run any code when it "
            "is opened and never is; give a model that napari-unetic wrote."
        )
    return ModelError(
        f"Expected {DESCRIPTION_FILE} and {WEIGHTS_FILE} in {place}, got no {name}; "
        "give a whole model folder, or a run that holds one in model/."
    )


def too_large(name: str, place: str, size: int, limit: int) -> ModelError:
    """Return the error for a file that is larger than it can be."""
    return ModelError(
        f"Expected at most {limit:,} bytes in {name} of {place}, got {size:,}; "
        "copy the model again."
    )


def read_parts(source: Source) -> Parts:
    """Read both files of a model.

    Parameters
    ----------
    source : Source
        Where they are.

    Returns
    -------
    Parts
        The weights have the SHA-256 that the description says. That they fit the
        network is for `napari_unetic.model.folder.build_model` to find out.

    Raises
    ------
    ModelError
        If a file is missing, damaged, foreign, too new or too large.
    """
    description = read_description(source)
    limit = weights_limit(shape_network(description.network, source.place))
    weights = source.read(WEIGHTS_FILE, limit)
    found = hashlib.sha256(weights).hexdigest()
    expected = description.weights_sha256
    if expected and found != expected:
        raise ModelError(
            f"Expected weights with SHA-256 {shortened(expected, 12)} in "
            f"{source.place}, got {shortened(found, 12)}; copy the model again."
        )
    described = description.model_copy(update={"weights_sha256": found})
    return Parts(described, weights, source.place)


def read_description(source: Source) -> ModelDescription:
    """Read and check ``model.json``; raises `ModelError` as `read_parts`."""
    data = source.read(DESCRIPTION_FILE, MAX_DESCRIPTION_BYTES)
    where = f"{DESCRIPTION_FILE} of {source.place}"
    try:
        # Editors on Windows may have put a byte order mark first.
        content = from_json(data.decode("utf-8-sig"), allow_inf_nan=False)
    except ValueError as error:
        raise ModelError(
            f"Expected JSON in {where}, got something else "
            f"({shortened(str(error))}); copy the model again."
        ) from error
    _check_format(content, where)
    try:
        description = ModelDescription.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelError(
            f"Expected a valid description in {where}, got a wrong "
            f"{shortened(field)!r} ({shortened(first['msg'])}); copy the model again."
        ) from error
    _check_agreement(description, where)
    return description


def _check_format(content: Any, where: str) -> None:
    """Refuse what is not ours, too new, or holds numbers that are none."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(
            f"Expected the model format {FORMAT!r} in {where}, got another file; "
            "give a folder that was made by napari-unetic."
        )
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        is_newer = isinstance(version, int) and version > FORMAT_VERSION
        remedy = "update napari-unetic" if is_newer else "copy the model again"
        raise ModelError(
            f"Expected format version {FORMAT_VERSION} in {where}, got "
            f"{shortened(repr(version))}; {remedy}."
        )
    if not _are_numbers_finite(content):
        raise ModelError(
            f"Expected finite numbers in {where}, got a larger one; copy the model "
            "again."
        )


def _are_numbers_finite(content: Any) -> bool:
    """Whether all numbers are finite and no whole one needs more than 64 bits."""
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, float):
            if not math.isfinite(value):
                return False
        elif isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            return False
    return True


def _check_agreement(description: ModelDescription, where: str) -> None:
    """Refuse a description whose parts contradict each other."""
    network, normalisation = description.network, description.normalisation
    n_maps, n_channels = description.target.n_maps, len(description.channels)
    problem = ""
    if network.out_channels != n_maps:
        problem = f"{n_maps} maps out of the network, got {network.out_channels}"
    elif network.in_channels != n_channels:
        problem = f"{network.in_channels} names of channels, got {n_channels}"
    elif network.dimensions != len(description.axes):
        axes = description.axes
        problem = f"a network for the axes {axes}, got {network.dimensions} dimensions"
    elif normalisation.problem():
        problem = normalisation.problem()
    elif description.resize_px and description.target.kind != "semantic":
        problem = "a size to resize to only with classes, got one with objects"
    elif description.target.kind != getattr(description.decoding, "kind", "instances"):
        problem = f"thresholds for {description.target.kind}, got those of others"
    elif description.dark and description.target.kind != "instances":
        problem = "thresholds of dark objects only with objects, got some with classes"
    if problem:
        raise ModelError(f"Expected {problem} in {where}; copy the model again.")
