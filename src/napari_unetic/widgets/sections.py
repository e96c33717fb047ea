"""The sections of the Segment dock that are folded at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.choices import Choice, PlaneChoice, RegionChoice
from napari_unetic.widgets.controls import (
    Slider,
    WholeNumber,
    connect,
    explain,
    keep_wheel_for_scrolling,
    text_label,
    tip,
    title,
    wrapped,
)
from napari_unetic.widgets.diameter_choice import DiameterChoice
from napari_unetic.widgets.folding import Fold, Form

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unetic.model.description import ModelDescription
    from napari_unetic.widgets.offers import Offer

MAX_PX = 100_000
"""The largest length that can be asked for."""

MIDDLE = "Double-click to go back to the middle, the model’s own."
TOO_LARGE = (
    "The maps of this image are too large to be kept, so the thresholds take effect "
    "when it is run again."
)
LIVE_HINT = "The labels follow at once; the network does not run again."

MEASURE_TIP = (
    "Draw a line across one object on the image, and its length becomes the diameter. "
    "Escape, or another click here, ends it."
)
REGION_TIP = (
    "Part of the image to segment. Objects that lie in it with half their area or more "
    "are kept, whole."
)
PLANES_TIP = "All planes along T and Z, or the one in view."
OUTPUT_TIP = (
    "A new layer of labels, or the last one with its objects replaced, which can be "
    "undone."
)
MAPS_TIP = (
    "Also adds what the network found as image layers: foreground, contacts between "
    "objects, and depth in an object."
)
CLASS_MAPS_TIP = "Also adds the probability of each class as image layers."

PRECISIONS = ("auto", "float32", "bfloat16")

NEW_LAYER = "new"
UPDATE = "update"


class AdjustSection(Fold):
    """The thresholds that make other objects of what the network found.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    moved = Signal()
    """A threshold has changed."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            "Adjust",
            f"How objects are made of what the network found. {LIVE_HINT}",
        )
        self.splitting = Slider(self)
        self.smallest = WholeNumber(self, "auto", lowest=0, highest=10_000_000)
        self.fill_holes = QCheckBox(title("fill_holes"), self)
        self.fill_holes.setChecked(True)
        self.drop_border = QCheckBox(title("drop_border"), self)
        self.hint = text_label(self)
        self.hint.setText(TOO_LARGE)
        self.hint.hide()
        self.again = QPushButton("Run again with this", self)
        self.again.setToolTip(
            wrapped("Runs the network again and updates the last result.")
        )
        self.again.hide()
        form = self._form = Form()
        form.row(title("splitting"), self.splitting, tip("splitting", MIDDLE))
        form.row(title("smallest"), self.smallest, tip("smallest"))
        form.check(self.fill_holes, tip("fill_holes"))
        form.check(self.drop_border, tip("drop_border"))
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(16, 2, 0, 6)
        layout.addLayout(form)
        layout.addWidget(self.hint)
        layout.addWidget(self.again)
        thresholds = self.splitting, self.smallest, self.fill_holes, self.drop_border
        for control in thresholds:
            connect(control, self.moved.emit)
        self.splitting.released.connect(self.moved.emit)

    def show_kind(self, *, of_classes: bool) -> None:
        """Show what there is to adjust: of classes nothing beside the sensitivity."""
        for row in range(self._form.rowCount()):
            self._form.setRowVisible(row, not of_classes)

    def offer_again(self, offered: bool, enabled: bool) -> None:
        """Offer to run again, where that is the way to other thresholds."""
        self.hint.setVisible(offered)
        self.again.setVisible(offered)
        self.again.setEnabled(enabled)


class ResultSection(Fold):
    """What can be done with a result: copy how it was made, measure more, run again.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(
            parent,
            "Result",
            "What can be done with a layer of labels that was segmented: the one that "
            "is selected, else the last one.",
        )
        self.name = text_label(self)
        self.copy_python = QPushButton("Copy as Python", self)
        self.copy_command = QPushButton("Copy as command", self)
        self.shapes = QPushButton("Measure shapes", self)
        self.rerun = QPushButton("Run like this", self)
        explained = {
            self.copy_python: "Copies lines of Python that make this very layer again, "
            "in napari’s console or in a script.",
            self.copy_command: "Copies a line for the shell that segments the file of "
            "this image in the same way.",
            self.shapes: "Adds columns to the layer’s table: eccentricity (0 for a "
            "circle, near 1 for a line) and solidity (1 without dents).",
            self.rerun: "Segments the image chosen above with the model and the "
            "settings that this layer was made with.",
        }
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(16, 2, 0, 6)
        layout.addWidget(self.name)
        for button, text in explained.items():
            button.setToolTip(wrapped(text))
            layout.addWidget(button)


class MoreSection(Fold):
    """Everything else that decides what is segmented, where, and how.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Something has changed that needs the network to take effect."""

    moved = Signal()
    """Linking has changed, which needs no network."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(
            parent, "More", "Size of the objects, channel, region, planes, device."
        )
        self.diameter = DiameterChoice(self)
        self.found_diameter = text_label(self)
        self.found_diameter.hide()
        self.measure = QPushButton("Measure", self)
        self.measure.setCheckable(True)
        self.channel = Choice(self)
        self.axes = AxesChoice(self)
        self.region = RegionChoice(viewer, self)
        self.planes = PlaneChoice(self)
        self.link = QCheckBox(title("link"), self)
        self.device = Choice(self)
        self.precision = Choice(self)
        self.tile = WholeNumber(self, "by memory", lowest=1, highest=MAX_PX, step=64)
        self.output = Choice(self)
        self.maps = QCheckBox("Add the maps", self)
        self._of_classes = False
        self._lay_out()
        for control in (
            self.diameter,
            self.channel,
            self.axes,
            self.region,
            self.planes,
            self.device,
            self.precision,
            self.tile,
            self.output,
            self.maps,
        ):
            connect(control, self.changed.emit)
        connect(self.link, self.moved.emit)

    def _lay_out(self) -> None:
        measured = QWidget(self)
        row = QHBoxLayout(measured)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.diameter)
        row.addWidget(self.measure)
        form = self._form = Form(self.content)
        form.setContentsMargins(16, 2, 0, 6)
        form.row(title("diameter"), measured, tip("diameter"))
        form.addRow(self.found_diameter)
        form.row(title("channel"), self.channel, tip("channel"))
        form.row(title("axes"), self.axes, tip("axes"))
        form.row(title("region"), self.region, REGION_TIP)
        form.row("Planes", self.planes, PLANES_TIP)
        form.check(self.link, tip("link"))
        form.row(title("device"), self.device, tip("device"))
        form.row(title("precision"), self.precision, tip("precision"))
        form.row(title("tile"), self.tile, tip("tile"))
        form.row("Output", self.output, OUTPUT_TIP)
        form.check(self.maps, MAPS_TIP)
        explain(self.diameter, tip("diameter"))
        explain(self.measure, MEASURE_TIP)
        self.device.offer(["auto"], ["auto"])
        self.precision.offer(PRECISIONS, PRECISIONS)
        self.show_output("")

    def show_offer(self, offer: Offer) -> None:
        """Show what there is to choose for an image, and nothing else."""
        self.axes.offer(offer.axes)
        values, names = (
            zip(*offer.channels, strict=True) if offer.channels else ((), ())
        )
        self.channel.offer(values, names)
        show = self._form.setRowVisible
        show(self.channel, bool(offer.channels))
        show(self.axes, len(offer.axes) > 1)
        show(self.planes, offer.has_planes)
        is_linkable = offer.has_planes and self.planes.value == PlaneChoice.ALL
        show(self.link, is_linkable and not self._of_classes)
        label = self._form.labelForField(self.channel)
        assert isinstance(label, QLabel)
        label.setText("Colour" if offer.colour else title("channel"))

    def show_kind(self, *, of_classes: bool) -> None:
        """Show what makes sense for classes, or for objects."""
        if of_classes != self._of_classes:
            self._of_classes = of_classes
            self.maps.setText("Add the probabilities" if of_classes else "Add the maps")
            explain(self.maps, CLASS_MAPS_TIP if of_classes else MAPS_TIP)
            if of_classes:
                self._form.setRowVisible(self.link, False)

    def show_output(self, name: str) -> None:
        """Offer to update the last result, by its name; none if it is empty."""
        updating = [(UPDATE, f"update “{name}”")] if name else []
        choices = [(NEW_LAYER, "new layer"), *updating]
        self.output.offer(*zip(*choices, strict=True))
        self._form.setRowVisible(self.output, bool(name))

    def show_sizing(self, text: str) -> None:
        """Say what was found out about the diameter; nothing if it is empty."""
        self.found_diameter.setText(text)
        self.found_diameter.setVisible(bool(text))

    def show_model(self, description: ModelDescription) -> None:
        """Say which diameter is the model's own."""
        usual = description.input_diameter_px or description.working_diameter_px
        explain(self.diameter, f"{tip('diameter')} For this model: {usual:.3g} pixels.")


class AxesChoice(QComboBox):
    """A menu of what the dimensions of an image may be, to choose from or to type.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._offered: tuple[str, ...] = ()
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        keep_wheel_for_scrolling(self)

    def offer(self, axes: tuple[str, ...]) -> None:
        """Offer readings of another image, its own one first and chosen."""
        if axes == self._offered:
            return
        self._offered = axes
        self.blockSignals(True)
        self.clear()
        self.addItems(list(axes))
        self.setCurrentIndex(0)
        self.blockSignals(False)

    @property
    def own(self) -> str:
        """How the image is understood if nobody says anything."""
        return self._offered[0] if self._offered else ""

    @property
    def value(self) -> str:
        """What is chosen or typed."""
        return self.currentText().strip()
