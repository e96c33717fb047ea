"""The network in a runtime other than torch: waits for lines on standard input.

Needs numpy and the runtime alone. The first line that it writes tells what the runtime
gives and how long it takes to be ready; then each line read is answered with the
seconds of one run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from _common import take_cores, versions
from numpy.typing import NDArray

Run = Callable[[NDArray[np.float32]], Any]


def onnxruntime(model: str, threads: int, precision: str) -> Run:
    """Return the network in ONNX Runtime; in float32 alone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(model: str, threads: int, precision: str) -> Run:
    """Return the network in OpenVINO."""
    import openvino

    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[
                precision
            ],
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()
    return lambda x: request.infer([x])[compiled.output(0)]


RUNTIMES = {"onnxruntime": onnxruntime, "openvino": openvino}


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("folder", type=Path, help="holds the model, input and output")
    parser.add_argument("precision")
    parser.add_argument("threads", type=int)
    arguments = parser.parse_args()
    take_cores(arguments.threads)
    x = np.load(arguments.folder / "input.npy")
    expected = np.load(arguments.folder / "output.npy")
    began = time.perf_counter()
    make = RUNTIMES[arguments.runtime]
    run = make(
        str(arguments.folder / "network.onnx"), arguments.threads, arguments.precision
    )
    found = run(x)
    ready = {
        "ready_s": time.perf_counter() - began,
        "largest_difference": float(np.abs(found - expected).max()),
        **versions([arguments.runtime]),
    }
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        run(x)
        print(json.dumps(time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
