"""Labels in a file and back: what napari's own writer leaves out is kept.

Napari's builtin writer keeps the pixels of a layer alone: not where it lies, not its
table, and not what made it. The writer here, offered in napari's *Save* dialog and
taken for names that end in ``.ome.tif``, writes an OME-TIFF that any program reads, and
beside it ``NAME.unetic.json`` with the rest. To open that JSON in napari opens the
labels with all of it.

The TIFF can be opened, too; napari's own reader does it, without asking which reader to
take. It shows the labels without their place and table; what made them is then found by
`napari_unetic.widgets.records.record_of`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from napari.layers import Labels

from napari_unetic.axes import PixelSize, canonical, check_axes
from napari_unetic.errors import UneticError
from napari_unetic.image.guards import as_text
from napari_unetic.image.reading import read_labels
from napari_unetic.image.tiff import read_tiff
from napari_unetic.image.writing import atomic_path, write_labels
from napari_unetic.widgets.class_layers import recorded_look
from napari_unetic.widgets.layers import METADATA_KEY, PLACEMENT, pixel_size_of
from napari_unetic.widgets.records import (
    FORMAT,
    FORMAT_VERSION,
    SIDECAR,
    read_sidecar,
    record_in,
    sidecar,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

ENDING = ".ome.tif"
"""Of the files that the writer makes where no ending is given."""

_LARGEST = np.iinfo(np.uint32).max
_POSITIONAL = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TZCYX"}


def save_labels(layer: Labels, path: str | Path) -> list[Path]:
    """Save a layer of labels with its place, its table and what made it.

    Parameters
    ----------
    layer : napari.layers.Labels
        Any layer; of a multiscale one, level 0.
    path : str or Path
        Where the TIFF shall be; ``.ome.tif`` is added where it has no such ending.

    Returns
    -------
    list of Path
        The TIFF, and the JSON beside it. Each appears whole or not at all.

    Raises
    ------
    UneticError
        If labels are below 0 or beyond 32 bits, there are more than five dimensions,
        or a file cannot be written.
    """
    data, state, _ = layer.as_layer_data_tuple()
    return [Path(written) for written in write_layer(str(path), data, state)]


def write_layer(path: str, data: Any, state: dict[str, Any]) -> list[str]:
    """Write labels as napari's writers do; `save_labels` says what and how.

    Parameters
    ----------
    path : str
        Where the TIFF shall be.
    data : array-like of int
        The labels.
    state : dict
        The attributes of the layer.

    Returns
    -------
    list of str
        The files.
    """
    target = Path(path)
    if not target.name.lower().endswith((".tif", ".tiff")):
        target = target.with_name(target.name + ENDING)
    labels = np.asarray(data[0] if state.get("multiscale") else data)
    record = state.get("metadata", {}).get(METADATA_KEY)
    axes, pixel_size = _axes_and_size(labels.ndim, state)
    highest = int(labels.max(initial=0))
    write_labels(
        target,
        labels,
        axes=axes,
        pixel_size=pixel_size,
        description=record,
        # Of a narrower type, napari would take the file for an image.
        dtype=np.uint32 if highest <= _LARGEST else None,
    )
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "labels": target.name,
        "shape": labels.shape,
        "dtype": labels.dtype.name,
        "layer": {"name": state["name"]}
        | {key: _plain(state[key]) for key in PLACEMENT},
        "features": {
            str(name): _plain(column.to_numpy())
            for name, column in state["features"].items()
        },
        "record": record,
    }
    beside = sidecar(target)
    with atomic_path(beside) as partial:
        # Plain ASCII, since a file name may hold what UTF-8 cannot.
        text = json.dumps(content, allow_nan=False, default=_plain)
        partial.write_text(text + "\n", encoding="utf-8")
    return [str(target), str(beside)]


def _axes_and_size(ndim: int, state: dict[str, Any]) -> tuple[str, PixelSize]:
    """Return what the TIFF says of its axes, and the size of a pixel along them.

    TIFF has no transposed images; labels whose axes stand in another order are written
    as they are, under the usual names and without sizes.
    """
    if ndim not in _POSITIONAL:
        raise UneticError(
            f"Expected labels of 2 to 5 dimensions, got {ndim} ({state['name']}); save "
            "a part of them, or with napari's own writer."
        )
    record = state.get("metadata", {}).get(METADATA_KEY) or {}
    letters = "".join(str(label).upper() for label in state["axis_labels"])
    for axes in (record.get("layer", {}).get("axes", ""), letters):
        with_rows = len(axes) == ndim and axes == canonical(axes) and axes[-2:] == "YX"
        if with_rows and check_axes(axes):
            return axes, pixel_size_of(axes, state["scale"], state["units"])
    return _POSITIONAL[ndim], PixelSize()


def _plain(value: Any) -> Any:
    """Return arrays, units and numbers as JSON knows them; not-a-number is null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    return str(value)


def open_labels(path: str | Path) -> Labels:
    """Return the layer of labels that is in a file.

    Parameters
    ----------
    path : str or Path
        A TIFF or PNG file of labels, such as ``unetic segment`` writes, or the JSON
        beside one.

    Returns
    -------
    napari.layers.Labels
        With place, table and record as they were saved, where the JSON is there; else
        with the size of a pixel and the record, as far as the file tells.

    Raises
    ------
    UneticError
        If the file cannot be read or holds no labels.
    """
    path = Path(path)
    if path.name.lower().endswith(SIDECAR):
        content = read_sidecar(path)
    elif sidecar(path).is_file():
        content = read_sidecar(sidecar(path))
    else:
        content = {}
    if content and (path.suffix == ".json" or content.get("labels") == path.name):
        data, keywords = _saved(path, content)
    else:
        data, keywords = _unaccompanied(path)
    return Labels(data, **keywords)


def _saved(path: Path, content: dict[str, Any]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return labels and the keywords of their layer, with what the JSON holds."""
    name = str(content.get("labels", ""))
    if not name or Path(name).name != name:
        raise _damaged(path)
    file = path.with_name(name)
    if not file.is_file():
        raise UneticError(
            f"Expected the labels {as_text(name)} beside {as_text(path)}, got none; "
            "put the two files into one folder."
        )
    labels = np.asarray(read_tiff(file, as_text(file), None, labels=True).array)
    if labels.dtype.kind not in "ui":
        raise _damaged(path)
    try:
        # Axes of one entry are lost in a TIFF.
        labels = labels.reshape(content["shape"])
        if labels.max(initial=0) <= np.iinfo(content["dtype"]).max:
            labels = labels.astype(content["dtype"])
        state = content["layer"]
        keywords = {key: state[key] for key in ("name", *PLACEMENT)}
        keywords["features"] = {
            name: _column(values) for name, values in content["features"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    if content.get("record") is not None:
        keywords["metadata"] = {METADATA_KEY: content["record"]}
        keywords |= recorded_look(content["record"])
    return labels, keywords


def _column(values: list[Any]) -> list[Any]:
    """Return a column of a table; null is not-a-number among numbers."""
    numbers = [value for value in values if value is not None]
    if not all(isinstance(value, int | float) for value in numbers):
        return values
    return [math.nan if value is None else value for value in values]


def _damaged(path: Path) -> UneticError:
    return UneticError(
        f"Expected the record of the labels beside it, got {as_text(path)}, which does "
        "not belong to them or is damaged; open the TIFF file with napari itself."
    )


def _unaccompanied(path: Path) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return labels and the keywords of their layer, from the file alone."""
    labels = read_labels(path)
    keywords: dict[str, Any] = {"name": path.stem.removesuffix(".ome")}
    record = record_in(path)
    if record is not None:
        keywords["metadata"] = {METADATA_KEY: record}
        keywords |= recorded_look(record)
    if path.suffix.lower() not in (".tif", ".tiff"):
        return labels, keywords
    tiff = read_tiff(path, as_text(path), None, labels=True)
    axes = [letter for letter in canonical(tiff.axes) if letter in "TZYX"]
    if len(axes) == labels.ndim and tiff.pixel_size.sizes:
        sizes = tiff.pixel_size.sizes
        keywords |= {
            "scale": [sizes.get(letter, 1.0) for letter in axes],
            "units": ["um" if letter in sizes else "pixel" for letter in axes],
            "axis_labels": [letter.lower() for letter in axes],
        }
    return labels, keywords


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return what reads the JSON beside labels, as napari asks for it.

    Parameters
    ----------
    path : str or sequence of str
        What is to be opened; several files cannot be stacked.

    Returns
    -------
    callable or None
        None where it is something else.
    """
    if not isinstance(path, str) or not path.lower().endswith(SIDECAR):
        return None
    return _read


def _read(path: str | Sequence[str]) -> list[LayerData]:
    assert isinstance(path, str)
    data, keywords = _saved(Path(path), read_sidecar(Path(path)))
    return [(data, keywords, "labels")]
