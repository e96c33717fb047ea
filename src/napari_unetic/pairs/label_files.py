"""Label files and the images they go with, told by their names."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from napari_unetic.errors import UneticError
from napari_unetic.pairs.entries import Entry, list_entries
from napari_unetic.pairs.layouts import LABEL_ENDINGS


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """Label files by the names of their images.

    Parameters
    ----------
    by_name : mapping of str to Entry
        Relative name of the image, without suffix, to PNG or TIFF file.
    notices : tuple of str
        What was left out and why.
    """

    by_name: Mapping[str, Entry]
    notices: tuple[str, ...] = ()


def label_files(source: str | os.PathLike[str]) -> LabelFiles:
    """Return the label files of a folder or a zip by the names of their images.

    Parameters
    ----------
    source : path
        Folder or zip. Where it has files with one of `LABEL_ENDINGS`, its other files
        are taken for the images.

    Returns
    -------
    LabelFiles

    Raises
    ------
    UneticError
        If there is no such folder or zip, no such file in it, or two of one name.
    """
    files = [
        (*image_name(name), entry)
        for name, entry in list_entries(source).items()
        if entry.suffix in (".png", ".tif", ".tiff")
    ]
    if not files:
        raise UneticError(
            f"Expected label images (PNG or TIFF) in {source}, got none; "
            "check the path."
        )
    named = [file for file in files if file[1]]
    notices: tuple[str, ...] = ()
    if named and len(named) < len(files):
        notices = (
            f"{source}: files taken for images, since others end in _labels or the "
            f"like: {len(files) - len(named)}.",
        )
        files = named
    found: dict[str, Entry] = {}
    for key, _, entry in files:
        if key in found:
            raise UneticError(
                f"Expected one label image for {key}, got {found[key].name} and "
                f"{entry.name}; remove or rename one."
            )
        found[key] = entry
    return LabelFiles(found, notices)


def image_name(name: str) -> tuple[str, bool]:
    """Return a label file's name without suffix and ending, and whether it had one."""
    path = PurePosixPath(name)
    stem = path.stem.removesuffix(".ome")
    for ending in LABEL_ENDINGS:
        if stem.endswith(ending) and stem != ending:
            return str(path.with_name(stem.removesuffix(ending))), True
    return str(path.with_name(stem)), False


def match_names(
    found: Mapping[str, Entry], wanted: Collection[str], source: object
) -> dict[str, Entry]:
    """Return the file that goes with each wanted name.

    Parameters
    ----------
    found : mapping of str to Entry
        The files that there are.
    wanted : collection of str
        Names of images. One in subfolders goes with its like in the same subfolders,
        else with the only file that has its last part.
    source : object
        Where the files were found, for messages.

    Raises
    ------
    UneticError
        If a name has no file, or several names have one.
    """
    by_name: dict[str, list[str]] = {}
    for key in found:
        by_name.setdefault(PurePosixPath(key).name, []).append(key)
    matched: dict[str, str] = {}
    for key in wanted:
        alike = by_name.get(PurePosixPath(key).name, [])
        if key in found:
            matched[key] = key
        elif len(alike) == 1:
            matched[key] = alike[0]
    missing = [key for key in wanted if key not in matched]
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UneticError(
            f"Expected a prediction in {source} for each of {len(wanted)} true label "
            f"images, got none for {len(missing)} ({some}); segment these images too, "
            "or leave their truth out."
        )
    if len(set(matched.values())) < len(matched):
        raise UneticError(
            f"Expected a prediction in {source} for each true label image, got one "
            "name for several; keep the subfolders of the truth."
        )
    return {key: found[name] for key, name in matched.items()}
