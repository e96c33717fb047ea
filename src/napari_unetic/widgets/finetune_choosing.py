"""What the Fine-tune dock has to choose from, and what it says will happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unetic.errors import UneticError
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.controls import mark
from napari_unetic.widgets.finetune_counting import Counted, count_steps
from napari_unetic.widgets.finetune_form import FinetuneForm
from napari_unetic.widgets.finetune_jobs import Around, look_steps
from napari_unetic.widgets.finetune_models import base_of
from napari_unetic.widgets.finetune_plan import Round
from napari_unetic.widgets.jobs import Job, delay
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.offers import offer
from napari_unetic.widgets.run_offers import to_offer
from napari_unetic.widgets.run_words import device_text
from napari_unetic.widgets.wording import foldable, shortened

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Labels
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

    from napari_unetic.finetuning.collected import CollectedPair
    from napari_unetic.finetuning.runs import RunState
    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.steps import Step
    from napari_unetic.widgets.relay import Outcome

DEFAULT_MODEL = "nuclei"

LOADING = "PyTorch is being loaded …"
LOOKING = "Looking at the corrections …"
NO_MODEL = "No model is there: install napari-unetic again, it brings one along."
NO_IMAGE = "No image: open one, segment it, and correct at least ten objects."
NO_LABELS = (
    "No labels: segment the image with the Segment dock, then correct at least ten "
    "objects with napari’s own tools."
)
LABELS_EVENTS = ("paint", "data", "metadata", "features", "set_data")
_LATER_MS = 300


class FinetuneChoosing(FinetuneForm):
    """The part of the dock that follows layers, models and runs, and says the plan.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None) -> None:
        super().__init__(viewer, parent)
        self._models: list[ModelEntry] = []
        self._devices: list[str] = ["cpu"]
        self._counted: Counted | None = None
        self._count_again = False
        self._changes: tuple[int, ...] = ()
        self._followed: Labels | None = None
        self._round: Round | None = None
        self._last: Path | None = None
        self._start_chosen = False
        self._updating = False
        self._look = Job(self, _ignore, self._looked)
        self._count = Job(self, _ignore, self._count_ended)
        self._later = delay(self, _LATER_MS, self._recount)
        self.image.changed.connect(self._chosen)
        self.labels.changed.connect(self._chosen)
        self.minutes.valueChanged.connect(lambda value: self._show_plan())
        self.more.changed.connect(self._show_plan)
        self.more.start.currentIndexChanged.connect(self._start_was_chosen)
        self.more.area_changed.connect(self._corrected)
        self.pairs.changed.connect(self._corrected)
        self.review.reviewed.connect(self._corrected)

    @property
    def _working(self) -> bool:
        """Whether a round is going on, or something else that must not be disturbed."""
        return False

    # What is there and what is chosen

    def _looked(self, outcome: Outcome) -> None:
        """Offer the models, the devices, and the runs that wait."""
        if outcome.error is not None:
            self.report.fail(outcome.error, outcome.trace)
        elif not outcome.stopped:
            around: Around = outcome.value
            self._devices = around.devices
            self.more.device.offer(around.devices, around.devices)
            self.more.show_defaults(around.defaults)
            self.view.curves.prepare()
            self._show_models(around.models)
            self._offer(around.runs)
        self._corrected()
        self._show_plan()

    def _show_models(self, models: list[ModelEntry]) -> None:
        self._models = models
        self._updating = True
        try:
            self.more.show_models(models, DEFAULT_MODEL)
            self._suggest_start()
        finally:
            self._updating = False

    def _find(self) -> None:
        """Look for models, devices and runs again."""
        if not self._look.running and not self._working:
            self._look.start(look_steps())
            self._show_plan()

    def _offer(self, runs: list[RunState]) -> None:
        there = to_offer(runs, self.verdict.state)
        self.offers.offer([] if self._working else there)

    def _start_was_chosen(self) -> None:
        self._start_chosen |= not self._updating
        self._show_channels()

    def _suggest_start(self) -> None:
        """Start from what made the labels, before it was fine-tuned itself."""
        record = self._record()
        if self._start_chosen or record is None:
            return
        entry = next((e for e in self._models if e.name == record.get("model")), None)
        if entry is not None:
            self.more.start.choose(base_of(entry, self._models))

    def _record(self) -> dict[str, Any] | None:
        labels = self.labels.value
        return None if labels is None else labels.metadata.get(METADATA_KEY)

    def _chosen(self) -> None:
        """Follow the chosen labels, and no others."""
        before, self._followed = self._followed, self.labels.value
        if before is not self._followed:
            for name in LABELS_EVENTS:
                if before is not None:
                    getattr(before.events, name).disconnect(self._maybe_corrected)
                if self._followed is not None:
                    getattr(self._followed.events, name).connect(self._maybe_corrected)
        self.more.area.labels = self._followed
        self.more.area.follow()
        self._updating = True
        try:
            self._suggest_start()
        finally:
            self._updating = False
        self._show_channels()
        self.review.follow(self.image.value, self.labels.value)
        self._counted = None
        self._corrected()
        self._show_plan()

    def _show_channels(self) -> None:
        channels: tuple[tuple[int | None, str], ...] = ()
        layer, entry = self.image.value, self.more.start.value
        if layer is not None and entry is not None:
            try:
                source = layer_source(layer)
            except UneticError:
                source = None
            if source is not None:
                n_taken = entry.description.network.in_channels
                channels = offer(source, source.axes, n_taken).channels
        if channels and all(value is not None for value, _ in channels):
            # The first layer of the model is then adapted.
            channels = (*channels, (None, "all"))
        record = self._record() or {}
        self.more.show_channels(channels, record.get("settings", {}).get("channel"))

    def _maybe_corrected(self, event: Any = None) -> None:
        """Count again, unless the layer was only drawn again."""
        labels = self._followed
        if not is_alive(self) or labels is None:
            return
        drawn = event is not None and getattr(event, "type", "") == "set_data"
        names = ("_undo_history", "_redo_history")
        changes = (
            id(labels.data),
            *(len(getattr(labels, name, ())) for name in names),
        )
        if not drawn or changes != self._changes:
            self._changes = changes
            self._corrected()

    def _corrected(self) -> None:
        """Count again, soon: a stroke of the brush is many events."""
        if is_alive(self):
            self._later.start()

    def _recount(self) -> None:
        if self._look.running:
            return
        if self._count.running:
            self._count_again = True
            return
        self._count.start(
            count_steps(
                self.image.value,
                self.labels.value,
                self.more.area.value,
                self._other_pairs(),
            )
        )

    def _count_ended(self, outcome: Outcome) -> None:
        if self._count_again:
            self._count_again = False
            self._corrected()
        if outcome.error is not None:
            self._counted = None
            self._show_plan(str(outcome.error))
            if not isinstance(outcome.error, UneticError):
                self.report.fail(outcome.error, outcome.trace)
            return
        if not outcome.stopped:
            self._counted = outcome.value
        self._show_plan()

    def _other_pairs(self) -> list[CollectedPair]:
        """Return the pairs of other images."""
        layer = self.image.value
        name = None if layer is None else layer.name
        return [pair for pair in self.pairs.pairs if pair.source != name]

    # What will happen

    def _show_plan(self, problem: str = "") -> None:
        """Say what will happen, or why it cannot."""
        if not is_alive(self) or self._working:
            return
        self.show_budget()
        start = self.more.start.value
        self.more.name.setPlaceholderText(f"{start.name}-tuned" if start else "")
        self._round = None
        if not problem:
            problem, self._round = self._planned()
        text = problem if self._round is None else self._round.text
        self.plan.setText(foldable(text))
        quiet = ("", NO_IMAGE, NO_LABELS, LOADING, LOOKING)
        mark(self.plan, bad=problem not in quiet)
        self.button.show_ready(problem)

    def _planned(self) -> tuple[str, Round | None]:
        """Return what stands against a round, or the round."""
        if self._look.running:
            return LOADING, None
        if self.more.start.value is None:
            return NO_MODEL, None
        if self.image.value is None and not self._other_pairs():
            return NO_IMAGE, None
        if self.labels.value is None and not self._other_pairs():
            return NO_LABELS, None
        if self._counted is None:
            return LOOKING, None
        found, n_other = self._counted.corrections, self._counted.n_other
        planned = Round(
            here=found.text if found.n_planes else "",
            n_here=found.n_objects,
            n_other=n_other,
            n_images=self._counted.n_pairs + found.n_planes,
            share=self.more.held_out.value() / 100,
            start=self._start_text(),
            device=device_text(self.more.device.value or "auto", self._devices),
            minutes=self.minutes.value(),
            steps=self.more.steps.number,
            is_open=self.labels.value is not None,
        )
        if planned.problem:
            nothing = not found.n_objects and not n_other
            return (found.missing if nothing else "") or planned.problem, None
        return "", planned

    def _start_text(self) -> str:
        if self._continues:
            assert self._last is not None
            return f"“{shortened(self._last.name, 24)}”, the last round"
        return shortened(self.more.start.currentText(), 24)

    @property
    def _continues(self) -> bool:
        return self._last is not None and self.more.go_on.isChecked()

    def _name(self) -> str:
        typed = self.more.name.text().strip()
        return typed or f"{self.more.start.value.name}-tuned"


def _ignore(step: Step) -> None:
    """Show nothing of what takes a second or two."""
