"""How the Segment dock looks, and what its controls say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_unetic.errors import UneticError
from napari_unetic.widgets.choices import (
    Choice,
    ImageChoice,
    PlaneChoice,
    RegionChoice,
)
from napari_unetic.widgets.controls import (
    Slider,
    explain,
    text_label,
    tip,
    title,
    wrapped,
)
from napari_unetic.widgets.folding import Form, Scrolled
from napari_unetic.widgets.layers import LayerSource, layer_source
from napari_unetic.widgets.offers import Controls, Offer, controls_of, offer
from napari_unetic.widgets.places import (
    current_plane,
    letters_of,
    shapes_region,
    view_region,
)
from napari_unetic.widgets.report import Report
from napari_unetic.widgets.run_button import RunButton, run_shortcut
from napari_unetic.widgets.sections import (
    MIDDLE,
    AdjustSection,
    MoreSection,
    ResultSection,
)

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer

    from napari_unetic.image.region import Region
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.settings import SegmentSettings

WIDTH = 300
"""Width of the dock when it opens, in pixels."""

MODEL_TIP = "The network that finds the objects, or tells classes of pixels."
CLASS_TIP = (
    "From 0 to 1: more finds more of the classes, less only what is sure. 0.5 is as "
    f"the model was tuned. {MIDDLE}"
)
NO_IMAGE = "No image to segment: open one, or a sample (File > Open Sample)."


class SegmentForm(QWidget):
    """The controls of the Segment dock; what they do is the business of its heir.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._offer = Offer()
        self.image = ImageChoice(viewer, self)
        self.model = Choice(self)
        self.sensitivity = Slider(self)
        self.plan = text_label(self)
        self.button = RunButton(
            self,
            "Segment",
            "Runs the network on the image",
            "Ends with the tile at hand; adds nothing",
        )
        self.report = Report(self)
        self.legend = QLabel(self)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setToolTip(
            wrapped(
                "The classes of the result, with their share of the pixels. Rest the "
                "mouse on the image, and the window’s lower edge names the class there."
            )
        )
        self.legend.hide()
        self.adjust = AdjustSection(self)
        self.result = ResultSection(self)
        self.more = MoreSection(viewer, self)
        self._lay_out()
        self.run_key = run_shortcut(self)
        self.run_key.activated.connect(self.button.click)
        self.escape = run_shortcut(self, "Escape")
        self.escape.setEnabled(False)
        # A click beside the controls is enough for the shortcut.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def _lay_out(self) -> None:
        content = QWidget(self)
        form = Form()
        form.row("Image", self.image, "The image layer to segment.")
        form.row("Model", self.model, MODEL_TIP)
        form.row(title("sensitivity"), self.sensitivity, tip("sensitivity", MIDDLE))
        layout = QVBoxLayout(content)
        layout.addLayout(form)
        for widget in (
            self.plan,
            self.button,
            self.report,
            self.legend,
            self.adjust,
            self.result,
            self.more,
        ):
            layout.addWidget(widget)
        layout.addStretch()
        self.adjust.hide()
        self.result.hide()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(content, self))

    def sizeHint(self) -> QSize:
        """Ask for a dock wide enough to read."""
        return super().sizeHint().expandedTo(QSize(WIDTH, 0))

    def show_found(self, models: Sequence[ModelEntry], devices: Sequence[str]) -> None:
        """Offer the models and the devices that there are."""
        names = [entry.name for entry in models]
        name = self.model.currentText()
        same = models[names.index(name)] if name in names else None
        self.model.offer(models, names, chosen=same)
        for index, entry in enumerate(models):
            self.model.explain(index, entry.description.summary)
        self.more.device.offer(devices, devices)

    # What the controls say

    def understood(
        self, layer: ImageLayer, description: ModelDescription | None
    ) -> LayerSource:
        """Return an image as its axes were chosen, and show what there is to choose.

        Raises
        ------
        UneticError
            If its dimensions cannot be those of an image, or not in that way.
        """
        n_taken, in_volumes = 1, False
        if description is not None:
            n_taken = description.network.in_channels
            in_volumes = description.network.dimensions == 3
        source = own = layer_source(layer)
        try:
            axes = self.more.axes.value if self.more.axes.own == own.axes else ""
            if axes not in ("", own.axes):
                source = layer_source(layer, axes)
        finally:
            self._offer = offer(source, own.axes, n_taken, in_volumes=in_volumes)
            self.more.show_offer(self._offer)
        return source

    def settings(self, layer: ImageLayer, source: LayerSource) -> SegmentSettings:
        """Return what the controls say, as far as the image has a use for it.

        Raises
        ------
        UneticError
            If a value is out of bounds, or there is no such region.
        """
        letters = letters_of(layer, source.axes)
        more = self.more
        return Controls(
            axes=more.axes.value,
            channel=more.channel.value,
            plane=self._plane(layer, letters),
            region=self._region(layer, letters),
            diameter=more.diameter.value,
            device=more.device.value,
            precision=more.precision.value,
            tile=more.tile.number,
            **self._threshold_values(),
        ).settings(self._offer, of_classes=self.of_classes)

    def thresholds(self) -> SegmentSettings:
        """Return settings that hold the thresholds alone."""
        controls = Controls(**self._threshold_values())
        return controls.settings(self._offer, of_classes=self.of_classes)

    @property
    def of_classes(self) -> bool:
        """Whether the chosen model tells classes of pixels."""
        entry = self.model.value
        return bool(entry and entry.description.target.kind == "semantic")

    def show_legend(self, text: str) -> None:
        """Show the legend of a result of classes; none if it is empty."""
        self.legend.setText(text)
        self.legend.setVisible(bool(text))

    def show_kind(self) -> None:
        """Show the controls that make sense for the chosen model, and no others."""
        of_classes = self.of_classes
        explain(
            self.sensitivity, CLASS_TIP if of_classes else tip("sensitivity", MIDDLE)
        )
        self.adjust.show_kind(of_classes=of_classes)
        self.more.show_kind(of_classes=of_classes)

    def set_controls(self, settings: SegmentSettings) -> None:
        """Let the controls say what settings say."""
        values, more, adjust = controls_of(settings), self.more, self.adjust
        more.axes.setCurrentText(values.axes or more.axes.own)
        more.channel.choose(values.channel)
        more.planes.fix(values.plane)
        more.region.fix(values.region)
        more.diameter.value = values.diameter
        more.device.choose(values.device)
        more.precision.choose(values.precision)
        more.tile.number = values.tile
        more.link.setChecked(values.link)
        self.sensitivity.value = values.sensitivity
        adjust.splitting.value = values.splitting
        adjust.smallest.number = values.smallest
        adjust.fill_holes.setChecked(values.fill_holes)
        adjust.drop_border.setChecked(values.drop_border)

    @property
    def held(self) -> bool:
        """Whether the mouse holds a slider."""
        return self.sensitivity.held or self.adjust.splitting.held

    def _threshold_values(self) -> dict[str, Any]:
        adjust = self.adjust
        return {
            "sensitivity": self.sensitivity.value,
            "splitting": adjust.splitting.value,
            "smallest": adjust.smallest.number,
            "fill_holes": adjust.fill_holes.isChecked(),
            "drop_border": adjust.drop_border.isChecked(),
            "link": self.more.link.isChecked()
            and self.more.planes.value == PlaneChoice.ALL,
        }

    def _plane(self, layer: ImageLayer, letters: str) -> tuple[int, ...] | None:
        chosen = self.more.planes.value
        if not self._offer.has_planes or chosen == PlaneChoice.ALL:
            return None
        if chosen == PlaneChoice.CURRENT:
            plane = current_plane(self._viewer, layer, letters)
            # In volumes the frame alone, the first of the two.
            return plane[:1] if self._offer.in_volumes else plane
        fixed: tuple[int, ...] = chosen
        return fixed

    def _region(self, layer: ImageLayer, letters: str) -> Region | None:
        chosen = self.more.region.value
        if chosen == RegionChoice.WHOLE:
            return None
        if chosen == RegionChoice.VIEW:
            return view_region(self._viewer, layer, letters)
        if hasattr(chosen, "shape_type"):
            return shapes_region(chosen, layer, letters)
        region: Region = chosen
        return region

    @property
    def follows_view(self) -> bool:
        """Whether what is segmented depends on what the window shows."""
        more = self.more
        by_region = more.region.value == RegionChoice.VIEW
        return bool(by_region or more.planes.value == PlaneChoice.CURRENT)

    def chosen_image(self) -> ImageLayer:
        """Return the image layer that is chosen.

        Raises
        ------
        UneticError
            If there is none.
        """
        if self.image.value is None:
            raise UneticError(NO_IMAGE)
        layer: ImageLayer = self.image.value
        return layer
