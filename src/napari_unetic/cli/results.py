"""Writing the figures of a command as JSON, and checking beforehand that it can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_unetic.cli.options import UsageError


def check_json(text: str | None) -> Path | None:
    """Return the path given with ``--json`` once it is known to be usable.

    Raises
    ------
    UsageError
        If it is a folder or its folder does not exist.
    """
    if text is None:
        return None
    path = Path(text).expanduser()
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(
            f"Expected --json to name a file in an existing folder, got {text}; make "
            "the folder or choose another name."
        )
    return path


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as JSON, whole or not at all."""
    from napari_unetic.image.writing import atomic_path

    # Plain ASCII, since a file name may hold what UTF-8 cannot.
    text = json.dumps(content, indent=2, default=_plain)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Return a NumPy number, a mapping or a path as JSON knows it."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
