"""The network against the least it could take: its own convolutions, each run alone.

For each precision: the summed time of the folded network's convolutions on random
input of the shapes that a 2048² image gives them (channels last, best of five each);
the network in one piece on that image; and through the package's tiles, which adds
reading, normalising, overlap and the sigmoid. A share of 1 would mean that all time is
spent in convolutions. Beside them a large matrix product on the same core, with which
the convolutions' own speed can be compared.

    python benchmarks/floor.py --out floor.json

`--tiles` also times other sizes of tile than the one that the package chooses.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from _common import (
    MATRIX_SIDE,
    N_TIMES,
    best_of,
    machine,
    precisions,
    rounded,
    scene,
    take_cores,
    with_precision,
    write_json,
)
from torch import Tensor, nn

from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.folder import Model, folded
from napari_unetic.model.registry import load_model
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Row = dict[str, Any]


class Convolution(NamedTuple):
    """One convolution of a network at work."""

    name: str
    module: nn.Conv2d | nn.ConvTranspose2d
    given: torch.Size
    made: torch.Size

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        # One use of the kernel a pixel made, or, transposed, a pixel given.
        is_transposed = isinstance(self.module, nn.ConvTranspose2d)
        n, _, height, width = self.given if is_transposed else self.made
        return 2 * n * height * width * self.module.weight.numel()


def network_of(model: Model, dtype: torch.dtype) -> Network:
    """Return the network as it predicts: folded, channels last."""
    network = folded(model.network).to(dtype=dtype)
    moved: Network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def whole_input(network: Network, size: int, dtype: torch.dtype) -> Tensor:
    """Return random input of at least `size` that the network takes."""
    rule = network.spec.tile_rule
    side = size + 2 * rule.context
    side += (rule.remainder - side) % rule.stride
    x = torch.rand(1, network.spec.in_channels, side, side).to(dtype)
    return x.to(memory_format=torch.channels_last)


def convolutions(network: nn.Module, x: Tensor) -> list[Convolution]:
    """Return each convolution with the shapes of what it gets and makes."""
    met: list[Convolution] = []
    hooks = [
        module.register_forward_hook(
            lambda m, inputs, output, name=name: met.append(
                Convolution(name, m, inputs[0].shape, output.shape)
            )
        )
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return met


def alone(network: Network, x: Tensor, n: int) -> list[Row]:
    """Return the time of each convolution by itself."""
    rows = []
    for layer in convolutions(network, x):
        y = torch.rand(layer.given).to(x.dtype).to(memory_format=torch.channels_last)
        taken = best_of(partial(layer.module, y), n)
        rows.append(
            {
                "layer": layer.name,
                "input": list(layer.given[1:]),
                "out_channels": layer.made[1],
                "s": rounded(taken),
                "gflops": rounded(layer.operations / taken / 1e9),
            }
        )
    return rows


def product(dtype: torch.dtype, n: int) -> dict[str, float]:
    """Time a matrix product."""
    a = torch.rand(MATRIX_SIDE, MATRIX_SIDE).to(dtype)
    taken = best_of(lambda: a @ a, n)
    return {"s": rounded(taken), "gflops": rounded(2 * MATRIX_SIDE**3 / taken / 1e9)}


def through_tiles(
    model: Model, size: int, precision: str, tile: int | None, n: int
) -> Row:
    """Time the maps of an image as the package makes them."""
    image, _ = scene(size)
    settings = SegmentSettings(device="cpu", tile=tile, **with_precision(precision))
    plan = plan_work(image, model.description, settings)
    taken = best_of(lambda: drain(prepare(plan, model).maps_steps(())), n)
    return {"tile": plan.tile, "n_tiles": plan.n_tiles, "s": rounded(taken)}


def measure(
    model: Model, precision: str, size: int, tiles: Sequence[int], n: int
) -> Row:
    """Return all figures of one precision."""
    dtype = DTYPES[precision]
    network = network_of(model, dtype)
    x = whole_input(network, size, dtype)
    with torch.inference_mode():
        layers = alone(network, x, n)
        one_piece = best_of(lambda: network(x), n)
        matrix = product(dtype, n)
    floor = sum(layer["s"] for layer in layers)
    n_operations = sum(layer["s"] * layer["gflops"] for layer in layers)
    row: Row = {
        "precision": precision,
        "size": size,
        "convolutions_alone_s": rounded(floor),
        "one_piece_s": rounded(one_piece),
        "one_piece_share": rounded(floor / one_piece, 3),
        "convolutions_gflops": rounded(n_operations / floor),
        "matrix_product": matrix,
        "tiles": [],
        "layers": layers,
    }
    # Only what the package itself can run in this precision has tiles.
    if precision in precisions():
        for tile in (None, *tiles):
            timed = through_tiles(model, size, precision, tile, n)
            timed["share"] = rounded(floor / timed["s"], 3)
            row["tiles"].append(timed)
    return row


def main() -> None:
    """Print and write a row for each precision and number of threads."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1, help="and cores")
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--tiles", nargs="*", type=int, default=[])
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument("--out", type=Path, help="write JSON")
    arguments = parser.parse_args()
    size, n = (512, 1) if arguments.quick else (arguments.size, N_TIMES)
    cores = take_cores(arguments.threads)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = load_model(arguments.model)
    result: Row = {
        "machine": machine(),
        "threads": arguments.threads,
        "cores": cores,
        "model": model.description.name,
        "weights_sha256": model.description.weights_sha256,
        "best_of": n,
        "rows": [],
    }
    for precision in arguments.precisions:
        row = measure(model, precision, size, arguments.tiles, n)
        result["rows"].append(row)
        shown = {k: v for k, v in row.items() if k != "layers"}
        print(json.dumps(shown), flush=True)
        for layer in row["layers"]:
            print("   ", json.dumps(layer), flush=True)
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
