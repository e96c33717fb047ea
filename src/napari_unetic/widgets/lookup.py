"""What the dock finds out in a thread: models, devices, and how fast they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import QObject

from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.jobs import Job

if TYPE_CHECKING:
    from napari_unetic.model.registry import ModelEntry
    from napari_unetic.networks.device import Device
    from napari_unetic.widgets.plan_line import Forecast
    from napari_unetic.widgets.relay import Outcome


class Found(NamedTuple):
    """What there is.

    Parameters
    ----------
    models : list of ModelEntry
        Bundled ones and the user's own.
    devices : list of str
        That can be used here, "auto" first.
    """

    models: list[ModelEntry]
    devices: list[str]


class Lookup(QObject):
    """Looks for models and devices, and tries how fast they are.

    Parameters
    ----------
    parent : QObject
        The dock.
    on_found : callable
        Called with how the search ended: with `Found`, or an error.
    on_paced : callable
        Called when a pace is known that was not.
    """

    def __init__(
        self,
        parent: QObject,
        on_found: Callable[[Outcome], None],
        on_paced: Callable[[], None],
    ) -> None:
        super().__init__(parent)
        self._on_paced = on_paced
        self._tried: set[tuple[str, str]] = set()
        self._search = Job(self, _ignore, on_found)
        self._trial = Job(self, _ignore, self._paced)

    @property
    def searching(self) -> bool:
        """Whether it is not known yet what there is."""
        return self._search.running

    @property
    def running(self) -> bool:
        """Whether anything runs in a thread."""
        return self._search.running or self._trial.running

    def find(self) -> None:
        """Look for models and devices again."""
        if not self._search.running:
            self._search.start(_find_steps())

    def try_pace(self, entry: ModelEntry, plan: Forecast) -> None:
        """Find out how long a plan takes, unless that is known or was tried before."""
        if plan.plan.seconds is not None or self._trial.running:
            return
        device = plan.plan.device
        key = entry.description.weights_sha256, str(device.torch)
        if key not in self._tried:
            self._tried.add(key)
            self._trial.start(_pace_steps(entry.name, device))

    def stop(self) -> None:
        """End what runs."""
        self._search.stop()
        self._trial.stop()

    def _paced(self, outcome: Outcome) -> None:
        # Without a pace the plan names no time: nothing that a person must know.
        if outcome.error is None and not outcome.stopped:
            self._on_paced()


def _ignore(step: Step) -> None:
    """Show nothing of what takes a second or two."""


def _find_steps() -> Steps[Found]:
    """Return the models and devices there are."""
    yield Step(0, 0, "loading PyTorch")
    # These bring torch along: a second or two that the window must not wait for.
    from napari_unetic.maps import plan_work  # noqa: F401
    from napari_unetic.model.registry import list_models
    from napari_unetic.networks.device import usable_devices

    return Found(list_models(), usable_devices())


def _pace_steps(model: str, device: Device) -> Steps[float]:
    """Try how fast a model runs on a device."""
    yield Step(0, 0, "trying the network")
    from napari_unetic.maps.pace import measure_pace
    from napari_unetic.model.registry import load_model

    return measure_pace(load_model(model), device)
