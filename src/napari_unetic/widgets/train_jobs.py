"""What the Train dock does in a thread: look around, begin a run, keep its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.train_pairs import Sharing, Source, split_steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.training.run import Run
    from napari_unetic.training.runs import UserRun
    from napari_unetic.training.settings import TrainSettings


class NetworkChoice(NamedTuple):
    """A network that can be trained.

    Parameters
    ----------
    name : str
        Of the preset.
    n_parameters : int
        As the preset has it; other channels or classes change a little.
    source : str
        Where it comes from.
    """

    name: str
    n_parameters: int
    source: str


class Around(NamedTuple):
    """What there is.

    Parameters
    ----------
    networks : list of NetworkChoice
        For planes, the default first.
    devices : list of str
        That can be used here, "auto" first.
    trainings : list of UserRun
        That a person has not decided about, the newest first.
    settings : type of TrainSettings
        What the form is made of; its module brings torch along.
    """

    networks: list[NetworkChoice]
    devices: list[str]
    trainings: list[UserRun]
    settings: type[TrainSettings]


class Kept(NamedTuple):
    """A finished training: its run, the models there are now, and what it came to."""

    state: UserRun
    models: list[ModelEntry]
    summary: str


@dataclass(frozen=True, slots=True)
class Request:
    """A training to begin.

    Parameters
    ----------
    source : FolderSource or LayerSource
        What to learn from.
    sharing : Sharing
        What is held back.
    settings : TrainSettings
    name : str
        Of the new model; another is taken where it is not free.
    device : str
    """

    source: Source
    sharing: Sharing
    settings: TrainSettings
    name: str
    device: str


def look_steps() -> Steps[Around]:
    """Return what there is: networks, devices, trainings."""
    yield Step(0, 0, "loading PyTorch")
    # These bring torch along: a second or two that the window must not wait for.
    import pyqtgraph  # noqa: F401

    from napari_unetic.networks.cost import cost
    from napari_unetic.networks.device import usable_devices
    from napari_unetic.networks.presets import DEFAULT_PRESET, PRESETS
    from napari_unetic.training.runs import list_trainings
    from napari_unetic.training.settings import TrainSettings

    networks = []
    for one in PRESETS.values():
        if one.spec.dimensions == 2:
            n_parameters = cost(one.spec).n_parameters
            networks.append(NetworkChoice(one.name, n_parameters, one.source))
            yield Step(0, 0, "looking at networks")
    networks.sort(key=lambda choice: choice.name != DEFAULT_PRESET)
    trainings = [state for state in list_trainings() if state.is_open]
    return Around(networks, usable_devices(), trainings, TrainSettings)


def begin_steps(request: Request) -> Steps[Run]:
    """Make the run folder of a training.

    Raises
    ------
    UneticError
        If pairs, network and settings do not fit each other.
    """
    import shutil
    import tempfile
    from pathlib import Path

    from napari_unetic.training.runs import free_name, user_runs_folder
    from napari_unetic.training.sessions import begin_train_steps

    name = free_name(request.name)
    runs = user_runs_folder()
    runs.mkdir(parents=True, exist_ok=True)
    # In the folder of the runs, so that it only has to be renamed.
    staging = Path(tempfile.mkdtemp(prefix=".pairs-", dir=runs))
    staging.chmod(0o755)
    try:
        train, held = yield from split_steps(request.source, request.sharing, staging)
        return (
            yield from begin_train_steps(
                train,
                held,
                runs / name,
                request.settings,
                name=name,
                device=request.device,
                inside=staging if any(staging.iterdir()) else None,
            )
        )
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def keep_steps(folder: Path) -> Steps[Kept]:
    """Put the model of a finished training among the user's."""
    yield Step(0, 0, "keeping the model")
    from napari_unetic.model.registry import list_models
    from napari_unetic.training.runs import keep_model, summary, training_state

    keep_model(training_state(folder))
    state = training_state(folder)
    return Kept(state, list_models(), summary(state.run))


def about_run(state: UserRun) -> str:
    """Say what a run is about: "unetic-16 on 12 images"."""
    plan = state.run.plan
    n = len(plan.train) + len(plan.validation)
    return f"{plan.settings.preset} on {n:,} image{'' if n == 1 else 's'}"


def checked(values: dict[str, Any], name: str) -> TrainSettings:
    """Return settings of the values that a form says, known to go together.

    Parameters
    ----------
    values : dict
        Fields of `TrainSettings`; torch must have been imported, or it is here.
    name : str
        Of the new model.

    Raises
    ------
    UneticError
        In a sentence, if one is out of bounds or two exclude each other.
    """
    from napari_unetic.model.description import check_planar
    from napari_unetic.model.store import check_model_name
    from napari_unetic.training.record import describe
    from napari_unetic.training.settings import train_settings

    settings = train_settings(**values)
    check_planar(describe(None, settings, check_model_name(name)))
    return settings
