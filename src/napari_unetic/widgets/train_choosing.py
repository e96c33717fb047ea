"""What the Train dock has to choose from, and what it says will happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unetic.errors import UneticError
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.controls import mark
from napari_unetic.widgets.jobs import Job, delay
from napari_unetic.widgets.run_offers import to_offer
from napari_unetic.widgets.run_words import device_text
from napari_unetic.widgets.train_form import TrainForm
from napari_unetic.widgets.train_jobs import Around, checked, look_steps
from napari_unetic.widgets.train_pairs import NO_LAYERS, survey_steps
from napari_unetic.widgets.train_plan import (
    Survey,
    TrainPlan,
    budget_text,
    name_for,
    parameters_text,
)
from napari_unetic.widgets.wording import foldable

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

    from napari_unetic.steps import Step
    from napari_unetic.training.runs import UserRun
    from napari_unetic.training.settings import TrainSettings
    from napari_unetic.widgets.relay import Outcome

LOADING = "PyTorch is being loaded …"
LOOKING = "Looking at the data …"
LABELS_EVENTS = ("paint", "data", "set_data")
_LATER_MS = 300


class TrainChoosing(TrainForm):
    """The part of the dock that follows data and settings, and says the plan.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer it belongs to.
    parent : QWidget, optional
        Parent widget.
    """

    def __init__(self, viewer: Viewer, parent: QWidget | None) -> None:
        super().__init__(viewer, parent)
        self._devices: list[str] = ["cpu"]
        self._surveyed: Survey | str = ""
        self._survey_again = False
        self._followed: dict[int, Labels] = {}
        self._changes: dict[int, int] = {}
        self._settings: TrainSettings | None = None
        self._look = Job(self, _ignore, self._looked)
        self._survey = Job(self, _ignore, self._survey_ended)
        self._later = delay(self, _LATER_MS, self._start_survey)
        self.data.changed.connect(self._source_changed)
        self.more.data_changed.connect(self._source_changed)
        self.classes.textChanged.connect(lambda text: self._source_changed())
        self.network.changed.connect(self._show_plan)
        self.unit.changed.connect(self._show_plan)
        self.budget.valueChanged.connect(lambda value: self._show_plan())
        self.more.changed.connect(self._show_plan)

    @property
    def _working(self) -> bool:
        """Whether a training goes on, or something else that must not be disturbed."""
        return False

    # What is there

    def _find(self) -> None:
        """Look for networks, devices and runs again."""
        if not self._look.running and not self._working:
            self._look.start(look_steps())
            self._show_plan()

    def _looked(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.report.fail(outcome.error, outcome.trace)
        elif not outcome.stopped:
            around: Around = outcome.value
            self._devices = around.devices
            self.show_around(around)
            self.view.curves.prepare()
            self._offer(around.trainings)
        self._source_changed()

    def _offer(self, states: list[UserRun]) -> None:
        kept = self.result.kept
        there = to_offer(states, None if kept is None else kept.state)
        self.offers.offer([] if self._working else there)

    # What is chosen

    def _source_changed(self) -> None:
        """Look at the data again, soon: a stroke of the brush is many events."""
        if not is_alive(self):
            return
        self.more.show_source(from_layers=self.data.path is None)
        self._follow_labels()
        self._surveyed = ""
        # Anew, so that it waits for the last one of several changes.
        self._later.start()
        self._show_plan()

    def _follow_labels(self) -> None:
        """Follow the labels that are learnt from, and no others."""
        path = self.data.path
        pairs = self.more.layers.pairs if path is None else ()
        chosen = {id(pair.labels): pair.labels for pair in pairs}
        for key in self._followed.keys() - chosen.keys():
            layer = self._followed[key]
            for name in LABELS_EVENTS:
                getattr(layer.events, name).disconnect(self._maybe_drawn)
        for key in chosen.keys() - self._followed.keys():
            for name in LABELS_EVENTS:
                getattr(chosen[key].events, name).connect(self._maybe_drawn)
        self._followed = chosen

    def _maybe_drawn(self, event: Any = None) -> None:
        """Look again where labels were drawn, not where they were only shown."""
        if not is_alive(self):
            return
        if event is not None and getattr(event, "type", "") == "set_data":
            layer = event.source
            n = len(getattr(layer, "_undo_history", ()))
            n -= len(getattr(layer, "_redo_history", ()))
            if self._changes.get(id(layer)) == n:
                return
            self._changes[id(layer)] = n
        self._source_changed()

    def _start_survey(self) -> None:
        if self._look.running or self._working or self._surveyed:
            return
        if self._survey.running:
            self._survey_again = True
            self._survey.stop()
            return
        self._survey.start(survey_steps(self.source(), self.sharing()))

    def _survey_ended(self, outcome: Outcome) -> None:
        if self._survey_again or outcome.stopped:
            if self._survey_again:
                self._survey_again = False
                self._later.start()
            return
        if outcome.error is None:
            self._surveyed = outcome.value
        else:
            self._surveyed = str(outcome.error)
            if not isinstance(outcome.error, UneticError):
                self.report.fail(outcome.error, outcome.trace)
        self._show_plan()

    # What will happen

    def _show_plan(self) -> None:
        """Say what will happen, or why it cannot."""
        if not is_alive(self) or self._working:
            return
        looks = (self._look.running, self._survey.running, self._later.isActive())
        if not self._surveyed and not any(looks):
            # Something has changed while a network was trained.
            self._later.start()
        self.more.name.setPlaceholderText(name_for(self.source().name))
        self._settings, text = None, ""
        problem = self._unready()
        if not problem:
            assert isinstance(self._surveyed, Survey)
            try:
                self._settings = checked(self.values(), self._name())
                text = self._plan(self._settings, self._surveyed).text
            except UneticError as error:
                problem = str(error)
        self.plan.setText(foldable(problem or text))
        mark(self.plan, bad=problem not in ("", NO_LAYERS, LOADING, LOOKING))
        self.button.show_ready(problem)

    def _unready(self) -> str:
        """Return what stands against a training, before its settings are looked at."""
        if self._look.running or self.more.settings is None:
            return LOADING
        if self.data.value in (self.data.FOLDER, self.data.ZIP):
            return "No data: choose a folder or a zip under Data."
        if isinstance(self._surveyed, str):
            return self._surveyed or LOOKING
        return ""

    def _plan(self, settings: TrainSettings, survey: Survey) -> TrainPlan:
        network = self.network.value
        n = parameters_text(network.n_parameters)
        unit = self.unit.value
        more = self.more
        return TrainPlan(
            survey,
            tuple(one.name for one in settings.classes),
            f"{network.name}, {n} parameters",
            budget_text(unit, getattr(settings, unit)),
            device_text(
                more.device.value or "auto", self._devices, more.threads.number
            ),
        )

    def _name(self) -> str:
        return self.more.name.text().strip() or name_for(self.source().name)


def _ignore(step: Step) -> None:
    """Show nothing of what takes a second or two."""
