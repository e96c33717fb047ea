"""How classes look in napari: numbers in their colours, a table that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap, DirectLabelColormap
from pydantic import ValidationError

from napari_unetic.semantic.targets import ClassSpec
from napari_unetic.widgets.layers import METADATA_KEY

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unetic.widgets.layers import LayerSource

ELSE = "#ffffff"
"""Of numbers that are no class, which a person may have painted."""


def class_look(classes: Sequence[ClassSpec]) -> dict[str, Any]:
    """Return the keywords that give a layer of labels the colours of its classes.

    Parameters
    ----------
    classes : sequence of ClassSpec
        Of labels 0, the background, 1, 2, ...
    """
    colours: dict[int | None, Any] = {None: ELSE, 0: "transparent"}
    colours |= {k: one.colour for k, one in enumerate(classes) if k}
    return {"colormap": DirectLabelColormap(color_dict=colours)}


def class_ramp(one: ClassSpec) -> Colormap:
    """Return a colormap from black to the colour of a class, for its probability."""
    # The background's own colour is black: its probability is shown in white.
    red, green, blue = (int(one.colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    end = (red, green, blue) if max(red, green, blue) > 0 else (1.0, 1.0, 1.0)
    return Colormap([(0, 0, 0, 1), (*end, 1)], name=f"{one.name} {one.colour}")


def class_table(
    labels: NDArray[Any], classes: Sequence[ClassSpec], source: LayerSource
) -> dict[str, NDArray[Any]]:
    """Return the legend of classes as a table, which napari shows under the mouse.

    Parameters
    ----------
    labels : ndarray of int
        Class of each pixel.
    classes : sequence of ClassSpec
        Of labels 0, the background, 1, 2, ...
    source : LayerSource
        The image, for the size of a pixel.

    Returns
    -------
    dict of str to ndarray of shape (N,)
        ``index``, the number; ``class``, the name; ``colour``; ``pixels``; ``share`` of
        all of them; and ``area_um2`` over all planes, where the size of a pixel is
        known.
    """
    counts = np.bincount(labels.ravel(), minlength=len(classes))[: len(classes)]
    table: dict[str, NDArray[Any]] = {
        "index": np.arange(len(classes)),
        "class": np.array([one.name for one in classes], object),
        "colour": np.array([one.colour for one in classes], object),
        "pixels": counts,
        "share": counts / max(1, labels.size),
    }
    sizes = source.pixel_size.sizes
    if source.pixel_size.unit == "µm" and {"Y", "X"} <= set(sizes):
        table["area_um2"] = counts * sizes["Y"] * sizes["X"]
    return table


def recorded_look(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `class_look` of a result that was saved; nothing for one of objects."""
    said = record.get("classes")
    if not isinstance(said, list) or not said:
        return {}
    try:
        return class_look([ClassSpec.model_validate(one) for one in said])
    except ValidationError:
        return {}


def is_of_classes(layer: Labels) -> bool:
    """Whether a layer is a result whose numbers are classes, by its record."""
    return bool(layer.metadata.get(METADATA_KEY, {}).get("classes"))


def legend_text(layer: Labels) -> str:
    """Return name, colour and share of each class as rich text; empty for objects."""
    if not is_of_classes(layer) or "share" not in layer.features:
        return ""
    table = layer.features[1:]
    rows = zip(table["class"], table["colour"], table["share"], strict=True)
    return "<br>".join(
        f'<span style="color: {colour}">\u25a0</span>&nbsp;{escape(str(name))} '
        f"{_percent(share)}"
        for name, colour, share in rows
    )


def shares_text(layer: Labels) -> str:
    """Return the share of each class besides the background: "cell 31 %, edge 4 %"."""
    table = layer.features
    rows = zip(table["class"][1:], table["share"][1:], strict=True)
    return ", ".join(f"{name} {_percent(share)}" for name, share in rows)


def _percent(share: float) -> str:
    percent = 100 * share
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"
