"""The Fine-tune dock: corrected labels, one button; a better model, or the old one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent

from napari_unetic.errors import UneticError
from napari_unetic.widgets.collecting import collect_steps
from napari_unetic.widgets.finetune_choosing import FinetuneChoosing
from napari_unetic.widgets.finetune_compare import Compare
from napari_unetic.widgets.finetune_jobs import (
    Begun,
    Decided,
    Request,
    begin_steps,
    old_steps,
    pairs_steps,
    state_steps,
    use_steps,
)
from napari_unetic.widgets.finetune_models import by_weights
from napari_unetic.widgets.run_jobs import leave_steps
from napari_unetic.widgets.run_models import choose_to_segment
from napari_unetic.widgets.run_process import Machine, Training
from napari_unetic.widgets.run_work import RunParts, RunWork

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_unetic.finetuning.runs import RunState


class FinetuneWidget(FinetuneChoosing):
    """The dock that makes a model better from corrected labels.

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
            title="Fine-tune",
            doing="Improving",
            figures=("ap_50",),
            on_rest=self._rest,
            on_finished=lambda folder: self.work.do(state_steps(folder), self._judged),
            on_unfinished=self._find,
        )
        self._compare = Compare(
            napari_viewer, self, self.report, self.verdict.show_comparing
        )
        self._connect()
        self.image.follow()
        self.labels.follow()
        self._find()

    def _connect(self) -> None:
        self.button.clicked.connect(self._clicked)
        self.offers.accepted.connect(self._take_offer)
        self.offers.left.connect(self._leave_offer)
        self.verdict.use.clicked.connect(self._use)
        self.verdict.old.clicked.connect(self._go_back)
        self.verdict.curves.toggled.connect(self.view.setVisible)
        self.verdict.compare.clicked.connect(self._compare_clicked)

    @property
    def busy(self) -> bool:
        """Whether anything of the dock runs in a thread, or is about to."""
        parts = (self._look, self._count, self._compare)
        busy = self._later.isActive() or self.work.in_thread
        return busy or any(part.running for part in parts)

    @property
    def training(self) -> Training:
        """The run that is followed."""
        return self.work.training

    @property
    def _working(self) -> bool:
        return self.work.running

    # A round

    def _clicked(self) -> None:
        if not self.work.stop() and self._round is not None:
            self._start()

    def _start(self) -> None:
        """Collect what was corrected here; the rest follows."""
        self._compare.end()
        self.verdict.forget()
        self.view.forget()
        self.offers.offer([])
        self.work.begin(self.more.start.value.name)
        model = self._last / "model" if self._continues and self._last else None
        request = Request(
            model=model or self.more.start.value.name,
            name=self._name(),
            settings=self.settings(),
            held_out=self.more.held_out.value() / 100,
            device=self.more.device.value or "auto",
        )
        counted_here = self._counted
        if counted_here is None or not counted_here.corrections.n_planes:
            self._begin(request)
            return
        steps = collect_steps(
            self.image.value,
            self.labels.value,
            counted_here.area,
            channel=self.more.channel.value,
            before=self.pairs.pairs,
        )
        self.work.do(steps, lambda pairs: self._collected(pairs, request))

    def _collected(self, pairs: Any, request: Request) -> None:
        self.pairs.put(pairs)
        self._begin(request)

    def _begin(self, request: Request) -> None:
        steps = begin_steps(request, self.pairs.pairs)
        self.work.do(steps, lambda begun: self._begun(begun, request.device))

    def _begun(self, begun: Begun, device: str) -> None:
        self.pairs.put(begun.pairs)
        self.report.say("\n".join(begun.notices))
        self.work.train(begun.run, Machine(device))

    def _judged(self, state: RunState) -> None:
        """Show the verdict, and keep the new model if it is better."""
        self._last = state.run.folder
        self.more.go_on.setEnabled(True)
        if state.verdict is None:
            self.report.fail(
                UneticError(
                    f"Expected a verdict in {state.run.folder}, got none that can be "
                    "read; its model can be added with unetic models add."
                )
            )
            return
        # One click away; with both in sight the buttons would lie below the dock's end.
        self.verdict.curves.setVisible(self.view.isVisibleTo(self))
        self.view.hide()
        self.verdict.show_state(state)
        if state.decision:
            return
        if state.verdict.verdict == "kept":
            self._use()
        elif state.verdict.verdict == "not better":
            self._go_back()

    def _use(self) -> None:
        self._decide(use_steps)

    def _go_back(self) -> None:
        self._decide(old_steps)

    def _decide(self, steps: Callable[[RunState], Any]) -> None:
        state = self.verdict.state
        if state is not None and not self.work.in_thread:
            self.verdict.show_state(state, busy=True)
            self.work.do(steps(state), self._decided)

    def _decided(self, decided: Decided) -> None:
        """Show what was decided, and choose the model in the Segment docks."""
        state = decided.state
        self.verdict.show_state(state)
        self._show_models(decided.models)
        name = state.model if state.decision == "used" else state.parent_name
        choose_to_segment(decided.models, name)

    def _rest(self) -> None:
        """Let the controls say what can be done next."""
        if self.verdict.state is not None and not self.work.in_thread:
            self.verdict.show_state(self.verdict.state)
        self._show_plan()

    # Runs that wait

    def _take_offer(self, state: RunState) -> None:
        """Go on with a run, follow it, or show its verdict; its pairs come along."""
        self.offers.offer([])
        self._compare.end()
        self.verdict.forget()
        self.view.forget()
        self.report.say("")

        def go_on(pairs: Any) -> None:
            self.pairs.put(pairs)
            if state.run.is_finished:
                self.work.do(state_steps(state.run.folder), self._judged)
            else:
                machine = Machine(self.more.device.value or "auto")
                self.work.train(state.run, machine)

        self.work.do(pairs_steps(state.run.folder), go_on)

    def _leave_offer(self, state: RunState) -> None:
        self.work.do(leave_steps(state), lambda nothing: None)

    # Compare

    def _compare_clicked(self) -> None:
        state, layer = self.verdict.state, self.image.value
        if self._compare.layers or self._compare.running:
            self._compare.end()
            return
        try:
            if state is None or layer is None:
                raise UneticError("Expected an image to compare on, got none; open it.")
            assert state.run.plan.finetune is not None
            before = by_weights(state.run.plan.parent, self._models)
            if before is None:
                raise UneticError(
                    f"Expected the model {state.parent_name}, which the run started "
                    "from, got none; it was removed or replaced."
                )
            self._compare.start(
                layer,
                self.labels.value,
                (before.name, state.run.model),
                state.run.plan.finetune.diameter_px,
                self.more.channel.value,
            )
        except UneticError as error:
            self.verdict.show_comparing("")
            self.report.fail(error)

    # Coming and going

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look for models and runs, and listen to the window: it may be closed."""
        super().showEvent(event)
        self.work.closing.listen()
        self._find()

    def event(self, event: QEvent | None) -> bool:
        """Let go of everything when the dock is closed; a training goes on."""
        gone = event is not None and event.type() == QEvent.Type.ParentChange
        if gone and self.parent() is None:
            self.work.leave()
            for part in (self._look, self._count):
                part.stop()
            self._compare.end()
            self._later.stop()
        return super().event(event)
