"""What there is to review in a layer of labels, and one object of it; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_unetic.axes import canonical
from napari_unetic.errors import UneticError
from napari_unetic.instances.footprint import Footprint
from napari_unetic.instances.record import unpack_labels
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.accepting import accepted_numbers
from napari_unetic.widgets.grids import canonical_labels
from napari_unetic.widgets.levels import level_data
from napari_unetic.widgets.touching import watch

if TYPE_CHECKING:
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unetic.finetuning.review import Doubt
    from napari_unetic.widgets.records import Record


class Agenda(NamedTuple):
    """What there is to review in a layer.

    Parameters
    ----------
    record : dict
        Of the layer.
    letters : str
        One a dimension of the layer.
    doubts : list of Doubt
        The objects that nobody has touched or accepted, the least sure first.
    """

    record: Record
    letters: str
    doubts: list[Doubt]


def agenda_steps(layer: Labels) -> Steps[Agenda]:
    """Find the objects of a layer that nobody has touched or accepted.

    Parameters
    ----------
    layer : napari.layers.Labels
        Any layer; it is only read.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    Agenda

    Raises
    ------
    UneticError
        If it is not known what was predicted.
    """
    yield Step(0, 0, "looking for the record")
    record = watch(layer).record()
    if record is None or "predicted" not in record:
        raise UneticError(
            f"Expected labels that were predicted, got {layer.name}, of which no "
            "record is found; segment the image with this plugin first."
        )
    # It brings torch along: a second or two that the window must not wait for.
    from napari_unetic.finetuning.review import review_steps

    letters = str(record["layer"]["axes"])
    labels, predicted = (
        canonical_labels(data, letters)
        for data in (level_data(layer), unpack_labels(record["predicted"]))
    )
    shape = (*labels.plane_shape, *labels.shape_yx)
    if (*predicted.plane_shape, *predicted.shape_yx) != shape:
        raise UneticError(
            f"Expected {layer.name} in the size in which it was predicted, got another "
            "one; segment the image again."
        )
    accepted = accepted_numbers(record, shape, lambda plane: labels.read(plane)[0])
    doubts = yield from review_steps(
        labels.data, predicted.data, _scores(layer), accepted
    )
    return Agenda(record, letters, doubts)


def footprint_of(layer: Labels, letters: str, doubt: Doubt) -> Footprint:
    """Return the pixels that an object has now; only the box around it is read."""
    rows, columns = doubt.box
    index = dict(
        zip((a for a in canonical(letters) if a in "TZ"), doubt.plane, strict=True)
    )
    parts: dict[str, Any] = {**index, "C": 0, "Y": rows, "X": columns}
    window = np.asarray(level_data(layer)[tuple(parts[a] for a in letters)])
    if letters.index("X") < letters.index("Y"):
        window = window.T
    start = int(rows.start), int(columns.start)
    return Footprint(doubt.plane, start, window == doubt.number)


def corners_of(letters: str, doubt: Doubt) -> tuple[list[float], list[float]]:
    """Return the corners of the box around an object, in the layer's dimensions."""
    along = [a for a in canonical(letters) if a in "TZ"]
    low: dict[str, float] = dict(zip(along, map(float, doubt.plane), strict=True))
    low["C"] = 0.0
    high = dict(low)
    for letter, part in zip("YX", doubt.box, strict=True):
        low[letter], high[letter] = part.start - 0.5, part.stop - 0.5
    return [low[a] for a in letters], [high[a] for a in letters]


def _scores(layer: Labels) -> dict[int, float]:
    """Return how sure the network is of each object, as far as the table tells."""
    table = layer.features
    if "index" not in table or "score" not in table:
        return {}
    numbers: NDArray[Any] = table["index"].to_numpy()
    return dict(zip(numbers.tolist(), table["score"].to_numpy().tolist(), strict=True))
