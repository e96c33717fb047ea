"""The record of a result, wherever it is: in its layer, its file, or among the last.

Napari's own *Save* writes the pixels of a layer and nothing else. The record of a layer
that was saved so and opened again is looked for, in this order,

1. in the file itself, where this package wrote it (``unetic segment``, and the writer
   in `napari_unetic.widgets.saving`),
2. in the JSON beside it that has its name,
3. in the files of the same folder whose names begin alike,
4. among the last results on this computer, which are kept for this.

What is found in 3 and 4 is believed if most of the objects that were predicted are
still in the layer, pixel by pixel. So what cannot be known is: the record of a layer
that was saved by napari, after most of its objects had been changed, or when newer
results had pushed it out, or on another computer; of a layer that was cropped, scaled
or renumbered by something that does not keep the metadata; which objects were accepted
in a review before napari's own *Save*; of a file that
``unetic segment`` wrote and napari opened as an image, as it does with labels of 16
bits, and that was then converted to labels, which forgets the file (`open_labels` in
`napari_unetic.widgets.saving` opens it as labels); and what a person did to an object
before the file was written, where the record itself is not found. Then `record_of`
returns None, and a layer counts as drawn by a person.
"""

from __future__ import annotations

import hashlib
import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.home import user_folder
from napari_unetic.image.guards import as_text
from napari_unetic.image.reading import read_labels
from napari_unetic.image.writing import atomic_path
from napari_unetic.instances.record import pack_labels, touched, unpack_labels
from napari_unetic.widgets.layers import METADATA_KEY

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

Record: TypeAlias = dict[str, Any]

SIDECAR = ".unetic.json"
"""Ending of the file beside labels that holds their record."""

FORMAT = "napari-unetic labels"
FORMAT_VERSION = 1

LEAST_UNTOUCHED = 0.5
"""Share of the predicted objects that must be in a layer for a record to be its own."""

ACCEPTED = "accepted"
"""Key in a record to the places of objects that a person has said are right."""

N_KEPT = 200
KEPT_BYTES = 256_000_000
"""How many of the last results are kept, and how many bytes they may take."""

_N_NEIGHBOURS = 8
_TIFF_SUFFIXES = (".tif", ".tiff")


def record_of(layer: Labels) -> Record | None:
    """Return what a layer of labels was made with.

    Parameters
    ----------
    layer : napari.layers.Labels
        Any layer. A record that is found elsewhere is put into its metadata.

    Returns
    -------
    dict or None
        As `napari_unetic.widgets.layers.METADATA_KEY` says; None where nothing is
        known.
    """
    record: Record | None = layer.metadata.get(METADATA_KEY)
    if record is None and not layer.multiscale:
        record = find_record(layer)
        if record is not None:
            layer.metadata = {**layer.metadata, METADATA_KEY: record}
    return record


def with_accepted(record: Record, before: Record | None) -> Record:
    """Return a record with the objects that were accepted by another of its layer.

    Parameters
    ----------
    record : dict
        What made the labels that are in the layer now.
    before : dict, optional
        The record that was in the layer until now.

    Returns
    -------
    dict
        A copy. Acceptance goes with the pixels of an object (`Footprint`): what has
        other pixels now is not accepted any more, what has them again is.
    """
    accepted = (before or {}).get(ACCEPTED)
    kept = {key: value for key, value in record.items() if key != ACCEPTED}
    return {**kept, ACCEPTED: accepted} if accepted else kept


def find_record(layer: Labels) -> Record | None:
    """Look for the record of a layer whose metadata has none, and leave it so.

    Parameters
    ----------
    layer : napari.layers.Labels
        Of one level; it is only read, so that a thread may do it.

    Returns
    -------
    dict or None
        As `record_of`.
    """
    shape = tuple(int(n) for n in layer.data.shape)
    path = Path(layer.source.path) if layer.source.path else None
    if path is not None:
        own = record_in(path) or record_beside(path)
        if own is not None and _shape_of(own) == shape:
            return own
    candidates = [*(_neighbours(path) if path is not None else ()), *_kept(shape)]
    fitting = [record for record in candidates if _shape_of(record) == shape]
    return _most_alike(fitting, layer.data)


def _most_alike(records: Iterable[Record], data: Any) -> Record | None:
    """Return the record whose prediction is in a layer, if there is one."""
    best, share, labels = None, 0.0, None
    for record in records:
        labels = np.asarray(data) if labels is None else labels
        predicted = unpack_labels(record["predicted"])
        if predicted.shape != labels.shape:
            continue
        found = touched(predicted, labels)
        n_predicted = np.unique(predicted[predicted != 0]).size
        alike = len(found.untouched) / max(n_predicted, len(found.added), 1)
        if alike >= LEAST_UNTOUCHED and alike > share:
            best, share = record, alike
    return best


def _shape_of(record: Record) -> tuple[int, ...] | None:
    """Return the shape of the labels that a record is about."""
    if not isinstance(record.get("predicted"), str):
        return None
    try:
        return tuple(int(size) for size in record["layer"]["shape"])
    except (ValueError, KeyError, TypeError):
        return None


def sidecar(path: Path) -> Path:
    """Return where the record of a file of labels lies: ``NAME.unetic.json``."""
    if path.name.lower().endswith(SIDECAR):
        return path
    stem = path.stem
    if stem.lower().endswith(".ome") and len(stem) > len(".ome"):
        stem = stem[: -len(".ome")]
    return path.with_name(stem + SIDECAR)


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what the JSON beside a file of labels holds.

    Parameters
    ----------
    path : Path
        Of the JSON.

    Returns
    -------
    dict
        ``labels``, the name of the file; ``layer``, keywords of the layer;
        ``features``, columns of its table; ``record``, or None.

    Raises
    ------
    UneticError
        If it is missing, damaged, of another kind or too new.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UneticError(
            f"Expected the record of labels, got {as_text(path)}, which cannot be "
            "read; open the TIFF file itself."
        ) from error
    kind = content.get("format") if isinstance(content, dict) else None
    if kind != FORMAT or content.get("format_version") != FORMAT_VERSION:
        raise UneticError(
            f"Expected the record of labels in version {FORMAT_VERSION}, got "
            f"{as_text(path)}, which is another or of another kind; open the TIFF file "
            "itself, or update napari-unetic."
        )
    if content.get("record") is not None and not _is_record(content["record"]):
        content["record"] = None
    checked: dict[str, Any] = content
    return checked


def record_beside(path: Path) -> Record | None:
    """Return the record in the JSON that belongs to a file by its name, or None."""
    try:
        found: Record | None = read_sidecar(sidecar(path))["record"]
    except (UneticError, KeyError):
        return None
    return found


def record_in(path: Path) -> Record | None:
    """Return the record that a TIFF file of this package holds.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    dict or None
        None for other files. A file that says nothing of a prediction was written
        right after it (``unetic segment``), so that its labels are the prediction.
    """
    if path.suffix.lower() not in _TIFF_SUFFIXES or not path.is_file():
        return None
    try:
        with tifffile.TiffFile(path) as file:
            text = file.ome_metadata if file.is_ome else None
        found = ElementTree.fromstring(text).find(".//{*}Description") if text else None
        record: Any = json.loads(found.text or "") if found is not None else None
        if not _is_record(record):
            return None
        if "predicted" not in record:
            record |= predicted_as_is(read_labels(path))
    except (OSError, ValueError, ElementTree.ParseError, tifffile.TiffFileError):
        return None
    known: Record = record
    return known


def predicted_as_is(labels: NDArray[Any]) -> Record:
    """Return the part of a record that says that labels are just as predicted."""
    where = {
        "axes": "TZYX"[-labels.ndim :],
        "start": [0] * labels.ndim,
        "shape": list(labels.shape),
    }
    return {"predicted": pack_labels(labels), "layer": where}


def _is_record(value: object) -> bool:
    return isinstance(value, Mapping) and {"model", "weights_sha256"} <= set(value)


def _neighbours(path: Path) -> Iterable[Record]:
    """Yield records in the folder of a file, those whose names begin alike first."""
    alike: list[tuple[int, str, Path]] = []
    with suppress(OSError):
        for other in path.parent.iterdir():
            if other.name == path.name or not other.name.lower().endswith(
                (SIDECAR, *_TIFF_SUFFIXES)
            ):
                continue
            n_alike = _n_alike(other.name.lower(), path.name.lower())
            if n_alike:
                alike.append((-n_alike, other.name, other))
    for _, name, other in sorted(alike)[:_N_NEIGHBOURS]:
        is_json = name.lower().endswith(SIDECAR)
        record = record_beside(other) if is_json else record_in(other)
        if record is not None:
            yield record


def _n_alike(first: str, second: str) -> int:
    """Return how many letters two names begin with in common."""
    pairs = enumerate(zip(first, second, strict=False))
    shorter = min(len(first), len(second))
    return next((i for i, (one, other) in pairs if one != other), shorter)


def keep(record: Record) -> None:
    """Keep a record among the last on this computer.

    So that a layer which napari saves without it can find it again. Only labels and
    settings are kept, no image; in the folder ``records`` beside the user's models,
    which may be emptied at any time. Where it cannot be written nothing happens.

    Parameters
    ----------
    record : dict
        With ``predicted``.
    """
    shape = _shape_of(record)
    if shape is None or len(record["predicted"]) > KEPT_BYTES // 8:
        return
    digest = hashlib.sha256(record["predicted"].encode("ascii")).hexdigest()[:16]
    name = "x".join(map(str, shape)) + f"-{digest}.json"
    folder = user_folder("records")
    with suppress(UneticError, OSError):
        with atomic_path(folder / name) as partial:
            partial.write_text(json.dumps(record), encoding="utf-8")
        _forget_oldest(folder)


def _forget_oldest(folder: Path) -> None:
    """Remove what is more than is kept; another process may be doing the same."""
    found = [(entry.stat(), Path(entry.path)) for entry in os.scandir(folder)]
    found.sort(key=lambda item: item[0].st_mtime_ns, reverse=True)
    n_bytes = 0
    for n_newer, (status, path) in enumerate(found):
        n_bytes += status.st_size
        if n_newer >= N_KEPT or n_bytes > KEPT_BYTES:
            with suppress(FileNotFoundError):
                path.unlink()


def _kept(shape: tuple[int, ...]) -> Iterable[Record]:
    """Yield the kept records about labels of a shape, the last first."""
    prefix = "x".join(map(str, shape)) + "-"
    with suppress(OSError):
        paths = [p for p in user_folder("records").iterdir() if p.suffix == ".json"]
        paths = [path for path in paths if path.name.startswith(prefix)]
        for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns, reverse=True):
            with suppress(OSError, ValueError):
                record = json.loads(path.read_text(encoding="utf-8"))
                if _is_record(record):
                    yield record
