"""The Segment dock: an image layer, a model, one button; a Labels layer comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import (
    QApplication,
    QFormLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import check_channels
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.choices import Choice, ImageChoice, is_alive
from napari_unetic.widgets.jobs import Job
from napari_unetic.widgets.layers import (
    LayerSource,
    SegmentedLayer,
    layer_source,
    segment_source_steps,
)
from napari_unetic.widgets.wording import (
    TimeLeft,
    duration,
    failure_sentence,
    foldable,
    is_defect,
    shortened,
)

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.widgets.relay import Outcome

LAYER_EVENTS = ("data", "name", "scale", "units", "axis_labels")
"""Events of an image layer that change what the dock says about it."""

WIDTH = 300
"""Width of the dock when it opens, in pixels."""

LOADING = "PyTorch is being loaded …"
NO_IMAGE = "No image to segment: open one, or a sample (File > Open Sample)."
NO_MODEL = "No model is there: install napari-unetic again, it brings one along."


class SegmentWidget(QWidget):
    """The dock that segments an image layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer it belongs to; napari gives its proxy.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self._followed: ImageLayer | None = None
        self._working_on: ImageLayer | None = None
        self._device = ""
        self._trace = ""
        self._time_left = TimeLeft()
        self._lookup = Job(self, lambda step: None, self._looked_up)
        self._job = Job(self, self._show_step, self._show_outcome)
        self.image = ImageChoice(napari_viewer, self, self._image_chosen)
        self.model = Choice(self, self._update)
        self.channel = Choice(self, self._update)
        self.plan = _text_label(self)
        self.button = QPushButton("Segment", self)
        self.progress = QProgressBar(self)
        self.message = _text_label(self)
        self.details = QPushButton("Copy details", self)
        self._lay_out()
        self.button.clicked.connect(self._clicked)
        self.details.clicked.connect(self._copy_details)
        napari_viewer.layers.events.removed.connect(self._layer_removed)
        self.image.follow()
        self._update()
        self._lookup.start(_look_up())

    @property
    def busy(self) -> bool:
        """Whether any work of the dock is running in a thread."""
        return self._job.running or self._lookup.running

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(
            QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
        )
        self._form.addRow("Image", self.image)
        self._form.addRow("Model", self.model)
        self._form.addRow("Channel", self.channel)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        layout.addWidget(self.plan)
        layout.addWidget(self.button)
        for widget in (self.progress, self.message, self.details):
            layout.addWidget(widget)
            widget.hide()

    # What is there and what is chosen

    def _looked_up(self, outcome: Outcome) -> None:
        """Offer the models that were found, and name the device."""
        if outcome.error is not None:
            self._say_failure(outcome.error, outcome.trace)
        elif not outcome.stopped:
            entries, self._device = outcome.value
            names = [entry.name for entry in entries]
            name = self.model.currentText()
            same = entries[names.index(name)] if name in names else None
            self.model.offer(entries, names, chosen=same)
            for index, entry in enumerate(entries):
                self.model.explain(index, entry.description.summary)
        self._update()

    def _image_chosen(self) -> None:
        """Follow the events of the chosen layer, and of no other."""
        before, self._followed = self._followed, self.image.value
        for name in LAYER_EVENTS:
            if before is not None:
                getattr(before.events, name).disconnect(self._update)
            if self._followed is not None:
                getattr(self._followed.events, name).connect(self._update)
        if not self._job.running:
            self._say("")
        self._update()

    def _update(self, event: object = None) -> None:
        """Say what will happen, or why it cannot."""
        if not is_alive(self):
            return
        try:
            plan, problem = self._checked_source().text(), ""
        except UneticError as error:
            plan = problem = str(error)
        if not problem and self.model.value is None:
            problem = LOADING if self._lookup.running else NO_MODEL
            plan = f"{plan}\n{problem}"
        elif not problem:
            plan = f"{plan}\n{self._device}"
        self.plan.setText(foldable(plan))
        if not self._job.running:
            self.button.setEnabled(not problem)
            self.button.setToolTip(problem)

    def _checked_source(self) -> LayerSource:
        """Return what is to be segmented, or raise what stands against it."""
        layer, entry = self.image.value, self.model.value
        if layer is None:
            self._form.setRowVisible(self.channel, False)
            raise UneticError(NO_IMAGE)
        source = layer_source(layer)
        has_stains = source.n_channels > 1 and not source.rgb
        self._form.setRowVisible(self.channel, has_stains)
        n_taken = entry.description.network.in_channels if entry is not None else 1
        choices: list[int | None] = [*range(source.n_channels)] if has_stains else []
        if source.n_channels == n_taken and has_stains:
            choices.insert(0, None)
        names = ["all" if number is None else str(number) for number in choices]
        self.channel.offer(choices, names)
        if entry is not None:
            check_channels(
                source.n_channels,
                n_taken,
                rgb=source.rgb,
                channel=self.channel.value,
                name=source.name,
            )
        return source

    # Running

    def _clicked(self) -> None:
        if self._job.running:
            self._stop()
        else:
            self._start()

    def _start(self) -> None:
        entry: ModelEntry = self.model.value
        try:
            source = self._checked_source()
        except UneticError as error:
            self._say_failure(error)
            return
        self._working_on = self.image.value
        self._time_left = TimeLeft()
        self._say("")
        self.progress.setRange(0, 0)
        self.progress.setFormat("")
        self.progress.show()
        self.button.setText("Stop")
        self._job.start(
            segment_source_steps(source, entry.name, channel=self.channel.value)
        )

    def _stop(self) -> None:
        self._job.stop()
        self.button.setText("Stopping …")
        self.button.setEnabled(False)

    def _layer_removed(self, event: Any) -> None:
        """Stop work on a layer that is no longer there."""
        if is_alive(self) and self._job.running and event.value == self._working_on:
            self._stop()

    def _show_step(self, step: Step) -> None:
        self.progress.setRange(0, round(step.total))
        self.progress.setValue(round(step.done))
        left = self._time_left.text(step)
        text = f"{step.what.capitalize()} {step.done:.0f} of {step.total:.0f}"
        if step.done >= step.total:
            text = "Finishing …"
        self.progress.setFormat(f"{text}, {left}" if left else text)

    def _show_outcome(self, outcome: Outcome) -> None:
        self._working_on = None
        self.progress.hide()
        self.button.setText("Segment")
        self._update()
        if outcome.error is not None:
            self._say_failure(outcome.error, outcome.trace)
        elif outcome.stopped:
            self._say("Stopped; no labels were added.")
        else:
            self._add(outcome.value)

    def _add(self, result: SegmentedLayer) -> None:
        self._viewer.add_layer(result.layer)
        time, name = duration(result.seconds), shortened(result.layer.name)
        if result.n_objects == 0:
            text = f"No object found in {time}; try another model or channel."
        else:
            objects = "object" if result.n_objects == 1 else "objects"
            text = f"{result.n_objects:,} {objects} in {time}: layer “{name}”."
        self._say("\n".join((text, *result.notices)))

    def _say(self, text: str) -> None:
        self.message.setText(foldable(text))
        self.message.setToolTip(text)
        self.message.setStyleSheet("")
        self.message.setVisible(bool(text))
        self.details.hide()

    def _say_failure(self, error: Exception, trace: str = "") -> None:
        self._say(failure_sentence(error))
        # A bar at the side tells a failure in every theme, without relying on colour.
        self.message.setStyleSheet("border-left: 4px solid #e5484d; padding-left: 6px;")
        self._trace = trace
        self.details.setVisible(is_defect(error) and bool(trace))

    def _copy_details(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(f"{self.message.toolTip()}\n\n{self._trace}")

    # Coming and going

    def sizeHint(self) -> QSize:
        """Ask for a dock wide enough to read."""
        return super().sizeHint().expandedTo(QSize(WIDTH, 0))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look for models again: there may be new ones."""
        super().showEvent(event)
        if not self._lookup.running:
            self._lookup.start(_look_up())

    def event(self, event: QEvent | None) -> bool:
        """Stop the work when the dock is closed, which takes this widget out of it."""
        gone = event is not None and event.type() == QEvent.Type.ParentChange
        if gone and self.parent() is None:
            self._lookup.stop()
            self._job.stop()
        return super().event(event)


def _look_up() -> Steps[tuple[list[ModelEntry], str]]:
    """Return the models there are and the device, told in a line."""
    yield Step(0, 0, "loading PyTorch")
    # These bring torch along: a second or two that the window must not wait for.
    from napari_unetic.model.registry import list_models
    from napari_unetic.networks.device import choose_device

    device = choose_device()
    reason = device.reason.removeprefix("CPU: ")
    return list_models(), f"Runs on {device.name.upper()} ({reason})."


def _text_label(parent: QWidget) -> QLabel:
    """Return a label for sentences that wraps and never widens the dock."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
