"""Batches of patches: what a training step sees, decided by seed and step alone."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import to_channels
from napari_unetic.image.normalise import fit_normalisation
from napari_unetic.image.resample import resample, resample_labels
from napari_unetic.model.description import seen_by
from napari_unetic.pairs.cleaning import clean_labels
from napari_unetic.training import augment
from napari_unetic.training.lessons import lesson_of

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Sample:
    """One plane or volume with its labels, ready to cut patches from.

    Parameters
    ----------
    image : ndarray of shape (C, Y, X) or (C, Z, Y, X), float16
        Normalised; half precision, for training sets are kept in memory.
    labels : ndarray of shape (Y, X) or (Z, Y, X), uint16 or int32
        Numbers of objects, or of classes.
    reviewed : ndarray of the labels' shape, bool, or None
        Where the labels can be trusted; None means everywhere.
    centres : ndarray of shape (n, 2), int, or None
        Row and column of pixels to draw patches around; None means everywhere.
    weights : ndarray of the labels' shape, float16, or None
        How much pixels count beside what the patch itself tells; None means 1.
    anisotropy : float, optional
        How many pixels the planes of a volume are apart, where that is known.
    """

    image: NDArray[np.float16]
    labels: NDArray[np.integer]
    reviewed: NDArray[np.bool_] | None = None
    centres: NDArray[np.intp] | None = None
    weights: NDArray[np.float16] | None = None
    anisotropy: float | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What a training step gets.

    Parameters
    ----------
    images : ndarray of shape (B, C, Y, X) or (B, C, Z, Y, X), float32
    targets : ndarray of shape (B, M, Y', X') or (B, M, Z', Y', X'), float32
        Y' and X' are what the network returns for Y and X.
    weights : ndarray of the same shape, or of one map, float32
    n_rehearsed : int
        The last so many patches are generated, and have no targets of their own.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    n_rehearsed: int = 0


def load_samples(
    pair: Pair, description: ModelDescription, settings: TrainSettings | None = None
) -> list[Sample]:
    """Return the planes or volumes of a pair as the network of a model sees them.

    Parameters
    ----------
    pair : Pair
        Image and labels.
    description : ModelDescription
        Network, normalisation, kind of targets, size.
    settings : TrainSettings, optional
        Say whether labels are cleaned and borders weigh more; neither if None.

    Raises
    ------
    UneticError
        If the pair cannot be read, or its axes or channels do not fit.
    """
    image, labels = description.kind.read(pair)
    image = seen_by(description, image)
    reviewed = pair.reviewed(labels.shape)
    n_channels = description.network.in_channels
    normalisation = fit_normalisation(image, n_channels, spec=description.normalisation)
    size = None if description.resize_px is None else (description.resize_px,) * 2
    weights = None
    if settings is not None:
        weights = lesson_of(description, settings).sample_weights(pair, labels, size)
    samples = []
    for plane in image.planes():
        window = to_channels(image.read(plane), n_channels, rgb=image.rgb)
        pixels, numbers = normalisation.apply(window), labels[plane]
        if settings is not None and settings.clean:
            numbers = clean_labels(numbers).labels
        area = None if reviewed is None else reviewed[plane]
        if size is not None:
            pixels = resample(pixels, image.shape_yx, size)
            numbers = resample_labels(numbers, image.shape_yx, size)
            if area is not None:
                area = resample_labels(area, image.shape_yx, size)
        samples.append(
            Sample(
                pixels.astype(np.float16),
                _small(numbers),
                area,
                weights=None if weights is None else weights[plane],
                anisotropy=image.pixel_size.anisotropy,
            )
        )
    return samples


def _small(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    return labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.int32)


class PatchSource(Dataset[Batch]):
    """Batches by step number; the same seed and step give the same batch.

    Parameters
    ----------
    samples : list of Sample
        Training planes.
    description : ModelDescription
        Network and target kind.
    settings : TrainSettings
        Batch, patch, seed, augmentation, share of rehearsal.
    generated : list of Sample
        What is rehearsed on; needed where the settings want that.

    Raises
    ------
    UneticError
        If there is no sample.
    """

    def __init__(
        self,
        samples: list[Sample],
        description: ModelDescription,
        settings: TrainSettings,
        generated: Sequence[Sample] = (),
    ):
        if not samples:
            raise UneticError(
                "Expected at least one training image, got none; check folder and ids."
            )
        self.samples = samples
        self.lesson = lesson_of(description, settings)
        self.n_channels = description.network.in_channels
        rules = description.network.tile_rules
        sides: tuple[int, ...] = (description.resize_px or settings.patch_px,) * 2
        if len(rules) == 3:
            # No more planes than there are, which would be the same ones mirrored.
            deepest = max(sample.labels.shape[0] for sample in samples)
            sides = min(settings.patch_planes, deepest), *sides
        self.context = tuple(rule.context for rule in rules)
        self.patch = tuple(
            side + (rule.remainder - side) % rule.stride
            for side, rule in zip(sides, rules, strict=True)
        )
        self.settings = settings
        # Large images hold more to learn, but crowded small ones must not drown.
        sizes = np.sqrt([s.labels.size for s in samples])
        self.share = sizes / sizes.sum()
        self.generated = generated
        self.n_rehearsed = 0
        if generated:
            n = round(settings.rehearsal * settings.batch)
            self.n_rehearsed = min(max(n, 1), settings.batch - 1)

    @property
    def steps_per_epoch(self) -> int:
        """Steps whose patches have as many pixels as all training images."""
        pixels = sum(sample.labels.size for sample in self.samples)
        return max(1, round(pixels / (self.settings.batch * math.prod(self.patch))))

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of a step."""
        made = [self._patch(step, k) for k in range(self.settings.batch)]
        images, targets, weights = (
            np.stack(arrays) for arrays in zip(*made, strict=True)
        )
        return Batch(images, targets, weights, self.n_rehearsed)

    def _patch(
        self, step: int, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        rng = np.random.default_rng((self.settings.seed, step, k))
        size = tuple(
            side + 2 * more for side, more in zip(self.patch, self.context, strict=True)
        )
        shares = self.settings.augmentation
        weighed: NDArray[np.float32] | None = None
        is_rehearsed = k >= self.settings.batch - self.n_rehearsed
        if rng.random() < shares.blank:
            image = augment.blank((self.n_channels, *size), rng)
            labels = np.zeros(size, np.int32)
            reviewed = None
        else:
            if is_rehearsed:
                sample = self.generated[int(rng.integers(len(self.generated)))]
            else:
                sample = self.samples[rng.choice(len(self.samples), p=self.share)]
            shape = sample.labels.shape
            wanted = None
            if sample.centres is not None:
                wanted = sample.centres[rng.integers(len(sample.centres))]
            window = augment.draw_window(
                shape, size[-1], rng, shares, n_planes=size[0], centre=wanted
            )
            image = np.stack([augment.take(c, window, order=1) for c in sample.image])
            labels = augment.take(sample.labels, window, order=0).astype(np.int32)
            if sample.weights is not None:
                weighed = augment.take(sample.weights, window, order=1)
            reviewed = sample.reviewed
            if reviewed is not None:
                reviewed = augment.take(reviewed, window, order=0) > 0
            image = augment.vary_intensity(image, rng, shares)
        inner = tuple(
            slice(more, more + side)
            for side, more in zip(self.patch, self.context, strict=True)
        )
        labels = np.ascontiguousarray(labels[inner])
        if weighed is not None:
            weighed = weighed[inner]
        targets, weights = self.lesson.teach(labels, weighed)
        if reviewed is not None:
            weights *= reviewed[inner]
        return image, targets, weights


class _Steps(Sampler[int]):
    """Step numbers from a first one on, without end."""

    def __init__(self, first: int):
        self.first = first

    def __iter__(self) -> Iterator[int]:
        step = self.first
        while True:
            yield step
            step += 1


def _as_it_is(batch: Any) -> Any:
    return batch


def end_with_parent(worker: int) -> None:
    """Let this worker process end as soon as the one that started it has.

    A process that is killed cannot end its workers, and a worker that holds finished
    batches waits for ever for somebody to take them.

    Parameters
    ----------
    worker : int
        Its number, which does not matter.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        # A handle of the system's, so that this needs no polling and no signal, and
        # holds whatever ended the parent and however this process was started.
        wait([parent.sentinel])
        # Not sys.exit: other threads of this process may be stuck.
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


def batches(
    source: PatchSource, first: int, workers: int
) -> Generator[Batch, None, None]:
    """Yield batches from a step on, made ahead by worker processes.

    Parameters
    ----------
    source : PatchSource
        Where they come from.
    first : int
        Number of the first step.
    workers : int
        Processes; with 0 each batch is made when it is asked for. The batches are the
        same whatever the number.
    """
    loader = DataLoader(
        source,
        batch_size=None,
        sampler=_Steps(first),
        num_workers=workers,
        collate_fn=_as_it_is,
        prefetch_factor=4 if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=end_with_parent,
    )
    yield from loader
