"""The user's runs: what is unfinished, what was decided, what was held out before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.folder import read_pair
from napari_unetic.finetuning.verdict import VERDICT_FILE, Verdict
from napari_unetic.training.run import Run
from napari_unetic.training.runs import (
    UserRun,
    decision_of,
    run_folders,
    user_runs_folder,
)

if TYPE_CHECKING:
    from napari_unetic.finetuning.collected import CollectedPair


@dataclass(frozen=True, slots=True)
class RunState(UserRun):
    """A fine-tuning as its folder tells it.

    Parameters
    ----------
    run, trainer, decision, model
        As `UserRun`.
    verdict : Verdict or None
        None while it is unfinished.
    """

    verdict: Verdict | None = None

    @property
    def parent_name(self) -> str:
        """Name of the model that it started from."""
        assert self.run.plan.finetune is not None
        return self.run.plan.finetune.parent_name


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
    decision, model = decision_of(folder)
    return RunState(run, run.trainer, decision, model, verdict)


def list_runs(folder: Path | None = None) -> list[RunState]:
    """Return the fine-tunings in a folder, the newest first.

    Parameters
    ----------
    folder : Path, optional
        The user's own by default. What is no fine-tuning there is left out.
    """
    found = []
    for path in run_folders(folder or user_runs_folder()):
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
