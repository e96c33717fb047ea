"""The training loop: network, moving average, optimiser, validation, checkpoints."""

from __future__ import annotations

import time
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unetic.errors import UneticError
from napari_unetic.model.folder import Model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.device import Device, has_native_bfloat16
from napari_unetic.networks.network import memory_format
from napari_unetic.steps import Step, Steps
from napari_unetic.training.checkpoint import (
    load_checkpoint,
    load_start,
    save_checkpoint,
)
from napari_unetic.training.lessons import lesson_of
from napari_unetic.training.optimiser import (
    load_optimiser,
    make_optimiser,
    optimiser_state,
    pull,
    set_rate,
    set_training,
)
from napari_unetic.training.patches import Batch, PatchSource, batches
from napari_unetic.training.record import save_run_model
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.schedule import Moment, Schedule

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network
    from napari_unetic.training.judges import Judge
    from napari_unetic.training.lesson import Lesson, Loss
    from napari_unetic.training.run import Run

_LOG_EVERY = 50
_CHECKPOINT_SECONDS = 120.0


@dataclass
class Loop:
    """The state of a training, and what changes it.

    Parameters
    ----------
    run : Run
        The run folder, which the loop writes to.
    schedule : Schedule
        Budget, learning rate, validations.
    device : Device
        Where to train.
    network, average : Network
        What is trained, and the moving average of its weights.
    optimiser : torch.optim.Optimizer
        Of the network's parameters.
    """

    run: Run
    schedule: Schedule
    device: Device
    network: Network
    average: Network
    optimiser: torch.optim.Optimizer
    at: Moment = field(default_factory=Moment)
    score: float = 0.0
    best_score: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    n_worse: int = 0
    waited: float = 0.0
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    start: dict[str, Tensor] = field(default_factory=dict)
    teacher: Network | None = None

    @classmethod
    def load(cls, run: Run, schedule: Schedule, device: Device) -> Loop:
        """Return the loop as the newest checkpoint of the run has it.

        Raises
        ------
        UneticError
            If there is no checkpoint that can be read.
        """
        found = load_checkpoint(run.checkpoints)
        if found is None:
            raise UneticError(
                f"Expected a checkpoint in {run.checkpoints}, got none that can be "
                "read; start a new run."
            )
        tensors, values = found
        spec = run.plan.description.network
        network, average = build_network(spec), build_network(spec)
        network.load_state_dict(under(tensors, "network."))
        average.load_state_dict(under(tensors, "average."))
        for moved in (network, average):
            order = memory_format(spec.dimensions)
            moved.to(device.torch, memory_format=order)  # type: ignore[call-overload]
        settings = run.plan.settings
        set_training(network, settings)
        average.eval()
        optimiser = make_optimiser(network, settings)
        load_optimiser(optimiser, under(tensors, "optimiser."))
        loop = cls(run, schedule, device, network, average, optimiser)
        if settings.anchor or settings.rehearsal:
            loop._remember_start(start_weights(run))
        loop.best = under(tensors, "best.")
        loop.at = Moment(**values["at"])
        # Checkpoints of earlier versions knew AP alone.
        loop.score = values["score" if "score" in values else "ap"]
        loop.best_score = values["best_score" if "score" in values else "best_ap"]
        loop.n_worse = values["n_worse"]
        return loop

    def _remember_start(self, weights: dict[str, Tensor]) -> None:
        """Keep the weights that training began with, as far as they are needed."""
        settings, to = self.run.plan.settings, self.device.torch
        if settings.anchor:
            self.start = {name: value.to(to) for name, value in weights.items()}
        if settings.rehearsal:
            self.teacher = deepcopy(self.average)
            self.teacher.load_state_dict(weights)

    @property
    def lesson(self) -> Lesson:
        """What is to be learnt."""
        return lesson_of(self.run.plan.description, self.run.plan.settings)

    @property
    def log(self) -> RunLog:
        """The run's log."""
        return RunLog(self.run.folder)

    @property
    def uses_bfloat16(self) -> bool:
        """Whether convolutions run in bfloat16."""
        return has_native_bfloat16(self.device.torch)

    @property
    def device_text(self) -> str:
        """Device, precision and threads, for the record."""
        precision = "bfloat16" if self.uses_bfloat16 else "float32"
        return f"{self.device.name}, {precision}, {torch.get_num_threads()} threads"

    @property
    def is_done(self) -> bool:
        """Whether the budget is spent, patience is lost, or enough was trained."""
        patience = self.run.plan.settings.patience
        return (
            self.schedule.is_done(self.at)
            or (patience is not None and self.n_worse >= patience)
            or self.run.is_finish_requested
        )

    def run_steps(
        self, source: PatchSource, judge: Judge, workers: int, spent: float = 0.0
    ) -> Steps[None]:
        """Train until the budget is spent, patience is lost, or a stop is asked for.

        Closed or stopped, it leaves a checkpoint and a model.

        Parameters
        ----------
        source : PatchSource
            What to learn from.
        judge : Judge
            Tells from time to time how good the moving average is.
        workers : int
            Processes that make batches ahead.
        spent : float
            Seconds of the budget that went by in this process before.
        """
        began = time.perf_counter() - self.at.seconds
        self.at = replace(self.at, overhead=self.at.overhead + spent)
        saved = time.perf_counter()
        try:
            with closing(batches(source, self.at.step, workers)) as coming:
                while not self.is_done and not self.run.is_stop_requested:
                    before = time.perf_counter()
                    batch = next(coming)
                    self.waited += time.perf_counter() - before
                    now = time.perf_counter() - began
                    loss = self._train_on(batch, replace(self.at, seconds=now))
                    self.at = replace(
                        self.at,
                        step=self.at.step + 1,
                        seconds=time.perf_counter() - began,
                    )
                    yield self._report(loss)
                    self.at = replace(self.at, seconds=time.perf_counter() - began)
                    if self.schedule.is_validation_due(self.at):
                        yield from self._judge_steps(judge, began)
                        self.save()
                        saved = time.perf_counter()
                    elif time.perf_counter() - saved > _CHECKPOINT_SECONDS:
                        self.save()
                        saved = time.perf_counter()
        except GeneratorExit:
            self._leave()
            raise
        if not self.is_done:
            self._leave()
        elif self.run.is_finish_requested:
            self.save()

    def _leave(self) -> None:
        """Save what there is, and a model even if none was validated yet."""
        self.save()
        if not (self.best and self.run.model.exists()):
            save_run_model(self.run, self.best_model(), self)
        self.log.write("stopped", step=self.at.step, seconds=round(self.at.seconds, 2))

    def save(self) -> None:
        """Write a checkpoint."""
        self._log_rates()
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {
            f"optimiser.{k}": v for k, v in optimiser_state(self.optimiser).items()
        }
        values = {
            "at": asdict(self.at),
            "score": self.score,
            "best_score": self.best_score,
            "n_worse": self.n_worse,
        }
        save_checkpoint(self.run.checkpoints, self.at.step, tensors, values)

    def _log_rates(self) -> None:
        if self.rates:
            first = self.at.step - len(self.rates)
            self.log.write(
                "rates",
                step=self.at.step,
                first=first,
                rates=self.rates,
                losses=self.losses,
            )
            self.rates, self.losses = [], []

    def _train_on(self, batch: Batch, at: Moment) -> Loss:
        to = self.device.torch
        order = memory_format(self.network.spec.dimensions)
        images = torch.from_numpy(batch.images).to(to, memory_format=order)
        targets = torch.from_numpy(batch.targets).to(to)
        weights = torch.from_numpy(batch.weights).to(to)
        if batch.n_rehearsed:
            self._ask_teacher(images, targets, weights, batch.n_rehearsed)
        rate = self.schedule.learning_rate(at)
        self.rates.append(rate)
        set_rate(self.optimiser, rate)
        logits = self._forward(images)
        loss = self.lesson.loss(logits.float(), targets, weights)
        if not torch.isfinite(loss.total):
            self.rates.pop()
            raise UneticError(
                f"Expected a finite loss, got {loss.total.item()} at step {at.step}; "
                "lower the learning rate (the best model so far is kept)."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        settings = self.run.plan.settings
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        # In bfloat16 a gradient can overflow where the loss did not; clipped, it would
        # leave weights that are no numbers.
        if torch.isfinite(norm):
            self.optimiser.step()
        if self.start:
            pull(self.network, self.start, settings.anchor * rate)
        self._update_average()
        return loss

    @torch.no_grad()
    def _ask_teacher(
        self, images: Tensor, targets: Tensor, weights: Tensor, n: int
    ) -> None:
        """Set the targets of the last patches to what the start makes of them."""
        assert self.teacher is not None
        to = self.device.torch
        with torch.autocast(to.type, torch.bfloat16, enabled=self.uses_bfloat16):
            said = self.teacher(images[-n:])
        targets[-n:] = torch.sigmoid(said.float())
        weights[-n:] = 1

    def _forward(self, images: Tensor) -> Tensor:
        to = self.device.torch
        with torch.autocast(to.type, torch.bfloat16, enabled=self.uses_bfloat16):
            if not any(self.network.spec.dropout):
                return self._call(images)
            # Dropout is decided by seed and step too, so that a resumed training
            # repeats it; the user's generators stay untouched.
            devices = [to] if to.type == "cuda" else []
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(
                    1_000_003 * self.run.plan.settings.seed + self.at.step
                )
                return self._call(images)

    def _call(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits

    def _update_average(self) -> None:
        # A young average follows quickly, else it would keep the random start.
        step = self.at.step + 1
        decay = min(self.run.plan.settings.average, (1 + step) / (10 + step))
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

    def _report(self, loss: Loss) -> Step:
        values = {
            "loss": float(loss.total.detach()),
            self.lesson.figure: self.score,
            "seconds_left": self.schedule.seconds_left(self.at),
        }
        step, total = self.at.step, self.schedule.total_steps
        self.losses.append(round(values["loss"], 5))
        if step % _LOG_EVERY == 0 or step == 1:
            self.log.write(
                "step",
                step=step,
                seconds=round(self.at.seconds, 2),
                waited=round(self.waited, 2),
                learning_rate=self.optimiser.param_groups[0]["lr"],
                loss=values["loss"],
                **{name: float(part.detach()) for name, part in loss.parts.items()},
            )
            self._log_rates()
        if total is not None:
            return Step(step, total, "training", values)
        available = self.schedule.available(self.at)
        return Step(min(self.at.seconds, available), available, "training", values)

    def candidate(self) -> Model:
        """Return the moving average as a model of its own, on the CPU."""
        description = self.run.plan.description
        network = deepcopy(self.average).cpu().eval()
        if self.run.plan.parent:
            # The thresholds of the parent suit its weights, which are near these.
            return Model(description, network)
        untuned = {"decoding": self.lesson.untuned}
        return Model(description.model_copy(update=untuned), network)

    def best_model(self) -> Model:
        """Return the model that validated best, else the moving average."""
        model = self.candidate()
        if self.best:
            model.network.load_state_dict(self.best)
        return model

    def _judge_steps(self, judge: Judge, began: float) -> Steps[None]:
        start = time.perf_counter()
        model = self.candidate()
        scores = yield from judge.judge_steps(model)
        figures = self.lesson.logged(scores)
        self.score = figures[self.lesson.figure]
        if judge.chooses:
            # Patience begins once something was learnt.
            self.n_worse += self.best_score > 0
            if self.score > self.best_score:
                self.best_score, self.n_worse = self.score, 0
                weights = model.network.state_dict()
                self.best = {k: v.clone() for k, v in weights.items()}
                save_run_model(self.run, model, self)
        now = time.perf_counter()
        self.at = replace(
            self.at,
            seconds=now - began,
            validated_seconds=now - began,
            validation_took=now - start,
            n_due=self.schedule.n_due(self.at),
        )
        self.log.write(
            "validation",
            step=self.at.step,
            seconds=round(self.at.seconds, 2),
            **figures,
        )


def start_weights(run: Run) -> dict[str, Tensor]:
    """Return the weights that a run began with.

    Raises
    ------
    UneticError
        If the checkpoint of step 0 cannot be read.
    """
    tensors = load_start(run.checkpoints)
    if tensors is None:
        raise UneticError(
            f"Expected the checkpoint of step 0 in {run.checkpoints}, got none that "
            "can be read; start a new run."
        )
    return under(tensors, "network.")


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
