"""Measuring an object on the image: a line is drawn across it and goes again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer

from napari_unetic.widgets.choices import MEASURING, is_alive
from napari_unetic.widgets.places import length_on_image

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Layer
    from napari.viewer import Viewer

NAME = "Draw a line across one object"

SHORTEST = 1.5
"""Pixels; anything shorter is a click, not a line."""

_LINE_WIDTH = 2.5
_PLACED_BY = (
    "affine",
    "axis_labels",
    "rotate",
    "scale",
    "shear",
    "translate",
    "units",
)


class MeasureTool(QObject):
    """Lets a person draw one line on an image, in a layer that is there for it alone.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QObject
        The dock.
    on_end : callable
        Called with the length in pixels of the image, or None where it was cancelled,
        when the layer has gone again.
    """

    def __init__(
        self, viewer: Viewer, parent: QObject, on_end: Callable[[float | None], None]
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._on_end = on_end
        self._line: Shapes | None = None
        self._image: ImageLayer | None = None
        self._letters = ""
        self._active_before: Layer | None = None
        viewer.layers.events.removed.connect(self._layer_removed)

    @property
    def active(self) -> bool:
        """Whether a line is waited for."""
        return self._line is not None

    def start(self, image: ImageLayer, letters: str) -> None:
        """Add the layer and wait for a line.

        Parameters
        ----------
        image : napari.layers.Image
            What is measured.
        letters : str
            One a dimension of the image.
        """
        assert not self.active
        self._image, self._letters = image, letters
        self._active_before = self._viewer.layers.selection.active
        line = _empty_layer_on(image, self._viewer.scene.camera.zoom)
        line.events.data.connect(self._drawn)
        line.bind_key("Escape", self._escaped, overwrite=True)
        self._line = line
        self._viewer.add_layer(line)
        self._viewer.layers.selection.active = line
        line.mode = "add_line"

    def cancel(self) -> None:
        """Take the layer away again; nothing is measured."""
        if self.active:
            self._end(None)

    def _drawn(self, event: Any) -> None:
        """Measure the line, after napari is done with drawing it."""
        if event.action == "added" and self.active and is_alive(self):
            QTimer.singleShot(0, self._measure)

    def _escaped(self, layer: Shapes) -> None:
        QTimer.singleShot(0, self.cancel)

    def _measure(self) -> None:
        line, image = self._line, self._image
        if line is None or image is None or not len(line.data):
            return
        length = length_on_image(line, image, self._letters)
        if length < SHORTEST:
            line.data = []
            line.mode = "add_line"
            return
        self._end(length)

    def _layer_removed(self, event: Any) -> None:
        if not is_alive(self) or not self.active:
            return
        if event.value == self._line:
            self._forget()
            self._on_end(None)
        elif event.value == self._image:
            # Not while napari still removes the other one.
            QTimer.singleShot(0, self.cancel)

    def _end(self, length: float | None) -> None:
        line, before = self._line, self._active_before
        self._forget()
        layers = self._viewer.layers
        if line in layers:
            layers.remove(line)
        if before in layers:
            layers.selection.active = before
        self._on_end(length)

    def _forget(self) -> None:
        self._line = self._image = self._active_before = None


def _empty_layer_on(image: ImageLayer, zoom: float) -> Shapes:
    """Return an empty layer of shapes in the coordinates of an image."""
    state = image.as_layer_data_tuple()[1]
    return Shapes(
        ndim=image.ndim,
        name=NAME,
        metadata={MEASURING: True},
        edge_color="yellow",
        face_color="transparent",
        edge_width=_LINE_WIDTH / max(zoom * abs(float(image.scale[-1])), 1e-9),
        **{key: state[key] for key in _PLACED_BY},
    )
