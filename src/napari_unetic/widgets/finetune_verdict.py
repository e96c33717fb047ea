"""The verdict in the dock: old and new model, what was decided, what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.controls import text_label, wrapped
from napari_unetic.widgets.run_place import ModelPlace
from napari_unetic.widgets.wording import foldable, shortened

if TYPE_CHECKING:
    from napari_unetic.finetuning.runs import RunState
    from napari_unetic.finetuning.verdict import Verdict

ROWS = ("AP at IoU .50", "mean AP", "found", "missed", "too many")

ROW_TIPS = {
    "AP at IoU .50": "Found ÷ (all held-out objects + those too many); an object is "
    "found if more than half of it and its label is shared (IoU .50). 1 is best.",
    "mean AP": "The same at ten degrees of how well the outline must fit, from .50 to "
    ".95, averaged.",
    "found": "Held-out objects that were found, at IoU .50.",
    "missed": "Held-out objects that were not.",
    "too many": "Objects found near them that are none.",
}

REMARKS = {
    "kept": "The new model is kept: “{}” is among the models, and chosen in the "
    "Segment dock.",
    "used": "The new model is used: “{}” is among the models, and chosen in the "
    "Segment dock.",
    "old": "“{}” goes on being used. The new model stays in its run.",
    "not better": "It is not surely better on objects it was not shown, so “{}” goes "
    "on being used. More or other corrections may help.",
    "too few to tell": "Decide by looking: compare both on the image.",
}


class VerdictView(QFrame):
    """What a finished round came to, with its buttons.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.state: RunState | None = None
        self.sentence = text_label(self)
        self.sentence.setStyleSheet("font-weight: bold;")
        self.table = QGridLayout()
        self._cells: dict[tuple[int, int], QLabel] = {}
        self.remark = text_label(self)
        self.compare = QPushButton("Compare", self)
        self.compare.setCheckable(True)
        self.curves = QPushButton("Curves", self)
        self.curves.setCheckable(True)
        self.keys = text_label(self)
        self.use = QPushButton("Use the new model", self)
        self.old = QPushButton("Keep the old model", self)
        self.place = ModelPlace(self)
        self._explain()
        self._lay_out()
        self.hide()

    def _explain(self) -> None:
        self.compare.setToolTip(
            wrapped(
                "Segments the plane in view with the old and the new model and "
                "outlines what both find; another click removes it again."
            )
        )
        self.curves.setToolTip(
            wrapped("Shows the curves and the picture of the training again.")
        )
        self.use.setToolTip(
            wrapped("Puts the new model among the models and chooses it to segment.")
        )
        self.old.setToolTip(
            wrapped(
                "Takes the new model out of the models again and goes back to the one "
                "before; the run stays in its folder."
            )
        )

    def _lay_out(self) -> None:
        for row, name in enumerate(("", *ROWS)):
            for column in range(3):
                cell = QLabel(name if column == 0 else "", self)
                cell.setToolTip(wrapped(ROW_TIPS.get(name, "")))
                if column:
                    cell.setAlignment(Qt.AlignmentFlag.AlignRight)
                self._cells[row, column] = cell
                self.table.addWidget(cell, row, column)
        self.table.setColumnStretch(0, 1)
        self.table.setHorizontalSpacing(12)
        self.table.setVerticalSpacing(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 4)
        layout.addWidget(self.sentence)
        layout.addLayout(self.table)
        layout.addWidget(self.remark)
        looking = QHBoxLayout()
        looking.addWidget(self.compare, stretch=1)
        looking.addWidget(self.curves)
        layout.addLayout(looking)
        layout.addWidget(self.keys)
        layout.addWidget(self.use)
        layout.addWidget(self.old)
        layout.addWidget(self.place)
        self.keys.hide()

    def show_state(self, state: RunState, *, busy: bool = False) -> None:
        """Show a finished run.

        Parameters
        ----------
        state : RunState
            With a verdict.
        busy : bool
            Whether what was decided is just being done.
        """
        self.state = state
        verdict = state.verdict
        assert verdict is not None
        text = verdict.sentence
        self.sentence.setText(text[0].upper() + text[1:] + ".")
        self._fill(verdict, state)
        self.remark.setText(foldable(remark(state)))
        used = state.decision == "used"
        self.use.setVisible(not used)
        self.use.setText(
            "Use the new model"
            if verdict.verdict == "too few to tell"
            else "Use it anyway"
            if verdict.verdict == "not better"
            else "Use it after all"
        )
        undecided = not state.decision and verdict.verdict == "too few to tell"
        self.old.setVisible(used or undecided)
        parent = shortened(state.parent_name, 20)
        self.old.setText(f"Undo: go back to {parent}" if used else f"Keep {parent}")
        for button in (self.use, self.old):
            button.setEnabled(not busy)
        self.place.show_state(state)
        self.show()

    def _fill(self, verdict: Verdict, state: RunState) -> None:
        self._cells[0, 1].setText("old")
        self._cells[0, 1].setToolTip(wrapped(state.parent_name))
        self._cells[0, 2].setText("new")
        self._cells[0, 2].setToolTip(wrapped(state.name))
        for column, figures in ((1, verdict.old), (2, verdict.new)):
            values = (
                f"{figures.ap_50:.2f}",
                f"{figures.mean_ap:.2f}",
                str(figures.found),
                str(figures.missed),
                str(figures.extra),
            )
            for row, value in enumerate(values, start=1):
                self._cells[row, column].setText(value)
        has_objects = verdict.n_objects > 0
        for cell in self._cells.values():
            cell.setVisible(has_objects)

    def figures(self) -> list[list[str]]:
        """Return what the table shows, row by row."""
        rows = range(1, len(ROWS) + 1)
        return [[self._cells[r, c].text() for c in range(3)] for r in rows]

    def forget(self) -> None:
        """Show nothing."""
        self.state = None
        self.curves.setChecked(False)
        self.hide()

    def show_comparing(self, text: str) -> None:
        """Say what is compared and how to switch; nothing if it is empty."""
        self.keys.setText(text)
        self.keys.setVisible(bool(text))
        self.compare.blockSignals(True)
        self.compare.setChecked(bool(text))
        self.compare.blockSignals(False)
        self.compare.setText("End comparing" if text else "Compare")


def remark(state: RunState) -> str:
    """Say what a verdict means for the models."""
    verdict = state.verdict
    assert verdict is not None
    if state.decision == "used":
        key = "kept" if verdict.is_kept else "used"
        return REMARKS[key].format(state.model)
    if verdict.verdict == "not better":
        return REMARKS["not better"].format(state.parent_name)
    if state.decision:
        return REMARKS["old"].format(state.parent_name)
    return REMARKS.get(verdict.verdict, "").format(state.name)
