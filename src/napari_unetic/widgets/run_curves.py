"""A training as it runs: loss and scores as curves, and perhaps a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QImageReader, QPalette, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.controls import text_label, wrapped
from napari_unetic.widgets.run_log import PREVIEW_FILE, RunNews

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

SCORE_COLOUR = "#e69f00"
LOSS_COLOUR = "#56b4e9"
"""Orange and sky blue, for everybody to tell (Okabe, Ito: Color Universal Design)."""

NAMES = {"ap": "AP", "ap_50": "AP", "iou": "IoU"}
"""What the axis of a score is called."""


class CurveWords(NamedTuple):
    """What is said of curves and picture.

    Parameters
    ----------
    caption : str
        Above the curves.
    curves, picture : str
        What they show, as tooltips.
    is_compared : bool
        Whether the first score is that of another model, which a dashed line shows.
    """

    caption: str
    curves: str
    picture: str = ""
    is_compared: bool = False


_CURVES_PX = 160
_PICTURE_PX = 210
_AXIS_PX = 48
_BOTTOM_PX = 22
_SMALL_PT = 8


class Curves(QWidget):
    """Loss and score over the steps.

    Parameters
    ----------
    parent : QWidget
        The dock.
    words : CurveWords
        What they show.
    """

    def __init__(self, parent: QWidget, words: CurveWords) -> None:
        super().__init__(parent)
        self._words = words
        self._named = "AP"
        self._plots: Any = None
        self._axes: list[Any] = []
        self._colour = ""
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.setFixedHeight(_CURVES_PX)
        self.setToolTip(wrapped(words.curves))
        self._to_make = [self._make_place, self._make_above, self._make_below]

    def prepare(self) -> None:
        """Make the plots a part at a time, so that the window is never held up."""
        if self._to_make and is_alive(self):
            self._to_make.pop(0)()
            QTimer.singleShot(0, self.prepare)

    def show_news(self, news: RunNews) -> None:
        """Draw what the log says so far."""
        while self._to_make:
            self._to_make.pop(0)()
        is_compared = self._words.is_compared and bool(news.scores)
        self._before.setVisible(is_compared)
        if is_compared:
            self._before.setValue(news.scores[0][1])
        name = NAMES.get(news.figure, self._named)
        if name != self._named:
            self._named = name
            self._axes[0].setLabel(name)
        self._score.setData(*_columns(news.scores))
        self._loss.setData(*_columns(news.losses))

    def _make_place(self) -> None:
        import pyqtgraph

        self._plots = pyqtgraph.GraphicsLayoutWidget(self)
        self._plots.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._plots.ci.layout.setContentsMargins(0, 2, 4, 0)
        self._plots.ci.layout.setSpacing(2)
        self._layout.addWidget(self._plots)

    def _make_above(self) -> None:
        import pyqtgraph

        self._above = self._plot(0, self._named)
        self._above.setYRange(0, 1, padding=0.03)
        pen = pyqtgraph.mkPen(SCORE_COLOUR, width=2)
        dashed = pyqtgraph.mkPen(SCORE_COLOUR, style=Qt.PenStyle.DashLine)
        self._before = pyqtgraph.InfiniteLine(angle=0, movable=False, pen=dashed)
        self._above.addItem(self._before)
        self._score = pyqtgraph.PlotDataItem(
            pen=pen,
            symbol="o",
            symbolSize=5,
            symbolBrush=SCORE_COLOUR,
            symbolPen=None,
            antialias=True,
        )
        self._above.addItem(self._score)

    def _make_below(self) -> None:
        import pyqtgraph

        below = self._plot(1, "loss")
        below.setXLink(self._above)
        bottom = self._axis("bottom", below, "")
        bottom.showLabel(False)
        bottom.setHeight(_BOTTOM_PX)
        self._plots.addItem(bottom, row=2, col=1)
        pen = pyqtgraph.mkPen(LOSS_COLOUR, width=2)
        self._loss = pyqtgraph.PlotDataItem(pen=pen, antialias=True)
        below.addItem(self._loss)
        self._paint()

    def _plot(self, row: int, name: str) -> Any:
        """Add a view with an axis at its left.

        Not pyqtgraph's own plot, which comes with menus that are windows.
        """
        import pyqtgraph

        view = pyqtgraph.ViewBox(enableMouse=False, enableMenu=False)
        axis = self._axis("left", view, name)
        axis.setWidth(_AXIS_PX)
        self._plots.addItem(axis, row=row, col=0)
        self._plots.addItem(view, row=row, col=1)
        return view

    def _axis(self, side: str, view: Any, name: str) -> Any:
        import pyqtgraph

        axis = pyqtgraph.AxisItem(side, linkView=view, maxTickLength=-4)
        axis.enableAutoSIPrefix(False)
        axis.setStyle(maxTickLevel=0, tickTextOffset=2)
        axis.setLabel(name)
        self._axes.append(axis)
        return axis

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme of the viewer."""
        super().changeEvent(event)
        kinds = QEvent.Type.PaletteChange, QEvent.Type.StyleChange
        if event is not None and event.type() in kinds and not self._to_make:
            self._paint()

    def _paint(self) -> None:
        """Take the colours of the window."""
        palette = self.palette()
        colour = palette.color(QPalette.ColorRole.WindowText).name()
        ground = palette.color(QPalette.ColorRole.Window)
        if colour == self._colour:
            return
        self._colour = colour
        self._plots.setBackground(ground)
        font = self.font()
        font.setPointSize(_SMALL_PT)
        for axis in self._axes:
            axis.setPen(colour)
            axis.setTextPen(colour)
            axis.setTickFont(font)
            axis.label.setFont(font)


class Picture(QLabel):
    """The picture that a fine-tuning writes every few seconds.

    Parameters
    ----------
    parent : QWidget
        The dock.
    tip : str
        What it shows.
    """

    def __init__(self, parent: QWidget, tip: str) -> None:
        super().__init__(parent)
        self._shown: tuple[str, int] = ("", 0)
        self._whole = QPixmap()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setToolTip(wrapped(tip))
        self.hide()

    def show_file(self, folder: Path) -> None:
        """Show the newest picture of a run; nothing where there is none yet."""
        path = folder / PREVIEW_FILE
        try:
            shown = (str(path), path.stat().st_mtime_ns)
        except OSError:
            self.forget()
            return
        if shown == self._shown:
            return
        found = QImageReader(str(path)).read()
        if found.isNull():
            return
        self._shown, self._whole = shown, QPixmap.fromImage(found)
        self._fit()
        self.show()

    def forget(self) -> None:
        """Show nothing."""
        self._shown = ("", 0)
        self.clear()
        self.hide()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the picture into the dock."""
        super().resizeEvent(event)
        if not self._whole.isNull():
            self._fit()

    def _fit(self) -> None:
        side = min(max(self.width(), 1), _PICTURE_PX)
        size = self._whole.size().scaled(
            QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio
        )
        self.setFixedHeight(size.height())
        self.setPixmap(
            self._whole.scaled(
                size, transformMode=Qt.TransformationMode.SmoothTransformation
            )
        )


class RunView(QWidget):
    """Curves and picture of the run that is followed, or was last.

    Parameters
    ----------
    parent : QWidget
        The dock.
    words : CurveWords
        What they show.
    """

    def __init__(self, parent: QWidget, words: CurveWords) -> None:
        super().__init__(parent)
        self.curves = Curves(self, words)
        self.picture = Picture(self, words.picture)
        self.caption = text_label(self)
        self.caption.setText(words.caption)
        self.caption.setToolTip(wrapped(words.curves))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.caption)
        layout.addWidget(self.curves)
        layout.addWidget(self.picture)
        self.hide()

    def show_news(self, news: RunNews) -> None:
        """Show what a run says of itself."""
        # Before there is a curve there is nothing to see.
        self.setVisible(bool(news.scores or news.losses))
        if self.isVisibleTo(self.parentWidget()):
            self.curves.show_news(news)
            self.picture.show_file(news.folder)

    def forget(self) -> None:
        """Show nothing."""
        self.picture.forget()
        self.hide()


def _columns(points: list[tuple[int, float]]) -> tuple[Any, Any]:
    table = np.array(points, np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
