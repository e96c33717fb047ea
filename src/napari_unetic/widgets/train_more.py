"""Where the Train dock learns from, and all that is folded away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.choices import Choice
from napari_unetic.widgets.controls import WholeNumber, connect, explain
from napari_unetic.widgets.folding import Fold, Form
from napari_unetic.widgets.run_process import Machine
from napari_unetic.widgets.settings_entries import Real
from napari_unetic.widgets.settings_form import SettingsForm
from napari_unetic.widgets.train_layers import LayerPairs

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unetic.training.settings import TrainSettings

IN_SIGHT: Final = ("preset", "classes", "minutes", "epochs", "steps")
"""Fields of the settings whose controls are not folded away."""

NOT_FROM_SCRATCH: Final = ("encoder_rate", "anchor", "rehearsal", "norms")
"""Fields that mean nothing where training starts from random weights."""

OF_VOLUMES: Final = ("patch_planes", "anisotropy")
"""Fields for networks that take volumes, which the dock leaves to the command."""

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
            without = (*IN_SIGHT, *NOT_FROM_SCRATCH, *OF_VOLUMES)
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
