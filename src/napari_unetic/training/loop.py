"""The training loop: network, moving average, optimiser, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unetic.errors import UneticError
from napari_unetic.instances.counts import score_image
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.scores import Scores
from napari_unetic.model.folder import Model
from napari_unetic.networks.device import Device, has_native_bfloat16
from napari_unetic.networks.losses import LossParts, instance_loss
from napari_unetic.networks.unet import UNet
from napari_unetic.predict import segment_steps
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.checkpoint import load_checkpoint, save_checkpoint
from napari_unetic.training.patches import Batch, PatchSource, batches
from napari_unetic.training.record import save_run_model
from napari_unetic.training.runlog import RunLog
from napari_unetic.training.schedule import Moment, Schedule
from napari_unetic.training.tune import objective

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.run import Run

_LOG_EVERY = 50
_CHECKPOINT_SECONDS = 120.0
# Before tuning, specks would drown the AP of a young network.
_UNTUNED = DecodeSpec(smallest_px=15)


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
    network, average : UNet
        What is trained, and the moving average of its weights.
    optimiser : torch.optim.Optimizer
        AdamW.
    """

    run: Run
    schedule: Schedule
    device: Device
    network: UNet
    average: UNet
    optimiser: torch.optim.Optimizer
    at: Moment = field(default_factory=Moment)
    ap: float = 0.0
    best_ap: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    n_worse: int = 0
    waited: float = 0.0
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

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
        network, average = UNet(spec), UNet(spec)
        network.load_state_dict(under(tensors, "network."))
        average.load_state_dict(under(tensors, "average."))
        for moved in (network, average):
            moved.to(device.torch, memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.train()
        average.eval()
        loop = cls(
            run, schedule, device, network, average, make_optimiser(network, run)
        )
        _load_optimiser(loop.optimiser, under(tensors, "optimiser."))
        loop.best = under(tensors, "best.")
        loop.at = Moment(**values["at"])
        loop.ap, loop.best_ap = values["ap"], values["best_ap"]
        loop.n_worse = values["n_worse"]
        return loop

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
        """Whether the budget is spent or patience is lost."""
        patience = self.run.plan.settings.patience
        return self.schedule.is_done(self.at) or (
            patience is not None and self.n_worse >= patience
        )

    def run_steps(
        self, source: PatchSource, validation: Sequence[Pair], workers: int
    ) -> Steps[None]:
        """Train until the budget is spent, patience is lost, or a stop is asked for.

        Closed or stopped, it leaves a checkpoint and a model.
        """
        began = time.perf_counter() - self.at.seconds
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
                        yield from self._validate_steps(validation, began)
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
            f"optimiser.{k}": v for k, v in _optimiser_state(self.optimiser).items()
        }
        values = {
            "at": asdict(self.at),
            "ap": self.ap,
            "best_ap": self.best_ap,
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

    def _train_on(self, batch: Batch, at: Moment) -> LossParts:
        to = self.device.torch
        images = torch.from_numpy(batch.images).to(
            to, memory_format=torch.channels_last
        )
        targets = torch.from_numpy(batch.targets).to(to)
        weights = torch.from_numpy(batch.weights).to(to)
        rate = self.schedule.learning_rate(at)
        self.rates.append(rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        logits = self._forward(images)
        loss = instance_loss(logits.float(), targets, weights)
        if not torch.isfinite(loss.total):
            self.rates.pop()
            raise UneticError(
                f"Expected a finite loss, got {loss.total.item()} at step {at.step}; "
                "lower the learning rate (the best model so far is kept)."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        clip = self.run.plan.settings.clip
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        self.optimiser.step()
        self._update_average()
        return loss

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

    def _report(self, loss: LossParts) -> Step:
        values = {
            "loss": float(loss.total.detach()),
            "ap": self.ap,
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
                foreground=float(loss.foreground.detach()),
                contact=float(loss.contact.detach()),
                depth=float(loss.depth.detach()),
            )
            self._log_rates()
        if total is not None:
            return Step(step, total, "training", values)
        spent = 60 * (self.run.plan.settings.minutes or 0)
        return Step(min(self.at.seconds, spent), spent, "training", values)

    def candidate(self) -> Model:
        """Return the moving average as a model of its own, on the CPU."""
        description = self.run.plan.description
        network = UNet(description.network)
        network.load_state_dict(self.average.state_dict())
        network.eval()
        return Model(description.model_copy(update={"decoding": _UNTUNED}), network)

    def best_model(self) -> Model:
        """Return the model that validated best."""
        model = self.candidate()
        if self.best:
            model.network.load_state_dict(self.best)
        return model

    def _validate_steps(self, pairs: Sequence[Pair], began: float) -> Steps[None]:
        start = time.perf_counter()
        model = self.candidate()
        images = []
        for k, pair in enumerate(pairs, start=1):
            image, truth = pair.read()
            steps = segment_steps(
                image,
                model,
                diameter=self.run.plan.description.working_diameter_px,
                device=self.device.name,
            )
            found = drain(steps)
            reviewed = pair.reviewed(truth.shape)
            images.append(score_image(truth, found.labels, reviewed))
            yield Step(k, len(pairs), "validating")
        scores = Scores(tuple(images))
        self.ap = objective(scores)
        self.n_worse += 1
        if self.ap > self.best_ap:
            self.best_ap, self.n_worse = self.ap, 0
            self.best = {k: v.clone() for k, v in model.network.state_dict().items()}
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
            ap=self.ap,
            ap_50=scores.pooled("ap")["0.50"],
        )


def make_optimiser(network: UNet, run: Run) -> torch.optim.AdamW:
    """Return AdamW over the network's parameters, as the run's settings say."""
    settings = run.plan.settings
    return torch.optim.AdamW(
        network.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Flatten the optimiser's state: number of the parameter, name of the value."""
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def _load_optimiser(
    optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, value = name.partition(".")
        state.setdefault(int(number), {})[value] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
