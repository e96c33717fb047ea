"""The doubtful objects of a result, one after the other: look, accept or correct."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_unetic.widgets.accepting import accept, is_accepted, take_back
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.controls import mark, text_label, wrapped
from napari_unetic.widgets.jobs import Job, delay
from napari_unetic.widgets.keys import Hold
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.looking import look_at, shown_bounds
from napari_unetic.widgets.reviewing import (
    Agenda,
    agenda_steps,
    corners_of,
    footprint_of,
)
from napari_unetic.widgets.touching import watch
from napari_unetic.widgets.wording import failure_sentence, shortened

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from napari.viewer import Viewer
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_unetic.finetuning.review import Doubt
    from napari_unetic.widgets.relay import Outcome

ACCEPT, NEXT, PREVIOUS = "A", "N", "Shift-N"
"""Keys that neither napari's viewer nor its layers of labels use; all for the hand that
does not hold the mouse but N, which stands for its word."""

_BEGIN, _END = "Review doubtful objects", "End the review"
_CHANGES = ("data", "features", "metadata")
_VIEWS = ("point", "order", "ndisplay")
_PAUSE_MS = 300


class ReviewQueue(QWidget):
    """Shows the objects that the network is least sure of, one after the other.

    While it is active, three keys act on the layer of labels: accept, next and
    previous. An accepted object counts as reviewed as long as it keeps its pixels; to
    correct one, paint it, which counts as well.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QWidget, optional
        The dock.
    """

    reviewed = Signal()
    """An object has been accepted, or is no longer."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: ImageLayer | None = None
        self._labels: Labels | None = None
        self._agenda: Agenda | None = None
        self._at = 0
        self._listing: Labels | None = None
        self._hold = Hold()
        self._job = Job(self, lambda step: None, self._listed)
        self._again = delay(self, _PAUSE_MS, self._list)
        self._make_controls()
        viewer.layers.events.removed.connect(self._removed)
        # Not a method of this widget, whose Qt half is gone by then.
        self.destroyed.connect(self._hold.release)
        self._show()

    def _make_controls(self) -> None:
        self.button = QPushButton(_BEGIN, self)
        self.button.setCheckable(True)
        self.previous = QPushButton("Previous", self)
        self.accept = QPushButton(f"Accept ({ACCEPT})", self)
        self.next = QPushButton(f"Next ({NEXT})", self)
        self.text = text_label(self)
        for button, tooltip in (
            (
                self.button,
                "Go through the objects that the network is least sure of. Accept what "
                "is right, paint or erase what is not; both count as reviewed.",
            ),
            (self.previous, "Back to the object before (Shift+N)."),
            (
                self.accept,
                "This object is right as it is (A). Go back to it and press again to "
                "take it back.",
            ),
            (self.next, "On to the next object, this one is left open (N)."),
        ):
            button.setToolTip(wrapped(tooltip))
        row = QHBoxLayout()
        for button in (self.previous, self.accept, self.next):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addLayout(row)
        layout.addWidget(self.text)
        self.button.toggled.connect(self._toggled)
        self.previous.clicked.connect(self.go_back)
        self.accept.clicked.connect(self.accept_current)
        self.next.clicked.connect(self.go_on)

    @property
    def active(self) -> bool:
        """Whether objects are being reviewed."""
        return self.button.isChecked()

    @property
    def busy(self) -> bool:
        """Whether the objects are still being looked for."""
        return self._job.running or self._again.isActive()

    @property
    def current(self) -> Doubt | None:
        """The object that is shown."""
        doubts = self._agenda.doubts if self._agenda is not None else []
        return doubts[self._at] if self._at < len(doubts) else None

    def follow(
        self, image_layer: ImageLayer | None, labels_layer: Labels | None
    ) -> None:
        """Review other labels; what is under way with those before ends.

        Parameters
        ----------
        image_layer : napari.layers.Image, optional
            The image, shown while its objects are reviewed.
        labels_layer : napari.layers.Labels, optional
            The labels.
        """
        # What stands for a layer in a plugin may be gone in a moment; it stays.
        image = getattr(image_layer, "__wrapped__", image_layer)
        labels = getattr(labels_layer, "__wrapped__", labels_layer)
        if labels is not self._labels:
            self.stop()
        self._image, self._labels = image, labels
        self._show()

    def start(self) -> None:
        """Look for the doubtful objects and show the first one."""
        self.button.setChecked(True)

    def stop(self) -> None:
        """End the review; keys and events of the layer are let go."""
        self.button.setChecked(False)

    def accept_current(self) -> None:
        """Accept the object that is shown and go on; or take that back."""
        doubt, labels = self.current, self._labels
        if doubt is None or labels is None or self._agenda is None:
            return
        footprint = footprint_of(labels, self._agenda.letters, doubt)
        if not footprint.mask.any():
            return
        if is_accepted(labels, footprint):
            take_back(labels, footprint)
            self._show()
        else:
            accept(labels, footprint)
            self.go_on()
        self.reviewed.emit()

    def go_on(self) -> None:
        """Show the next object that is still there."""
        self._go(1)

    def go_back(self) -> None:
        """Show the object before that is still there."""
        self._go(-1)

    def _go(self, step: int) -> None:
        """Show the nearest object in a direction that has any pixel left."""
        if self._agenda is None or self._labels is None:
            return
        at, doubts = self._at + step, self._agenda.doubts
        while 0 <= at < len(doubts) and not self._is_there(doubts[at]):
            at += step
        self._at = min(max(at, 0), len(doubts))
        self._look()

    def _is_there(self, doubt: Doubt) -> bool:
        assert self._agenda is not None and self._labels is not None
        footprint = footprint_of(self._labels, self._agenda.letters, doubt)
        return bool(footprint.mask.any())

    def _look(self) -> None:
        """Bring the current object into view, and its label under the brush."""
        doubt, labels = self.current, self._labels
        if doubt is not None and labels is not None and self._agenda is not None:
            layers = self._viewer.layers
            layers.selection.active = labels
            labels.selected_label = doubt.number
            look_at(self._viewer, labels, *corners_of(self._agenda.letters, doubt))
        self._show()

    # What goes on around it

    def _toggled(self, active: bool) -> None:
        if not active:
            self._end()
        elif self._labels is None:
            self.stop()
        else:
            for layer in (self._image, self._labels):
                # To show what is shown already draws all of it anew.
                if layer is not None and not layer.visible:
                    layer.visible = True
            self._hold.listen(self._labels.events, _CHANGES, self._changed)
            self._hold.listen(self._viewer.dims.events, _VIEWS, self._frame)
            self._bind()
            self._list()
        self._show()

    def _end(self) -> None:
        self._job.stop()
        self._again.stop()
        self._hold.release()
        self._agenda, self._at = None, 0

    def _bind(self) -> None:
        """Take the keys, as long as a person can see what they do."""
        if self.active and self._labels is not None and not self._hold.has_keys:
            actions = {
                ACCEPT: self.accept_current,
                NEXT: self.go_on,
                PREVIOUS: self.go_back,
            }
            self._hold.bind(self._labels, actions)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the keys again."""
        super().showEvent(event)
        self._bind()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Give the keys back while the review is out of sight."""
        super().hideEvent(event)
        self._hold.unbind()

    def _changed(self, event: object = None) -> None:
        """Look again when labels, table or record were replaced by something else."""
        if not is_alive(self) or self._labels is None:
            return
        if not watch(self._labels).muted:
            self._again.start()

    def _removed(self, event: Any) -> None:
        if is_alive(self) and event.value in (self._labels, self._image):
            self.follow(None, None)

    def _list(self) -> None:
        """Look for what there is to review, in a thread."""
        if not self.active or self._labels is None:
            return
        if self._job.running:
            self._again.start()
        else:
            self._listing = self._labels
            self._job.start(agenda_steps(self._labels))
        self._show()

    def _listed(self, outcome: Outcome) -> None:
        labels, listed, self._listing = self._labels, self._listing, None
        if outcome.stopped or not self.active or labels is None or labels is not listed:
            self._show()
        elif outcome.error is not None:
            self.stop()
            self._say(failure_sentence(outcome.error), bad=True)
        else:
            self._take(outcome.value, labels)

    def _take(self, agenda: Agenda, labels: Labels) -> None:
        """Go on with a new list, at the same object if it is in it."""
        before, is_first = self.current, self._agenda is None
        self._agenda = agenda
        if METADATA_KEY not in labels.metadata:
            watch(labels).replace_record(agenda.record)
        key = None if before is None else (before.plane, before.number)
        keys = [(doubt.plane, doubt.number) for doubt in agenda.doubts]
        self._at = keys.index(key) if key in keys else min(self._at, len(keys))
        if is_first:
            self._look()
        self._show()

    def _show(self) -> None:
        """Show where the review stands."""
        self._frame()
        doubt, labels, agenda = self.current, self._labels, self._agenda
        self.button.setEnabled(labels is not None)
        self.button.setText(_END if self.active else _BEGIN)
        for button in (self.previous, self.accept, self.next):
            button.setVisible(self.active)
        self.previous.setEnabled(agenda is not None and self._at > 0)
        self.accept.setEnabled(doubt is not None)
        self.next.setEnabled(doubt is not None)
        if labels is None or not self.active:
            self._say("")
        elif agenda is None:
            self._say("Looking for doubtful objects …")
        elif doubt is not None:
            footprint = footprint_of(labels, agenda.letters, doubt)
            more = ", accepted" if is_accepted(labels, footprint) else ""
            self._say(
                f"{self._at + 1:,} of {len(agenda.doubts):,}, {_score(doubt)}{more}"
            )
        elif agenda.doubts:
            self._say(f"All {len(agenda.doubts):,} have been seen.")
        else:
            self._say(f"Nothing is left to review in “{shortened(labels.name)}”.")

    def _frame(self, event: object = None) -> None:
        """Draw a frame around the object, while its plane is in view."""
        if not is_alive(self) or self._labels is None:
            return
        doubt, bounds = self.current, None
        if doubt is not None and self._agenda is not None:
            corners = corners_of(self._agenda.letters, doubt)
            bounds = shown_bounds(self._viewer, self._labels, *corners)
        self._hold.frame(self._labels, bounds)

    def _say(self, text: str, *, bad: bool = False) -> None:
        self.text.setText(text)
        self.text.setVisible(bool(text))
        mark(self.text, bad=bad)


def _score(doubt: Doubt) -> str:
    """Say how sure the network is of an object: "score .41"."""
    if math.isnan(doubt.score):
        return "without a score"
    return f"score {doubt.score:.2f}".replace(" 0.", " .")
