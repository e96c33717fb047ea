"""The learning curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from napari_unetic.image.writing import atomic_path

_SCORES: Final = {
    "ap": ("AP, mean of IoU .50 to .90", "C1o-"),
    "ap_50": ("AP at IoU .50", "C3s--"),
    "iou": ("IoU, mean over classes", "C1o-"),
    "dice": ("Dice, mean over classes", "C3s--"),
}
"""Scores that a validation may have, with what a curve of them is called."""


def draw_curves(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw loss and validation scores over the steps.

    Parameters
    ----------
    records : sequence of dict
        What `napari_unetic.training.runlog.RunLog.read` returns.
    path : Path
        The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    loss: dict[int, float] = {}
    for record in records:
        if record["event"] == "rates":
            loss.update(enumerate(record["losses"], start=record["first"] + 1))
    validations = [r for r in records if r["event"] == "validation"]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    # Not pyplot: it would choose a backend for the whole process.
    canvas = FigureCanvasAgg(figure)
    losses = figure.add_subplot()
    losses.plot(list(loss), list(loss.values()), "C0", alpha=0.3)
    every = max(1, len(loss) // 100)
    mean = _means(list(loss.values()), every)
    losses.plot([(k + 0.5) * every for k in range(len(mean))], mean, "C0")
    losses.set(xlabel="step", ylabel="training loss", yscale="log")
    losses.yaxis.label.set_color("C0")
    scores = losses.twinx()
    at = [r["step"] for r in validations]
    for name, (label, style) in _SCORES.items():
        if validations and name in validations[0]:
            scores.plot(at, [r[name] for r in validations], style, label=label)
    scores.set(ylabel="validation", ylim=(0, 1))
    if validations:
        scores.legend(loc="lower right")
    with atomic_path(path) as part:
        canvas.print_png(str(part))  # type: ignore[no-untyped-call]


def _means(values: Sequence[float], every: int) -> list[float]:
    """Mean of each `every` values; a single batch tells little."""
    return [
        sum(values[k : k + every]) / every
        for k in range(0, len(values) - every + 1, every)
    ]
