"""Models by name: those bundled with the package and those of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unetic.errors import ModelError
from napari_unetic.home import user_folder
from napari_unetic.model.folder import Model, load_description, load_model_folder
from napari_unetic.model.parts import DESCRIPTION_FILE, PICKLES, WEIGHTS_FILE, missing

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
    return user_folder("models")


def is_bundled(name: str) -> bool:
    """Whether the package holds a model of this name, in whatever case."""
    return name.casefold() in {folder.name.casefold() for folder in _folders(BUNDLED)}


def list_models() -> list[ModelEntry]:
    """Return all models that can be asked for by name, bundled ones first.

    Folders that hold no readable model are left out.
    """
    entries: dict[str, ModelEntry] = {}
    for base in (BUNDLED, user_models_folder()):
        for folder in _folders(base):
            if folder.name in entries:
                continue
            try:
                description = load_description(folder)
            except ModelError:
                continue
            entries[folder.name] = ModelEntry(
                folder.name, folder, base is BUNDLED, description
            )
    return list(entries.values())


def damaged_models() -> dict[str, str]:
    """Return the folders among the user's models that hold none that can be read.

    Returns
    -------
    dict of str to str
        Name to what is wrong with it, in one sentence.
    """
    problems: dict[str, str] = {}
    for folder in _folders(user_models_folder()):
        try:
            load_description(folder)
        except ModelError as error:
            problems[folder.name] = str(error)
    return problems


def _folders(base: Path) -> Iterator[Path]:
    """Yield the folders in `base` by name; hidden ones are unfinished."""
    try:
        found = sorted(base.iterdir())
    except OSError:
        return
    for folder in found:
        if not folder.name.startswith((".", "__")) and _exists(folder.is_dir):
            yield folder


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
    is_name = isinstance(name_or_path, str) and Path(text).name == text != ".."
    if is_name and not text.startswith("."):
        for base in (BUNDLED, user_models_folder()):
            if _holds_description(base / text):
                return base / text
    path = Path(name_or_path)
    for folder in (path, path / "model"):
        if text and _holds_description(folder):
            return folder
    raise _unknown(path, text)


def _holds_description(folder: Path) -> bool:
    return _exists((folder / DESCRIPTION_FILE).is_file)


def _exists(ask: Callable[[], bool]) -> bool:
    """Whether a path is what is asked for; one that cannot be looked at is not."""
    try:
        return ask()
    except (OSError, ValueError):
        return False


def _unknown(path: Path, text: str) -> ModelError:
    """Return the error for a model that is not there."""
    if text and _exists(path.is_dir):
        with suppress(OSError):
            return missing(DESCRIPTION_FILE, text, (p.name for p in path.iterdir()))
    if _exists(path.is_file):
        if path.suffix.lower() in PICKLES:
            return missing(DESCRIPTION_FILE, text, [path.name])
        remedy = (
            "add the zip with `unetic models add`"
            if path.suffix.lower() == ".zip"
            else "give the folder that was made by napari-unetic"
        )
        return ModelError(f"Expected a model folder, got the file {text}; {remedy}.")
    known = ", ".join(entry.name for entry in list_models()) or "none"
    return ModelError(
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
        files = [(folder / name).stat() for name in (DESCRIPTION_FILE, WEIGHTS_FILE)]
        stamps = tuple((f.st_mtime_ns, f.st_size, f.st_ino) for f in files)
        return _load(folder.resolve(), stamps)
    except (ModelError, OSError):
        # Which says what is wrong with the folder as it was named.
        return load_model_folder(folder)


@lru_cache(maxsize=4)
def _load(folder: Path, stamps: tuple[tuple[int, ...], ...]) -> Model:
    """Load a folder; what its files look like makes a changed one a new entry."""
    return load_model_folder(folder)
