"""The button that measures the diameter of an object on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_unetic.errors import UneticError
from napari_unetic.widgets.measure_tool import MeasureTool
from napari_unetic.widgets.places import letters_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unetic.widgets.segment_form import SegmentForm


class DiameterTool(QObject):
    """Fills the diameter of a form with the length of a line drawn on its image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    form : SegmentForm
        The dock.
    """

    def __init__(self, viewer: Viewer, form: SegmentForm) -> None:
        super().__init__(form)
        self._form = form
        self._tool = MeasureTool(viewer, self, self._measured)
        form.more.measure.clicked.connect(self._clicked)
        form.escape.activated.connect(self.cancel)

    @property
    def active(self) -> bool:
        """Whether a line is waited for."""
        return self._tool.active

    def cancel(self) -> None:
        """Wait for no line any more."""
        self._tool.cancel()

    def _clicked(self) -> None:
        """Begin to measure, or stop doing so."""
        form = self._form
        layer = form.image.value
        if self.active or layer is None:
            self.cancel()
            form.more.measure.setChecked(False)
            return
        try:
            letters = letters_of(layer, form.understood(layer, None).axes)
            self._tool.start(layer, letters)
        except UneticError as error:
            form.more.measure.setChecked(False)
            form.report.fail(error)
        else:
            form.escape.setEnabled(True)
            form.report.say("Drag a line across one object; Escape cancels.")

    def _measured(self, length: float | None) -> None:
        form = self._form
        form.more.measure.setChecked(False)
        form.escape.setEnabled(False)
        form.report.say("")
        if length is not None:
            form.more.diameter.value = length
            form.report.say(f"Diameter: {form.more.diameter.currentText()}.")
