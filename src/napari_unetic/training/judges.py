"""Judges: what tells from time to time how good a network in training is by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from napari_unetic.predict import segment_steps
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from napari_unetic.kinds import AnyScores
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.pairs.pair import Pair


class Judge(Protocol):
    """What a training loop asks for scores."""

    @property
    def chooses(self) -> bool:
        """Whether the best-scored weights are kept rather than the last average."""

    def judge_steps(self, model: Model) -> Steps[AnyScores]:
        """Score a model, with a step an image."""


def as_trained(description: ModelDescription) -> dict[str, Any]:
    """Return settings with which images are seen at the size that they had there."""
    if description.resize_px is not None:
        return {}
    return {"diameter": description.working_diameter_px}


class Validation:
    """Scores on whole images that are apart from the training; it chooses.

    Parameters
    ----------
    pairs : sequence of Pair
        Images with labels, and perhaps a reviewed area.
    device : str
        Where to predict.
    """

    chooses = True

    def __init__(self, pairs: Sequence[Pair], device: str):
        self.pairs = pairs
        self.device = device

    def judge_steps(self, model: Model) -> Steps[AnyScores]:
        """Segment each image at the working size and score it."""
        kind, images = model.description.kind, []
        for k, pair in enumerate(self.pairs, start=1):
            image, truth = kind.read(pair)
            steps = segment_steps(
                image,
                model,
                **as_trained(model.description),
                device=self.device,
                precision="float32",
            )
            found = drain(steps)
            reviewed = pair.reviewed(truth.shape)
            images.append(kind.score(truth, found.labels, reviewed))
            yield Step(k, len(self.pairs), "validating")
        return kind.scores(images)
