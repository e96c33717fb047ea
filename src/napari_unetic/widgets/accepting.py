"""Objects that a person has accepted: in the record of their layer, by their pixels."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_unetic.errors import UneticError
from napari_unetic.instances.footprint import Footprint
from napari_unetic.widgets.records import ACCEPTED, Record, with_accepted
from napari_unetic.widgets.touching import watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Labels
    from numpy.typing import NDArray


def accepted_in(record: Record | None) -> list[Footprint]:
    """Return the accepted objects that a record names; damaged ones are left out."""
    found = []
    for value in (record or {}).get(ACCEPTED, ()):
        with suppress(UneticError):
            found.append(Footprint.from_json(value))
    return found


def accepted_numbers(
    record: Record | None,
    shape: tuple[int, ...],
    read: Callable[[tuple[int, ...]], NDArray[Any]],
) -> dict[tuple[int, ...], set[int]]:
    """Return which objects of labels are still those that were accepted.

    Parameters
    ----------
    record : dict, optional
        Of the layer.
    shape : tuple of int
        Of the labels: planes along T and Z, then Y and X.
    read : callable
        Returns the labels of a plane, of shape (Y, X).

    Returns
    -------
    mapping of tuple of int to set of int
        Plane to the numbers that they have now.
    """
    planes: dict[tuple[int, ...], list[Footprint]] = {}
    for footprint in accepted_in(record):
        plane = footprint.plane
        is_there = len(plane) == len(shape) - 2
        if is_there and all(i < n for i, n in zip(plane, shape, strict=False)):
            planes.setdefault(plane, []).append(footprint)
    found = {}
    for plane, footprints in planes.items():
        labels = read(plane)
        numbers = {footprint.number_in(labels) for footprint in footprints}
        found[plane] = numbers - {0}
    return found


def accept(layer: Labels, footprint: Footprint) -> None:
    """Take note that an object is right as it is; for the viewer's thread alone.

    Parameters
    ----------
    layer : napari.layers.Labels
        With a record.
    footprint : Footprint
        Of the object as it is now, in canonical order of the layer's axes.
    """
    _write(layer, [*_others(layer, footprint), footprint.as_json()])


def take_back(layer: Labels, footprint: Footprint) -> None:
    """Forget that an object was accepted; for the viewer's thread alone."""
    _write(layer, _others(layer, footprint))


def is_accepted(layer: Labels, footprint: Footprint) -> bool:
    """Whether an object with just these pixels was accepted."""
    record = watch(layer).record() or {}
    return footprint.as_json() in record.get(ACCEPTED, ())


def _others(layer: Labels, footprint: Footprint) -> list[Record]:
    own = footprint.as_json()
    record = watch(layer).record() or {}
    return [value for value in record.get(ACCEPTED, ()) if value != own]


def _write(layer: Labels, accepted: list[Record]) -> None:
    watching = watch(layer)
    record = watching.record()
    assert record is not None
    watching.replace_record(with_accepted(record, {ACCEPTED: accepted}))
