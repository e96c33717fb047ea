"""The bundled network in other runtimes: torch.compile, ONNX Runtime, OpenVINO.

All run the same folded network on the same input in turns (A B C A B C ...), each in a
process of its own, bound to as many cores as threads. What counts is the best of five
after one that does not count. Beside the seconds: how long a runtime takes until it is
ready for an image of one size (torch.compile and OpenVINO prepare for each size anew),
and how far the logits are from those of torch in float32.

    python benchmarks/runtimes/run.py --env ~/unetic-runtimes --out runtimes.json

Runtimes other than torch are installed once into `--env` from `requirements.txt`. Where
this runs, the export needs `onnx` (`pip install onnx==1.23.2`), and torch.compile a C++
compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from _common import (
    N_TIMES,
    machine,
    matrix_product,
    rounded,
    take_cores,
    thread_limits,
    write_json,
)
from _environments import python_of

from napari_unetic.model.folder import folded
from napari_unetic.model.registry import load_model
from napari_unetic.networks.banded import run_banded

Row = dict[str, Any]
HERE = Path(__file__).resolve().parent
OURS, COMPILED = "ours", "torch.compile"
CASES = [
    (OURS, "float32"),
    (OURS, "bfloat16"),
    (COMPILED, "float32"),
    (COMPILED, "bfloat16"),
    ("onnxruntime", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
]


def export(folder: Path, size: int) -> None:
    """Write the network, an input and the logits that torch makes of it."""
    network = folded(load_model("nuclei").network).eval()
    shape = 1, network.spec.in_channels, size, size
    x = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    with torch.inference_mode():
        np.save(folder / "output.npy", network(x).numpy())
    np.save(folder / "input.npy", x.numpy())
    torch.onnx.export(network, (x,), folder / "network.onnx", dynamo=False)


def serve(folder: Path, runtime: str, precision: str, threads: int) -> None:
    """Be the worker for torch, as `worker.py` is for other runtimes."""
    take_cores(threads)
    torch.set_num_threads(threads)
    dtype = getattr(torch, precision)
    network: Any = folded(load_model("nuclei").network).eval().to(dtype)
    network = network.to(memory_format=torch.channels_last)
    x = torch.from_numpy(np.load(folder / "input.npy")).to(dtype)
    expected = np.load(folder / "output.npy")
    began = time.perf_counter()
    if runtime == COMPILED:
        compiled = torch.compile(network)

        def run() -> torch.Tensor:
            return compiled(x)
    else:

        def run() -> torch.Tensor:
            return run_banded(network, x)

    with torch.inference_mode():
        found = run().float().numpy()
        ready = {
            "ready_s": time.perf_counter() - began,
            "largest_difference": float(np.abs(found - expected).max()),
            "torch": torch.__version__,
        }
        print(json.dumps(ready), flush=True)
        for _ in sys.stdin:
            began = time.perf_counter()
            run()
            print(json.dumps(time.perf_counter() - began), flush=True)


def start(
    folder: Path, python: Path, runtime: str, precision: str, threads: int
) -> subprocess.Popen[str]:
    """Start the process of a case."""
    if runtime in (OURS, COMPILED):
        command = [sys.executable, __file__, "--serve"]
    else:
        command = [str(python), str(HERE / "worker.py")]
    command += [runtime, str(folder), precision, str(threads)]
    environment = {**os.environ, **thread_limits(threads)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, text=True
    )


def ask(process: subprocess.Popen[str], *, for_time: bool = True) -> Any:
    """Return the next answer of a process."""
    assert process.stdin is not None and process.stdout is not None
    if for_time:
        process.stdin.write("run\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} stopped; its message is above.")
    return json.loads(line)


def measure(
    folder: Path, python: Path, size: int, threads: int
) -> list[dict[str, Any]]:
    """Run all cases in turns."""
    export(folder, size)
    processes = [start(folder, python, *case, threads) for case in CASES]
    told = [ask(process, for_time=False) for process in processes]
    turns: list[list[float]] = [[] for _ in CASES]
    for _ in range(N_TIMES + 1):
        for process, seconds in zip(processes, turns, strict=True):
            seconds.append(ask(process))
    rows = []
    for (runtime, precision), what, seconds in zip(CASES, told, turns, strict=True):
        megapixels = size * size / 1e6
        ours = min(turns[CASES.index((OURS, precision))][1:])
        row = {
            "runtime": runtime,
            "precision": precision,
            "threads": threads,
            "size": size,
            "s_per_megapixel": rounded(min(seconds[1:]) / megapixels),
            "ours_over_it": rounded(ours / min(seconds[1:]), 3),
            **{k: rounded(v) if isinstance(v, float) else v for k, v in what.items()},
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)
    return rows


def main() -> None:
    """Print and write the result."""
    if sys.argv[1:2] == ["--serve"]:
        _, _, runtime, folder, precision, threads = sys.argv
        serve(Path(folder), runtime, precision, int(threads))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, required=True, help="for the environment")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--out", type=Path, help="write JSON")
    arguments = parser.parse_args()
    envs = arguments.env.expanduser().resolve()
    python = python_of(HERE / "requirements.txt", envs)
    result: dict[str, Any] = {
        "machine": machine(),
        "matrix_product": matrix_product(),
        "best_of": N_TIMES,
        "rows": [],
    }
    for threads in arguments.threads:
        with tempfile.TemporaryDirectory() as folder:
            result["rows"] += measure(Path(folder), python, arguments.size, threads)
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
