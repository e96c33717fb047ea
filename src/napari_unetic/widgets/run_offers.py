"""Runs that wait for a person: unfinished, in training, or not yet looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_unetic.widgets.controls import text_label, wrapped
from napari_unetic.widgets.run_process import is_followed
from napari_unetic.widgets.run_words import when
from napari_unetic.widgets.wording import foldable

if TYPE_CHECKING:
    from napari_unetic.training.runs import UserRun


State = TypeVar("State", bound="UserRun")


def to_offer(states: Iterable[State], shown: UserRun | None) -> list[State]:
    """Return the runs that nobody follows and that are not the one that is shown."""
    return [
        state
        for state in states
        if not is_followed(state.run.folder)
        and (shown is None or state.run.folder != shown.run.folder)
    ]


class OfferBar(QFrame):
    """Offers one run after the other, the newest first; hidden where there is none.

    Parameters
    ----------
    parent : QWidget
        The dock.
    describe : callable
        Says what a run is about, without its name: "from nuclei on 3 images".
    see : str
        What the button says of a run that is finished.
    """

    accepted = Signal(object)
    """To go on with a run, to follow it, or to see what it came to: a UserRun."""

    left = Signal(object)
    """Not to be offered any more: a UserRun."""

    def __init__(
        self, parent: QWidget, describe: Callable[[Any], str], see: str
    ) -> None:
        super().__init__(parent)
        self._states: list[UserRun] = []
        self._describe = describe
        self._see = see
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = text_label(self)
        self.accept = QPushButton(self)
        self.leave = QPushButton("Leave it", self)
        self.leave.setToolTip(
            wrapped("Does not offer it again. Nothing is deleted: the run stays.")
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.text)
        beside = QHBoxLayout()
        beside.addWidget(self.accept)
        beside.addWidget(self.leave)
        layout.addLayout(beside)
        self.accept.clicked.connect(lambda: self._answer(self.accepted))
        self.leave.clicked.connect(lambda: self._answer(self.left))
        self.hide()

    @property
    def state(self) -> UserRun | None:
        """The run that is offered."""
        return self._states[0] if self._states else None

    def offer(self, states: Sequence[UserRun]) -> None:
        """Offer other runs."""
        self._states = list(states)
        state = self.state
        self.setVisible(state is not None)
        if state is not None:
            about = self._describe(state)
            self.text.setText(foldable(offer_text(state, about, len(self._states))))
            self.accept.setText(accept_text(state, self._see))

    def _answer(self, signal: object) -> None:
        state, states = self.state, self._states[1:]
        if state is not None:
            self.offer(states)
            signal.emit(state)  # type: ignore[attr-defined]


def offer_text(state: UserRun, about: str, n_runs: int) -> str:
    """Say what a run waits for."""
    about = f"“{state.name}”, {about}, {when(state.run.plan.created)}"
    if state.run.is_finished:
        text = f"Finished in the meantime: {about}."
    elif state.trainer is not None:
        text = f"Being trained: {about}."
    else:
        text = f"Unfinished: {about}. Nothing of it is lost."
    return text if n_runs == 1 else f"{text} ({n_runs - 1} more)"


def accept_text(state: UserRun, see: str) -> str:
    """Return what the button says that takes an offer."""
    if state.run.is_finished:
        return see
    return "Follow it" if state.trainer is not None else "Go on with it"
