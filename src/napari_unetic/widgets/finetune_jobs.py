"""What the Fine-tune dock does in a thread: look around, begin a round, decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.run_words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.finetuning.collected import CollectedPair
    from napari_unetic.finetuning.runs import RunState
    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.training.run import Run


class Around(NamedTuple):
    """What there is.

    Parameters
    ----------
    models : list of ModelEntry
        Bundled ones and the user's own.
    devices : list of str
        That can be used here, "auto" first.
    runs : list of RunState
        That a person has not decided about, the newest first.
    defaults : dict
        Usual values of the settings.
    """

    models: list[ModelEntry]
    devices: list[str]
    runs: list[RunState]
    defaults: dict[str, Any]


class Begun(NamedTuple):
    """A run that can be trained, and its pairs with what is held out of them."""

    run: Run
    pairs: list[CollectedPair]
    notices: tuple[str, ...]


class Decided(NamedTuple):
    """A run as it stands now, and the models there are now."""

    state: RunState
    models: list[ModelEntry]


@dataclass(frozen=True, slots=True)
class Request:
    """A round to begin.

    Parameters
    ----------
    model : str or Path
        What to start from.
    name : str
        Of the new model; another is taken where it is not free.
    settings : dict
        What `finetune_settings` takes.
    held_out : float
        Share of the objects.
    device : str
    """

    model: str | Path
    name: str
    settings: dict[str, Any]
    held_out: float
    device: str


def look_steps() -> Steps[Around]:
    """Return what there is: models, devices, runs."""
    yield Step(0, 0, "loading PyTorch")
    # These bring torch along: a second or two that the window must not wait for.
    import pyqtgraph  # noqa: F401

    from napari_unetic.finetuning.runs import list_runs
    from napari_unetic.finetuning.settings import DEFAULTS
    from napari_unetic.model.registry import list_models
    from napari_unetic.networks.device import usable_devices

    runs = [state for state in list_runs() if state.is_open]
    return Around(list_models(), usable_devices(), runs, dict(DEFAULTS))


def begin_steps(request: Request, pairs: Sequence[CollectedPair]) -> Steps[Begun]:
    """Make the run folder of a round.

    Raises
    ------
    UneticError
        If there are too few objects, or a setting is out of bounds.
    """
    from dataclasses import replace

    import numpy as np

    from napari_unetic.finetuning import begin_finetune_steps, finetune_settings
    from napari_unetic.finetuning.runs import held_out_before
    from napari_unetic.model.store import check_model_name
    from napari_unetic.training.runs import free_name, user_runs_folder

    settings = finetune_settings(**request.settings)
    name = free_name(check_model_name(request.name))
    yield Step(0, 0, "preparing")
    known = held_out_before(pairs)
    run = yield from begin_finetune_steps(
        request.model,
        known,
        user_runs_folder() / name,
        settings,
        held_out=request.held_out,
        name=name,
        device=request.device,
    )
    assert run.plan.finetune is not None
    planes = run.plan.finetune.planes
    held = [
        replace(pair, held_out=np.isin(pair.labels, plane.held_out))
        for pair, plane in zip(known, planes, strict=True)
    ]
    return Begun(run, held, run.plan.finetune.notices)


def state_steps(folder: Path) -> Steps[RunState]:
    """Return how a run stands."""
    yield Step(0, 0, "reading the verdict")
    from napari_unetic.finetuning.runs import run_state

    return run_state(folder)


def pairs_steps(folder: Path) -> Steps[list[CollectedPair]]:
    """Return the pairs of a run."""
    yield Step(0, 0, "reading pairs")
    from napari_unetic.finetuning import pairs_of

    return pairs_of(folder)


def use_steps(state: RunState) -> Steps[Decided]:
    """Put the model of a run among the user's, unless it is there."""
    yield Step(0, 0, "keeping the model")
    from napari_unetic.finetuning.runs import run_state
    from napari_unetic.model.registry import list_models
    from napari_unetic.training.runs import keep_model

    keep_model(state)
    return Decided(run_state(state.run.folder), list_models())


def old_steps(state: RunState) -> Steps[Decided]:
    """Take the model of a run out of the user's again; the run keeps it."""
    yield Step(0, 0, "going back")
    from napari_unetic.finetuning.runs import run_state
    from napari_unetic.model.registry import list_models
    from napari_unetic.model.store import remove_model
    from napari_unetic.training.runs import decide

    folder = state.run.folder
    if state.decision == "used" and any(
        m.name == state.model and not m.bundled for m in list_models()
    ):
        remove_model(state.model)
    decide(folder, "old")
    return Decided(run_state(folder), list_models())


def about_run(state: RunState) -> str:
    """Say what a run is about: "from nuclei on 3 images"."""
    n_images = len(state.run.plan.train)
    return f"from {state.parent_name} on {counted(n_images, 'image')}"
