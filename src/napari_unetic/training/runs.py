"""The runs of the docks: where they lie, how they stand, what was decided of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from napari_unetic.errors import UneticError
from napari_unetic.home import user_folder
from napari_unetic.image.writing import atomic_path
from napari_unetic.model.folder import load_description
from napari_unetic.model.registry import is_bundled, list_models, user_models_folder
from napari_unetic.model.store import add_model
from napari_unetic.training.run import PLAN_FILE, Run
from napari_unetic.training.runlog import RunLog

DECISION_FILE: Final = "decision.json"

Decision: TypeAlias = Literal["used", "old", "left"]
"""The new model is used, the old one is, or the run is not to be offered any more."""


@dataclass(frozen=True, slots=True)
class UserRun:
    """A run of a dock as its folder tells it.

    Parameters
    ----------
    run : Run
        The folder.
    trainer : str or None
        Number of the process that trains it now.
    decision : str
        What a person decided; empty if nothing yet.
    model : str
        Name of the user's model that was made of it; may be empty.
    """

    run: Run
    trainer: str | None = None
    decision: Decision | Literal[""] = ""
    model: str = ""

    @property
    def name(self) -> str:
        """Name of the model to be."""
        return self.run.plan.description.name

    @property
    def is_open(self) -> bool:
        """Whether a person has something to do with it: go on, or look at it."""
        return not self.decision


def user_runs_folder() -> Path:
    """Return the folder of the runs that the docks make; ``UNETIC_HOME`` moves it."""
    return user_folder("runs")


def training_state(folder: Path) -> UserRun:
    """Return how a training from scratch stands.

    Raises
    ------
    UneticError
        If the folder is no run, or that of a fine-tuning.
    """
    run = Run.open(folder)
    if run.plan.finetune is not None:
        raise UneticError(
            f"Expected the run of a training, got the fine-tuning {folder}; open the "
            "Fine-tune dock."
        )
    decision, model = decision_of(folder)
    return UserRun(run, run.trainer, decision, model)


def list_trainings(folder: Path | None = None) -> list[UserRun]:
    """Return the trainings from scratch in a folder, the newest first.

    Parameters
    ----------
    folder : Path, optional
        The user's own by default. What is no training there is left out.
    """
    found = []
    for path in run_folders(folder or user_runs_folder()):
        with suppress(UneticError):
            found.append(training_state(path))
    return sorted(found, key=lambda state: state.run.plan.created, reverse=True)


def decide(folder: Path, decision: Decision, model: str = "") -> None:
    """Write down what a person decided, so that the run is not offered again.

    Parameters
    ----------
    folder : Path
        The run.
    decision : {"used", "old", "left"}
        See `Decision`.
    model : str
        Name of the user's model that was made of it, where it is used.
    """
    text = json.dumps({"decision": decision, "model": model}) + "\n"
    with atomic_path(folder / DECISION_FILE) as part:
        part.write_text(text, encoding="utf-8")


def decision_of(folder: Path) -> tuple[Decision | Literal[""], str]:
    """Return what was decided of a run and the model made of it; empty if nothing."""
    try:
        said = json.loads((folder / DECISION_FILE).read_bytes())
    except (OSError, ValueError):
        return "", ""
    known = isinstance(said, dict) and said.get("decision") in ("used", "old", "left")
    return (said["decision"], str(said.get("model", ""))) if known else ("", "")


def keep_model(state: UserRun) -> str:
    """Put the model of a run among the user's, and write that down.

    Parameters
    ----------
    state : UserRun
        With a model in its folder.

    Returns
    -------
    str
        The name it has there: its own, or another where that is in use. A model that
        is there already stays, also under another name.
    """
    folder = state.run.folder
    digest = load_description(state.run.model).weights_sha256
    own = [m for m in list_models() if not m.bundled]
    same = [m.name for m in own if m.description.weights_sha256 == digest]
    name = same[0] if same else state.name
    if not same:
        taken = is_bundled(name) or (user_models_folder() / name).exists()
        name = free_name(name) if taken else name
        add_model(folder, name=name)
    decide(folder, "used", name)
    return name


def free_name(wanted: str, folder: Path | None = None) -> str:
    """Return a name that neither a run nor a model has: ``NAME`` or ``NAME-2``.

    Parameters
    ----------
    wanted : str
        A plain name for a folder.
    folder : Path, optional
        Of the runs; the user's own by default.
    """
    runs = folder or user_runs_folder()
    name, n = wanted, 1
    while (
        is_bundled(name)
        or (runs / name).exists()
        or (user_models_folder() / name).exists()
    ):
        n += 1
        name = f"{wanted}-{n}"
    return name


def run_folders(base: Path) -> Iterator[Path]:
    """Yield the runs in a folder; hidden ones are unfinished."""
    try:
        paths = list(base.iterdir())
    except OSError:
        return
    for path in paths:
        if not path.name.startswith(".") and (path / PLAN_FILE).is_file():
            yield path


def summary(run: Run) -> str:
    """Return how far a training came and how good its model is, in a few words.

    Such as ``mean AP 0.71 on 3 validation images, after 1,200 steps``.
    """
    records = RunLog(run.folder).read()
    steps = max((int(r.get("step", 0)) for r in records), default=0)
    said = f"after {steps:,} step" + ("" if steps == 1 else "s")
    scored = [r for r in records if r["event"] in ("validation", "tuned")]
    figure = "iou" if run.plan.description.kind.noun == "classes" else "ap"
    if not scored:
        return said
    tuned = scored[-1]["event"] == "tuned"
    best = scored[-1] if tuned else max(scored, key=lambda r: float(r[figure]))
    n = len(run.plan.validation)
    images = f"{n:,} validation image" + ("" if n == 1 else "s")
    names: dict[str, Any] = {"iou": "mean IoU", "ap": "mean AP"}
    return f"{names[figure]} {float(best[figure]):.2f} on {images}, {said}"
