"""What a finished training came to: how good it is, and where its model lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_unetic.widgets.controls import text_label
from napari_unetic.widgets.run_place import ModelPlace
from napari_unetic.widgets.wording import foldable

if TYPE_CHECKING:
    from napari_unetic.widgets.train_jobs import Kept

REMARK = "“{}” is among the models, and chosen in the Segment dock."


class TrainedView(QFrame):
    """A finished training, with its buttons.

    Parameters
    ----------
    parent : QWidget
        The dock.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.kept: Kept | None = None
        self.sentence = text_label(self)
        self.sentence.setStyleSheet("font-weight: bold;")
        self.remark = text_label(self)
        self.place = ModelPlace(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 4)
        for widget in (self.sentence, self.remark, self.place):
            layout.addWidget(widget)
        self.hide()

    def show_kept(self, kept: Kept) -> None:
        """Show what a training came to."""
        self.kept = kept
        said = kept.summary
        self.sentence.setText(f"{said[:1].upper()}{said[1:]}.")
        self.remark.setText(foldable(REMARK.format(kept.state.model)))
        self.place.show_state(kept.state)
        self.show()

    def forget(self) -> None:
        """Show nothing."""
        self.kept = None
        self.hide()
