"""What of a layer of labels was corrected, and which area that makes; for a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.collecting import AreaChoice, Corrections, what_is_there
from napari_unetic.widgets.finetune_form import ALL, AUTOMATIC, TOUCHED
from napari_unetic.widgets.touching import watch

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    from napari_unetic.finetuning.collected import CollectedPair


@dataclass(frozen=True, slots=True)
class Counted:
    """What was corrected.

    Parameters
    ----------
    area : "touched", "all" or a layer
        The reviewed area; what *automatic* came to.
    corrections : Corrections
        In that area.
    n_other, n_pairs : int
        Objects that were collected elsewhere, and in how many planes.
    """

    area: AreaChoice
    corrections: Corrections
    n_other: int = 0
    n_pairs: int = 0


def count_steps(
    image: ImageLayer | None,
    labels: Labels | None,
    area: Any,
    others: Sequence[CollectedPair],
) -> Steps[Counted]:
    """Find out what was corrected; layers are only read.

    Parameters
    ----------
    image, labels
        The layers, where there are any.
    area : "automatic", "touched", "all" or a layer
        Automatic is *touched* where it is known what was predicted, else *all*: to take
        a prediction that nobody has looked at for the truth would teach nothing.
    others : sequence of CollectedPair
        What was collected elsewhere.
    """
    yield Step(0, 0, "looking at the corrections")
    n_other = sum(pair.n_objects for pair in others)
    if image is None or labels is None:
        return Counted(ALL, Corrections(), n_other, len(others))
    if area == AUTOMATIC:
        area = TOUCHED if is_predicted(labels) else ALL
    found = what_is_there(image, labels, area, n_collected=n_other)
    return Counted(area, found, n_other, len(others))


def is_predicted(labels: Labels) -> bool:
    """Whether it is known what was predicted in the place of labels."""
    record = watch(labels).record()
    return record is not None and "predicted" in record
