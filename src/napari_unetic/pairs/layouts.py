"""Which file of a data set is which image's, by names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from posixpath import splitext
from typing import TypeAlias

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import IMAGE_SUFFIXES
from napari_unetic.pairs.entries import Entry

Labelled: TypeAlias = tuple[tuple[Entry, ...], bool]
"""Label files of an image, and whether each is the mask of one object."""

LABEL_ENDINGS = ("_labels", "_label", "_cp_masks", "_masks", "_mask")
"""What may follow the id in the name of a label file; longer before shorter."""

REVIEWED_FOLDER = "reviewed"
"""Beside the labels: a mask an image of where they can be trusted."""

_LABEL_FOLDERS = ("labels", "masks")


def find_pictures(
    entries: Mapping[str, Entry], *, with_labels: bool = True
) -> tuple[dict[str, Entry], dict[str, Labelled]]:
    """Return the images of a data set and the labels that are with them, by id.

    Parameters
    ----------
    entries : mapping of str to Entry
        Files by their relative names.
    with_labels : bool
        Whether images count only where the set has labels of its own.

    Returns
    -------
    images : dict of str to Entry
        Empty where the files are in no known layout.
    labels : dict of str to Labelled
        Some images may lack theirs.

    Raises
    ------
    UneticError
        If two images have one id.
    """
    pictures = {
        n: e
        for n, e in entries.items()
        if e.suffix in IMAGE_SUFFIXES and REVIEWED_FOLDER not in n.split("/")[:-1]
    }
    for find in (_find_bowl, _find_folders, _find_beside):
        images, labels = find(pictures)
        if labels or (images and not with_labels):
            return images, labels
    return ({}, {}) if with_labels else (_by_id(_without_shared(pictures)), {})


def find_labels(
    entries: Mapping[str, Entry], ids: Iterable[str]
) -> dict[str, Labelled]:
    """Return the labels in a folder or zip of labels, for the ids that it has.

    An id matches a relative name as a whole, or, where both are the only ones of their
    kind, the last part of it.
    """
    images, found = _find_bowl(
        {n: e for n, e in entries.items() if e.suffix in IMAGE_SUFFIXES}
    )
    if not images:
        found = _labels_by_id(entries)
    wanted = list(ids)
    n_wanted = Counter(_last(one) for one in wanted)
    n_found = Counter(_last(name) for name in found)
    by_last = {_last(name): labelled for name, labelled in found.items()}
    matched: dict[str, Labelled] = {}
    for one in wanted:
        last = _last(one)
        if one in found:
            matched[one] = found[one]
        elif n_wanted[last] == 1 and n_found[last] == 1:
            matched[one] = by_last[last]
    return matched


def find_reviewed(entries: Mapping[str, Entry], ids: Iterable[str]) -> dict[str, Entry]:
    """Return the masks in ``reviewed/`` folders, for the ids that have one.

    Parameters
    ----------
    entries : mapping of str to Entry
        Files by their relative names.
    ids : iterable of str
        Ids of the images.

    Returns
    -------
    dict of str to Entry
        An id matches as in `find_labels`; the folder's own place may come before.
    """
    masks: dict[str, Entry] = {}
    for name, entry in entries.items():
        parts = name.split("/")
        if entry.suffix in IMAGE_SUFFIXES and REVIEWED_FOLDER in parts[:-1]:
            at = parts.index(REVIEWED_FOLDER)
            masks[_without_ending(_id("/".join(parts[:at] + parts[at + 1 :])))] = entry
    found = {}
    wanted = list(ids)
    n_wanted = Counter(_last(one) for one in wanted)
    n_found = Counter(_last(name) for name in masks)
    by_last = {_last(name): entry for name, entry in masks.items()}
    for one in wanted:
        last = _last(one)
        if one in masks:
            found[one] = masks[one]
        elif n_wanted[last] == 1 and n_found[last] == 1:
            found[one] = by_last[last]
    return found


def _find_bowl(
    pictures: Mapping[str, Entry],
) -> tuple[dict[str, Entry], dict[str, Labelled]]:
    """Find ``ID/images/ID.png`` and ``ID/masks/*.png``."""
    images: dict[str, Entry] = {}
    places: dict[str, str] = {}
    masks: dict[str, list[tuple[str, Entry]]] = {}
    for name, entry in pictures.items():
        parts = name.split("/")
        if len(parts) < 3:
            continue
        place, one = "/".join(parts[:-2]), parts[-3]
        if parts[-2] == "images" and _stem(name) == one:
            if one in images:
                raise _two_images(one, images[one], entry)
            images[one], places[one] = entry, place
        elif parts[-2] == "masks":
            masks.setdefault(place, []).append((_stem(name), entry))
    labels: dict[str, Labelled] = {}
    for one, place in places.items():
        files = masks.get(place, [])
        # A sole mask with the image's name holds all objects.
        whole = len(files) == 1 and files[0][0] == one
        if files:
            labels[one] = (tuple(entry for _, entry in files), not whole)
    return images, labels


def _find_folders(
    pictures: Mapping[str, Entry],
) -> tuple[dict[str, Entry], dict[str, Labelled]]:
    """Find ``images/`` beside ``labels/`` or ``masks/``, once or in several places."""
    folders: dict[tuple[str, str], dict[str, Entry]] = {}
    for name, entry in pictures.items():
        parts = name.split("/")
        for at, part in enumerate(parts[:-1]):
            if part in ("images", *_LABEL_FOLDERS):
                inside = folders.setdefault(("/".join(parts[:at]), part), {})
                inside["/".join(parts[at + 1 :])] = entry
                break
    places = sorted(place for place, part in folders if part == "images")
    images: dict[str, Entry] = {}
    labels: dict[str, Labelled] = {}
    for place in places:
        prefix = f"{place}/" if len(places) > 1 and place else ""
        found = _by_id(folders[place, "images"])
        images |= {prefix + one: entry for one, entry in found.items()}
        beside = [part for part in _LABEL_FOLDERS if (place, part) in folders]
        if beside:
            labelled = _labels_by_id(folders[place, beside[0]])
            labels |= {prefix + one: labelled[one] for one in found if one in labelled}
    return images, labels


def _find_beside(
    pictures: Mapping[str, Entry],
) -> tuple[dict[str, Entry], dict[str, Labelled]]:
    """Find images that have a file of their name and ``_labels`` beside them."""
    files = _without_shared(pictures)
    names = {_id(name) for name in files}
    labels: dict[str, Labelled] = {}
    rest: dict[str, Entry] = {}
    for name, entry in files.items():
        one = _without_ending(_id(name))
        if one != _id(name) and one in names:
            labels[one] = ((entry,), False)
        else:
            rest[name] = entry
    return (_by_id(rest), labels) if labels else ({}, {})


def _by_id(files: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return image files by their relative names without suffix."""
    found: dict[str, Entry] = {}
    for name, entry in files.items():
        one = _id(name)
        if one in found:
            raise _two_images(one, found[one], entry)
        found[one] = entry
    return found


def _labels_by_id(files: Mapping[str, Entry]) -> dict[str, Labelled]:
    """Return label files by id: a label image, or a folder of one mask an object."""
    found: dict[str, Labelled] = {}
    ended: dict[str, Labelled] = {}
    folders: dict[str, list[Entry]] = {}
    for name, entry in files.items():
        if entry.suffix not in IMAGE_SUFFIXES:
            continue
        parts = [p for p in name.split("/")[:-1] if p not in _LABEL_FOLDERS]
        if parts:
            folders.setdefault("/".join(parts), []).append(entry)
        one = "/".join((*parts, _stem(name)))
        found[one] = ((entry,), False)
        ended[_without_ending(one)] = ((entry,), False)
    masks: dict[str, Labelled] = {
        place: (tuple(entries), True) for place, entries in folders.items()
    }
    return masks | ended | found


def _without_shared(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return entries by name without the folders that are around all of them."""
    names = [name.split("/") for name in entries]
    n_shared = 0
    for parts in zip(*(parts[:-1] for parts in names), strict=False):
        if len(set(parts)) > 1:
            break
        n_shared += 1
    return {
        "/".join(parts[n_shared:]): entry
        for parts, entry in zip(names, entries.values(), strict=True)
    }


def _without_ending(one: str) -> str:
    """Return an id without ``_labels`` or the like."""
    for ending in LABEL_ENDINGS:
        if one.endswith(ending) and len(_last(one)) > len(ending):
            return one.removesuffix(ending)
    return one


def _last(one: str) -> str:
    """Return the last part of a relative name."""
    return one.rpartition("/")[2]


def _id(name: str) -> str:
    """Return a relative name without suffix."""
    folder, slash, _ = name.rpartition("/")
    return folder + slash + _stem(name)


def _stem(name: str) -> str:
    """Return the last part without suffix; OME-TIFF has a double one."""
    stem = splitext(_last(name))[0]
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def _two_images(one: str, first: Entry, second: Entry) -> UneticError:
    return UneticError(
        f"Expected one image for the id {one}, got {first.name} and {second.name}; "
        "remove or rename one."
    )
