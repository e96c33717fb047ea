"""The other end of `run.py`: a process that waits until it is told to run.

It holds its model and its image, so that what is timed is the work alone. Requests come
as lines of JSON on standard input and are answered on what was standard output; what
libraries print goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from _common import take_cores
from numpy.typing import NDArray

Answer = dict[str, Any]

TURN_S = 3.0
"""Seconds that a turn lasts at least: a pipeline that is done in a fraction of one
would else be timed cold each time, after the long turns of the others."""


class Scene(NamedTuple):
    """The image that all run on."""

    image: NDArray[np.uint16]
    truth: NDArray[np.int32]


class Peer(NamedTuple):
    """What a worker can do."""

    describe: Callable[[], Answer]
    """Versions, threads and settings."""
    prepare: Callable[[Scene], None]
    """Take the next image."""
    run: Callable[[str], Answer]
    """Segment it in one precision: seconds and the number of objects."""


def serve(start: Callable[[int], Peer]) -> None:
    """Answer requests until standard input ends.

    Parameters
    ----------
    start : callable
        Takes the number of threads; imports the library and builds the model.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    cores = take_cores(threads)
    peer = start(threads)
    for line in sys.stdin:
        request = json.loads(line)
        answer: Answer = {}
        if request["do"] == "describe":
            answer = {"cores": cores, **peer.describe()}
        elif request["do"] == "prepare":
            with np.load(request["scene"]) as arrays:
                peer.prepare(Scene(arrays["image"], arrays["truth"]))
        else:
            answer = turn(peer, request["precision"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def turn(peer: Peer, precision: str) -> Answer:
    """Run again and again for `TURN_S`; return the answer of the quickest run."""
    answers: list[Answer] = []
    began = time.perf_counter()
    while not answers or time.perf_counter() - began < TURN_S:
        answers.append(peer.run(precision))
    quickest = min(answers, key=lambda answer: float(answer["s"]))
    return {**quickest, "n_runs": len(answers)}


def count(labels: NDArray[Any]) -> int:
    """Return the number of objects of a label image."""
    return int(np.count_nonzero(np.unique(labels)))


class Clock:
    """Adds up the seconds of functions that it wraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and is timed under `name`."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                taken = time.perf_counter() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + taken

        return wrapped
