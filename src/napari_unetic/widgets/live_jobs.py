"""Carries out what `napari_unetic.widgets.live` decides, in threads and on layers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_unetic.errors import UneticError
from napari_unetic.settings import settings_from
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.jobs import Job, delay
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.live import Latest, Preview
from napari_unetic.widgets.live_view import Seen, find_view, view_steps
from napari_unetic.widgets.offers import live_settings
from napari_unetic.widgets.relay import Outcome
from napari_unetic.widgets.results import SegmentedLayer, decode_layer_steps
from napari_unetic.widgets.updates import check_writable

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Step, Steps


class LiveThresholds(QObject):
    """Decodes the maps of the last result again whenever a threshold moves.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose view comes first.
    parent : QObject
        The dock.
    on_step : callable
        Called with the progress of decoding everything.
    on_end : callable
        Called with how that ended: a `SegmentedLayer`, an error, or stopped; and
        whether the layer was edited by hand, so that the labels belong to a new one.
    """

    def __init__(
        self,
        viewer: Viewer,
        parent: QObject,
        on_step: Callable[[Step], None],
        on_end: Callable[[Outcome, bool], None],
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._on_step = on_step
        self._on_end = on_end
        self._result: SegmentedLayer | None = None
        self._layer: Labels | None = None
        self._latest: Latest | None = None
        self._preview: Preview | None = None
        self._touched: bool | None = None
        self._view = Job(self, lambda step: None, self._viewed)
        self._whole = Job(self, on_step, self._finished)
        self._timer = delay(self, 0, self._go_on)

    @property
    def possible(self) -> bool:
        """Whether there are maps to decode."""
        return self._result is not None

    @property
    def layer(self) -> Labels | None:
        """The layer whose labels follow the thresholds."""
        return self._layer

    @property
    def running(self) -> bool:
        """Whether something is decoded, or will be."""
        waits = self._latest is not None and self._latest.pending
        return waits or self._view.running or self._whole.running

    def follow(self, result: SegmentedLayer, layer: Labels) -> None:
        """Decode the maps of this result from now on, into this layer.

        Parameters
        ----------
        result : SegmentedLayer
            The last one; without kept maps there is nothing to follow.
        layer : napari.layers.Labels
            Its labels, in the viewer.
        """
        self.forget()
        if result.segmentation.maps is not None:
            self._result, self._layer = result, layer
            self._latest = Latest(result.settings)

    def forget(self) -> None:
        """Stop, and let go of the maps."""
        self.pause()
        self._result = self._layer = self._latest = None

    def pause(self) -> None:
        """Ask for nothing more until the next change, and show nothing for now."""
        self._timer.stop()
        self._view.stop()
        self._whole.stop()
        self._take_back(refresh=True)
        self._touched = None
        if self._latest is not None:
            self._latest.give_up()

    def change(self, settings: SegmentSettings, *, held: bool) -> None:
        """Take note of other thresholds.

        Parameters
        ----------
        settings : SegmentSettings
            As the dock says now; all but the thresholds are those of the result.
        held : bool
            Whether a slider is being dragged.
        """
        if self._result is None or self._latest is None:
            return
        latest = self._latest
        latest.held = held
        if not latest.pending and not self._view.running:
            # Undo and redo may have put back the labels of other thresholds.
            latest.done = self._written_with() or latest.done
            latest.give_up()
        wanted = live_settings(self._result.settings, settings)
        if latest.change(wanted, time.monotonic()):
            self._whole.stop()
        if not latest.pending:
            self._take_back(refresh=True)
            latest.give_up()
        self._go_on()

    def _written_with(self) -> SegmentSettings | None:
        """Return the settings that the layer says its labels were made with."""
        record = None if self._layer is None else self._layer.metadata.get(METADATA_KEY)
        try:
            return None if record is None else settings_from(record)
        except UneticError:
            return None

    def _go_on(self) -> None:
        """Start what is due and wait for what will be."""
        latest, now = self._latest, time.monotonic()
        if latest is None or not is_alive(self):
            return
        if latest.view_due(now) and not self._view.running:
            self._view.start(self._view_steps(latest.wanted))
        elif latest.whole_due(now) and not (self._view.running or self._whole.running):
            self._start_whole(latest.wanted)
        if (
            not self._view.running
            and (wait := latest.wait(time.monotonic())) is not None
        ):
            self._timer.start(round(1000 * wait) + 1)

    # The view, at once

    def _view_steps(self, settings: SegmentSettings) -> Steps[Seen]:
        assert self._result is not None and self._layer is not None
        view = find_view(self._viewer, self._result, self._layer)
        return view_steps(self._result, self._layer, settings, view, self._touched)

    def _viewed(self, outcome: Outcome) -> None:
        if self._latest is None or not is_alive(self):
            return
        if outcome.error is not None:
            self._give_up(outcome)
        elif not outcome.stopped and outcome.value.result is self._result:
            seen: Seen = outcome.value
            self._touched = seen.touched or bool(self._touched)
            if self._latest.pending and not self._touched:
                self._show(seen)
            self._latest.viewed(seen.settings, time.monotonic())
        self._go_on()

    def _give_up(self, outcome: Outcome) -> None:
        """Ask for nothing more, and say why."""
        assert self._latest is not None
        self._latest.give_up()
        self._touched = None
        self._take_back(refresh=True)
        self._on_end(outcome, False)

    def _show(self, seen: Seen) -> None:
        layer = self._layer
        if seen.view is None or layer is None or not self._is_writable(layer):
            return
        if self._preview is None:
            self._preview = Preview(layer.data)
            layer.events.paint.connect(self._painted)
        self._preview.show(seen.view.window, seen.labels)
        layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _is_writable(self, layer: Labels) -> bool:
        """Whether something can be shown in a layer for now; locked ones stay."""
        try:
            check_writable(layer, self._viewer.layers)
        except UneticError:
            return False
        return True

    def _painted(self, event: object = None) -> None:
        """Let what is shown for now stay, once a person has painted on it."""
        self._let_go()
        self._touched = True

    def _let_go(self) -> Preview | None:
        """Return what is shown for now, and show it no longer."""
        preview, self._preview = self._preview, None
        if preview is not None and self._layer is not None:
            self._layer.events.paint.disconnect(self._painted)
        return preview

    def _take_back(self, *, refresh: bool) -> None:
        preview = self._let_go()
        if preview is not None:
            preview.take_back()
            if refresh and self._layer is not None:
                self._layer.refresh(extent=False)

    # Everything, when the slider rests

    def _start_whole(self, settings: SegmentSettings) -> None:
        assert self._result is not None
        self._whole.start(decode_layer_steps(self._result, settings))

    def _finished(self, outcome: Outcome) -> None:
        latest, result = self._latest, self._result
        if latest is None or result is None or not is_alive(self):
            self._on_end(Outcome(stopped=True), False)
        elif outcome.error is not None:
            self._give_up(outcome)
        elif outcome.stopped or not self._is_wanted(outcome.value):
            self._on_end(Outcome(stopped=True), False)
        else:
            touched, self._touched = bool(self._touched), None
            # Taken back first, so that undo leads to what was there before the drag.
            self._take_back(refresh=touched)
            latest.finished(outcome.value.settings)
            self._on_end(outcome, touched)
        self._go_on()

    def _is_wanted(self, found: SegmentedLayer) -> bool:
        """Whether labels are not late: of another result, of thresholds of before."""
        assert self._result is not None and self._latest is not None
        same_maps = found.segmentation.maps is self._result.segmentation.maps
        return same_maps and found.settings == self._latest.wanted

    def moved_to(self, layer: Labels) -> None:
        """Decode into another layer from now on."""
        self._layer = layer
