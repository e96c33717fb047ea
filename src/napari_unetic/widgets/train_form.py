"""How the Train dock looks, and what its controls say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.choices import Choice
from napari_unetic.widgets.controls import (
    WholeNumber,
    connect,
    explain,
    keep_wheel_for_scrolling,
    text_label,
)
from napari_unetic.widgets.folding import Fold, Form, Scrolled
from napari_unetic.widgets.report import Report
from napari_unetic.widgets.run_button import RunButton, run_shortcut
from napari_unetic.widgets.run_curves import CurveWords, RunView
from napari_unetic.widgets.run_offers import OfferBar
from napari_unetic.widgets.run_process import Machine
from napari_unetic.widgets.settings_entries import Real
from napari_unetic.widgets.settings_form import SettingsForm
from napari_unetic.widgets.train_jobs import about_run
from napari_unetic.widgets.train_layers import LayerPairs
from napari_unetic.widgets.train_pairs import FolderSource, LayerSource, Sharing
from napari_unetic.widgets.train_plan import BUDGETS
from napari_unetic.widgets.train_result import TrainedView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.viewer import Viewer

    from napari_unetic.training.settings import TrainSettings
    from napari_unetic.widgets.train_jobs import Around

WIDTH = 300

IN_SIGHT: Final = ("preset", "classes", "minutes", "epochs", "steps")
"""Fields of the settings whose controls are not folded away."""

NOT_FROM_SCRATCH: Final = ("encoder_rate", "anchor", "rehearsal", "norms")
"""Fields that mean nothing where training starts from random weights."""

GROUPS: Final = {
    "Network": ("channels", "normalisation", "resize_px"),
    "Loss": ("loss", "class_weights", "border_weight", "border_px", "contact_gap_px"),
    "Optimiser": (
        *("optimiser", "learning_rate", "schedule", "warm_up", "momentum"),
        *("weight_decay", "clip", "average"),
    ),
    "Learning": ("batch", "patch_px", "validations", "patience", "tune", "seed"),
}
"""Sections of the other fields; what is new among them comes last."""

UNSET: Final = {"patience": "never", "resize_px": "own size"}
"""What it means to leave a field out, where that is not the usual thing."""

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
LABELS_TIP = "Where the labels are, if they are not in the same folder or zip."
SHARE_TIP = (
    "Share of the images that is not learnt from: weights and thresholds are chosen on "
    "it. Of a single image a quarter is cut off."
)
CHANNEL_TIP = "Of layers with several channels, the one to learn from."
NAME_TIP = "Name of the new model; a number is added where it is in use."
DEVICE_TIP = "Where it runs; a graphics card is taken where there is one."
THREADS_TIP = "Of the processor; usual: all but one, which is left for the window."
WORKERS_TIP = (
    "Processes that prepare patches ahead; usual: one. With none the training does it "
    "itself: slower, but with less memory."
)


class DataChoice(Choice):
    """A menu of where the data come from: layers, or a folder or zip to look for.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    LAYERS: Final = "layers"
    FOLDER: Final = "folder"
    ZIP: Final = "zip"

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._paths: list[Path] = []
        self._before: Any = self.LAYERS
        self._offer()
        self.activated.connect(self._activated)

    @property
    def path(self) -> Path | None:
        """The folder or zip; None for layers, and while it is looked for."""
        return self.value if isinstance(self.value, Path) else None

    def choose_path(self, path: Path) -> None:
        """Choose a folder or zip."""
        if path not in self._paths:
            self._paths.insert(0, path)
        self._offer()
        self.choose(path)
        self._before = path

    def _offer(self) -> None:
        fixed = {
            self.LAYERS: "layers of this viewer",
            self.FOLDER: "a folder …",
            self.ZIP: "a zip …",
        }
        self.offer(
            [self.LAYERS, *self._paths, self.FOLDER, self.ZIP],
            [
                fixed[self.LAYERS],
                *(path.name for path in self._paths),
                fixed[self.FOLDER],
                fixed[self.ZIP],
            ],
        )
        for index, path in enumerate(self._paths, start=1):
            self.explain(index, str(path))

    def _activated(self, index: int) -> None:
        chosen = self.value
        if chosen in (self.FOLDER, self.ZIP):
            found = self._ask(chosen)
            if found is None:
                self.choose(self._before)
            else:
                self.choose_path(found)
        else:
            self._before = chosen

    def _ask(self, what: str) -> Path | None:
        title = "Images and labels"
        if what == self.FOLDER:
            text = QFileDialog.getExistingDirectory(self, title)
        else:
            text, _ = QFileDialog.getOpenFileName(self, title, "", "Zip (*.zip)")
        return Path(text) if text else None


class TrainMore(Fold):
    """Everything else that decides a training.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Something has changed that the plan must tell."""

    data_changed = Signal()
    """Something has changed that decides what is learnt from."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(
            parent, "More", "Data, network, loss, optimiser, augmentation, device."
        )
        self.data_fold = Fold(
            self, "Data", "Layers, labels of a folder, what is held back."
        )
        self.layers = LayerPairs(viewer, self.data_fold.content)
        self.labels = QLineEdit(self)
        self.browse = QPushButton("…", self)
        self.channel = WholeNumber(self, "all", lowest=0, highest=63, unit="")
        self.share = Real(self, 1, 90)
        self.machine_fold = Fold(self, "Run", "Name of the model, device, workers.")
        self.name = QLineEdit(self)
        self.device = Choice(self)
        self.threads = WholeNumber(self, "usual", lowest=1, highest=256, unit="")
        self.workers = WholeNumber(self, "usual", lowest=0, highest=64, unit="")
        self.settings: SettingsForm | None = None
        self._prepare()
        self._lay_out()

    def _prepare(self) -> None:
        self.share.setSuffix(" %")
        self.share.setValue(10)
        self.device.offer(["auto"], ["auto"])
        self.browse.setMaximumWidth(30)
        self.browse.clicked.connect(self._browse)
        self.layers.changed.connect(self.data_changed)
        self.labels.textChanged.connect(lambda text: self.data_changed.emit())
        for control in (self.channel, self.share):
            connect(control, self.data_changed.emit)
        self.name.textChanged.connect(lambda text: self.changed.emit())
        connect(self.device, self.changed.emit)
        for number in (self.threads, self.workers):
            connect(number, self.changed.emit)

    def _lay_out(self) -> None:
        labels = QWidget(self)
        row = QHBoxLayout(labels)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.labels)
        row.addWidget(self.browse)
        data = self._data_form = Form(self.data_fold.content)
        data.setContentsMargins(16, 2, 0, 6)
        data.addRow(self.layers)
        data.row("Labels in", labels, LABELS_TIP)
        data.row("Channel", self.channel, CHANNEL_TIP)
        data.row("Held back", self.share, SHARE_TIP)
        self.labels.setPlaceholderText("the same folder")
        explain(self.labels, LABELS_TIP)
        machine = Form(self.machine_fold.content)
        machine.setContentsMargins(16, 2, 0, 6)
        machine.row("Name", self.name, NAME_TIP)
        machine.row("Device", self.device, DEVICE_TIP)
        machine.row("Threads", self.threads, THREADS_TIP)
        machine.row("Workers", self.workers, WORKERS_TIP)
        self._layout = QVBoxLayout(self.content)
        self._layout.setContentsMargins(16, 2, 0, 6)
        self._layout.setSpacing(2)
        self._layout.addWidget(self.data_fold)
        self._layout.addWidget(self.machine_fold)
        self.show_source(from_layers=True)

    def show_source(self, *, from_layers: bool) -> None:
        """Show what there is to choose for layers, or for a folder."""
        self._data_form.setRowVisible(0, from_layers)
        self._data_form.setRowVisible(1, not from_layers)
        self._data_form.setRowVisible(2, from_layers)

    def show_settings(self, settings: type[TrainSettings]) -> SettingsForm:
        """Show the fields of the settings; return their form."""
        if self.settings is None:
            without = (*IN_SIGHT, *NOT_FROM_SCRATCH)
            form = SettingsForm(settings, GROUPS, without, UNSET, self.content)
            self._layout.insertWidget(1, form)
            form.changed.connect(self.changed)
            self.settings = form
        return self.settings

    def machine(self) -> Machine:
        """Return what a run is trained with."""
        return Machine(
            self.device.value or "auto", self.threads.number, self.workers.number
        )

    def _browse(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "Labels")
        if found:
            self.labels.setText(found)


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
