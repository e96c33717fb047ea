"""How the Fine-tune dock looks, and what its controls say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer, Shapes
from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.choices import (
    Choice,
    LayerChoice,
    is_alive,
    is_measuring,
)
from napari_unetic.widgets.class_layers import is_of_classes
from napari_unetic.widgets.controls import (
    Decimal,
    WholeNumber,
    connect,
    explain,
    keep_wheel_for_scrolling,
    text_label,
)
from napari_unetic.widgets.finetune_compare import COMPARING
from napari_unetic.widgets.finetune_jobs import about_run
from napari_unetic.widgets.finetune_verdict import VerdictView
from napari_unetic.widgets.folding import Fold, Form, Scrolled
from napari_unetic.widgets.pairs_list import PairsList
from napari_unetic.widgets.report import Report
from napari_unetic.widgets.review_queue import ReviewQueue
from napari_unetic.widgets.run_button import RunButton, run_shortcut
from napari_unetic.widgets.run_curves import CurveWords, RunView
from napari_unetic.widgets.run_offers import OfferBar

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_unetic.model.registry import ModelEntry

WIDTH = 300

AUTOMATIC = "automatic"
TOUCHED = "touched"
ALL = "all"
"""What is reviewed: found out, only what was touched, or everything."""

IMAGE_TIP = "The image layer that was segmented."
LABELS_TIP = (
    "The labels that you have corrected: objects painted, added or erased with "
    "napari’s own tools. Their history tells what was touched."
)
TIME_TIP = (
    "How long it takes, from the start to the verdict. Two minutes are enough for ten "
    "to a hundred objects; more time helps where there are more."
)
START_TIP = (
    "The model to make better. Each round starts from it anew, with all pairs, so that "
    "mistakes of an earlier round are not built upon."
)
CONTINUE_TIP = (
    "Starts from the model of the last round instead: quicker where a round only adds "
    "a few objects."
)
AREA_TIP = (
    "Where the labels can be trusted. Automatic: what you touched, where it is known "
    "what was predicted, else everything. Touched is each object that you edited, "
    "added or accepted with a rim of half its diameter, and the place of each that "
    "you erased. Or draw the area in a Shapes layer, or paint it in a Labels layer."
)
CHANNEL_TIP = "The channel to learn from."
HELD_OUT_TIP = (
    "Share of the objects that is not learnt from but judged by, at least five. "
    "Without any there is no verdict."
)
RATE_TIP = "How far each step moves the model. Lower it if the loss jumps about."
PATCH_TIP = "Side of the squares that are learnt from, in pixels."
BATCH_TIP = "Squares a step. Fewer take less memory."
LAYERS_TIP = (
    "All layers learn most. Decoder only leaves alone what finds edges and textures, "
    "and changes how objects are made of them."
)
DEVICE_TIP = "Where it runs; a graphics card is taken where there is one."
SEED_TIP = "Another number draws other patches."
STEPS_TIP = (
    "Takes so many steps however long they take, instead of the time above. With the "
    "same number and seed the same model comes out."
)
CURVES = CurveWords(
    "Held-out AP (dashed: before), and loss",
    "Above, how good the model is by now on the held-out objects (AP at IoU .50: 1 is "
    "all found, none too many); the dashed line is the model before. Below, the loss "
    "on what it learns from, which should fall. Both are shown, and choose nothing.",
    "Held-out objects, which are not learnt from, with the outlines that the model "
    "gives them by now.",
    is_compared=True,
)
NAME_TIP = "Name of the new model; a number is added where it is in use."


class LabelsChoice(LayerChoice):
    """A menu of the Labels layers of a viewer that a person may have corrected.

    Parameters
    ----------
    viewer, parent
        As `LayerChoice` has them.
    """

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(viewer, parent, Labels)

    def layers(self) -> list[Layer]:
        """Return the layers to choose from."""
        return [
            layer
            for layer in super().layers()
            if COMPARING not in layer.metadata and not is_of_classes(layer)
        ]


class AreaMenu(Choice):
    """A menu of what is reviewed: found out, touched, all, shapes, a painted mask.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Its layers are followed.
    parent : QWidget
        The dock.
    """

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.labels: Labels | None = None
        for name in ("inserted", "removed", "reordered", "renamed"):
            getattr(viewer.layers.events, name).connect(self.follow)
        self.follow()

    def follow(self, event: object = None) -> None:
        """Offer the layers as they are now."""
        if not is_alive(self):
            return
        drawn = [
            layer
            for layer in reversed(self._viewer.layers)
            if isinstance(layer, Shapes | Labels)
            and layer is not self.labels
            and not is_measuring(layer)
            and COMPARING not in layer.metadata
        ]
        fixed = {AUTOMATIC: "automatic", TOUCHED: "what was touched", ALL: "everything"}
        self.offer(
            [*fixed, *drawn],
            [*fixed.values(), *(f"in “{layer.name}”" for layer in drawn)],
            chosen=AUTOMATIC,
        )


class FinetuneMore(Fold):
    """Everything else that decides a round.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget
        The dock.
    """

    changed = Signal()
    """Something has changed that the plan must tell."""

    area_changed = Signal()
    """Something has changed that decides which objects count."""

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(
            parent, "More", "Start model, reviewed area, and how it is learnt."
        )
        self.start = Choice(self)
        self.go_on = QCheckBox("Continue from the last round", self)
        self.area = AreaMenu(viewer, self)
        self.channel = Choice(self)
        self.held_out = Decimal(self, 0, 50, 25, step=5, decimals=0, unit=" %")
        self.rate = Decimal(self, 1e-5, 0.1, 4e-3, step=1e-3, decimals=5)
        self.patch = WholeNumber(self, "usual", lowest=32, highest=1024, step=32)
        self.batch = WholeNumber(self, "usual", lowest=1, highest=64, unit=" a step")
        self.layers = Choice(self)
        self.device = Choice(self)
        self.seed = QSpinBox(self)
        self.steps = WholeNumber(
            self, "by time", lowest=1, highest=1_000_000, step=100, unit=""
        )
        self.name = QLineEdit(self)
        self._prepare()
        self._lay_out()
        for control in (
            *(self.start, self.go_on, self.held_out, self.rate, self.patch),
            *(self.batch, self.layers, self.device, self.seed, self.steps),
        ):
            connect(control, self.changed.emit)
        self.name.textChanged.connect(lambda text: self.changed.emit())
        for choice in (self.area, self.channel):
            choice.changed.connect(self.area_changed)

    def _prepare(self) -> None:
        self.layers.offer([1.0, 0.0], ["all", "decoder only"])
        self.device.offer(["auto"], ["auto"])
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        keep_wheel_for_scrolling(self.seed)
        self.go_on.setEnabled(False)

    def _lay_out(self) -> None:
        form = self._form = Form(self.content)
        form.setContentsMargins(16, 2, 0, 6)
        form.row("Start model", self.start, START_TIP)
        form.check(self.go_on, CONTINUE_TIP)
        form.row("Reviewed", self.area, AREA_TIP)
        form.row("Channel", self.channel, CHANNEL_TIP)
        form.row("Held out", self.held_out, HELD_OUT_TIP)
        form.row("Learning rate", self.rate, RATE_TIP)
        form.row("Patch", self.patch, PATCH_TIP)
        form.row("Batch", self.batch, BATCH_TIP)
        form.row("Layers", self.layers, LAYERS_TIP)
        form.row("Device", self.device, DEVICE_TIP)
        form.row("Steps", self.steps, STEPS_TIP)
        form.row("Seed", self.seed, SEED_TIP)
        form.row("Name", self.name, NAME_TIP)
        form.setRowVisible(self.channel, False)

    def show_models(self, models: Sequence[ModelEntry], default: str) -> None:
        """Offer models to start from, of objects in planes; the chosen one stays."""
        models = [
            entry
            for entry in models
            if entry.description.target.kind == "instances"
            and entry.description.network.dimensions == 2
        ]
        names = [entry.name for entry in models]
        before = self.start.value
        same = next((e for e in models if before and e.name == before.name), None)
        first = next((e for e in models if e.name == default), None)
        self.start.offer(models, names, chosen=same or first)
        for index, entry in enumerate(models):
            self.start.explain(index, entry.description.summary)

    def show_defaults(self, defaults: dict[str, Any]) -> None:
        """Say what is usual."""
        explain(self.patch, f"{PATCH_TIP} Usual: {defaults['patch_px']}.")
        explain(self.batch, f"{BATCH_TIP} Usual: {defaults['batch']}.")
        explain(self.rate, f"{RATE_TIP} Usual: {defaults['learning_rate']:g}.")

    def show_channels(
        self, channels: Sequence[tuple[int | None, str]], usual: int | None
    ) -> None:
        """Offer the channels of an image; hidden where there is no choice."""
        values = [value for value, _ in channels]
        if values != list(self.channel.objects):
            self.channel.offer(values, [name for _, name in channels])
            known = usual is not None and usual in values
            self.channel.setCurrentIndex(values.index(usual) if known else 0)
        self._form.setRowVisible(self.channel, bool(channels))


class FinetuneForm(QWidget):
    """The controls of the Fine-tune dock; what they do is the business of its heir.

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
        self.offers = OfferBar(self, about_run, "See the verdict")
        self.image = LayerChoice(viewer, self, ImageLayer)
        self.labels = LabelsChoice(viewer, self)
        self.minutes = Decimal(self, 1, 600, 2, step=0.5, decimals=1, unit=" min")
        self.plan = text_label(self)
        self.button = RunButton(
            self,
            "Improve",
            "Learns from the corrections, then says whether the new model is better on "
            "objects it was not shown",
            "Ends with the step at hand and judges what was learnt so far",
        )
        self.report = Report(self)
        self.view = RunView(self, CURVES)
        self.verdict = VerdictView(self)
        self.pairs_fold = Fold(
            self,
            "Pairs",
            "The images with corrections that are learnt from, all together. The one "
            "chosen above is added when you press Improve.",
        )
        self.pairs = PairsList(viewer, self.pairs_fold.content)
        self.review_fold = Fold(
            self,
            "Review",
            "The objects one after the other, the most doubtful first: correct or "
            "accept them. Accepted ones are learnt from, too.",
        )
        self.review = ReviewQueue(viewer, self.review_fold.content)
        self.more = FinetuneMore(viewer, self)
        self._lay_out()
        self.run_key = run_shortcut(self)
        self.run_key.activated.connect(self.button.click)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)

    def _lay_out(self) -> None:
        for fold, inner in (
            (self.pairs_fold, self.pairs),
            (self.review_fold, self.review),
        ):
            box = QVBoxLayout(fold.content)
            box.setContentsMargins(16, 2, 0, 6)
            box.addWidget(inner)
        self.content = QWidget(self)
        form = Form()
        form.row("Image", self.image, IMAGE_TIP)
        form.row("Corrected", self.labels, LABELS_TIP)
        form.row("Time", self.minutes, TIME_TIP)
        layout = QVBoxLayout(self.content)
        layout.addWidget(self.offers)
        layout.addLayout(form)
        for widget in (
            *(self.plan, self.button, self.report, self.view, self.verdict),
            *(self.review_fold, self.pairs_fold, self.more),
        ):
            layout.addWidget(widget)
        layout.addStretch()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(Scrolled(self.content, self))

    def sizeHint(self) -> QSize:
        """Ask for a dock wide enough to read."""
        return super().sizeHint().expandedTo(QSize(WIDTH, 0))

    def show_budget(self) -> None:
        """Grey the time out where steps are asked for."""
        self.minutes.setEnabled(self.more.steps.number is None)

    def settings(self) -> dict[str, Any]:
        """Return what the controls say, as `finetune_settings` takes it."""
        more = self.more
        steps = more.steps.number
        return {
            "minutes": None if steps is not None else self.minutes.value(),
            "steps": steps,
            "learning_rate": more.rate.value(),
            "patch_px": more.patch.number,
            "batch": more.batch.number,
            "encoder_rate": more.layers.value,
            "seed": more.seed.value(),
        }
