"""Speed of training: steps against convolutions alone, and the wait for data.

For each preset and precision: a whole step (forward, loss, backward, optimiser), and
the summed time of the same convolutions run alone, forward and backward, on inputs of
the same shapes. Then, with DATA, the share of its time that a training on two cores
waits for batches made by one worker process. Best of five; the time of a fixed matrix
product stands beside.

    python benchmarks/training_speed.py --data DATA/dsb2018 --json FILE
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unetic.networks.build import build_network
from napari_unetic.networks.losses import instance_loss
from napari_unetic.networks.presets import PRESETS, preset
from napari_unetic.pairs.readers import read_split
from napari_unetic.training.patches import PatchSource, batches, load_samples
from napari_unetic.training.record import describe
from napari_unetic.training.settings import train_settings

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.networks.spec import NetworkSpec

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


def best_of(work: Callable[[], object], n: int = 5) -> float:
    """Return the shortest of some times, after one that does not count."""
    work()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_product() -> float:
    """Return the seconds of a product of 2048 × 2048 in float32."""
    a = torch.rand(2048, 2048)
    return best_of(lambda: a @ a)


def _spec(name: str) -> NetworkSpec:
    return preset(name).spec.model_copy(update={"out_channels": 3, "dropout": ()})


def _autocast(dtype: torch.dtype | None) -> torch.autocast:
    return torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None)


def whole_step(name: str, batch: int, patch: int, dtype: torch.dtype | None) -> float:
    """Return the seconds of a training step, data at hand."""
    spec = _spec(name)
    rule = spec.tile_rule
    size = patch + (rule.remainder - patch) % rule.stride
    network = build_network(spec).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters())
    x = torch.rand(batch, spec.in_channels, *[size + 2 * rule.context] * 2)
    x = x.to(memory_format=torch.channels_last)
    y = torch.rand(batch, 3, size, size)

    def step() -> None:
        with _autocast(dtype):
            logits = network(x)
        loss = instance_loss(logits.float(), y, torch.ones_like(y))
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        optimiser.step()

    return best_of(step)


def convolutions_alone(
    name: str, batch: int, patch: int, dtype: torch.dtype | None
) -> float:
    """Return the summed seconds of each convolution, forward and backward."""
    spec = _spec(name)
    rule = spec.tile_rule
    size = patch + (rule.remainder - patch) % rule.stride
    network = build_network(spec).to(memory_format=torch.channels_last)
    shapes: list[tuple[nn.Module, tuple[int, ...]]] = []
    hooks = [
        module.register_forward_hook(
            lambda m, inputs, _: shapes.append((m, tuple(inputs[0].shape)))
        )
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    with torch.no_grad():
        network(
            torch.rand(batch, spec.in_channels, *[size + 2 * rule.context] * 2).to(
                memory_format=torch.channels_last
            )
        )
    for hook in hooks:
        hook.remove()
    total = 0.0
    for index, (module, shape) in enumerate(shapes):
        x = torch.rand(shape).to(memory_format=torch.channels_last)
        # The first layer's input needs no gradient in a training either.
        x.requires_grad_(index > 0)

        def run(module: nn.Module = module, x: Tensor = x) -> None:
            with _autocast(dtype):
                out = module(x)
            out.backward(torch.ones_like(out))

        total += best_of(run, 3)
    return total


def waiting(name: str, data: Path, dtype: torch.dtype | None, n_steps: int) -> float:
    """Return the share of its time that a training waits for one worker."""
    settings = train_settings(steps=n_steps, preset=name)
    train, _ = read_split(
        data / "stage1_train.zip",
        ids=f"{data / 'stardist_split.json'}:train",
        val_ids=f"{data / 'stardist_split.json'}:val_of_train_seed42",
    )
    description: ModelDescription = describe(None, settings, "speed")
    samples = [s for pair in train[:100] for s in load_samples(pair, description)]
    source = PatchSource(samples, description, settings)
    network = build_network(description.network).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters())
    waited = 0.0
    coming = batches(source, 0, 1)
    next(coming)
    start = time.perf_counter()
    for _ in range(n_steps):
        before = time.perf_counter()
        batch = next(coming)
        waited += time.perf_counter() - before
        x = torch.from_numpy(batch.images).to(memory_format=torch.channels_last)
        with _autocast(dtype):
            logits = network(x)
        loss = instance_loss(
            logits.float(),
            torch.from_numpy(batch.targets),
            torch.from_numpy(batch.weights),
        )
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        optimiser.step()
    total = time.perf_counter() - start
    coming.close()
    return waited / total


def main() -> None:
    """Print and write a row for each preset and precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder dsb2018")
    parser.add_argument("--presets", nargs="*", default=sorted(PRESETS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="for the wait")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, object]] = []
    result = {
        "cpu": torch.cpu.get_capabilities().get("cpu_name", ""),
        "threads": arguments.threads,
        "matrix_product_s": round(matrix_product(), 4),
        "rows": rows,
    }
    for name in arguments.presets:
        # 31 million parameters at full size: one patch is enough to measure.
        batch = 1 if name == "ronneberger2015" else 8
        for precision, dtype in PRECISIONS.items():
            step = whole_step(name, batch, 256, dtype)
            alone = convolutions_alone(name, batch, 256, dtype)
            row: dict[str, object] = {
                "preset": name,
                "precision": precision,
                "batch": f"{batch} × 256²",
                "steps_per_second": round(1 / step, 3),
                "step_s": round(step, 3),
                "convolutions_alone_s": round(alone, 3),
                "convolutions_share": round(alone / step, 2),
            }
            if arguments.data and batch == 8:
                share = waiting(name, arguments.data, dtype, arguments.steps)
                row["waiting_for_data"] = round(share, 3)
            rows.append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if arguments.json:
        text = json.dumps(result, indent=1, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
