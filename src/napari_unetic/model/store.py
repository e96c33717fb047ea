"""The user's own models: adding and removing them.

The store is one folder of model folders, `user_models_folder`. Names of folders that
are being written or removed begin with a dot; models never do.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from napari_unetic.errors import ModelError
from napari_unetic.model.folder import (
    HIDDEN,
    build_model,
    discard,
    hidden_name,
    write_model,
)
from napari_unetic.model.parts import (
    DESCRIPTION_FILE,
    PICKLES,
    WEIGHTS_FILE,
    FolderSource,
    Parts,
    Source,
    missing,
    read_parts,
)
from napari_unetic.model.registry import (
    ModelEntry,
    is_bundled,
    list_models,
    user_models_folder,
)
from napari_unetic.model.weights import shortened
from napari_unetic.model.zipped import open_zip

_LONGEST_NAME: Final = 100
_FORBIDDEN: Final = frozenset('/\\<>:"|?*')
_RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [device + digit for device in ("com", "lpt") for digit in "0123456789¹²³"]
)
"""Names of devices, which Windows allows to no file, whatever the suffix."""

_DAY_S = 86_400.0


def add_model(
    source: str | Path, *, name: str | None = None, overwrite: bool = False
) -> ModelEntry:
    """Copy a model into the store, so that it can be asked for by name.

    Parameters
    ----------
    source : str or Path
        A model folder, a run folder (its ``model`` is taken), or a zip of either.
    name : str, optional
        The name it gets; its own by default.
    overwrite : bool
        Whether a model of that name may be replaced.

    Returns
    -------
    ModelEntry
        The model in the store.

    Raises
    ------
    ModelError
        If there is no model at `source`, if it cannot be loaded, if the name is in use
        or is no plain name for a folder, or if the store cannot be written.

    Notes
    -----
    Just ``model.json`` and ``weights.safetensors`` are copied. The model is loaded
    once before anything is written, and it appears whole or not at all.
    """
    parts = read_parts(_open(Path(os.path.expanduser(source))))
    chosen = check_model_name(parts.description.name if name is None else name)
    if is_bundled(chosen):
        raise ModelError(
            f"Expected a name that is free, got {chosen!r}, the name of a bundled "
            "model; choose another with --name."
        )
    folder = user_models_folder() / chosen
    if os.path.lexists(folder) and not overwrite:
        raise ModelError(
            f"Expected a name that is free, got {chosen!r}, which is in use; choose "
            "another with --name, or allow --overwrite."
        )
    build_model(parts)
    description = parts.description.model_copy(update={"name": chosen})
    _sweep(folder.parent)
    write_model(
        folder, Parts(description, parts.weights, parts.place), overwrite=overwrite
    )
    return ModelEntry(chosen, folder, bundled=False, description=description)


def remove_model(name: str) -> Path:
    """Remove a model from the store.

    Parameters
    ----------
    name : str
        One of the user's own models. It may be damaged.

    Returns
    -------
    Path
        Where it was.

    Raises
    ------
    ModelError
        If there is none of that name, it is bundled, holds no model, or cannot be
        removed.

    Notes
    -----
    The folder is renamed away first, so that nobody ever sees half a model. A link to
    a folder elsewhere is removed; the folder stays.
    """
    folder = user_models_folder() / check_model_name(name)
    if not os.path.lexists(folder):
        if is_bundled(name):
            raise ModelError(
                f"Expected one of your own models, got {name!r}, which is bundled; "
                "bundled models go with the package."
            )
        raise _unknown(name)
    is_model = any((folder / n).exists() for n in (DESCRIPTION_FILE, WEIGHTS_FILE))
    if folder.exists() and not is_model:
        raise ModelError(
            f"Expected a model in {folder}, got something else; remove it by hand."
        )
    gone = hidden_name(folder, "removed")
    try:
        os.replace(folder, gone)
    except FileNotFoundError:
        raise _unknown(name) from None
    except OSError as error:
        raise ModelError(
            f"Expected to be able to remove {folder}, got {error.strerror or error}; "
            "close what uses it or check its rights."
        ) from error
    discard(gone)
    return folder


def check_model_name(name: str) -> str:
    """Return a name once it is known to be a plain one for a folder on any system.

    Parameters
    ----------
    name : str
        The name of a model.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ModelError
        If it is empty, too long, begins with a dot, or holds what some file system
        does not take.
    """
    stem = name.partition(".")[0].rstrip().casefold()
    if not name.strip():
        problem = "is empty"
    elif len(name) > _LONGEST_NAME or len(name.encode("utf-8", "replace")) > 200:
        problem = f"has more than {_LONGEST_NAME} characters"
    elif not _FORBIDDEN.isdisjoint(name) or not name.isprintable():
        problem = 'has a character out of / \\ < > : " | ? * or one that is not shown'
    elif name.startswith((".", " ", "-", "__")):
        problem = "begins with a dot, a space, a hyphen or two underscores"
    elif name.endswith((".", " ")):
        problem = "ends with a dot or a space"
    elif stem in _RESERVED:
        problem = "is the name of a device on Windows"
    else:
        return name
    raise ModelError(
        f"Expected a plain name for a model, got {shortened(name)!r}, which {problem}; "
        "choose one of letters, digits, - and _."
    )


def _open(path: Path) -> Source:
    """Return where the model of a folder, a run or a zip is read."""
    try:
        if path.is_file():
            if path.suffix.lower() in PICKLES:
                raise missing(DESCRIPTION_FILE, str(path), [path.name])
            return open_zip(path)
        if not (path / DESCRIPTION_FILE).exists() and (path / "model").is_dir():
            return FolderSource(path / "model")
    except OSError as error:
        raise ModelError(
            f"Expected a model folder, a run or a zip, got {path} ({error}); check "
            "the path."
        ) from error
    return FolderSource(path)


def _unknown(name: str) -> ModelError:
    own = [entry.name for entry in list_models() if not entry.bundled]
    return ModelError(
        f"Expected one of your own models ({', '.join(own) or 'none'}), got {name!r}; "
        "see `unetic models list`."
    )


def _sweep(store: Path) -> None:
    """Remove what processes that were killed have left, once it is a day old.

    Replaced models stay: a process may have been killed before the new one was there.
    """
    with suppress(OSError):
        for what in ("new", "removed"):
            for left in store.glob(f"{HIDDEN}{what}-*"):
                if time.time() - left.lstat().st_mtime > _DAY_S:
                    discard(left)
