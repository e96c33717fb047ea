"""Whole pipelines beside each other in one run: StarDist 2D, Cellpose 3 and ours.

Each peer is installed once into an environment of its own (`--envs`, a folder outside
the repository) from `requirements-*.txt`. Then, for each number of threads and each
size, all segment the same generated image in turns (A B C A B C ...), each in a process
of its own that holds its model, so that a machine that slows down slows all. A turn
lasts three seconds or one run, whichever is longer, and its quickest run is taken. What
counts is the best of five turns, after one that does not count.

Published weights of the peers are not used: their networks run with random weights,
which take the same time, and the maps that come out are replaced by those of the true
objects, so that their decoders do the work of a good prediction; the run fails where
a decoder finds another number of objects than are there. Ours runs as it is, with the
bundled model. One thread means one core: thread limits are set for every library, and
the process is bound to as many cores.

    python benchmarks/peers/run.py --envs ~/unetic-peers --out peers.json

Needs an internet connection the first time, about 5 GB of disk and 8 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from _common import (
    DENSITIES,
    N_TIMES,
    machine,
    rounded,
    scene,
    thread_limits,
    write_json,
)
from _environments import python_of

HERE = Path(__file__).resolve().parent
OURS = "unetic"
PEERS = ("stardist", "cellpose")
NOTE = (
    "The networks of StarDist and Cellpose run with random weights, and their decoders "
    "on maps made from the true objects of the same image; Cellpose at native scale. "
    "Ours runs with its bundled weights on its own maps. Peers run in float32, as they "
    "come. s: whole pipeline, from the image as an array to labels; network, decoder: "
    "the part of that."
)
TOLERANCE = 0.05
"""Share of the true objects by which a peer's decoder may miss their number; a few at
the image's edge are too narrow for it."""

PAUSE_S = 0.3
"""Between runs: threads of the last one may still be spinning for more work."""

Row = dict[str, Any]


class Runner(NamedTuple):
    """A pipeline in one precision, and the process that runs it."""

    name: str
    precision: str
    worker: Worker


class Worker:
    """A process that holds a model and an image."""

    def __init__(self, name: str, python: Path, threads: int, log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [python, HERE / f"{name}_worker.py", "--threads", str(threads)],
                env=_environment(threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            said = self._log.read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{self.name} stopped:\n{said[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def _environment(threads: int) -> dict[str, str]:
    # Neither TensorFlow's log nor a GPU belongs to a comparison of CPUs.
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return {**kept, **quiet, **thread_limits(threads)}


@contextmanager
def written_scene(size: int, density: str) -> Iterator[tuple[Path, int]]:
    """Write an image and its true labels to a file, and count the objects."""
    image, truth = scene(size, density)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.npz"
        np.savez(path, image=image, truth=truth)
        yield path, int(truth.max())


def rows_of(
    runners: Sequence[Runner], size: int, density: str, rounds: int, threads: int
) -> list[Row]:
    """Run all in turns on one image."""
    with written_scene(size, density) as (path, n_true):
        for worker in {r.worker for r in runners}:
            worker.ask(do="prepare", scene=str(path))
        turns: list[list[dict[str, Any]]] = [[] for _ in runners]
        for _ in range(rounds + 1):
            for runner, answers in zip(runners, turns, strict=True):
                time.sleep(PAUSE_S)
                answers.append(runner.worker.ask(do="run", precision=runner.precision))
    megapixels = size * size / 1e6
    rows: list[Row] = []
    for runner, answers in zip(runners, turns, strict=True):
        counted = answers[1:]
        best = min(counted, key=lambda a: a["s"])
        _check_count(runner.name, best["n_objects"], n_true)
        row: Row = {
            "pipeline": runner.name,
            "precision": runner.precision,
            "threads": threads,
            "size": size,
            "n_true": n_true,
            "n_objects": best["n_objects"],
            "s": rounded(best["s"]),
            "s_per_megapixel": rounded(best["s"] / megapixels),
            "all_s": [rounded(a["s"]) for a in counted],
        }
        row |= {k: rounded(best[k]) for k in ("network", "decoder") if k in best}
        rows.append(row)
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _check_count(name: str, found: int, n_true: int) -> None:
    if name != OURS and abs(found - n_true) > TOLERANCE * n_true:
        raise SystemExit(
            f"{name} made {found} objects of the maps of {n_true}: its decoder does "
            "not do what is to be timed."
        )


def ratios(rows: Sequence[Row]) -> list[Row]:
    """Return how many times as long each peer takes as ours, by threads and size."""
    found = []
    for ours in (r for r in rows if r["pipeline"] == OURS):
        where = {k: ours[k] for k in ("threads", "size", "precision")}
        for peer in rows:
            if peer["pipeline"] == OURS or any(
                peer[k] != ours[k] for k in ("threads", "size")
            ):
                continue
            # Turn by turn as well: what all turns say cannot be the luck of the best.
            by_turn = np.divide(peer["all_s"], ours["all_s"])
            found.append(
                {
                    **where,
                    "peer": peer["pipeline"],
                    "times_as_long": rounded(peer["s"] / ours["s"], 3),
                    "least_of_turns": rounded(float(by_turn.min()), 3),
                }
            )
    return found


def run(arguments: argparse.Namespace, pythons: dict[str, Path]) -> dict[str, Any]:
    """Time everything and return the result."""
    result: dict[str, Any] = {
        "machine": machine(("napari-unetic", "numpy", "torch")),
        "note": NOTE,
        "density": {arguments.density: DENSITIES[arguments.density]},
        "best_of": arguments.rounds,
        "pipelines": {},
        "matrix_product": {},
        "rows": [],
    }
    for threads in arguments.threads:
        with tempfile.TemporaryDirectory() as logs, ExitStack() as stack:
            runners = []
            for name, python in pythons.items():
                worker = Worker(name, python, threads, Path(logs) / f"{name}.log")
                stack.callback(worker.close)
                told = worker.ask(do="describe")
                if name == OURS:
                    product = told.pop("matrix_product")
                    result["matrix_product"][f"{threads} threads"] = product
                for precision in told.pop("precisions", ("float32",)):
                    runners.append(Runner(name, precision, worker))
                result["pipelines"][name] = told
            for size in arguments.sizes:
                result["rows"] += rows_of(
                    runners, size, arguments.density, arguments.rounds, threads
                )
    result["ratios"] = ratios(result["rows"])
    return result


def main() -> None:
    """Install what is missing, run all, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--envs", type=Path, required=True, help="for environments")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 2048])
    parser.add_argument("--density", choices=tuple(DENSITIES), default="typical")
    parser.add_argument("--rounds", type=int, default=N_TIMES)
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument("--install-only", action="store_true")
    parser.add_argument("--out", type=Path, help="write JSON")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.threads, arguments.sizes, arguments.rounds = [1], [512], 1
    envs = arguments.envs.expanduser().resolve()
    pythons = {OURS: Path(sys.executable)}
    for name in arguments.peers:
        requirements = HERE / f"requirements-{name}.txt"
        pythons[name] = python_of(requirements, envs / name)
    if arguments.install_only:
        return
    result = run(arguments, pythons)
    for row in result["ratios"]:
        print(json.dumps(row))
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
