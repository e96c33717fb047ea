"""Data sets on disk, in the layouts that people have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice

from napari_unetic.errors import UneticError
from napari_unetic.pairs.entries import list_entries
from napari_unetic.pairs.layouts import (
    REVIEWED_FOLDER,
    find_labels,
    find_pictures,
    find_reviewed,
)
from napari_unetic.pairs.pair import Pair, Pairs
from napari_unetic.pairs.selection import expand_ids, select, split

Location = str | os.PathLike[str]


def read_pairs(
    source: Location,
    *,
    labels: Location | None = None,
    ids: str | Sequence[str] | None = None,
    exclude_ids: str | Sequence[str] | None = None,
    axes: str | None = None,
    as_classes: bool = False,
) -> Pairs:
    """Return the pairs of a data set without reading their pixels.

    Parameters
    ----------
    source : path
        A folder or a zip (read in place, with or without a folder around all) in one of
        these layouts: that of the Data Science Bowl 2018, ``ID/images/ID.png`` and
        ``ID/masks/*.png``, one mask an object; ``images/`` and ``labels/`` or
        ``masks/``, in which labels are ``ID.tif``, ``ID_labels.tif`` or a folder ``ID``
        of one mask an object; ``ID.tif`` beside ``ID_labels.tif``; or, with `labels`,
        any folder of images.
    labels : path, optional
        A folder or zip to take the labels from instead, by id.
    ids : str or sequence of str, optional
        ``FILE.json:KEY`` texts or ids: take these only.
    exclude_ids : str or sequence of str, optional
        The same: leave these out.
    axes : str, optional
        Axes of the image files' arrays; from metadata, else guessed, if None.
    as_classes : bool
        The labels will be read as class masks: nothing is said of their pieces.

    Returns
    -------
    Pairs
        Sorted by id. What was left out is counted in its notices.

    Raises
    ------
    UneticError
        If the layout is none of these, two images have one id, or nothing is left.

    Notes
    -----
    How masks become a label image is stated in `napari_unetic.pairs.assemble`.
    """
    entries = list_entries(source)
    if labels is None:
        images, annotated = find_pictures(entries)
        reviewed = find_reviewed(entries, images)
    else:
        beneath = os.path.join(os.path.abspath(labels), "")
        entries = {
            name: entry
            for name, entry in entries.items()
            if entry.member or not os.path.abspath(entry.path).startswith(beneath)
        }
        images, _ = find_pictures(entries, with_labels=False)
        annotated = find_labels(list_entries(labels), images)
        beside = os.path.join(os.path.dirname(os.path.abspath(labels)), REVIEWED_FOLDER)
        if os.path.isdir(beside):
            masks = {
                f"{REVIEWED_FOLDER}/{n}": e for n, e in list_entries(beside).items()
            }
        else:
            masks = list_entries(labels)
        reviewed = find_reviewed(masks, images)
    if not images:
        raise UneticError(
            f"Expected ID/images with ID/masks, or images/ with labels/ or masks/ of "
            f"the same names, got {source} without them; name the folder of labels, or "
            "arrange the files."
        )
    pairs = [
        Pair(
            one,
            images[one],
            *annotated[one],
            axes=axes,
            reviewed_entry=reviewed.get(one),
        )
        for one in sorted(set(images) & set(annotated))
    ]
    where = str(source if labels is None else labels)
    chosen = _chosen(tuple(pairs), str(source), set(images), where, ids, exclude_ids)
    if as_classes:
        return chosen
    return chosen.where(lambda pair: True, *_first_notices(chosen))


def _chosen(
    pairs: tuple[Pair, ...],
    source: str,
    all_ids: set[str],
    labels: str,
    ids: str | Sequence[str] | None,
    exclude_ids: str | Sequence[str] | None,
) -> Pairs:
    """Return the chosen pairs; `all_ids` are those of all images, labelled or not."""
    unlabelled = all_ids - {pair.id for pair in pairs} - expand_ids(exclude_ids)
    if ids is not None:
        unlabelled &= expand_ids(ids)
    chosen = select(Pairs(pairs, source), ids, exclude_ids, known=all_ids)
    if not chosen:
        raise UneticError(
            f"Expected pairs of image and labels in {source}, got {len(all_ids)} "
            f"images, {len(pairs)} of them with labels, and none of these chosen; "
            "check the labels and the ids."
        )
    notices = []
    if unlabelled:
        notices.append(
            f"Images left out because {labels} has no labels for them: "
            f"{len(unlabelled)}."
        )
    return chosen.where(lambda pair: True, *notices)


def _first_notices(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return what the first label images tell: whether they are binary masks."""
    for pair in islice(pairs, 3):
        if not pair.one_file_an_object and (notices := pair.annotation().notices):
            return notices
    return ()


def read_split(
    source: Location,
    *,
    labels: Location | None = None,
    ids: str | Sequence[str] | None = None,
    exclude_ids: str | Sequence[str] | None = None,
    val_ids: str | Sequence[str] | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
    axes: str | None = None,
    as_classes: bool = False,
) -> tuple[Pairs, Pairs]:
    """Return the pairs to train on and the pairs to validate on, out of a data set.

    Ids in `val_ids` need not be among `ids`, and are never trained on, whatever `ids`
    says; ids in `exclude_ids` are in neither.

    Parameters
    ----------
    source, labels, ids, exclude_ids, axes, as_classes
        See `read_pairs`.
    val_ids, val_fraction, seed
        See `napari_unetic.pairs.selection.split`.

    Returns
    -------
    train, val : Pairs
        Without a common id.

    Raises
    ------
    UneticError
        As `read_pairs` and `split`.
    """
    wanted: str | Sequence[str] | None = ids
    if ids is not None and val_ids is not None:
        wanted = sorted(expand_ids(ids) | expand_ids(val_ids))
    pairs = read_pairs(
        source,
        labels=labels,
        ids=wanted,
        exclude_ids=exclude_ids,
        axes=axes,
        as_classes=as_classes,
    )
    return split(pairs, val_ids=val_ids, val_fraction=val_fraction, seed=seed)
