"""The training loop: pairs in, a model folder out, a step of progress each step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.scores import Scores
from napari_unetic.maps import prepare
from napari_unetic.model.folder import Model
from napari_unetic.model.registry import load_model
from napari_unetic.networks.device import Device, choose_device, has_native_bfloat16
from napari_unetic.networks.losses import LossParts, instance_loss
from napari_unetic.networks.unet import UNet
from napari_unetic.predict import segment_steps
from napari_unetic.provenance import software_versions
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.patches import (
    Batch,
    PatchSource,
    batches,
    load_samples,
)
from napari_unetic.training.record import (
    Recorder,
    describe,
    image_hashes,
    median_diameter,
    score_summary,
)
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.tune import objective, tune_steps

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings

_LOG_EVERY = 50
_N_VALIDATIONS = 20
# With a budget of time validation may take this share of it at most.
_VALIDATION_SHARE = 0.1
# Before tuning, specks would drown the AP of a young network.
_UNTUNED = DecodeSpec(smallest_px=15)


def train(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    *,
    from_model: str | Path | Model | None = None,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
) -> Path:
    """Train a model and return its folder; see `train_steps`."""
    return drain(
        train_steps(
            train_pairs,
            validation_pairs,
            out,
            settings,
            from_model=from_model,
            name=name,
            device=device,
            workers=workers,
        )
    )


def train_steps(
    train_pairs: Sequence[Pair],
    validation_pairs: Sequence[Pair],
    out: str | Path,
    settings: TrainSettings,
    *,
    from_model: str | Path | Model | None = None,
    name: str = "",
    device: str = "auto",
    workers: int = 0,
) -> Steps[Path]:
    """Train a model, yielding a step of progress for each step of the optimiser.

    Parameters
    ----------
    train_pairs : sequence of Pair
        What is learnt from.
    validation_pairs : sequence of Pair
        What the weights and the thresholds are chosen on.
    out : str or Path
        The run folder, to be made: ``log.jsonl``, and at the end ``model``. The best
        model so far is there during the training already.
    settings : TrainSettings
        Network, budget, batch, learning rate, seed.
    from_model : str, Path or Model, optional
        Start from its weights, network and normalisation instead of a preset.
    name : str
        Name of the model; that of the run folder if empty.
    device : {"auto", "cpu", "cuda", "mps"}
        Where to train. bfloat16 is used where the device has it natively.
    workers : int
        Processes that make batches ahead. With more than 0 a script must guard its
        entry point (``if __name__ == "__main__":``) on Windows and macOS.

    Yields
    ------
    Step
        ``values`` holds ``loss``, ``ap`` (of the last validation, mean over IoU .50 to
        .90) and ``seconds_left``.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    UneticError
        If there is nothing to train or validate on, an image is in both, the run
        exists, pairs do not fit the network, or the loss is not a number.
    """
    run = Path(out)
    _check_pairs(train_pairs, validation_pairs)
    where = choose_device(device)
    base = load_model(from_model) if from_model is not None else None
    description = describe(base, settings, name or run.name)
    if run.exists():
        raise UneticError(
            f"Expected a new folder for the run, got {run}, which exists; choose "
            "another name."
        )
    yield Step(0, 0, "reading pairs")
    samples = [s for pair in train_pairs for s in load_samples(pair, description)]
    if base is None:
        diameter = median_diameter(samples)
        description = description.model_copy(update={"working_diameter_px": diameter})
    hashes = image_hashes(train_pairs), image_hashes(validation_pairs)
    run.mkdir(parents=True)
    loop = _Loop.start(description, settings, base, where, RunLog(run))
    loop.log.write(
        "start",
        settings=settings.model_dump(),
        training_images=len(train_pairs),
        validation_images=len(validation_pairs),
        device=loop.device_text,
        software=software_versions(),
    )
    record = Recorder(run, *hashes, settings, base)
    source = PatchSource(samples, description, settings)
    yield from loop.run_steps(source, validation_pairs, record, workers)
    best = loop.best_model()
    decoding, scores = yield from _tuned_steps(best, validation_pairs, where.name)
    loop.log.write("tuned", decoding=decoding.model_dump(), ap=objective(scores))
    tuned = best.description.model_copy(
        update={"decoding": decoding, "scores": {"validation": score_summary(scores)}}
    )
    loop.save(record, Model(tuned, best.network))
    loop.log.write("end", step=loop.step, minutes=loop.minutes)
    return record.folder


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


@dataclass
class _Loop:
    """The state of a training: network, moving average, optimiser, clock, best."""

    description: ModelDescription
    settings: TrainSettings
    network: UNet
    average: UNet
    optimiser: torch.optim.Optimizer
    device: Device
    log: RunLog
    step: int = 0
    started: float = field(default_factory=time.perf_counter)
    ap: float = 0.0
    best_ap: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    waited: float = 0.0

    @classmethod
    def start(
        cls,
        description: ModelDescription,
        settings: TrainSettings,
        base: Model | None,
        device: Device,
        log: RunLog,
    ) -> _Loop:
        # Weights are drawn by a generator of their own: the user's stays untouched.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(settings.seed)
            network, average = UNet(description.network), UNet(description.network)
        if base is not None:
            network.load_state_dict(base.network.state_dict())
        average.load_state_dict(network.state_dict())
        for moved in (network, average):
            moved.to(device.torch, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        network.train()
        average.eval()
        return cls(description, settings, network, average, optimiser, device, log)

    @property
    def uses_bfloat16(self) -> bool:
        return has_native_bfloat16(self.device.torch)

    @property
    def device_text(self) -> str:
        precision = "bfloat16" if self.uses_bfloat16 else "float32"
        return f"{self.device.name}, {precision}, {torch.get_num_threads()} threads"

    @property
    def minutes(self) -> float:
        return (time.perf_counter() - self.started) / 60

    def run_steps(
        self,
        source: PatchSource,
        validation_pairs: Sequence[Pair],
        record: Recorder,
        workers: int,
    ) -> Steps[None]:
        """Train until the budget is spent, validating now and then."""
        budget = self.settings.steps
        if self.settings.epochs is not None:
            budget = self.settings.epochs * source.steps_per_epoch
        self.started = time.perf_counter()
        n_due, took, since = 0, 0.0, self.started
        with closing(batches(source, self.step, workers)) as coming:
            while self._progress(budget) < 1:
                before = time.perf_counter()
                batch = next(coming)
                self.waited += time.perf_counter() - before
                loss = self._train_on(batch, self._progress(budget))
                self.step += 1
                yield self._report(loss, budget)
                progress, now = self._progress(budget), time.perf_counter()
                is_due = int(progress * _N_VALIDATIONS + 1e-9) > n_due
                if budget is None:
                    # Steps are repeatable and must not depend on the clock.
                    is_due &= now - since >= took / _VALIDATION_SHARE
                if is_due or progress >= 1:
                    yield from self._validate_steps(validation_pairs, record)
                    since = time.perf_counter()
                    took = since - now
                    n_due = int(self._progress(budget) * _N_VALIDATIONS + 1e-9)

    def _progress(self, budget: int | None) -> float:
        """Share of the budget that is spent."""
        if budget is not None:
            return self.step / budget
        assert self.settings.minutes is not None
        return self.minutes / self.settings.minutes

    def _learning_rate(self, progress: float) -> float:
        """Linear warm-up, then half a cosine down to a hundredth."""
        settings = self.settings
        if progress < settings.warm_up:
            share = max(progress / settings.warm_up, 0.01)
        else:
            rest = (progress - settings.warm_up) / (1 - settings.warm_up)
            share = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(rest, 1)))
        return settings.learning_rate * share

    def _train_on(self, batch: Batch, progress: float) -> LossParts:
        to = self.device.torch
        images = torch.from_numpy(batch.images).to(
            to, memory_format=torch.channels_last
        )
        targets = torch.from_numpy(batch.targets).to(to)
        weights = torch.from_numpy(batch.weights).to(to)
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate(progress)
        with torch.autocast(to.type, torch.bfloat16, enabled=self.uses_bfloat16):
            logits = self.network(images)
        loss = instance_loss(logits.float(), targets, weights)
        if not torch.isfinite(loss.total):
            raise UneticError(
                f"Expected a finite loss, got {loss.total.item()} at step {self.step}; "
                "lower the learning rate (the best model so far is kept)."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimiser.step()
        self._update_average()
        return loss

    def _update_average(self) -> None:
        # A young average follows quickly, else it would keep the random start.
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(
                self.average.state_dict().values(),
                self.network.state_dict().values(),
                strict=True,
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new, 1 - decay)
                else:
                    mean.copy_(new)

    def _report(self, loss: LossParts, budget: int | None) -> Step:
        values = {"loss": float(loss.total.detach()), "ap": self.ap}
        progress = self._progress(budget)
        elapsed = 60 * self.minutes
        if self.settings.minutes is None:
            values["seconds_left"] = elapsed * (1 / progress - 1)
        else:
            values["seconds_left"] = max(0.0, 60 * self.settings.minutes - elapsed)
        if self.step % _LOG_EVERY == 0 or self.step == 1:
            self.log.write(
                "step",
                step=self.step,
                seconds=round(elapsed, 2),
                waited=round(self.waited, 2),
                learning_rate=self.optimiser.param_groups[0]["lr"],
                loss=values["loss"],
                foreground=float(loss.foreground.detach()),
                contact=float(loss.contact.detach()),
                depth=float(loss.depth.detach()),
            )
        if budget is not None:
            return Step(self.step, budget, "training", values)
        assert self.settings.minutes is not None
        total = 60 * self.settings.minutes
        return Step(min(elapsed, total), total, "training", values)

    def _candidate(self) -> Model:
        """Return the moving average as a model of its own, on the CPU."""
        network = UNet(self.description.network)
        network.load_state_dict(self.average.state_dict())
        network.eval()
        described = self.description.model_copy(update={"decoding": _UNTUNED})
        return Model(described, network)

    def best_model(self) -> Model:
        """Return the model that validated best."""
        model = self._candidate()
        model.network.load_state_dict(self.best)
        return model

    def save(self, record: Recorder, model: Model) -> None:
        """Write a model of this training."""
        record.save(
            model, steps=self.step, minutes=self.minutes, device=self.device_text
        )

    def _validate_steps(self, pairs: Sequence[Pair], record: Recorder) -> Steps[None]:
        model = self._candidate()
        images = []
        for k, pair in enumerate(pairs, start=1):
            image, truth = pair.read()
            steps = segment_steps(
                image,
                model,
                diameter=self.description.working_diameter_px,
                device=self.device.name,
            )
            found = drain(steps)
            images.append(score_image(truth, found.labels.astype(np.int32)))
            yield Step(k, len(pairs), "validating")
        scores = Scores(tuple(images))
        self.ap = objective(scores)
        self.log.write(
            "validation",
            step=self.step,
            seconds=round(60 * self.minutes, 2),
            ap=self.ap,
            ap_50=scores.pooled("ap")["0.50"],
        )
        if self.ap > self.best_ap:
            self.best_ap = self.ap
            self.best = {k: v.clone() for k, v in model.network.state_dict().items()}
            self.save(record, model)


def _tuned_steps(
    model: Model, pairs: Sequence[Pair], device: str
) -> Steps[tuple[DecodeSpec, Scores]]:
    """Predict the maps of the validation pairs once, then tune on them."""
    maps: list[NDArray[np.float16]] = []
    truths: list[NDArray[np.int32]] = []
    diameter = model.description.working_diameter_px
    for k, pair in enumerate(pairs, start=1):
        image, truth = pair.read()
        work = prepare(image, model, diameter=diameter, device=device)
        for plane in image.planes():
            maps.append(drain(work.maps_steps(plane)).astype(np.float16))
            truths.append(truth[plane])
        yield Step(k, len(pairs), "predicting")
    result = yield from tune_steps(maps, truths, model.description.decoding)
    return result
