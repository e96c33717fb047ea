"""Begin a run: its folder with the plan and the checkpoint of step 0."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unetic.errors import UneticError
from napari_unetic.model.registry import load_model
from napari_unetic.networks.build import build_network
from napari_unetic.provenance import software_versions
from napari_unetic.steps import Step, Steps
from napari_unetic.training.lessons import lesson_of
from napari_unetic.training.loop import Loop
from napari_unetic.training.optimiser import make_optimiser
from napari_unetic.training.patches import Sample, load_samples
from napari_unetic.training.record import describe, sized
from napari_unetic.training.run import (
    PAIRS,
    PairRecord,
    Run,
    RunPlan,
    refuse_existing,
)
from napari_unetic.training.schedule import Schedule
from napari_unetic.training.settings import usual_of

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.networks.device import Device
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings


def begin_steps(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    from_model: str | Path | Model | None,
    name: str,
    where: Device,
    inside: Path | None = None,
) -> Steps[tuple[Run, list[Sample]]]:
    """Check and read the pairs, and make the run folder; see `train_steps`."""
    folder = Path(out)
    _check_pairs(train_pairs, validation_pairs)
    base = load_model(from_model) if from_model is not None else None
    if base is None and (settings.rehearsal or settings.anchor):
        raise UneticError(
            "Expected a model to start from, since rehearsal and the pull to the start "
            "need one, got none; name it, or set them to 0."
        )
    description = describe(base, settings, name or folder.name)
    settings = usual_of(settings, description.network.dimensions)
    refuse_existing(folder)
    yield Step(0, 0, "reading pairs")
    samples = [
        s for pair in train_pairs for s in load_samples(pair, description, settings)
    ]
    lesson_of(description, settings).check_samples(samples)
    for pair in validation_pairs:
        # They are read again later: a run that could not validate must not begin.
        load_samples(pair, description, settings)
    if base is None:
        description = sized(description, samples, settings)
    plan = RunPlan(
        settings=settings,
        description=description,
        parent=base.description.weights_sha256 if base else "",
        train=tuple(PairRecord.of(pair, inside) for pair in train_pairs),
        validation=tuple(PairRecord.of(pair, inside) for pair in validation_pairs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=software_versions(),
    )
    start = base.network.state_dict() if base else None

    def take_pairs_along(part: Path) -> None:
        if inside is not None:
            shutil.move(inside, part / PAIRS)

    return begin(folder, plan, start, where, take_pairs_along), samples


def _check_pairs(train_pairs: Sequence[Pair], validation_pairs: Sequence[Pair]) -> None:
    for what, pairs in (("train", train_pairs), ("validate", validation_pairs)):
        if not pairs:
            raise UneticError(
                f"Expected at least one pair to {what} on, got none; give more pairs, "
                "or other ids."
            )
    both = {p.id for p in train_pairs} & {p.id for p in validation_pairs}
    if both:
        raise UneticError(
            f"Expected validation images apart from training images, got {len(both)} "
            f"in both ({min(both)}); take them out of one."
        )


def begin(
    folder: Path,
    plan: RunPlan,
    start: dict[str, Tensor] | None,
    device: Device,
    add: Callable[[Path], None] = lambda part: None,
) -> Run:
    """Make the run folder with the checkpoint of step 0; it appears whole.

    Parameters
    ----------
    folder : Path
        To be made.
    plan : RunPlan
        What is trained on what.
    start : dict of str to Tensor, optional
        Weights to start from; drawn by the plan's seed if None.
    device : Device
        Where to train.
    add : callable
        Called with the unfinished folder, to put more into it.

    Returns
    -------
    Run
    """
    # Weights are drawn by a generator of their own: the user's stays untouched.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(plan.settings.seed)
        network = build_network(plan.description.network)
    average = deepcopy(network)
    if start is not None:
        network.load_state_dict(start)
    average.load_state_dict(network.state_dict())

    def prepare_folder(part: Path) -> None:
        add(part)
        run = Run(part, plan)
        schedule = Schedule(plan.settings, None)
        optimiser = make_optimiser(network, plan.settings)
        loop = Loop(run, schedule, device, network, average, optimiser)
        loop.log.write(
            "start",
            settings=plan.settings.model_dump(),
            training_images=len(plan.train),
            validation_images=len(plan.validation),
            software=plan.software,
        )
        loop.save()

    return Run.create(folder, plan, prepare_folder)
