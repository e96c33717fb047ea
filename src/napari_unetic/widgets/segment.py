"""The Segment dock: an image layer, a model, one button; a Labels layer comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from qtpy.QtCore import QEvent

from napari_unetic.errors import UneticError
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.class_layers import legend_text
from napari_unetic.widgets.controls import mark, wrapped
from napari_unetic.widgets.diameter_tool import DiameterTool
from napari_unetic.widgets.jobs import Job, delay
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.live_jobs import LiveThresholds
from napari_unetic.widgets.lookup import Lookup
from napari_unetic.widgets.plan_line import Forecast, forecast
from napari_unetic.widgets.result_actions import ResultActions
from napari_unetic.widgets.sections import UPDATE
from napari_unetic.widgets.segment_form import NO_IMAGE, SegmentForm
from napari_unetic.widgets.showing import Found, run_steps, show, summary
from napari_unetic.widgets.sizing import sizing_remark, sizing_text
from napari_unetic.widgets.wording import foldable, shortened

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.settings import SegmentSettings
    from napari_unetic.widgets.relay import Outcome
    from napari_unetic.widgets.results import SegmentedLayer

LAYER_EVENTS = ("data", "name", "scale", "units", "axis_labels")
"""Events of an image layer that change what the dock says about it."""

SHARE_FOR_MAPS = 1 / 4
"""Maps are kept up to this share of the free memory."""

LOADING = "PyTorch is being loaded …"
NO_MODEL = "No model is there: install napari-unetic again, it brings one along."
KEPT = "“{}” was edited by hand and stays as it is; a new layer follows from now on."

_LATER_MS = 100


@dataclass(frozen=True, slots=True)
class _Run:
    """What runs: of which image, into which layer, and what to say about it."""

    image: ImageLayer
    model: str
    target: Labels | None
    remark: str


class SegmentWidget(SegmentForm):
    """The dock that segments an image layer.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer it belongs to; napari gives its proxy.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self._updating = False
        self._followed: ImageLayer | None = None
        self._forecast: Forecast | None = None
        self._run: _Run | None = None
        self._made: _Run | None = None
        self._lookup = Lookup(self, self._looked_up, self._update)
        self._job = Job(self, self.report.step, self._ended)
        self._live = LiveThresholds(
            napari_viewer, self, self.report.step_if_slow, self._live_ended
        )
        self._actions = ResultActions(
            napari_viewer,
            self,
            self.result,
            self.report,
            lambda: self.image.value,
            self.run_like,
        )
        self._measuring = DiameterTool(napari_viewer, self)
        self._later = delay(self, _LATER_MS, self._update)
        self._connect(napari_viewer)
        self.image.follow()
        self._update()
        self._lookup.find()

    def _connect(self, viewer: Viewer) -> None:
        self.image.changed.connect(self._image_chosen)
        for changed in (self.model.changed, self.more.changed):
            changed.connect(self._update)
        for moved in (
            self.sensitivity.changed,
            self.sensitivity.released,
            self.adjust.moved,
            self.more.moved,
        ):
            moved.connect(self._thresholds_moved)
        self.button.clicked.connect(self._clicked)
        self.adjust.again.clicked.connect(self._run_again)
        # napari holds bound methods weakly: this keeps no closed dock alive.
        viewer.layers.events.removed.connect(self._layer_removed)
        viewer.layers.events.renamed.connect(self._update)
        viewer.layers.selection.events.active.connect(self._show_sections)
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        for event in (camera.center, camera.zoom, viewer.canvas.events.size):
            event.connect(self._view_moved)
        for event in (dims.current_step, dims.ndisplay, dims.order):
            event.connect(self._view_moved)

    @property
    def busy(self) -> bool:
        """Whether any work of the dock is running in a thread, or about to."""
        parts = (self._lookup, self._job, self._live, self._actions)
        return any(part.running for part in parts)

    # What is there and what is chosen

    def _looked_up(self, outcome: Outcome) -> None:
        """Offer the models and the devices that were found."""
        if outcome.error is not None:
            self.report.fail(outcome.error, outcome.trace)
        elif not outcome.stopped:
            self.show_found(*outcome.value)
        self._update()

    def _image_chosen(self) -> None:
        """Follow the events of the chosen layer, and of no other."""
        before, self._followed = self._followed, self.image.value
        for name in LAYER_EVENTS:
            if before is not None:
                getattr(before.events, name).disconnect(self._update)
            if self._followed is not None:
                getattr(self._followed.events, name).connect(self._update)
        self._measuring.cancel()
        self.more.show_sizing("")
        if not self._job.running:
            self.report.say("")
        self.more.axes.offer(())
        self._update()

    def _view_moved(self, event: object = None) -> None:
        if is_alive(self) and self.follows_view:
            self._later.start()

    def _update(self, event: object = None) -> None:
        """Say what will happen, or why it cannot."""
        # What is offered for an image changes choices, which asks for this again.
        if not is_alive(self) or self._updating:
            return
        self._updating = True
        try:
            self._show_plan()
        finally:
            self._updating = False

    def _show_plan(self) -> None:
        plan, detail, problem = None, "", ""
        entry: ModelEntry | None = self.model.value
        self.show_kind()
        try:
            layer = self.chosen_image()
            source = self.understood(layer, entry.description if entry else None)
            detail = source.text()
            if entry is None:
                raise UneticError(LOADING if self._lookup.searching else NO_MODEL)
            self.more.show_model(entry.description)
            plan = forecast(
                layer,
                entry.description,
                self.settings(layer, source),
                keep_maps_bytes=_room_for_maps(),
            )
        except UneticError as error:
            problem = str(error)
        self._forecast = plan
        self.plan.setText(foldable(problem if plan is None else plan.text))
        mark(self.plan, bad=problem not in ("", NO_IMAGE, LOADING))
        self.plan.setToolTip(wrapped(detail))
        if not self._job.running:
            self.button.show_ready(problem)
        self._show_sections()
        if plan is not None and entry is not None:
            self._lookup.try_pace(entry, plan)

    # Running

    def _clicked(self) -> None:
        if self._job.running:
            self._stop()
        elif self._forecast is not None:
            # The view and the layers of shapes may have moved since it was made.
            self._update()
            if self._forecast is not None:
                self._start(self._forecast, update=self.more.output.value == UPDATE)

    def _run_again(self) -> None:
        """Run with what the controls say and update the last result."""
        self._update()
        if self._forecast is not None and not self._job.running:
            self._start(self._forecast, update=True)

    def run_like(self, model: str, settings: SegmentSettings, remark: str) -> None:
        """Segment the chosen image with the model and the settings of a result.

        Parameters
        ----------
        model : str
            Its name.
        settings : SegmentSettings
            In pixels of level 0.
        remark : str
            What to say about it; may be empty.

        Raises
        ------
        UneticError
            If there is no such model, or the image does not fit.
        """
        if self._job.running:
            return
        entry = next((e for e in self.model.objects if e.name == model), None)
        if entry is None:
            raise UneticError(
                f"Expected a model that is here, got {model!r}; import it first."
            )
        layer = self.chosen_image()
        plan = forecast(
            layer, entry.description, settings, keep_maps_bytes=_room_for_maps()
        )
        self.model.choose(entry)
        self.set_controls(settings)
        self._start(plan, update=False, remark=remark)

    def _start(self, plan: Forecast, *, update: bool, remark: str = "") -> None:
        self._measuring.cancel()
        self._live.pause()
        model, target = self.model.value.name, self._actions.last if update else None
        self._run = _Run(self.chosen_image(), model, target, remark)
        self.report.say("")
        self.report.begin(f"Segmenting {shortened(plan.source.name)}")
        self.button.show_running()
        self._job.start(
            run_steps(
                plan.source,
                model,
                plan.settings,
                keep_maps_bytes=_room_for_maps(),
                show_maps=self.more.maps.isChecked(),
                target=target,
            )
        )

    def _stop(self) -> None:
        self._job.stop()
        self.button.show_stopping()

    def _ended(self, outcome: Outcome) -> None:
        run, self._run = self._run, None
        self.report.end()
        self._update()
        if outcome.error is not None:
            self.report.fail(outcome.error, outcome.trace)
        elif outcome.stopped or run is None:
            self.report.say("Stopped; no labels were added.")
        else:
            self._take(outcome.value, run)

    def _take(self, found: Found, run: _Run) -> None:
        """Show what was found, and let the thresholds change it from now on."""
        result = found.result
        for maps in found.maps:
            self._viewer.add_layer(maps)
        shown = show(self._viewer, result, run.target, found.prepared)
        layer = shown.layer
        self._made = run
        self._actions.made(layer)
        self._live.follow(result, layer)
        record = result.layer.metadata[METADATA_KEY]
        self.more.show_sizing(sizing_text(record))
        said = sizing_remark(record), shown.remark, run.remark, *found.notices
        lines = (summary(result, layer), *said)
        self.report.say("\n".join(filter(None, lines)))
        self._show_sections()
        self._thresholds_moved()

    # Thresholds that take effect at once

    def _thresholds_moved(self) -> None:
        self._update()
        if self._live.possible and self._is_about_last() and not self._job.running:
            self._live.change(self.thresholds(), held=self.held)

    def _is_about_last(self) -> bool:
        """Whether the last result is there, and of the chosen image and model."""
        made, entry = self._made, self.model.value
        if made is None or entry is None or self._actions.last is None:
            return False
        return bool(made.image == self.image.value and made.model == entry.name)

    def _live_ended(self, outcome: Outcome, touched: bool) -> None:
        if not self._job.running:
            self.report.end()
        if outcome.error is not None:
            self.report.fail(outcome.error, outcome.trace)
        before = self._actions.last
        if outcome.value is None or before is None:
            return
        found: SegmentedLayer = outcome.value
        shown = show(self._viewer, found, None if touched else before)
        layer = shown.layer
        lines = [summary(found, layer)]
        if layer != before:
            self._live.moved_to(layer)
            self._actions.made(layer)
            lines.append(shown.remark or KEPT.format(shortened(before.name)))
        self.report.say("\n".join(lines))
        self._show_sections()

    def _show_sections(self, event: object = None) -> None:
        """Show what there is to do with the last result."""
        if not is_alive(self):
            return
        last = self._actions.last
        shown = self._actions.layer
        self.show_legend("" if shown is None else legend_text(shown))
        self.more.show_output(shortened(last.name, 20) if last is not None else "")
        too_large = self._is_about_last() and not self._live.possible
        # Of classes there is nothing to adjust but what is in sight.
        adjustable = last is not None and (too_large or not self.of_classes)
        self.adjust.setVisible(adjustable)
        can_run = self._forecast is not None and not self._job.running
        self.adjust.offer_again(too_large, can_run)

    # Coming and going

    def _layer_removed(self, event: Any) -> None:
        """Stop work on a layer that is no longer there, and let go of its maps."""
        if not is_alive(self):
            return
        if self._run is not None and event.value == self._run.image:
            self._stop()
        made = self._made
        if event.value == self._live.layer or (made and event.value == made.image):
            self._live.forget()
        self._update()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look for models again: there may be new ones."""
        super().showEvent(event)
        self._lookup.find()

    def event(self, event: QEvent | None) -> bool:
        """Stop the work when the dock is closed, which takes this widget out of it."""
        gone = event is not None and event.type() == QEvent.Type.ParentChange
        if gone and self.parent() is None:
            for part in (self._lookup, self._job, self._actions):
                part.stop()
            self._live.forget()
            self._measuring.cancel()
            self.report.end()
        return super().event(event)


def _room_for_maps() -> int:
    """Return the bytes that kept maps may take."""
    return int(SHARE_FOR_MAPS * psutil.virtual_memory().available)
