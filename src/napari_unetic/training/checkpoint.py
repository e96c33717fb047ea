"""Checkpoints: the whole state of a training, written at once or not at all.

``checkpoints/00001234/`` holds ``state.safetensors`` and ``state.json``. A checkpoint
gets its name when it is complete, so one that has a name is whole; the newest counts.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

if TYPE_CHECKING:
    from torch import Tensor

_TENSORS = "state.safetensors"
_VALUES = "state.json"
_KEPT = 2


def save_checkpoint(
    folder: Path, step: int, tensors: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Write a checkpoint and remove all but the first and the newest two.

    Parameters
    ----------
    folder : Path
        ``checkpoints`` of a run; made if needed.
    step : int
        Steps done; names the checkpoint.
    tensors : dict of str to Tensor
        Weights, their average, the best ones, the optimiser's.
    values : dict
        All the rest, as JSON can hold it.
    """
    folder.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    _write(part / _TENSORS, save_tensors(whole))
    _write(part / _VALUES, json.dumps(values, allow_nan=False).encode())
    target = folder / f"{step:08d}"
    if target.exists():
        # The same step again, in another state (validated, say): the new one counts.
        target.rename(folder / f".old-{target.name}-{os.getpid()}")
    part.rename(target)
    # That of step 0 stays: a replay begins with it.
    stale_ones = [path for path in _named(folder)[:-_KEPT] if int(path.name)]
    for stale in [*stale_ones, *folder.glob(".*")]:
        shutil.rmtree(stale, ignore_errors=True)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return tensors and values of the newest checkpoint that can be read, if any."""
    for path in reversed(_named(folder)):
        if (found := _read(path)) is not None:
            return found
    return None


def load_start(folder: Path) -> dict[str, Tensor] | None:
    """Return the tensors of the checkpoint of step 0, if it can be read."""
    found = _read(folder / f"{0:08d}")
    return None if found is None else found[0]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    try:
        values = json.loads((path / _VALUES).read_bytes())
        return load_tensors((path / _TENSORS).read_bytes()), values
    except (OSError, ValueError, SafetensorError):
        return None


def _named(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("[0-9]*") if p.is_dir())


def _write(path: Path, data: bytes) -> None:
    """Write through to the disk: a rename must not overtake the data."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
