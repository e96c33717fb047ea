"""A plan and a model, ready to make maps plane by plane."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.normalise import Normalisation, fit_normalisation
from napari_unetic.image.tiles import Tile, tiles
from napari_unetic.maps.ladder import Rung, step_down
from napari_unetic.maps.memory import fitting_tile, free_on_host
from napari_unetic.maps.network import (
    forget_networks,
    network_on,
    run_network,
    runs_banded,
)
from napari_unetic.maps.pace import PACES, network_work
from napari_unetic.maps.precision import Precision, choose_precision
from napari_unetic.maps.view import PlaneView
from napari_unetic.model.registry import load_model
from napari_unetic.networks.device import choose_device, empty_cache, is_out_of_memory
from napari_unetic.provenance import software_versions
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.maps.plan import Plan
    from napari_unetic.model.folder import Model


@dataclass(slots=True)
class Preparation:
    """An image and a model that fit each other, ready for the network.

    Parameters
    ----------
    plan : Plan
        What is to be done.
    model : Model
        What does it.
    normalisation : Normalisation
        Fitted to the whole image, whatever part of it is done.
    seconds : float
        That fitting took.
    rung : Rung
        How the network runs by now; it takes less memory once that ran out.
    precision : Precision
        Of the network's numbers on the device of the rung, and why.
    notices : list of str
        What was met so far that the user should read.
    """

    plan: Plan
    model: Model
    normalisation: Normalisation
    seconds: float
    rung: Rung
    precision: Precision
    notices: list[str] = field(default_factory=list)
    _is_warm: bool = False

    def maps_steps(self, plane: tuple[int, ...]) -> Steps[NDArray[np.float32]]:
        """Run the network over one plane.

        Parameters
        ----------
        plane : tuple of int
            One of the plan's planes.

        Yields
        ------
        Step
            ``done`` of ``total`` tiles of all planes; a part of one where it had to be
            cut smaller. With a notice, and no more done, where memory ran out.

        Returns
        -------
        ndarray of shape (M, *plan.map_shape), float32
            The maps of ``plan.map_box``, between 0 and 1: the same numbers to 1e-5 as
            those of the whole image there.

        Raises
        ------
        UneticError
            If memory is too little for even the smallest tile on the CPU.
        """
        plan, spec = self.plan, self.plan.description.network
        view = PlaneView(plan, self.normalisation, plane)
        todo = list(tiles(plan.grid, plan.tile, spec.tile_rule, plan.map_box))
        if plan.batch > 1:
            # Only windows of one size run together; what takes most comes first, so
            # that too little memory is found out at once.
            todo.sort(key=lambda tile: tile.window, reverse=True)
        done = len(todo) * plan.planes.index(plane)
        maps = np.empty((spec.out_channels, *plan.map_shape), np.float32)
        while todo:
            group = self._group(todo)
            pieces = self._pieces(group)
            for k, piece in enumerate(pieces, start=1):
                if not self._run(view, piece, maps):
                    notice = self._step_down(len(piece))
                    yield Step(done, plan.n_tiles, "tile", notice=notice)
                    break
                part = k / len(pieces) if k < len(pieces) else len(group)
                yield Step(done + part, plan.n_tiles, "tile")
            else:
                done += len(group)
                del todo[: len(group)]
        return maps

    def _group(self, todo: Sequence[Tile]) -> list[Tile]:
        """Return the tiles that run next: as many as may, all of one size."""
        shape, next_ones = todo[0].window, todo[: self.rung.batch]
        return list(takewhile(lambda tile: tile.window == shape, next_ones))

    def _pieces(self, group: list[Tile]) -> list[list[Tile]]:
        """Return the same tiles as they are run, cut where they have become too large.

        Tiles are cut only where they already run one at a time.
        """
        if self.rung.tile >= self.plan.tile:
            return [group]
        rule = self.plan.description.network.tile_rule
        return [
            [piece]
            for tile in group
            for piece in tiles(self.plan.grid, self.rung.tile, rule, tile.write)
        ]

    def _run(
        self, view: PlaneView, batch: list[Tile], maps: NDArray[np.float32]
    ) -> bool:
        """Write the maps of some tiles; False if memory was too little."""
        device = self.rung.device
        top, left = (part.start for part in self.plan.map_box)
        try:
            network = network_on(self.model, device, self.precision.name)
            windows = np.stack([view.window(tile) for tile in batch])
            started = time.perf_counter()
            found = run_network(network, windows, device)
            seconds = time.perf_counter() - started
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        for tile, result in zip(batch, found, strict=True):
            rows, columns = tile.rows, tile.columns
            maps[
                :,
                rows.start - top : rows.stop - top,
                columns.start - left : columns.stop - left,
            ] = result[(slice(None), *tile.crop)]
        if self._is_warm or device.name == "cpu":
            # The first run on a GPU starts it, which no later one does.
            n_pixels = windows.size / windows.shape[1]
            description, precision = self.plan.description, self.precision.name
            work = network_work(description, device, precision)
            PACES.learn(work, n_pixels / 1e6, seconds)
        self._is_warm = True
        self._note_no_numbers(view)
        return True

    def _note_no_numbers(self, view: PlaneView) -> None:
        notice = (
            f"{self.plan.image.name}: not-a-number and infinite values are read as "
            "background."
        )
        if view.met_no_numbers and notice not in self.notices:
            self.notices.append(notice)

    def _step_down(self, batch: int) -> str:
        """Take the next way that needs less memory than what failed, and say so."""
        plan, device = self.plan, self.rung.device
        spec = plan.description.network
        # What failed is still held by its error until this runs.
        gc.collect()
        cpu = choose_device("cpu")
        host_tile = fitting_tile(
            plan.grid,
            plan.map_box,
            spec,
            free_on_host() // 2,
            is_banded=runs_banded(spec, cpu),
        )
        failed = replace(self.rung, batch=batch)
        lower = step_down(failed, spec, min(plan.tile, host_tile))
        if lower is None:
            raise UneticError(
                f"Expected enough memory for tiles of {self.rung.tile} pixels, got too "
                "little even on the CPU; close other programs, or choose a region."
            )
        self.rung, notice = lower
        self.notices.append(notice)
        if self.rung.device != device:
            forget_networks()
            self._is_warm = False
            wanted = plan.settings.precision
            self.precision = choose_precision(wanted, self.model, self.rung.device)
            self.notices.extend(self.precision.notices)
        empty_cache(device.torch)
        return notice

    def provenance(self) -> dict[str, Any]:
        """Return all that the maps depend on, as JSON can hold it."""
        plan, fitted = self.plan, self.normalisation
        return {
            "model": plan.description.name,
            "weights_sha256": plan.description.weights_sha256,
            "source": plan.image.name,
            "axes": plan.image.axes,
            "shape": list(plan.image.data.shape),
            "settings": plan.settings.changed(),
            "box": [[part.start, part.stop] for part in plan.box],
            "tile": self.rung.tile,
            "zoom": plan.zoom,
            "normalisation": {
                "kind": fitted.spec.kind,
                "percentiles": [fitted.spec.low, fitted.spec.high],
                "offset": list(fitted.offset),
                "scale": list(fitted.scale),
            },
            "device": self.rung.device.name,
            "device_reason": self.rung.device.reason,
            "precision": self.precision.name,
            "precision_reason": self.precision.reason,
            "software": software_versions(),
        }


def prepare(plan: Plan, model: str | Path | Model) -> Preparation:
    """Fit the normalisation, so that the network can run.

    Parameters
    ----------
    plan : Plan
        As `napari_unetic.maps.plan_work` returns it.
    model : str, Path or Model
        The one that was planned for.

    Returns
    -------
    Preparation
        Whose `maps_steps` runs the network.

    Raises
    ------
    UneticError
        If the image has no finite value, or the model's files changed since.
    """
    loaded = load_model(model)
    if loaded.description.weights_sha256 != plan.description.weights_sha256:
        raise UneticError(
            f"Expected the weights of {plan.description.name!r} that were planned for, "
            "got others; start again, which takes the new ones."
        )
    started = time.perf_counter()
    normalisation = fit_normalisation(
        plan.image,
        plan.description.network.in_channels,
        channel=plan.settings.channel,
        spec=plan.description.normalisation,
    )
    seconds = time.perf_counter() - started
    precision = choose_precision(plan.settings.precision, loaded, plan.device)
    return Preparation(
        plan=plan,
        model=loaded,
        normalisation=normalisation,
        seconds=seconds,
        rung=Rung(plan.device, plan.tile, plan.batch),
        precision=precision,
        notices=list(precision.notices),
    )
