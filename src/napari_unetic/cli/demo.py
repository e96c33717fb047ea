"""``unetic demo``: a generated image, segmented, scored and shown."""

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
        help="segment a generated image of nuclei and show the result",
        description="Segment a generated image of nuclei, whose true outlines are "
        "known, and open napari with the result. Without a usable screen, or with "
        "--no-viewer, the labels and a picture are written instead.",
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
    from napari_unetic.image.source import Image
    from napari_unetic.samples import PIXEL_SIZE, nuclei_sample

    pixels, truth = nuclei_sample(seed=arguments.seed)
    image = Image(pixels, "YX", pixel_size=PIXEL_SIZE, name="generated nuclei")
    found = _segment(arguments, image)
    print("\n".join(_figures(pixels, truth, found)), flush=True)
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


def _segment(arguments: argparse.Namespace, image: Image) -> Segmentation:
    """Segment the image behind a progress bar."""
    from napari_unetic.predict import segment_steps

    with Progress("demo") as progress, torch_threads(arguments.threads):
        found = drain(
            segment_steps(image, arguments.model, device=arguments.device), progress
        )
        progress.notes(found.notices)
    return found


def _figures(
    pixels: NDArray[np.uint16], truth: NDArray[np.int32], found: Segmentation
) -> list[str]:
    """Return the lines that say what was found and how good it is."""
    from napari_unetic.instances.counts import score_image
    from napari_unetic.instances.scores import Scores

    ap = Scores((score_image(truth, found.labels, name="demo"),)).pooled("ap")
    rows, columns = pixels.shape
    return [
        f"generated image  {rows} × {columns} pixels, {truth.max()} nuclei",
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
    with atomic_path(paths[0]) as partial:
        tifffile.imwrite(
            partial,
            pixels,
            compression="zlib",
            ome=True,
            metadata={
                "axes": image.axes,
                "PhysicalSizeX": size.sizes["X"],
                "PhysicalSizeXUnit": size.unit,
                "PhysicalSizeY": size.sizes["Y"],
                "PhysicalSizeYUnit": size.unit,
            },
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
