"""A viewer with an image, its labels and the Segment dock: ``unetic demo`` opens it.

Run as ``python -m napari_unetic.widgets.viewer IMAGE LABELS`` in a process of its own,
because a missing system library ends the process rather than raising an exception.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.image.source import Image, as_image

if TYPE_CHECKING:
    from napari import Viewer

    from napari_unetic.image.source import ArrayLike

DOCK_NAME = "Segment (Unetic)"
"""The name that napari's own menu gives the dock, so that the menu toggles it."""


def open_viewer(
    image: Image | ArrayLike, labels: NDArray[Any], *, title: str = "Unetic"
) -> Viewer:
    """Open a viewer with an image, its labels over it, and the Segment dock.

    Parameters
    ----------
    image : Image or array-like
        What was segmented.
    labels : ndarray of int
        Planes along T and Z, where the image has such axes, then Y and X.
    title : str
        Of the window.

    Returns
    -------
    napari.Viewer
        The viewer; `napari.run` starts its event loop.
    """
    import napari

    from napari_unetic.widgets.segment import SegmentWidget

    source = as_image(image)
    name = Path(source.name).stem.removesuffix(".ome")
    viewer = napari.Viewer(title=title)
    _add_image(viewer, source, name)
    viewer.add_labels(labels, name=f"{name} labels", opacity=0.5, **_placement(source))
    viewer.canvas.overlays.scale_bar.visible = source.pixel_size.yx is not None
    viewer.window.add_dock_widget(SegmentWidget(viewer), name=DOCK_NAME, area="right")
    return viewer


def _add_image(viewer: Viewer, image: Image, name: str) -> None:
    """Add an image layer, or one a channel."""
    data: Any = image.data
    placement = _placement(image)
    if "C" not in image.axes:
        viewer.add_image(data, name=name, **placement)
        return
    channel = image.axes.index("C")
    if image.rgb:
        colour = np.moveaxis(np.asarray(data), channel, -1)
        viewer.add_image(colour, name=name, rgb=True, **placement)
    else:
        viewer.add_image(data, name=name, channel_axis=channel, **placement)


def _placement(image: Image) -> dict[str, Any]:
    """Return scale, units and axis labels of everything but the channels."""
    letters = [letter for letter in image.axes if letter != "C"]
    size = image.pixel_size
    units = [size.unit if letter in size.sizes else "pixel" for letter in letters]
    return {
        "scale": [size.sizes.get(letter, 1.0) for letter in letters],
        "units": units,
        "axis_labels": [letter.lower() for letter in letters],
    }


def _screenshot(viewer: Viewer, path: str) -> None:
    """Save a picture of the whole window, and close it."""
    from qtpy.QtWidgets import QApplication

    # A size given before the window is shown is overridden by the remembered one.
    viewer.window.resize(1400, 900)
    dock = viewer.window.dock_widgets[DOCK_NAME]
    while dock.busy:
        QApplication.processEvents()
    viewer.reset_view()
    for _ in range(20):
        QApplication.processEvents()
    viewer.screenshot(path, canvas_only=False, flash=False)
    viewer.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Open the files in a viewer; return 0, or 2 if they cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_unetic.widgets.viewer",
        description="Open an image and its labels in napari, with the Segment dock.",
    )
    parser.add_argument("image", metavar="IMAGE.tif")
    parser.add_argument("labels", metavar="LABELS.tif")
    parser.add_argument("--title", default="Unetic", help="title of the window")
    parser.add_argument(
        "--screenshot", metavar="PNG", help="save a picture of the window and end"
    )
    arguments = parser.parse_args(argv)
    try:
        image, labels = read_image(arguments.image), read_labels(arguments.labels)
    except UneticError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    import napari

    viewer = open_viewer(image, labels, title=arguments.title)
    if arguments.screenshot:
        _screenshot(viewer, arguments.screenshot)
    else:
        napari.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
