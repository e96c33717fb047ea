"""How the controls of a dock are laid out: rows, sections to unfold, a place to scroll.

Each row has one tooltip, for its name and its control.
"""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_unetic.widgets.controls import explain, wrapped


class Fold(QWidget):
    """A section that can be unfolded.

    Parameters
    ----------
    parent : QWidget
        The dock.
    name : str
        Of the section.
    tooltip : str
        What lies in it.
    """

    def __init__(self, parent: QWidget, name: str, tooltip: str) -> None:
        super().__init__(parent)
        self.header = QToolButton(self)
        self.header.setText(name)
        self.header.setToolTip(wrapped(tooltip))
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setArrowType(Qt.ArrowType.RightArrow)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        self.content = QWidget(self)
        self.content.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(self.content)
        self.header.toggled.connect(self._fold)

    @property
    def unfolded(self) -> bool:
        """Whether its content is in sight."""
        return self.header.isChecked()

    @unfolded.setter
    def unfolded(self, unfolded: bool) -> None:
        self.header.setChecked(unfolded)

    def _fold(self, unfolded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow
        self.header.setArrowType(arrow)
        self.content.setVisible(unfolded)


class Form(QFormLayout):
    """Rows of a name and a control, with one tooltip for both.

    Parameters
    ----------
    parent : QWidget, optional
        Whose layout it becomes.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.setContentsMargins(0, 0, 0, 0)

    def row(self, name: str, control: QWidget, tooltip: str) -> None:
        """Add a row."""
        label = QLabel(name)
        label.setBuddy(control)
        label.setToolTip(wrapped(tooltip))
        explain(control, tooltip)
        self.addRow(label, control)

    def check(self, box: QCheckBox, tooltip: str) -> None:
        """Add a box to tick, over the whole width."""
        explain(box, tooltip)
        self.addRow(box)


LEAST_HEIGHT = 260
"""Of what scrolls, in pixels: down to the button of a dock."""


class Scrolled(QScrollArea):
    """A widget that scrolls up and down where there is not the place for all of it.

    Parameters
    ----------
    content : QWidget
        What scrolls.
    parent : QWidget
        The dock.
    """

    def __init__(self, content: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        """Keep the first controls in sight where another dock stands above or below."""
        return super().minimumSizeHint().expandedTo(QSize(0, LEAST_HEIGHT))
