"""What the scripts share: images by kind, and the test images kept apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unetic.pairs.readers import read_pairs

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pair

KINDS = {
    "fluorescence": "fluorescence, grey on dark",
    "H&E on pink": "colour H&E, purple on purple/pink",
    "H&E on white": "colour H&E, purple on white",
    "brightfield": "brightfield, dark-on-white grey",
}
"""Short names of the kinds of DSB2018 to those in ``modality.json``."""

KINDS_FILE = Path(__file__).with_name("kinds.json")

CORRECTED = "corrected_labels.zip"


@cache
def _json(file: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return content


def ids_in(file: Path, key: str) -> list[str]:
    """Return a list of ids out of a JSON file."""
    found = _json(file)[key]
    assert isinstance(found, list)
    return found


def test_ids(data: Path) -> frozenset[str]:
    """Return the 50 published test ids."""
    return frozenset(ids_in(data / "dsb2018" / "stardist_split.json", "test"))


def validation_ids(data: Path) -> list[str]:
    """Return the 67 fluorescence images to choose with."""
    return ids_in(data / "dsb2018" / "stardist_split.json", "val_of_train_seed42")


def held_out_ids(kind: str, half: str) -> list[str]:
    """Return what is held out of a kind other than fluorescence.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    half : {"choose", "report"}
        To choose with, or for the figures that are reported.
    """
    return ids_in(KINDS_FILE, f"{kind}, {half}")


def ids_of_kind(data: Path, kind: str) -> list[str]:
    """Return the ids of a kind, the test images left out."""
    wanted, test = KINDS[kind], test_ids(data)
    by_id = _json(data / "dsb2018" / "modality.json")
    return sorted(
        one for one, name in by_id.items() if name == wanted and one not in test
    )


def dsb_pairs(
    data: Path,
    ids: Iterable[str] | None = None,
    *,
    corrected: bool = False,
    with_test: bool = False,
) -> list[Pair]:
    """Return images of DSB2018 with their masks.

    Parameters
    ----------
    data : Path
        Folder that holds ``dsb2018``.
    ids : iterable of str, optional
        Which; all if None.
    corrected : bool
        Take the corrected masks, which a few images lack.
    with_test : bool
        Without this no test image is ever returned, and asking for one by its id is
        an error.
    """
    folder, test = data / "dsb2018", test_ids(data)
    wanted = None if ids is None else sorted(ids)
    if not with_test and wanted is not None and test & set(wanted):
        raise SystemExit("test images are read with --test only")
    pairs = read_pairs(
        folder / "stage1_train.zip",
        labels=folder / CORRECTED if corrected else None,
        ids=wanted,
        exclude_ids=None if with_test else sorted(test),
    )
    return list(pairs)


def n_objects(pairs: Collection[Pair]) -> int:
    """Return the number of true objects."""
    return sum(len(set(pair.labels().ravel().tolist()) - {0}) for pair in pairs)
