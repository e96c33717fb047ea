"""What the benchmarks share: the machine in words, best of some times, JSON.

Needs numpy alone, so that workers in other environments can import it too.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

N_TIMES = 5
LARGEST_SCENE = 2048
DENSITIES: dict[str, dict[str, Any]] = {
    "sparse": {"per_megapixel": 100, "diameter": (20, 35), "touching": 0.35},
    "typical": {"per_megapixel": 700, "diameter": (20, 35), "touching": 0.35},
    "crowded": {"per_megapixel": 2500, "diameter": (12, 20), "touching": 0.6},
}
MATRIX_SIDE = 2048


def best_of(work: Callable[[], object], n: int = N_TIMES, *, warm_up: int = 1) -> float:
    """Return the shortest of `n` times in seconds, after some that do not count."""
    for _ in range(warm_up):
        work()
    return min(seconds(work) for _ in range(n))


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def matrix_product(n: int = N_TIMES) -> dict[str, float]:
    """Time a product of 2048 × 2048 in float32 by torch: how fast the machine is now.

    Returns
    -------
    dict
        Seconds, and what that is in 10⁹ operations a second.
    """
    import torch

    a = torch.rand(MATRIX_SIDE, MATRIX_SIDE)
    taken = best_of(lambda: a @ a, n)
    return {"s": rounded(taken), "gflops": rounded(2 * MATRIX_SIDE**3 / taken / 1e9)}


def machine(packages: Sequence[str] = ("numpy", "torch")) -> dict[str, Any]:
    """Return date, kind of machine and versions, as JSON can hold it."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu_name(),
        "cpu_flags": [f for f in ("avx2", "avx512_bf16", "amx_bf16") if f in _flags()],
        "cores": os.cpu_count(),
        "load_before": rounded(os.getloadavg()[0]) if hasattr(os, "getloadavg") else -1,
        "system": platform.platform(terse=True),
        "versions": {"python": platform.python_version(), **versions(packages)},
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu_info(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((s.split(":", 1)[1].strip() for s in lines if s.startswith(key)), "")


def _cpu_name() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _flags() -> set[str]:
    return set(_cpu_info("flags").split())


def take_cores(n: int) -> list[int]:
    """Keep this process and its threads to `n` cores, and return which.

    What a thread limit leaves out (pools that a library starts by itself) is held to
    the same cores. Cores are taken from different physical ones where there are
    enough. On systems without affinity nothing happens, and the list is empty.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    allowed = sorted(os.sched_getaffinity(0))
    first_of_each = list({_siblings(core): core for core in reversed(allowed)}.values())
    order = sorted(first_of_each) + [c for c in allowed if c not in first_of_each]
    os.sched_setaffinity(0, order[:n])
    return order[:n]


def _siblings(core: int) -> str:
    at = f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
    try:
        return Path(at).read_text(encoding="ascii").strip()
    except OSError:
        return str(core)


def thread_limits(n: int) -> dict[str, str]:
    """Return the environment that keeps every library to `n` threads."""
    names = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
    )
    # Branches of a graph beside each other would be a thread more.
    return dict.fromkeys(names, str(n)) | {"TF_NUM_INTEROP_THREADS": "1"}


def forget_peak() -> None:
    """Let `peak_bytes` begin again, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak if sys.platform == "darwin" else peak * 1024)
    line = next(s for s in text.splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the power by which cost grows with size, by least squares of the logs."""
    slope, _ = np.polyfit(np.log(sizes), np.log(costs), 1)
    return rounded(float(slope))


def rounded(value: float, digits: int = 4) -> float:
    """Return a value with that many significant digits."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def precisions() -> tuple[str, ...]:
    """Return the precisions that can be asked of `napari_unetic.segment`."""
    from typing import get_args

    from napari_unetic.settings import SegmentSettings

    field = SegmentSettings.model_fields.get("precision")
    choices = get_args(field.annotation) if field else ("float32",)
    return tuple(c for c in choices if c not in ("auto", None))


def with_precision(precision: str) -> dict[str, Any]:
    """Return the keywords of `napari_unetic.segment` that ask for a precision."""
    return {"precision": precision} if len(precisions()) > 1 else {}


def scene(
    size: int, density: str = "typical", seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Return a generated image of nuclei and their labels.

    Parameters
    ----------
    size : int
        Rows and columns. Beyond 2048 one image is repeated, which costs the same and
        takes far less time to make.
    density : {"sparse", "typical", "crowded"}
        100, 700 or 2500 objects a megapixel; crowded ones are smaller and most touch.
    seed : int
        Of the generator.
    """
    from napari_unetic.samples import nuclei_sample

    side = min(size, LARGEST_SCENE)
    looks = DENSITIES[density]
    image, labels = nuclei_sample(
        (side, side),
        seed,
        n_nuclei=round(side * side / 1e6 * looks["per_megapixel"]),
        diameter=looks["diameter"],
        touching=looks["touching"],
    )
    repeats = -(-size // side)
    if repeats == 1:
        return image, labels
    n = int(labels.max())
    numbers = np.arange(repeats**2, dtype=np.int32).reshape(repeats, repeats) * n
    shifts = np.kron(numbers, np.ones((side, side), np.int32))[:size, :size]
    repeated = np.tile(image, (repeats, repeats))[:size, :size]
    labels = np.tile(labels, (repeats, repeats))[:size, :size]
    return np.ascontiguousarray(repeated), np.where(labels > 0, labels + shifts, 0)


def read_rows(path: Path, key: str) -> list[dict[str, Any]]:
    """Return the rows of a result that is gone on with; none where there is no file."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[key]
    return found


def write_json(path: Path | None, result: object) -> None:
    """Write a result where a file is given."""
    if path is not None:
        text = json.dumps(result, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
