"""A plan and a model, ready to make maps plane by plane."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import COLOURS
from napari_unetic.image.normalise import Normalisation, fit_normalisation
from napari_unetic.image.tiles import Span, Tile, tiles
from napari_unetic.maps.beside import Beside, may_work_beside
from napari_unetic.maps.ladder import Rung, step_down
from napari_unetic.maps.memory import fitting_tile, free_on_host
from napari_unetic.maps.network import (
    forget_networks,
    network_on,
    run_network,
    runs_banded,
)
from napari_unetic.maps.pace import PACES, network_work
from napari_unetic.maps.precision import Precision, choose_precision, expected_precision
from napari_unetic.maps.view import PlaneView, WindowReader
from napari_unetic.model.registry import load_model
from napari_unetic.networks.device import choose_device, empty_cache, is_out_of_memory
from napari_unetic.provenance import software_versions
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.maps.plan import Plan
    from napari_unetic.model.folder import Model


@dataclass(frozen=True, slots=True)
class Strip:
    """The maps of a row of tiles: in volumes, of all at the same planes.

    Parameters
    ----------
    maps : ndarray of shape (M, ...), float32
        To be filled.
    origin : tuple of int
        Where in the plane they begin.
    """

    maps: NDArray[np.float32]
    origin: tuple[int, ...]

    def put(self, tile: Tile, result: NDArray[np.float32]) -> None:
        """Fill in what the network has made of the window of a tile."""
        inside = (
            slice(part.start - start, part.stop - start)
            for part, start in zip(tile.write, self.origin, strict=True)
        )
        self.maps[(slice(None), *inside)] = result[(slice(None), *tile.crop)]


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

    def for_plan(self, plan: Plan) -> Preparation:
        """Return the same, normalised alike, for another plan of image and model.

        The plan may be of another size, or of an image that is a part of this one.
        Where memory ran out before, it begins with what was enough then.
        """
        first = Rung(self.plan.device, self.plan.tile, self.plan.batch)
        rung = Rung(plan.device, plan.tile, plan.batch)
        if self.rung != first:
            rung = replace(self.rung, tile=min(self.rung.tile, plan.tile))
        return replace(self, plan=plan, rung=rung, notices=list(self.notices))

    def maps_steps(self, plane: tuple[int, ...]) -> Steps[NDArray[np.float32]]:
        """Run the network over one plane.

        Parameters
        ----------
        plane : tuple of int
            One of the plan's planes.

        Yields
        ------
        Step
            As `strips_steps`.

        Returns
        -------
        ndarray of shape (M, *plan.map_shape), float32
            The maps of ``plan.map_box``, between 0 and 1: the same numbers to 1e-5 as
            those of the whole image there.

        Raises
        ------
        UneticError
            As `strips_steps`.
        """
        maps = self.empty_maps()
        yield from self.strips_steps(plane, lambda strip: None, maps)
        return maps

    def empty_maps(self) -> NDArray[np.float32]:
        """Return an array for the maps of a plane, for `strips_steps` to fill."""
        n_maps = self.plan.description.network.out_channels
        return np.empty((n_maps, *self.plan.map_shape), np.float32)

    def strips_steps(
        self,
        plane: tuple[int, ...],
        deliver: Callable[[NDArray[np.float32]], None],
        into: NDArray[np.float32] | None = None,
    ) -> Steps[None]:
        """Run the network over one plane, and deliver its maps by rows.

        Parameters
        ----------
        plane : tuple of int
            One of the plan's planes.
        deliver : callable
            Is given strip after strip, each of shape (M, rows, X'), float32: the maps
            of all columns of ``plan.map_box`` and its next rows, which stay as they
            are from then on; of volumes those of the next planes.
        into : ndarray of shape (M, *plan.map_shape), float32, optional
            Filled with the maps; strips are views of it. Each has an array of its own
            if None.

        Yields
        ------
        Step
            ``done`` of ``total`` tiles of all planes; a part of one where it had to be
            cut smaller. With a notice, and no more done, where memory ran out.

        Raises
        ------
        UneticError
            If memory is too little for even the smallest tile on the CPU.
        """
        plan = self.plan
        groups = self._groups()
        done = sum(map(len, groups)) * plan.planes.index(plane)
        view = PlaneView(plan, self.normalisation, plane)
        is_threaded = len(groups) > 1 and may_work_beside(self.rung.device)
        with Beside(is_threaded=is_threaded) as beside:
            reader = WindowReader(view, beside)
            strip = self._strip(groups[0][0].spans[0], into)
            for group, following in zip(groups, [*groups[1:], []], strict=True):
                yield from self._group_steps(reader, group, following, strip, done)
                done += len(group)
                if not following or following[0].spans[0] != group[0].spans[0]:
                    deliver(strip.maps)
                    if following:
                        strip = self._strip(following[0].spans[0], into)

    def _strip(self, rows: Span, into: NDArray[np.float32] | None) -> Strip:
        """Return where the maps of a row of tiles go."""
        down, *beside = self.plan.map_box
        if into is not None:
            maps = into[:, rows.start - down.start : rows.stop - down.start]
        else:
            n_maps = self.plan.description.network.out_channels
            size = n_maps, rows.stop - rows.start, *self.plan.map_shape[1:]
            maps = np.empty(size, np.float32)
        return Strip(maps, (rows.start, *(part.start for part in beside)))

    def _groups(self) -> list[list[Tile]]:
        """Return the tiles that run together: of one row and size, as many as may."""
        plan, n = self.plan, self.rung.batch
        cuts = tiles(
            plan.grid, plan.tile, plan.description.network.tile_rules, plan.map_box
        )
        groups = []
        for _, row in groupby(cuts, key=lambda tile: tile.spans[0]):
            # What takes most comes first: too little memory is found out at once.
            largest_first = sorted(row, key=lambda tile: tile.window, reverse=n > 1)
            for _, alike in groupby(largest_first, key=lambda tile: tile.window):
                same = list(alike)
                groups += [same[k : k + n] for k in range(0, len(same), n)]
        return groups

    def _group_steps(
        self,
        reader: WindowReader,
        group: list[Tile],
        following: list[Tile],
        strip: Strip,
        done: float,
    ) -> Steps[None]:
        """Run some tiles, in smaller and smaller pieces where memory is too little."""
        while True:
            pieces = self._pieces(group)
            coming = [*pieces[1:], *self._pieces(following)[:1], []]
            for k, (piece, after) in enumerate(zip(pieces, coming, strict=False), 1):
                if not self._run(reader, piece, after, strip):
                    notice = self._step_down(len(piece))
                    yield Step(done, self.plan.n_tiles, "tile", notice=notice)
                    break
                yield Step(
                    done + len(group) * k / len(pieces), self.plan.n_tiles, "tile"
                )
            else:
                return

    def _pieces(self, group: list[Tile]) -> list[list[Tile]]:
        """Return the same tiles as they are run by now: fewer at a time, or smaller.

        Tiles are cut only where they already run one at a time.
        """
        if self.rung.tile >= self.plan.tile:
            n = self.rung.batch
            return [group[k : k + n] for k in range(0, len(group), n)]
        rules = self.plan.description.network.tile_rules
        return [
            [piece]
            for tile in group
            for piece in tiles(self.plan.grid, self.rung.tile, rules, tile.write)
        ]

    def _run(
        self,
        reader: WindowReader,
        batch: list[Tile],
        after: list[Tile],
        strip: Strip,
    ) -> bool:
        """Write the maps of some tiles; False if memory was too little."""
        device = self.rung.device
        try:
            network = network_on(self.model, device, self.precision.name)
            windows = reader.read(batch)
            if after:
                reader.expect(after)
            started = time.perf_counter()
            activation = self.plan.description.target.activation
            found = run_network(network, windows, device, activation)
            seconds = time.perf_counter() - started
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            return False
        for tile, result in zip(batch, found, strict=True):
            strip.put(tile, result)
        if self._is_warm or device.name == "cpu":
            # The first run on a GPU starts it, which no later one does.
            n_pixels = windows.size / windows.shape[1]
            description, precision = self.plan.description, self.precision.name
            work = network_work(description, device, precision)
            PACES.learn(work, n_pixels / 1e6, seconds)
        self._is_warm = True
        self._note_no_numbers(reader)
        return True

    def _note_no_numbers(self, reader: WindowReader) -> None:
        notice = (
            f"{self.plan.image.name}: not-a-number and infinite values are read as "
            "background."
        )
        if reader.met_no_numbers and notice not in self.notices:
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
            precision=expected_precision(
                plan.settings.precision, plan.description, cpu
            ),
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
            "network_axes": plan.description.axes,
            "shape": list(plan.image.data.shape),
            "settings": plan.settings.changed(),
            "box": [[part.start, part.stop] for part in plan.box],
            "tile": self.rung.tile,
            "zoom": plan.zoom,
            **({"zoom_z": plan.zoom_z} if plan.image.dimensions == 3 else {}),
            "normalisation": {
                **fitted.spec.record(),
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
        notices=[*_colour_notices(plan), *precision.notices],
    )


def _colour_notices(plan: Plan) -> tuple[str, ...]:
    """Say that channels were taken for colours, which they may not be."""
    image, channels = plan.image, plan.description.channels
    is_guess = channels == COLOURS and image.n_channels == 3 and not image.rgb
    if not is_guess or plan.settings.channel is not None:
        return ()
    return (
        f"The three channels of {image.name} were taken as red, green and blue; if "
        "they are stains of their own, pick one with channel.",
    )
