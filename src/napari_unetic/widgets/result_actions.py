"""What the buttons of the Result section do with a layer of labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari.layers import Image as ImageLayer
from napari.layers import Labels
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.class_layers import is_of_classes
from napari_unetic.widgets.jobs import Job
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.recipes import (
    as_command,
    as_python,
    settings_of,
    weights_changed,
)
from napari_unetic.widgets.records import Record, find_record
from napari_unetic.widgets.tables import shape_features_steps
from napari_unetic.widgets.wording import shortened

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.widgets.relay import Outcome
    from napari_unetic.widgets.report import Report
    from napari_unetic.widgets.sections import ResultSection

RunLike = Callable[[str, "SegmentSettings", str], None]


class ResultActions(QObject):
    """Copies, measures and repeats the result that is selected, else the last one.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QObject
        The dock.
    section : ResultSection
        The buttons.
    report : Report
        Where to say what was done.
    chosen_image : callable
        Returns the image chosen in the dock, or None.
    run_like : callable
        Called with a model, settings and something to say, to run with them.
    """

    def __init__(
        self,
        viewer: Viewer,
        parent: QObject,
        section: ResultSection,
        report: Report,
        chosen_image: Callable[[], ImageLayer | None],
        run_like: RunLike,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._section = section
        self._report = report
        self._chosen_image = chosen_image
        self._run_like = run_like
        self._made: Labels | None = None
        self._looked_at: WeakSet[Labels] = WeakSet()
        self._searched: Labels | None = None
        self._search = Job(self, lambda step: None, self._found)
        self._measuring = Job(self, lambda step: None, self._measured)
        viewer.layers.selection.events.active.connect(self.update)
        viewer.layers.events.removed.connect(self.update)
        viewer.layers.events.renamed.connect(self.update)
        section.copy_python.clicked.connect(self._copy_python)
        section.copy_command.clicked.connect(self._copy_command)
        section.shapes.clicked.connect(self._measure_shapes)
        section.rerun.clicked.connect(self._rerun)

    @property
    def running(self) -> bool:
        """Whether a table is being extended."""
        return self._measuring.running

    def made(self, layer: Labels) -> None:
        """Take note of the last result."""
        self._made = layer
        self.update()

    def stop(self) -> None:
        """End what runs in a thread."""
        self._search.stop()
        self._measuring.stop()

    @property
    def last(self) -> Labels | None:
        """The last result, while it is in the viewer."""
        return self._made if self._made in self._viewer.layers else None

    @property
    def layer(self) -> Labels | None:
        """The result that the buttons are about."""
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels) and METADATA_KEY in active.metadata:
            return active
        return self.last

    def update(self, event: object = None) -> None:
        """Show the buttons where there is a result, and its name."""
        if not is_alive(self):
            return
        layer = self.layer
        self._section.setVisible(layer is not None)
        if layer is not None:
            self._section.name.setText(f"“{shortened(layer.name)}”")
            # Classes have no shapes of objects.
            of_classes = is_of_classes(layer)
            self._section.shapes.setVisible(not of_classes)
        self._look_for_record()

    def _look_for_record(self) -> None:
        """Look for what a layer that was opened from a file was made with."""
        active = self._viewer.layers.selection.active
        if not isinstance(active, Labels) or self._search.running:
            return
        is_opened = bool(active.source.path) and not active.multiscale
        # What stands for a layer in a plugin may be gone in a moment; it stays.
        active = getattr(active, "__wrapped__", active)
        if METADATA_KEY in active.metadata or active in self._looked_at:
            return
        self._looked_at.add(active)
        if is_opened:
            self._searched = active
            self._search.start(_search_steps(active))

    def _found(self, outcome: Outcome) -> None:
        layer, self._searched = self._searched, None
        if outcome.value is not None and layer is not None:
            layer.metadata = {**layer.metadata, METADATA_KEY: outcome.value}
        self.update()

    # The buttons

    def _image(self) -> ImageLayer:
        """Return the image that the result is of, as far as its name tells."""
        layer = self.layer
        name = layer.metadata[METADATA_KEY].get("source") if layer is not None else None
        for other in self._viewer.layers:
            if isinstance(other, ImageLayer) and other.name == name:
                return other
        if (chosen := self._chosen_image()) is None:
            raise UneticError(
                "Expected the image that these labels are of, got none; open it."
            )
        return chosen

    def _copy_python(self) -> None:
        self._copy(as_python, "napari’s console or a script")

    def _copy_command(self) -> None:
        record = {} if self.layer is None else self.layer.metadata[METADATA_KEY]
        self._copy(partial(as_command, level=record.get("level", 0)), "a shell")

    def _copy(
        self, recipe: Callable[[ImageLayer, str, SegmentSettings], str], where: str
    ) -> None:
        layer, clipboard = self.layer, QApplication.clipboard()
        if layer is None or clipboard is None:
            return
        try:
            clipboard.setText(recipe(self._image(), *settings_of(layer)))
        except UneticError as error:
            self._report.fail(error)
        else:
            self._report.say(f"Copied; paste it into {where}.")

    def _rerun(self) -> None:
        layer = self.layer
        if layer is None:
            return
        try:
            model, settings = settings_of(layer)
            self._run_like(model, settings, weights_changed(layer))
        except UneticError as error:
            self._report.fail(error)

    def _measure_shapes(self) -> None:
        layer = self.layer
        if layer is None or self._measuring.running:
            return
        try:
            self._measuring.start(shape_features_steps(layer, self._image()))
        except UneticError as error:
            self._report.fail(error)

    def _measured(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._report.fail(outcome.error, outcome.trace)
        elif not outcome.stopped:
            layer, features = outcome.value
            if layer in self._viewer.layers:
                layer.features = features
                self._report.say(
                    f"The table of “{shortened(layer.name)}” has the columns "
                    "eccentricity and solidity (Layers > Metadata > Features table)."
                )


def _search_steps(layer: Labels) -> Steps[Record | None]:
    """Look for the record of a layer in files."""
    yield Step(0, 0, "looking for the record")
    return find_record(layer)
