"""The Fine-tune dock: corrected labels, one button; a better model, or the old one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent

from napari_unetic.errors import UneticError
from napari_unetic.steps import Step
from napari_unetic.widgets.collecting import collect_steps
from napari_unetic.widgets.finetune_choosing import FinetuneChoosing
from napari_unetic.widgets.finetune_closing import Closing
from napari_unetic.widgets.finetune_compare import Compare
from napari_unetic.widgets.finetune_jobs import (
    Begun,
    Decided,
    Request,
    begin_steps,
    discard_steps,
    leave_steps,
    old_steps,
    pairs_steps,
    state_steps,
    use_steps,
)
from napari_unetic.widgets.finetune_models import (
    by_weights,
    choose_to_segment,
)
from napari_unetic.widgets.finetune_plan import progress_text
from napari_unetic.widgets.finetune_run import Ended, Training
from napari_unetic.widgets.jobs import Job
from napari_unetic.widgets.wording import shortened

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_unetic.finetuning.runs import RunState
    from napari_unetic.widgets.relay import Outcome

STOPPED = (
    "Stopped before the verdict. What was learnt is kept: go on with it at any time."
)
NOT_BEGUN = "Stopped; nothing was begun."
GOES_ON = (
    "“{}” is being trained in the background; open Fine-tune again for its verdict."
)


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
        self._stop_asked = False
        self._began: float | None = None
        self._then: Callable[[Any], None] = lambda value: None
        self._job = Job(self, self._job_step, self._job_ended)
        self._training = Training(self, self._news, self._training_ended)
        self._closing = Closing(self, self._training, self.report.end)
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
        parts = (self._look, self._count, self._job, self._compare)
        return self._later.isActive() or any(part.running for part in parts)

    @property
    def training(self) -> Training:
        """The run that is followed."""
        return self._training

    @property
    def _working(self) -> bool:
        return self._training.running or self._job.running

    # A round

    def _clicked(self) -> None:
        if self._training.running:
            self._training.stop()
            self.button.show_stopping()
        elif self._job.running:
            self._stop_asked = True
            self._job.stop()
            self.button.show_stopping()
        elif self._round is not None:
            self._start()

    def _start(self) -> None:
        """Collect what was corrected here; the rest follows."""
        self._compare.end()
        self.verdict.forget()
        self.view.forget()
        self.offers.offer([])
        self.report.say("")
        self._stop_asked = False
        self._began = time.monotonic()
        self.report.begin(f"Improving {shortened(self.more.start.value.name)}")
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
        self._do(steps, lambda pairs: self._collected(pairs, request))

    def _collected(self, pairs: Any, request: Request) -> None:
        self.pairs.put(pairs)
        self._begin(request)

    def _begin(self, request: Request) -> None:
        steps = begin_steps(request, self.pairs.pairs)
        self._do(steps, lambda begun: self._begun(begun, request.device))

    def _begun(self, begun: Begun, device: str) -> None:
        if self._stop_asked:
            self._began = None
            self._do(discard_steps(begun.run.folder), self._discarded)
            return
        self.pairs.put(begun.pairs)
        self.report.say("\n".join(begun.notices))
        self._train(begun.run, device)

    def _discarded(self, nothing: object) -> None:
        self.report.say(NOT_BEGUN)

    def _train(self, run: Any, device: str) -> None:
        """Start the process, or follow one that trains the run already."""
        spent = 0.0
        if self._began is None:
            self.report.begin(f"Improving {shortened(run.plan.description.name)}")
        else:
            spent, self._began = time.monotonic() - self._began, None
        self.button.show_running()
        if run.trainer is None:
            self._training.start(run, device, spent)
        else:
            self._training.watch(run)

    def _news(self) -> None:
        """Show what the run says of itself."""
        news, run = self._training.news, self._training.run
        if news is None or run is None:
            return
        self.view.show_news(news)
        settings = run.plan.settings
        left, total = news.seconds_left, 60 * (settings.minutes or 0)
        if left is not None and total:
            self.report.step(Step(max(0.0, total - left), total, "learning"))
        elif news.progress.get("total"):
            said = news.progress
            self.report.step(Step(said["done"], said["total"], said["what"]))
        self.report.progress.setFormat(progress_text(news.progress, left))
        if self._training.stopping:
            self.button.show_stopping()

    def _training_ended(self, ended: Ended) -> None:
        self.report.end()
        news = self._training.news
        if ended.how == "finished" and news is not None:
            self._do(state_steps(news.folder), self._judged)
            return
        self._show_plan()
        if ended.how == "stopped":
            self.report.say(STOPPED)
        else:
            self.report.fail(UneticError(ended.reason))
        self._find()

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
        if state is not None and not self._job.running:
            self.verdict.show_state(state, busy=True)
            self._do(steps(state), self._decided)

    def _decided(self, decided: Decided) -> None:
        """Show what was decided, and choose the model in the Segment docks."""
        state = decided.state
        self.verdict.show_state(state)
        self._show_models(decided.models)
        name = state.model if state.decision == "used" else state.parent_name
        choose_to_segment(decided.models, name)

    # Work in a thread

    def _do(self, steps: Any, then: Callable[[Any], None]) -> None:
        """Do something in a thread, and then something with what it returned."""
        self._then = then
        if self._began is not None:
            self.button.show_running()
        else:
            self.button.setEnabled(False)
        self._job.start(steps)

    def _job_step(self, step: Step) -> None:
        # What is begun already has its bar; the rest needs none if it is quick.
        began = self._began is not None
        (self.report.step if began else self.report.step_if_slow)(step)

    def _job_ended(self, outcome: Outcome) -> None:
        then, self._then = self._then, lambda value: None
        if outcome.error is not None or outcome.stopped or self._began is None:
            self._began = None
            self.report.end()
        if outcome.error is not None:
            self._show_plan()
            self.report.fail(outcome.error, outcome.trace)
            if self.verdict.state is not None:
                self.verdict.show_state(self.verdict.state)
        elif outcome.stopped:
            self._show_plan()
            self.report.say(NOT_BEGUN)
        else:
            then(outcome.value)
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
                self._do(state_steps(state.run.folder), self._judged)
            else:
                self._train(state.run, self.more.device.value or "auto")

        self._do(pairs_steps(state.run.folder), go_on)

    def _leave_offer(self, state: RunState) -> None:
        self._do(leave_steps(state), lambda nothing: None)

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
        self._closing.listen()
        self._find()

    def event(self, event: QEvent | None) -> bool:
        """Let go of everything when the dock is closed; a training goes on."""
        gone = event is not None and event.type() == QEvent.Type.ParentChange
        if gone and self.parent() is None:
            run = self._training.run
            if run is not None:
                self._training.let_go()
                show_info(GOES_ON.format(run.plan.description.name))
            for part in (self._look, self._count, self._job):
                part.stop()
            self._compare.end()
            self._later.stop()
            self.report.end()
        return super().event(event)
