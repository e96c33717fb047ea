"""Models by name: those bundled with the package and those of the user."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from napari_unetic.errors import ModelError
from napari_unetic.model.folder import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    Model,
    load_description,
    load_model_folder,
)

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription

BUNDLED = Path(__file__).parent / "bundled"
DEFAULT_MODEL = "nuclei"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be asked for by name.

    Parameters
    ----------
    name : str
        The name of its folder.
    path : Path
        Its folder.
    bundled : bool
        Whether it came with the package.
    description : ModelDescription
        What ``model.json`` says.
    """

    name: str
    path: Path
    bundled: bool
    description: ModelDescription


def user_models_folder() -> Path:
    """Return the folder of the user's models; ``UNETIC_HOME`` moves it."""
    home = os.environ.get("UNETIC_HOME")
    base = Path(home) if home else Path(platformdirs.user_data_dir("napari-unetic"))
    return base / "models"


def list_models() -> list[ModelEntry]:
    """Return all models that can be asked for by name, bundled ones first.

    Folders that hold no readable model are left out.
    """
    entries: dict[str, ModelEntry] = {}
    for base, is_bundled in ((BUNDLED, True), (user_models_folder(), False)):
        if not base.is_dir():
            continue
        for folder in sorted(base.iterdir()):
            if not (folder / DESCRIPTION_FILE).is_file() or folder.name in entries:
                continue
            try:
                description = load_description(folder)
            except ModelError:
                continue
            entries[folder.name] = ModelEntry(
                folder.name, folder, is_bundled, description
            )
    return list(entries.values())


def find_model(name_or_path: str | Path) -> Path:
    """Return the folder of a model.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a bundled or user model, a model folder, or a run folder, whose
        ``model`` is taken.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        If there is no such model.
    """
    text = str(name_or_path)
    is_name = isinstance(name_or_path, str) and Path(text).name == text
    if is_name:
        for base in (BUNDLED, user_models_folder()):
            if (base / text / DESCRIPTION_FILE).is_file():
                return base / text
    path = Path(name_or_path)
    for folder in (path, path / "model"):
        if (folder / DESCRIPTION_FILE).is_file():
            return folder
    known = ", ".join(entry.name for entry in list_models()) or "none"
    raise ModelError(
        f"Expected the name of a model ({known}) or a folder with {DESCRIPTION_FILE}, "
        f"got {text!r}; see `unetic models list`."
    )


def load_model(name_or_path: str | Path | Model) -> Model:
    """Return a model by name or folder, loaded once as long as its files do not change.

    Parameters
    ----------
    name_or_path : str, Path or Model
        As `find_model`; a `Model` is returned as it is.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If there is no such model or its folder is damaged.
    """
    if isinstance(name_or_path, Model):
        return name_or_path
    folder = find_model(name_or_path)
    try:
        stamps = tuple(
            (folder / name).stat().st_mtime_ns
            for name in (DESCRIPTION_FILE, WEIGHTS_FILE)
        )
    except OSError as error:
        raise ModelError(
            f"Expected {WEIGHTS_FILE} in the model folder {folder}, got "
            f"{error.strerror}; copy the folder again."
        ) from error
    return _load(folder.resolve(), stamps)


@lru_cache(maxsize=4)
def _load(folder: Path, stamps: tuple[int, ...]) -> Model:
    """Load a folder; the files' times make a changed one a new entry."""
    return load_model_folder(folder)
