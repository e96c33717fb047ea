"""How a result can be made again: in Python, in a shell, or with the same button."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL.Image
import tifffile

from napari_unetic.errors import ModelError, UneticError
from napari_unetic.image.guards import decoding
from napari_unetic.image.reading import IMAGE_SUFFIXES
from napari_unetic.settings import SegmentSettings, settings_from
from napari_unetic.widgets.layers import layer_source
from napari_unetic.widgets.levels import best_level
from napari_unetic.widgets.records import record_of

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    from napari_unetic.model.description import ModelDescription

_INSTEAD = "copy it as Python instead"
_N_IN_A_LINE = 2


def as_python(
    image_layer: ImageLayer, model: str | Path, settings: SegmentSettings
) -> str:
    """Return lines of Python that add the same layer of labels.

    Parameters
    ----------
    image_layer : napari.layers.Image
        What was segmented; it is named in the lines.
    model : str or Path
        Name of a model, or its folder.
    settings : SegmentSettings
        As for `segment_layer`; what is as by default is left out.

    Returns
    -------
    str
        To run in napari's console, or in a script where ``viewer`` is the viewer.
    """
    arguments = [
        f"viewer.layers[{_quoted(str(image_layer.name))}]",
        _quoted(str(model)),
        *(f"{name}={_literal(value)}" for name, value in _plain(settings).items()),
    ]
    call = f"labels = segment_layer({', '.join(arguments)})"
    if len(arguments) > _N_IN_A_LINE:
        lines = "".join(f"    {argument},\n" for argument in arguments)
        call = f"labels = segment_layer(\n{lines})"
    return (
        f"from napari_unetic import segment_layer\n\n{call}\nviewer.add_layer(labels)\n"
    )


def _quoted(text: str) -> str:
    """Return a text as Python reads it, in double quotes where that is plain."""
    plain = repr(text)
    return f'"{text}"' if plain == f"'{text}'" else plain


def _literal(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _plain(settings: SegmentSettings) -> dict[str, Any]:
    """Return what differs from the defaults, as one would write it."""
    changed = settings.changed()
    if "plane" in changed:
        plane = changed["plane"]
        changed["plane"] = plane[0] if len(plane) == 1 else tuple(plane)
    return changed


def as_command(
    image_layer: ImageLayer,
    model: str | Path,
    settings: SegmentSettings,
    *,
    level: int = 0,
) -> str:
    """Return the line for a shell that writes the same labels to a file.

    Parameters
    ----------
    image_layer : napari.layers.Image
        What was segmented, opened from a file.
    model : str or Path
        Name of a model, or its folder.
    settings : SegmentSettings
        As for `segment_layer`; what is as by default is left out.
    level : int
        The level of a multiscale layer that was segmented, where a diameter that was
        found out chose it.

    Returns
    -------
    str
        With quotes where the shell of this system needs them.

    Raises
    ------
    UneticError
        If the layer was not opened from one image file, or a coarser level than that
        of the file was segmented.

    Notes
    -----
    The command reads the file. Whether pixels of the layer were changed after it was
    opened cannot be known; only that the shapes agree is checked.
    """
    path = _file_of(image_layer)
    source = layer_source(image_layer, settings.axes)
    shape = _shape_in(path)
    if shape != tuple(source.data.shape):
        raise UneticError(
            f"Expected a layer that shows all of {path.name}, got {image_layer.name} "
            f"of shape {tuple(source.data.shape)} where the file has {shape}; "
            f"{_INSTEAD}."
        )
    if image_layer.multiscale and not settings.seeks_diameter:
        level = best_level(image_layer, _described(model), settings)
    if level:
        raise UneticError(
            f"Expected the finest level of {image_layer.name} to fit the model, got "
            f"objects that are segmented on a coarser one; {_INSTEAD}."
        )
    words = ["unetic", "segment", str(path), "--model", str(model)]
    if source.axes != "YX":
        words += ["--axes", source.axes]
    for name in _plain(settings):
        if name != "axes":
            words += _option(name, getattr(settings, name))
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _file_of(layer: ImageLayer) -> Path:
    """Return the file that a layer was opened from."""
    path = layer.source.path
    if not path or not Path(path).is_file():
        raise UneticError(
            f"Expected an image that was opened from a file, got {layer.name}, "
            f"which is in none; save it and open it again, or {_INSTEAD}."
        )
    if Path(path).suffix.lower() not in IMAGE_SUFFIXES:
        raise UneticError(
            f"Expected an image file ending in one of {', '.join(IMAGE_SUFFIXES)}, got "
            f"{path}; save the layer as TIFF, or {_INSTEAD}."
        )
    return Path(path).absolute()


def _shape_in(path: Path) -> tuple[int, ...]:
    """Return the shape of the image in a file; no pixel is read."""
    with decoding("image", str(path)):
        if path.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(path) as file:
                return tuple(int(size) for size in file.series[0].shape)
        with PIL.Image.open(path) as picture:
            shape, n_bands = (picture.height, picture.width), len(picture.getbands())
    return (*shape, n_bands) if n_bands > 1 else shape


def _described(model: str | Path) -> ModelDescription:
    from napari_unetic.model.folder import load_description
    from napari_unetic.model.registry import find_model

    return load_description(find_model(model))


def _option(name: str, value: Any) -> list[str]:
    """Return the words that give a setting to the command."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if name == "region":
        return [f"{flag}={value.text()}"]
    if name == "plane":
        return [flag, ",".join(map(str, value))]
    return [flag, str(value)]


def settings_of(layer: Labels) -> tuple[str, SegmentSettings]:
    """Return what a layer of labels was made with.

    Parameters
    ----------
    layer : napari.layers.Labels
        A result, also one that was saved and opened again.

    Returns
    -------
    tuple of str and SegmentSettings
        The model as it was asked for, and the settings, in pixels of level 0.

    Raises
    ------
    UneticError
        If no record of it is found, or it is of a newer version.
    """
    record = record_of(layer)
    if record is None:
        raise UneticError(
            f"Expected labels that this plugin made, got {layer.name}, of which no "
            "record is found; segment the image again."
        )
    return str(record.get("model_asked", record["model"])), settings_from(record)


def weights_changed(layer: Labels) -> str:
    """Say whether the model of a result is another now.

    Parameters
    ----------
    layer : napari.layers.Labels
        A result.

    Returns
    -------
    str
        A sentence if the weights are others or the model is gone; else empty.

    Raises
    ------
    UneticError
        As `settings_of`.
    """
    name, _ = settings_of(layer)
    record = record_of(layer) or {}
    try:
        weights = _described(name).weights_sha256
    except ModelError:
        return (
            f"The model {name} that made {layer.name} is not here any more; choose "
            "another one."
        )
    if weights == record["weights_sha256"]:
        return ""
    return (
        f"The model {name} has other weights now than when {layer.name} was made, so "
        "that the result may differ."
    )
