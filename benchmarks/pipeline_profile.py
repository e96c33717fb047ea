"""Where the time and the memory of a segmentation go, and how both grow.

For each size and density a process of its own segments one generated image with a
bundled model: the whole pipeline, its peak of memory above interpreter, libraries,
model and image, and then its steps by themselves, each on what the one before made:

normalise   fitting the percentiles, then reading every tile's window normalised
network     every window through the network
decode      maps to objects, in bands where the package does so
relabel     of that: numbering the objects by their first pixel
score       of that: how sure the network is of each object
features    the table of measurements with intensities, that a layer gets

Images beyond 2048² repeat one of that size. For each density the exponent of cost
against pixels from 1024² to the largest, for time and for memory. Then by themselves
the features of 100,000 objects, and the matching of 10,000 objects with 10,000 others
at the usual threshold and at a low one, where assignments compete.

    python benchmarks/pipeline_profile.py --large --out profile.json

`--large` adds 4096² and 8192² (minutes, some GB of memory), each run twice. With
`--peers FILE`, the result of `peers/run.py`, each step's seconds a megapixel are also
given as a share of StarDist's whole ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import (
    DENSITIES,
    N_TIMES,
    best_of,
    exponent,
    forget_peak,
    machine,
    matrix_product,
    peak_bytes,
    rounded,
    scene,
    seconds,
    take_cores,
    with_precision,
    write_json,
)
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_unetic import Segmentation

SIZES = (512, 1024, 2048)
LARGE_SIZES = (4096, 8192)
LARGE_REPEATS = 2
STEPS = ("normalise", "network", "decode", "relabel", "score", "features")
PITCH_PX = 20
DISC_PX = 16

Row = dict[str, Any]


def run_case(arguments: argparse.Namespace) -> Row:
    """Profile one image; runs in a process that has done nothing else."""
    import psutil
    import torch

    import napari_unetic

    torch.set_num_threads(arguments.threads)
    model = napari_unetic.load_model(arguments.model)
    precision = with_precision(arguments.precision)

    def segment(pixels: NDArray[np.uint16]) -> Segmentation:
        steps = napari_unetic.segment_steps(pixels, model, device="cpu", **precision)
        return napari_unetic.drain(steps)

    image = np.load(arguments.case)
    segment(image[:256, :256])
    gc.collect()
    before = psutil.Process().memory_info().rss
    forget_peak()
    found: list[Segmentation] = []
    times = [seconds(lambda: found.append(segment(image)))]
    above = peak_bytes() - before
    n_objects = found.pop().n_objects
    times += [seconds(lambda: segment(image)) for _ in range(arguments.repeats - 1)]
    steps = time_steps(image, model, precision, arguments.repeats)
    megapixels = image.size / 1e6
    return {
        "n_objects": n_objects,
        "whole_s": rounded(min(times)),
        "whole_s_per_megapixel": rounded(min(times) / megapixels),
        "peak_above_image_mb": rounded(above / 1e6),
        "peak_above_image_bytes_per_pixel": rounded(above / image.size),
        "steps_s": {name: rounded(steps[name]) for name in STEPS},
        "steps_s_per_megapixel": {
            name: rounded(steps[name] / megapixels) for name in STEPS
        },
    }


def time_steps(
    image: NDArray[np.uint16], model: Any, precision: dict[str, Any], repeats: int
) -> dict[str, float]:
    """Return the seconds of each step by itself."""
    from napari_unetic.image.tiles import tiles
    from napari_unetic.instances.decode import decode, renumber
    from napari_unetic.instances.measure import measure
    from napari_unetic.instances.objects import score_objects
    from napari_unetic.maps import plan_work, prepare
    from napari_unetic.maps.view import PlaneView
    from napari_unetic.predict.bands import PlaneDecoder
    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import drain

    settings = SegmentSettings(device="cpu", **precision)
    plan = plan_work(image, model.description, settings)
    cuts = list(tiles(plan.grid, plan.tile, model.description.network.tile_rules))

    def timed(work: Callable[[], object]) -> float:
        return best_of(work, repeats, warm_up=int(repeats > LARGE_REPEATS))

    def normalise() -> None:
        work = prepare(plan, model)
        view = PlaneView(plan, work.normalisation, ())
        for cut in cuts:
            view.window(cut)

    found = {"normalise": timed(normalise)}
    work = prepare(plan, model)
    # All of it, less reading and normalising once more: what is left is the network.
    both = timed(lambda: drain(prepare(plan, model).maps_steps(())))
    found["network"] = both - found["normalise"]
    maps = drain(work.maps_steps(()))
    spec = settings.decoding(model.description.decoding, plan.zoom)
    found["decode"] = timed(
        lambda: PlaneDecoder(plan, settings, lambda *_: None).take(maps)
    )
    labels = decode(maps, spec)
    found["relabel"] = timed(lambda: renumber(labels, smallest_px=spec.smallest_px))
    found["score"] = timed(lambda: score_objects(labels, maps))
    found["features"] = timed(lambda: measure(labels, image))
    return found


def profile(arguments: argparse.Namespace, size: int, density: str) -> Row:
    """Profile one image in a process of its own."""
    # Five would take an hour; the first of the two finds cold memory.
    repeats = arguments.repeats if size <= max(SIZES) else LARGE_REPEATS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, scene(size, density)[0])
        command = [sys.executable, __file__, "--case", str(path)]
        command += ["--threads", str(arguments.threads), "--repeats", str(repeats)]
        command += ["--model", arguments.model, "--precision", arguments.precision]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    case: Row = json.loads(done.stdout.splitlines()[-1])
    row = {"size": size, "density": density, "best_of": repeats, **case}
    print(json.dumps(row), flush=True)
    return row


def growth(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the exponents of time and memory against pixels, from 1024² up."""
    found = {}
    for density in dict.fromkeys(row["density"] for row in rows):
        counted = [r for r in rows if r["density"] == density and r["size"] >= 1024]
        if len(counted) < 2:
            continue
        pixels = [r["size"] ** 2 for r in counted]
        found[density] = {
            "from_to": [counted[0]["size"], counted[-1]["size"]],
            "whole": exponent(pixels, [r["whole_s"] for r in counted]),
            "memory": exponent(pixels, [r["peak_above_image_mb"] for r in counted]),
            **{
                name: exponent(pixels, [r["steps_s"][name] for r in counted])
                for name in STEPS
            },
        }
    return found


def shares_of_stardist(rows: Iterable[Row], peers: Path, threads: int) -> list[Row]:
    """Return the steps' seconds a megapixel over StarDist's whole ones."""
    timed = json.loads(peers.read_text(encoding="utf-8"))["rows"]
    theirs = min(
        row["s_per_megapixel"]
        for row in timed
        if row["pipeline"] == "stardist" and row["threads"] == threads
    )
    return [
        {
            "size": row["size"],
            "density": row["density"],
            "stardist_s_per_megapixel": theirs,
            **{
                k: rounded(v / theirs, 3)
                for k, v in row["steps_s_per_megapixel"].items()
            },
        }
        for row in rows
    ]


def discs(n_across: int, shift: int = 0) -> NDArray[np.int32]:
    """Return discs on a square grid, moved down and right by some pixels."""
    side = n_across * PITCH_PX
    along = (np.arange(side) - shift) % side
    offset = along % PITCH_PX - (PITCH_PX - 1) / 2
    cell = (along // PITCH_PX).astype(np.int32)
    is_inside = offset[:, None] ** 2 + offset**2 < (DISC_PX / 2) ** 2
    number = cell[:, None] * np.int32(n_across) + cell + np.int32(1)
    return np.where(is_inside, number, np.int32(0))


def many_objects(quick: bool, repeats: int) -> Row:
    """Time the features of many objects and the matching of many with many."""
    from napari_unetic.instances.counts import score_image
    from napari_unetic.instances.matching import match, overlap
    from napari_unetic.instances.measure import measure

    labels = discs(50 if quick else 317)
    image = (labels % 251).astype(np.uint16)
    true, pred = discs(20 if quick else 100), discs(20 if quick else 100, PITCH_PX // 3)
    row: Row = {
        "features_objects": int(labels.max()),
        "features_pixels": labels.size,
        "features_s": rounded(best_of(lambda: measure(labels, image), repeats)),
        "matching_objects": [int(true.max()), int(pred.max())],
    }
    for threshold in (0.5, 0.05):
        taken = best_of(lambda t=threshold: match(overlap(true, pred), t), repeats)  # type: ignore[misc]
        row[f"matching_at_{threshold}_s"] = rounded(taken)
    row["scores_of_image_s"] = rounded(
        best_of(lambda: score_image(true, pred), repeats)
    )
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    """Print and write the profile."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nuclei")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=1, help="and cores")
    parser.add_argument(
        "--densities", nargs="+", choices=tuple(DENSITIES), default=list(DENSITIES)
    )
    parser.add_argument("--large", action="store_true", help="also 4096² and 8192²")
    parser.add_argument("--repeats", type=int, default=N_TIMES)
    parser.add_argument("--peers", type=Path, help="JSON of peers/run.py")
    parser.add_argument("--quick", action="store_true", help="to see that it runs")
    parser.add_argument("--out", type=Path, help="write JSON")
    parser.add_argument("--case", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = take_cores(arguments.threads)
    if arguments.case:
        print(json.dumps(run_case(arguments)))
        return
    sizes = (*SIZES, *(LARGE_SIZES if arguments.large else ()))
    if arguments.quick:
        sizes, arguments.repeats = (256, 512), 1
    result: Row = {
        "machine": machine(),
        "matrix_product": matrix_product(arguments.repeats),
        "threads": arguments.threads,
        "cores": cores,
        "model": arguments.model,
        "precision": arguments.precision,
        "densities": DENSITIES,
        "rows": [
            profile(arguments, size, density)
            for density in arguments.densities
            for size in sizes
        ],
    }
    result["exponents"] = growth(result["rows"])
    if arguments.peers:
        result["share_of_stardist"] = shares_of_stardist(
            result["rows"], arguments.peers, arguments.threads
        )
    result["many_objects"] = many_objects(arguments.quick, arguments.repeats)
    print(json.dumps(result["exponents"]))
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
