"""``unetic demo``: generated or real nuclei, segmented, scored and shown."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetic.cli.options import add_device, torch_threads, whole_number
from napari_unetic.cli.progress import Progress
from napari_unetic.steps import drain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unetic.image.source import Image
    from napari_unetic.predict import Segmentation

OUTPUT = "unetic-demo"
"""Folder of the files where there is no screen and no ``--output``."""

VIEWER = "napari_unetic.widgets.viewer"
"""Module that opens napari with the two files it is given."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="segment a generated or real image of nuclei and show the result",
        description="Segment an image of nuclei whose true outlines are known, a "
        "generated one or one of the Data Science Bowl 2018, and open napari with the "
        "result. Without a usable screen, or with --no-viewer, the labels and a "
        "picture are written instead.",
    )
    parser.add_argument(
        "--dsb2018",
        nargs="?",
        const="",
        metavar="ZIP|DIR",
        help="real nuclei: from what `unetic fetch dsb2018` downloaded, or from this "
        "zip or folder",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help=f"write the files here, also where napari opens (default: {OUTPUT} where "
        "it does not)",
    )
    parser.add_argument(
        "--no-viewer", action="store_true", help="write files, do not open napari"
    )
    parser.add_argument(
        "--model", default="nuclei", metavar="M", help="model (default: nuclei)"
    )
    parser.add_argument(
        "--seed",
        type=whole_number,
        default=0,
        metavar="S",
        help="another seed gives another image",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment, print the figures, and show or write the result."""
    if arguments.dsb2018 is None:
        title, (image, truth) = "generated image", _generated(arguments.seed)
    else:
        title, (image, truth) = "real image", _real(arguments)
    found = _segment(arguments, image)
    print("\n".join(_figures(title, truth, found)), flush=True)
    if arguments.no_viewer:
        problem = ""
    else:
        from napari_unetic.doctor import probe_screen

        problem = probe_screen().problem
        if not problem:
            problem = _open_viewer(arguments.output, image, found)
            if not problem:
                return 0
        print(f"note: {problem} The result is written instead.", file=sys.stderr)
    for path in _write(Path(arguments.output or OUTPUT), image, found, picture=True):
        print(f"written: {path}")
    return 0


def _generated(seed: int) -> tuple[Image, NDArray[np.int32]]:
    """Return a generated image and its true labels."""
    from napari_unetic.image.source import Image
    from napari_unetic.samples import PIXEL_SIZE, nuclei_sample

    pixels, truth = nuclei_sample(seed=seed)
    return Image(pixels, "YX", pixel_size=PIXEL_SIZE, name="generated nuclei"), truth


def _real(arguments: argparse.Namespace) -> tuple[Image, NDArray[np.int32]]:
    """Return a real image and its true labels, and say if the model knows it."""
    from napari_unetic.fetch.example import read_example
    from napari_unetic.model.folder import load_description
    from napari_unetic.model.registry import find_model

    example = read_example(arguments.dsb2018 or None, seed=arguments.seed)
    print(f"note: {example.image.name}", file=sys.stderr)
    record = load_description(find_model(arguments.model)).training
    if record and example.pair.image_hash() in record.images.values():
        print(
            "note: the model was trained on this image; --seed takes another",
            file=sys.stderr,
        )
    return example.image, example.labels


def _segment(arguments: argparse.Namespace, image: Image) -> Segmentation:
    """Segment the image behind a progress bar."""
    from napari_unetic.predict import segment_steps

    with Progress("demo") as progress, torch_threads(arguments.threads):
        found = drain(
            segment_steps(image, arguments.model, device=arguments.device), progress
        )
        progress.notes(found.notices)
    return found


def _figures(title: str, truth: NDArray[np.int32], found: Segmentation) -> list[str]:
    """Return the lines that say what was found and how good it is."""
    from napari_unetic.instances.counts import score_image
    from napari_unetic.instances.scores import Scores

    ap = Scores((score_image(truth, found.labels, name="demo"),)).pooled("ap")
    rows, columns = truth.shape
    return [
        f"{title:16} {rows} × {columns} pixels, {truth.max()} nuclei",
        f"found            {found.n_objects} objects in {found.seconds:.2f} s",
        f"AP at IoU 0.50   {ap['0.50']:.3f} against the truth",
        f"AP at IoU 0.75   {ap['0.75']:.3f}",
    ]


def _open_viewer(output: str | None, image: Image, found: Segmentation) -> str:
    """Show the result in napari until it is closed, or return why that failed.

    In a process of its own: where Qt fails it ends the process it is in.
    """
    with tempfile.TemporaryDirectory(prefix="unetic-demo-") as temporary:
        paths = _write(Path(output or temporary), image, found, picture=False)
        print("napari opens; close it to go on ...", file=sys.stderr, flush=True)
        code = _run_viewer([sys.executable, "-m", VIEWER, *map(str, paths)])
    if code:
        return f"napari ended with exit code {code}."
    if output:
        for path in paths:
            print(f"written: {path}")
    return ""


def _run_viewer(command: list[str]) -> int:
    """Run the viewer's process to its end and return its exit code."""
    return subprocess.run(command, check=False).returncode


def _write(
    folder: Path, image: Image, found: Segmentation, *, picture: bool
) -> list[Path]:
    """Write image, labels and, if asked, a picture of both; return their paths."""
    import numpy as np
    import tifffile

    from napari_unetic.image.writing import atomic_path, write_labels, write_png
    from napari_unetic.instances.overlay import overlay

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "nuclei.tif", folder / "nuclei_labels.tif"]
    pixels = np.asarray(image.data)
    size = image.pixel_size
    lengths: dict[str, Any] = {}
    for letter in "YX" if size.yx else "":
        lengths[f"PhysicalSize{letter}"] = size.sizes[letter]
        lengths[f"PhysicalSize{letter}Unit"] = size.unit
    with atomic_path(paths[0]) as partial:
        tifffile.imwrite(
            partial,
            np.moveaxis(pixels, 0, -1) if image.rgb else pixels,
            photometric="rgb" if image.rgb else "minisblack",
            compression="zlib",
            ome=True,
            metadata={"axes": "YXS" if image.rgb else image.axes, **lengths},
        )
    write_labels(
        paths[1],
        found.labels,
        axes=found.axes,
        pixel_size=size,
        description=found.provenance,
    )
    if picture:
        paths.append(folder / "nuclei_overlay.png")
        write_png(paths[2], overlay(pixels, found.labels))
    return paths
