"""Judging while training: scores of held-out objects and a picture of some."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unetic.finetuning.planes import predict_labels, predict_maps
from napari_unetic.finetuning.verdict import Tally, tally
from napari_unetic.image.tiles import reflect
from napari_unetic.image.writing import write_png
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.overlay import overlay
from napari_unetic.instances.scores import Scores
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.finetuning.planes import Plane
    from napari_unetic.model.folder import Model
    from napari_unetic.training.loop import Loop

PREVIEW_FILE = "preview.png"
_PREVIEW_SECONDS = 3.0
_PREVIEW_PX = 128
_MAGNIFIED = 3


class HeldOut:
    """Scores on the held-out objects; it chooses nothing.

    Parameters
    ----------
    planes : sequence of Plane
        Those with held-out objects.
    device : str
        Where to predict.
    """

    chooses = False

    def __init__(self, planes: Sequence[Plane], device: str):
        self.planes = planes
        self.device = device
        self.decode_seconds = 0.0
        self.seconds = 0.0

    def judge_steps(self, model: Model) -> Steps[Scores]:
        """Score a model at the working size, which is quick, and keep the pace."""
        images = []
        started = time.perf_counter()
        self.decode_seconds = 0.0
        for k, plane in enumerate(self.planes, start=1):
            found = predict_maps(model, plane, plane.judge, self.device)
            before = time.perf_counter()
            labels = model.description.kind.decode(found.maps)
            images.append(score_image(found.truth, labels, found.area))
            self.decode_seconds += time.perf_counter() - before
            yield Step(k, len(self.planes), "judging")
        self.seconds = time.perf_counter() - started
        return Scores(tuple(images))

    def tally_steps(self, model: Model) -> Steps[Tally]:
        """Tally a model for the verdict, at the size of the images."""
        found = []
        for k, plane in enumerate(self.planes, start=1):
            labels, box = predict_labels(model, plane, plane.judge, self.device)
            found.append(
                tally(
                    np.ascontiguousarray(plane.pair.labels[box]),
                    labels,
                    plane.sides.judge,
                    plane.judge[box],
                )
            )
            yield Step(k, len(self.planes), "judging")
        return Tally.joined(found)


class Preview:
    """A picture of held-out objects as the network in training sees them.

    Parameters
    ----------
    run : Path
        The run folder; ``preview.png`` in it is written again every few seconds.
    image : ndarray of shape (C, Y, X), float32
        A crop at the working size, of a size that the network takes.
    """

    def __init__(self, run: Path, image: NDArray[np.float32]):
        self._path = run / PREVIEW_FILE
        self._image = image
        self._drawn = -np.inf

    def draw(self, loop: Loop) -> None:
        """Draw the moving average's prediction, unless that was just done."""
        now = time.monotonic()
        if now - self._drawn < _PREVIEW_SECONDS:
            return
        device = loop.device.torch
        with torch.inference_mode():
            x = torch.from_numpy(self._image[None]).to(
                device, memory_format=torch.channels_last
            )
            maps = torch.sigmoid(loop.average(x).float()).cpu().numpy()[0]
        labels = loop.run.plan.description.kind.decode(maps)
        context = (self._image.shape[-1] - maps.shape[-1]) // 2
        inner = slice(context, context + maps.shape[-1])
        picture = overlay(_magnified(self._image[:, inner, inner]), _magnified(labels))
        write_png(self._path, picture)
        self._drawn = time.monotonic()


def preview_crop(
    image: NDArray[np.float32], judge: NDArray[np.bool_], loop: Loop
) -> NDArray[np.float32]:
    """Return a window around held-out objects, of a size that the network takes.

    Parameters
    ----------
    image : ndarray of shape (C, Y, X), float32
        At the working size.
    judge : ndarray of shape (Y, X), bool
        The held-out area; not empty.
    loop : Loop
        Whose network it is for.
    """
    rule = loop.network.spec.tile_rule
    size = _PREVIEW_PX + (rule.remainder - _PREVIEW_PX) % rule.stride + 2 * rule.context
    at = np.argwhere(judge)
    middle = at[len(at) // 2]
    windows = []
    for centre, n in zip(middle, judge.shape, strict=True):
        first = min(max(int(centre) - size // 2, 0), max(n - size, 0))
        windows.append(reflect(np.arange(first, first + size), n))
    rows, columns = windows
    return np.ascontiguousarray(image[:, rows[:, None], columns], np.float32)


def _magnified(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.repeat(_MAGNIFIED, axis=-1).repeat(_MAGNIFIED, axis=-2)
