"""The Train dock: images and labels, a network, one button; a model of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent

from napari_unetic.widgets.run_jobs import leave_steps
from napari_unetic.widgets.run_models import choose_to_segment
from napari_unetic.widgets.run_work import RunParts, RunWork
from napari_unetic.widgets.train_choosing import TrainChoosing
from napari_unetic.widgets.train_jobs import Kept, Request, begin_steps, keep_steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_unetic.training.runs import UserRun
    from napari_unetic.widgets.run_process import Training

FIGURES = ("ap", "iou")
"""Scores of the log that weights are chosen by: of objects, of classes."""


class TrainWidget(TrainChoosing):
    """The dock that trains a model from scratch.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer it belongs to; napari gives its proxy.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.work = RunWork(
            self,
            RunParts(self.button, self.report, self.view),
            title="Train",
            doing="Training",
            figures=FIGURES,
            on_rest=self._show_plan,
            on_finished=self._keep,
            on_unfinished=self._find,
        )
        self.button.clicked.connect(self._clicked)
        self.offers.accepted.connect(self._take_offer)
        self.offers.left.connect(self._leave_offer)
        self._find()

    @property
    def busy(self) -> bool:
        """Whether anything of the dock runs in a thread, or is about to."""
        looks = self._look.running or self._survey.running or self._later.isActive()
        return looks or self.work.in_thread

    @property
    def training(self) -> Training:
        """The run that is followed."""
        return self.work.training

    @property
    def _working(self) -> bool:
        # The parts of the dock are made before what runs them.
        work = getattr(self, "work", None)
        return work is not None and work.running

    def _clicked(self) -> None:
        if not self.work.stop() and self._settings is not None:
            self._start()

    def _start(self) -> None:
        """Make a run folder; its training follows."""
        assert self._settings is not None
        self._clear()
        self._later.stop()
        self.work.begin(self._name())
        request = Request(
            source=self.source(),
            sharing=self.sharing(),
            settings=self._settings,
            name=self._name(),
            device=self.more.device.value or "auto",
        )
        machine = self.more.machine()
        self.work.do(begin_steps(request), lambda run: self.work.train(run, machine))

    def _clear(self) -> None:
        self.offers.offer([])
        self.result.forget()
        self.view.forget()
        self.report.say("")

    def _keep(self, folder: Path) -> None:
        self.work.do(keep_steps(folder), self._kept)

    def _kept(self, kept: Kept) -> None:
        """Show what it came to, and choose the model in the Segment docks."""
        self.result.show_kept(kept)
        choose_to_segment(kept.models, kept.state.model)

    def _take_offer(self, state: UserRun) -> None:
        """Go on with a run, follow it, or show what it came to."""
        self._clear()
        if state.run.is_finished:
            self._keep(state.run.folder)
        else:
            self.work.train(state.run, self.more.machine())

    def _leave_offer(self, state: UserRun) -> None:
        self.work.do(leave_steps(state), lambda nothing: None)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look for runs again, and listen to the window: it may be closed."""
        super().showEvent(event)
        self.work.closing.listen()
        self._find()

    def event(self, event: QEvent | None) -> bool:
        """Let go of everything when the dock is closed; a training goes on."""
        gone = event is not None and event.type() == QEvent.Type.ParentChange
        if gone and self.parent() is None:
            self.work.leave()
            for part in (self._look, self._survey):
                part.stop()
            self._later.stop()
        return super().event(event)
