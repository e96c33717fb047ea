"""From arguments to files: which images to segment, and where each result goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_unetic.cli.options import UsageError

LABELS_ENDING = "_labels.tif"
MAPS_ENDING = "_maps.tif"
"""Endings of the names of results; files with them are never taken as input."""

_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Job:
    """One image to segment and the file that its labels go to."""

    source: Path
    output: Path

    @property
    def maps(self) -> Path:
        """Where the maps go, beside the labels: ``NAME_maps.tif``."""
        stem = self.output.stem.removesuffix(Path(LABELS_ENDING).stem)
        return self.output.with_name(stem + MAPS_ENDING)


@dataclass(frozen=True, slots=True)
class Plan:
    """All the work that a command line asks for.

    Parameters
    ----------
    jobs : tuple of Job
        Each image once, in the order of the arguments, names sorted in a folder.
    n_results_left_out : int
        How many files named like results of an earlier run were found and left out.
    """

    jobs: tuple[Job, ...]
    n_results_left_out: int


@dataclass(frozen=True, slots=True)
class _Found:
    """A file and the part of its folder that is kept below the output folder."""

    path: Path
    below: Path


def is_result(path: Path) -> bool:
    """Whether a file is named like a result of this program."""
    endings = (LABELS_ENDING, MAPS_ENDING)
    return path.name.lower().endswith((*endings, *(f"{e}f" for e in endings)))


def is_tiff_name(text: str | Path) -> bool:
    """Whether an output argument names a file rather than a folder."""
    return str(text).lower().endswith((".tif", ".tiff"))


def result_name(source: Path) -> str:
    """Return ``NAME_labels.tif`` for an image ``NAME.png`` or ``NAME.ome.tif``."""
    stem = source.stem
    if stem.lower().endswith(".ome") and len(stem) > len(".ome"):
        stem = stem[: -len(".ome")]
    return stem + LABELS_ENDING


def plan(inputs: Sequence[str], out: str | None, suffixes: Sequence[str]) -> Plan:
    """Say which files are segmented and where each result goes.

    Parameters
    ----------
    inputs : sequence of str
        Files, globs and folders; folders are searched with all their subfolders.
    out : str, optional
        A folder, or one file where it ends in ``.tif``; beside each input if None.
    suffixes : sequence of str
        Lower-case endings of image files, for folders and globs.

    Returns
    -------
    Plan
        At least one job.

    Raises
    ------
    UsageError
        If an input does not exist or matches nothing, if two inputs have one output,
        or if an output is also an input.
    """
    found = [item for text in inputs for item in _find(text, tuple(suffixes))]
    taken: dict[str, _Found] = {}
    for item in found:
        if not is_result(item.path):
            taken.setdefault(os.path.normcase(item.path.resolve()), item)
    images = list(taken.values())
    results = {item.path.resolve() for item in found if is_result(item.path)}
    if not images:
        raise UsageError(
            f"Expected images to segment, got only results (*{LABELS_ENDING}, "
            f"*{MAPS_ENDING}) in {_listed(inputs)}; name the images themselves."
        )
    jobs = tuple(_jobs(images, out))
    _refuse_clashes(jobs)
    return Plan(jobs, len(results))


def _find(text: str, suffixes: tuple[str, ...]) -> list[_Found]:
    """Return the files that one argument stands for."""
    path = Path(text).expanduser()
    if path.is_dir():
        found = list(_in_folder(path, path, suffixes))
        if not found:
            raise UsageError(
                f"Expected images ({' '.join(suffixes)}) in the folder {text}, got "
                "none; check the path."
            )
        return found
    if path.exists():
        return [_Found(path, Path())]
    if not _MAGIC & set(text):
        raise UsageError(
            f"Expected an image, a folder or a pattern, got {text}, which does not "
            "exist; check the path."
        )
    root = _fixed_part(path)
    found = []
    for name in sorted(glob.glob(str(path), recursive=True)):
        match = Path(name)
        if match.is_dir():
            found.extend(_in_folder(match, root, suffixes))
        elif match.name.lower().endswith(suffixes):
            found.append(_Found(match, match.parent.relative_to(root)))
    if not found:
        raise UsageError(
            f"Expected a pattern that matches images ({' '.join(suffixes)}), got "
            f"{text}, which matches none; check it."
        )
    return found


def _in_folder(folder: Path, root: Path, suffixes: tuple[str, ...]) -> Iterator[_Found]:
    """Yield the images in a folder and its subfolders, hidden ones left out."""
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        for name in sorted(names):
            if name[0] != "." and name.lower().endswith(suffixes):
                yield _Found(Path(parent, name), Path(parent).relative_to(root))


def _fixed_part(pattern: Path) -> Path:
    """Return the folders of a pattern that come before its first wildcard."""
    fixed = Path()
    for part in pattern.parent.parts:
        if _MAGIC & set(part):
            break
        fixed /= part
    return fixed


def _jobs(images: Sequence[_Found], out: str | None) -> Iterator[Job]:
    """Yield the jobs, the outputs named by the rule."""
    if out is None:
        for item in images:
            yield Job(item.path, item.path.with_name(result_name(item.path)))
        return
    target = Path(out).expanduser()
    if is_tiff_name(out):
        if target.is_dir():
            raise UsageError(
                f"Expected -o {out} to be a file, since it ends in .tif, got a folder; "
                "give the folder another name or add a file name."
            )
        if len(images) > 1:
            raise UsageError(
                f"Expected one image for the one file -o {out}, got {len(images)}; "
                "give a folder instead."
            )
        yield Job(images[0].path, target)
        return
    if target.exists() and not target.is_dir():
        raise UsageError(
            f"Expected -o {out} to be a folder or to end in .tif, got an existing file "
            "of another kind; choose another name."
        )
    for item in images:
        yield Job(item.path, target / item.below / result_name(item.path))


def _refuse_clashes(jobs: Iterable[Job]) -> None:
    """Refuse outputs that would overwrite one another or an input."""
    owner: dict[str, Path] = {}
    sources: dict[str, Path] = {}
    for job in jobs:
        key = os.path.normcase(job.output.absolute())
        if key in owner:
            raise UsageError(
                f"Expected one output an image, got {job.output} for both {owner[key]} "
                f"and {job.source}; rename one, or give their common folder as input."
            )
        owner[key] = job.source
        sources[os.path.normcase(job.source.resolve())] = job.source
    for job in jobs:
        source = sources.get(os.path.normcase(job.output.resolve()))
        if source is not None:
            raise UsageError(
                f"Expected outputs apart from the inputs, got {job.output} for the "
                f"labels, which is the image {source}; choose another -o."
            )


def _listed(inputs: Sequence[str]) -> str:
    """Return up to three arguments as text."""
    return ", ".join(inputs[:3]) + (" ..." if len(inputs) > 3 else "")
