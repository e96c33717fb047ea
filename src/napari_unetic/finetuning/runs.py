"""The user's runs: what is unfinished, what was decided, what was held out before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.folder import read_pair
from napari_unetic.finetuning.verdict import VERDICT_FILE, Verdict
from napari_unetic.home import user_folder
from napari_unetic.image.writing import atomic_path
from napari_unetic.model.registry import is_bundled, user_models_folder
from napari_unetic.training.run import PLAN_FILE, Run

if TYPE_CHECKING:
    from napari_unetic.finetuning.collect import CollectedPair

DECISION_FILE: Final = "decision.json"

Decision: TypeAlias = Literal["used", "old", "left"]
"""The new model is used, the old one is, or the run is not to be offered any more."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A fine-tuning as its folder tells it.

    Parameters
    ----------
    run : Run
        The folder.
    verdict : Verdict or None
        None while it is unfinished.
    trainer : str or None
        Number of the process that trains it now.
    decision : str
        What a person decided; empty if nothing yet.
    model : str
        Name of the user's model that was made of it; may be empty.
    """

    run: Run
    verdict: Verdict | None
    trainer: str | None
    decision: Decision | Literal[""]
    model: str = ""

    @property
    def name(self) -> str:
        """Name of the model to be."""
        return self.run.plan.description.name

    @property
    def parent_name(self) -> str:
        """Name of the model that it started from."""
        assert self.run.plan.finetune is not None
        return self.run.plan.finetune.parent_name

    @property
    def is_open(self) -> bool:
        """Whether a person has something to do with it: go on, or look at it."""
        return not self.decision


def user_runs_folder() -> Path:
    """Return the folder of the runs that the dock makes; ``UNETIC_HOME`` moves it."""
    return user_folder("runs")


def run_state(folder: Path) -> RunState:
    """Return how a fine-tuning stands.

    Raises
    ------
    UneticError
        If the folder is none.
    """
    run = Run.open(folder)
    if run.plan.finetune is None:
        raise UneticError(
            f"Expected the run of a fine-tuning, got the training {folder}; go on with "
            "it by unetic train."
        )
    verdict = read_verdict(folder) if run.is_finished else None
    said = _decided(folder)
    return RunState(
        run, verdict, run.trainer, said.get("decision", ""), said.get("model", "")
    )


def list_runs(folder: Path | None = None) -> list[RunState]:
    """Return the fine-tunings in a folder, the newest first.

    Parameters
    ----------
    folder : Path, optional
        The user's own by default. What is no fine-tuning there is left out.
    """
    found = []
    for path in _folders(folder or user_runs_folder()):
        with suppress(UneticError):
            found.append(run_state(path))
    return sorted(found, key=lambda state: state.run.plan.created, reverse=True)


def read_verdict(folder: Path) -> Verdict | None:
    """Return the verdict of a run; None where there is none that can be read."""
    try:
        said = json.loads((folder / VERDICT_FILE).read_bytes())
        said.pop("sentence", None)
        return Verdict.model_validate(said)
    except (OSError, ValueError, AttributeError, TypeError):
        return None


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


def held_out_before(
    pairs: Sequence[CollectedPair], folder: Path | None = None
) -> list[CollectedPair]:
    """Return pairs with what earlier runs held out of the same images.

    So that an object once held out stays so, also after the viewer was closed.

    Parameters
    ----------
    pairs : sequence of CollectedPair
        Those that know already stay as they are.
    folder : Path, optional
        Of the runs; the user's own by default. The newest that knows an image counts.
    """
    runs = [state.run for state in list_runs(folder)]
    found = []
    for pair in pairs:
        if pair.held_out is None:
            digest = pair.image_hash()
            masks = (_held_out_of(run, digest) for run in runs)
            known = next((mask for mask in masks if mask is not None), None)
            fits = known is not None and known.shape == pair.labels.shape
            pair = replace(pair, held_out=known if fits else None)
        found.append(pair)
    return found


def _held_out_of(run: Run, digest: str) -> Any:
    for k, record in enumerate(run.plan.train):
        if record.sha256 == digest:
            with suppress(UneticError):
                return read_pair(run, k)[0].held_out
    return None


def _decided(folder: Path) -> dict[str, Any]:
    try:
        said = json.loads((folder / DECISION_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    known = isinstance(said, dict) and said.get("decision") in ("used", "old", "left")
    return said if known else {}


def _folders(base: Path) -> Iterator[Path]:
    """Yield the runs in a folder; hidden ones are unfinished."""
    try:
        paths = list(base.iterdir())
    except OSError:
        return
    for path in paths:
        if not path.name.startswith(".") and (path / PLAN_FILE).is_file():
            yield path
