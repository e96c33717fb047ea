"""How the Train dock looks, and what its controls say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.choices import Choice
from napari_unetic.widgets.controls import (
    explain,
    keep_wheel_for_scrolling,
    make_narrow,
    text_label,
)
from napari_unetic.widgets.folding import Form, Scrolled
from napari_unetic.widgets.report import Report
from napari_unetic.widgets.run_button import RunButton, run_shortcut
from napari_unetic.widgets.run_curves import CurveWords, RunView
from napari_unetic.widgets.run_offers import OfferBar
from napari_unetic.widgets.settings_entries import Real
from napari_unetic.widgets.train_jobs import about_run
from napari_unetic.widgets.train_more import DataChoice, TrainMore
from napari_unetic.widgets.train_pairs import FolderSource, LayerSource, Sharing
from napari_unetic.widgets.train_plan import BUDGETS
from napari_unetic.widgets.train_result import TrainedView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer

    from napari_unetic.widgets.train_jobs import Around

WIDTH = 300

CURVES = CurveWords(
    "Validation score, and loss",
    "Above, how good the model is by now on the images held back (of objects the mean "
    "AP over IoU .50 to .90, of classes the mean IoU; 1 is best); the best weights are "
    "kept. Below, the loss on what it learns from, which should fall.",
)

DATA_TIP = (
    "What is learnt from: image layers with Labels layers on them, or a folder or zip "
    "of images and labels: images/ with labels/ or masks/, NAME.tif beside "
    "NAME_labels.tif, or as the Data Science Bowl 2018 has it."
)
BUDGET_TIP = (
    "How long it learns: minutes, epochs (passes over all training pixels) or steps of "
    "the optimiser."
)
OBJECTS = "none: objects, one by one"


class TrainForm(QWidget):
    """The controls of the Train dock; what they do is the business of its heir.

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
        self.offers = OfferBar(self, about_run, "See the model")
        self.data = DataChoice(self)
        self.classes = QLineEdit(self)
        self.network = Choice(self)
        self.budget = Real(self, 0, 1_000_000)
        self.unit = Choice(self)
        self.plan = text_label(self)
        self.button = RunButton(
            self,
            "Train",
            "Trains a network from scratch, in a process of its own",
            "Ends with the step at hand, and keeps the best model so far",
        )
        self.report = Report(self)
        self.view = RunView(self, CURVES)
        self.result = TrainedView(self)
        self.more = TrainMore(viewer, self)
        self._prepare()
        self._lay_out()
        self.run_key = run_shortcut(self)
        self.run_key.activated.connect(self.button.click)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def _prepare(self) -> None:
        self.classes.setPlaceholderText(OBJECTS)
        self.budget.setValue(30)
        # Beside its unit the number would else have no room for three digits.
        make_narrow(self.budget, width=64)
        self.unit.offer(list(BUDGETS), list(BUDGETS.values()))
        keep_wheel_for_scrolling(self.unit)

    def _lay_out(self) -> None:
        budget = QWidget(self)
        row = QHBoxLayout(budget)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.budget, 3)
        row.addWidget(self.unit, 2)
        content = QWidget(self)
        form = self._form = Form()
        form.row("Data", self.data, DATA_TIP)
        form.row("Classes", self.classes, OBJECTS)
        form.row("Network", self.network, "")
        form.row("Budget", budget, BUDGET_TIP)
        for part in (self.budget, self.unit):
            explain(part, BUDGET_TIP)
        layout = QVBoxLayout(content)
        layout.addWidget(self.offers)
        layout.addLayout(form)
        for widget in (
            *(self.plan, self.button, self.report, self.view),
            *(self.result, self.more),
        ):
            layout.addWidget(widget)
        layout.addStretch()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(content, self))

    def sizeHint(self) -> QSize:
        """Ask for a dock wide enough to read."""
        return super().sizeHint().expandedTo(QSize(WIDTH, 0))

    def show_around(self, around: Around) -> None:
        """Offer networks and devices, and build what is made of the settings."""
        fields = around.settings.model_fields
        for control, name in ((self.classes, "classes"), (self.network, "preset")):
            explain(control, fields[name].description or "")
        self.network.offer(
            around.networks,
            [f"{n.name} ({_millions(n.n_parameters)})" for n in around.networks],
        )
        for index, network in enumerate(around.networks):
            self.network.explain(index, network.source)
        self.more.device.offer(around.devices, around.devices)
        self.more.show_settings(around.settings)

    # What the controls say

    def source(self) -> FolderSource | LayerSource:
        """Return what is learnt from."""
        path = self.data.path
        if path is None:
            return LayerSource(self.more.layers.pairs, self.more.channel.number)
        labels = self.more.labels.text().strip()
        return FolderSource(path, Path(labels).expanduser() if labels else None)

    def sharing(self) -> Sharing:
        """Return how the pairs are shared out."""
        said = {} if self.more.settings is None else self.more.settings.values()
        share = self.more.share.value() / 100
        return Sharing(share, int(said.get("seed", 0)), bool(self.class_names()))

    def class_names(self) -> tuple[str, ...]:
        """Return the classes as typed; none for objects."""
        text = self.classes.text().strip()
        return tuple(part.strip() for part in text.split(",")) if text else ()

    def values(self) -> dict[str, Any]:
        """Return what the controls say, as `train_settings` takes it."""
        said = {} if self.more.settings is None else self.more.settings.values()
        unit, amount = self.unit.value, self.budget.value()
        said[unit] = amount if unit == "minutes" or amount % 1 else round(amount)
        said["classes"] = self.class_names()
        if self.network.value is not None:
            said["preset"] = self.network.value.name
        return said

    def controls_in_sight(self) -> Sequence[QWidget]:
        """Return the controls that are not folded away."""
        return self.data, self.classes, self.network, self.budget, self.button


def _millions(n: int) -> str:
    return f"{n / 1e6:.2g} M"
