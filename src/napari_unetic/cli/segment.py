"""``unetic segment``: images in, label images out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_unetic.cli.inputs import LABELS_ENDING, MAPS_ENDING, Job, Plan, plan
from napari_unetic.cli.options import (
    add_model,
    add_settings,
    add_threads,
    chosen_settings,
    torch_threads,
)
from napari_unetic.cli.progress import Progress
from napari_unetic.cli.results import check_json, write_json
from napari_unetic.errors import UneticError
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import Step, drain

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.predict import Segmentation

SETTINGS = tuple(SegmentSettings.model_fields)
"""Every setting is an option."""

_N_NAMED = 20
"""How many images that failed the last line names."""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one image.

    Parameters
    ----------
    input, output : str
        The two paths.
    status : {"done", "skipped", "failed"}
        Skipped where the output existed.
    n_objects : int, optional
        Objects found, with a model of objects.
    classes : dict of str to float, optional
        Share of the pixels of each class, with a model of classes.
    seconds : float, optional
        From normalising to labels, without reading and writing.
    shape, axes
        Shape of the labels and their axes.
    error : str
        Why it failed.
    provenance : dict, optional
        What made the labels: model, settings, versions.
    """

    input: str
    output: str
    status: Literal["done", "skipped", "failed"]
    n_objects: int | None = None
    classes: dict[str, float] | None = None
    seconds: float | None = None
    shape: tuple[int, ...] | None = None
    axes: str | None = None
    error: str = ""
    provenance: dict[str, Any] | None = None

    def text(self) -> str:
        """Return the row as a line of the summary."""
        if self.status == "done":
            assert self.seconds is not None
            line = f"{self._found()} {self.seconds:8.2f} s  {self.input} -> "
            return line + self.output + self._resized()
        if self.status == "skipped":
            return f"        skipped: exists    {self.input} -> {self.output}"
        return f"        failed             {self.input}"

    def _resized(self) -> str:
        """Say whether the image was brought to another size for its objects."""
        sizing = (self.provenance or {}).get("diameter", {})
        how, _, why = sizing.get("why", "").partition(": ")
        if how not in ("reduced", "magnified"):
            return ""
        return f"  ({how}: {why}, about {sizing['estimate_px']:.3g} pixels)"

    def _found(self) -> str:
        """Say how many objects, or how much of the image each class takes."""
        if self.classes is None:
            return f"{self.n_objects:7d} objects"
        shares = list(self.classes.items())[1:]
        return ", ".join(f"{100 * share:6.2f} % {name}" for name, share in shares)


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "segment",
        help="segment images: one label image for each",
        description="Segment images. The labels of NAME.png are written as "
        "NAME_labels.tif (OME-TIFF), beside it or below OUT; a result that exists is "
        "left as it is, and results are never taken as input.",
        epilog="Exit code: 0 where nothing failed, 1 where some images failed, 2 where "
        "all did or the arguments are wrong.",
    )
    parser.add_argument(
        "input",
        nargs="+",
        metavar="INPUT",
        help="image files, quoted patterns such as 'data/**/*.tif', or folders (with "
        "their subfolders)",
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="OUT",
        help="folder for the results, subfolders kept; or one file, if it ends in .tif",
    )
    add_model(parser)
    add_settings(parser, SETTINGS)
    add_threads(parser)
    parser.add_argument(
        "--maps",
        action="store_true",
        help="also write the maps that the labels come from (foreground, contact, "
        "depth, or probabilities of classes; 0 to 1) as NAME_maps.tif",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write over results that exist"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write a row an image to FILE, as JSON"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Segment every image of the plan; one that fails does not stop the rest."""
    from napari_unetic.image.reading import IMAGE_SUFFIXES

    json_path = check_json(arguments.json)
    settings = chosen_settings(arguments, SETTINGS)
    work = plan(arguments.input, arguments.out, IMAGE_SUFFIXES)
    rows: list[Row] = []
    started = time.monotonic()
    try:
        with Progress("segment") as progress:
            if work.n_results_left_out:
                progress.note(
                    f"{work.n_results_left_out} files named *{LABELS_ENDING} or "
                    f"*{MAPS_ENDING} are results, not images, and are left out."
                )
            for row in _rows(arguments, settings, work, progress):
                rows.append(row)
                progress.result(row.text())
                if row.error:
                    progress.line(f"unetic: error: {row.error}")
    finally:
        if json_path is not None and rows:
            write_json(json_path, _summary(arguments.model, rows))
    print(_totals(rows, time.monotonic() - started))
    failed = [row.input for row in rows if row.status == "failed"]
    if failed and len(rows) > 1:
        more = f" and {len(failed) - _N_NAMED} more" if len(failed) > _N_NAMED else ""
        print(f"failed: {', '.join(failed[:_N_NAMED])}{more}")
    return exit_code(rows)


def exit_code(rows: list[Row]) -> int:
    """Return 0 where nothing failed, 1 where some did, 2 where all did."""
    failed = sum(row.status == "failed" for row in rows)
    if not failed:
        return 0
    return 2 if failed == len(rows) else 1


def _rows(
    arguments: argparse.Namespace,
    settings: SegmentSettings,
    work: Plan,
    progress: Progress,
) -> Iterator[Row]:
    """Yield a row for each job, in order; the model is loaded when first needed."""
    model: Model | None = None
    for index, job in enumerate(work.jobs):
        if not _missing(job, arguments):
            yield Row(str(job.source), str(job.output), "skipped")
            continue
        if model is None:
            from napari_unetic.model.registry import load_model
            from napari_unetic.networks.device import choose_device

            progress(Step(index, len(work.jobs), f"loading {arguments.model}"))
            model = load_model(arguments.model)
            choose_device(settings.device)
        on_step = _share(progress, index, len(work.jobs), job)
        yield _segmented(arguments, settings, job, model, on_step)


def _missing(job: Job, arguments: argparse.Namespace) -> list[Path]:
    """Return the files that are to be written: what exists is left as it is."""
    wanted = [job.output, job.maps] if arguments.maps else [job.output]
    return [path for path in wanted if arguments.overwrite or not path.exists()]


def _share(
    progress: Progress, index: int, n_jobs: int, job: Job
) -> Callable[[Step], None]:
    """Return what shows a step of one image as its share of all images."""
    part = 0.0

    def show(step: Step) -> None:
        nonlocal part
        # An image that is run again at another size begins anew.
        part = max(part, min(step.done / step.total, 1.0) if step.total else 0.0)
        progress(Step(index + part, n_jobs, job.source.name, step.values, step.notice))

    return show


def _segmented(
    arguments: argparse.Namespace,
    settings: SegmentSettings,
    job: Job,
    model: Model,
    on_step: Callable[[Step], None],
) -> Row:
    """Segment one image and write its labels; a failure becomes part of the row."""
    from napari_unetic.image.guards import as_text
    from napari_unetic.image.reading import read_image
    from napari_unetic.predict import segment_steps

    source, output = str(job.source), str(job.output)
    try:
        on_step(Step(0, 1, ""))
        # The name goes into the file's metadata, which must be text.
        image = read_image(job.source, axes=settings.axes, name=as_text(source))
        budget = sys.maxsize if arguments.maps else 0
        steps = segment_steps(image, model, keep_maps_bytes=budget, **dict(settings))
        with torch_threads(arguments.threads):
            found = drain(steps, on_step)
        for notice in found.notices:
            on_step(Step(1, 1, "", notice=notice))
        _write(found, job, _missing(job, arguments))
    except (UneticError, OSError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if job.source.name not in reason:
            reason = f"{source}: {reason}"
        return Row(source, output, "failed", error=reason)
    return Row(
        source,
        output,
        "done",
        n_objects=None if found.classes else found.n_objects,
        classes=found.class_shares() if found.classes else None,
        seconds=found.seconds,
        shape=found.full_shape,
        axes=found.axes,
        provenance=found.provenance,
    )


def _write(found: Segmentation, job: Job, paths: list[Path]) -> None:
    """Write labels and maps, those of them that are asked for."""
    from napari_unetic.image.writing import write_labels, write_maps

    size, origin = found.pixel_size, found.provenance
    if job.output in paths:
        labels = found.full()
        write_labels(
            job.output, labels, axes=found.axes, pixel_size=size, description=origin
        )
    if found.maps is not None and job.maps in paths:
        write_maps(
            job.maps,
            found.maps.full(),
            axes=found.maps.axes,
            names=found.maps.plan.description.target.map_names,
            pixel_size=size,
            description=origin,
        )


def _summary(model: str, rows: list[Row]) -> dict[str, Any]:
    """Return what ``--json`` writes."""
    counts = {
        f"n_{status}": sum(row.status == status for row in rows)
        for status in ("done", "skipped", "failed")
    }
    return {"model": model, **counts, "images": [asdict(row) for row in rows]}


def _totals(rows: list[Row], seconds: float) -> str:
    """Return the last line of the summary."""
    done = [row for row in rows if row.status == "done"]
    parts = [f"{len(done)} segmented"]
    if any(row.classes is None for row in done) or not done:
        parts.append(f"{sum(row.n_objects or 0 for row in done)} objects")
    for status in ("skipped", "failed"):
        count = sum(row.status == status for row in rows)
        if count:
            parts.append(f"{count} {status}")
    return f"{', '.join(parts)} in {seconds:.1f} s"
