"""What every dock that trains does in a thread: look around, keep a model, leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.training.runs import UserRun


def leave_steps(state: UserRun) -> Steps[None]:
    """Offer a run no more; it stays in its folder."""
    yield Step(0, 0, "leaving it")
    from napari_unetic.training.runs import decide

    decide(state.run.folder, "left")


def discard_steps(folder: Path) -> Steps[None]:
    """Remove a run that nothing was learnt in."""
    yield Step(0, 0, "stopping")
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
