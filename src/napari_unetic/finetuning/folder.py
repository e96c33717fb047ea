"""The pairs of a fine-tuning inside its run folder, as TIFF files with hashes.

``pairs/images``, ``pairs/labels`` and ``pairs/reviewed`` are laid out as
`napari_unetic.pairs.read_pairs` takes them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.collected import CollectedPair
from napari_unetic.finetuning.held_out import Sides
from napari_unetic.image.source import Image
from napari_unetic.image.writing import write_pixels
from napari_unetic.training.run import PAIRS, PairRecord, PlaneRecord, Run


def pair_records(pairs: Sequence[CollectedPair]) -> tuple[PairRecord, ...]:
    """Describe pairs as they will lie in a run folder."""
    records = []
    for k, pair in enumerate(pairs):
        name = _file_name(k, pair.id)

        def at(kind: str, name: str = name) -> dict[str, str | int]:
            return {"path": f"{PAIRS}/{kind}/{name}"}

        records.append(
            PairRecord(
                id=pair.id,
                image=at("images"),
                labels=(at("labels"),),
                one_file_an_object=False,
                axes="YXC" if pair.image.rgb else pair.image.axes,
                reviewed=None if pair.reviewed is None else at("reviewed"),
                sha256=pair.image_hash(),
                labels_sha256=labels_hash(pair),
            )
        )
    return tuple(records)


def plane_records(
    pairs: Sequence[CollectedPair], sides: Sequence[Sides]
) -> tuple[PlaneRecord, ...]:
    """Describe where pairs come from and what of them is held out."""
    return tuple(
        PlaneRecord(
            source=pair.source,
            plane=pair.plane,
            range=pair.image.intensity_range,
            held_out=tuple(side.judge.tolist()),
        )
        for pair, side in zip(pairs, sides, strict=True)
    )


def write_pairs(
    folder: Path, pairs: Sequence[CollectedPair], records: Sequence[PairRecord]
) -> None:
    """Write pairs into a run folder that is being made."""
    for pair, record in zip(pairs, records, strict=True):
        _write(folder, record.image, pair.image)
        _write(folder, record.labels[0], Image(pair.labels, "YX"), packed=True)
        if record.reviewed is not None and pair.reviewed is not None:
            area = Image(pair.reviewed.view(np.uint8), "YX")
            _write(folder, record.reviewed, area, packed=True)


def read_pair(run: Run, k: int) -> tuple[CollectedPair, Sides]:
    """Return a pair of a fine-tuning, checked to be what it was, with its sides.

    Raises
    ------
    UneticError
        If a file is missing, damaged or another.
    """
    assert run.plan.finetune is not None
    record, plane = run.plan.train[k], run.plan.finetune.planes[k]
    pair = record.pair(run.folder)
    image, labels = pair.read()
    held_out = np.isin(labels, plane.held_out)
    found = CollectedPair(
        id=record.id,
        # Also of runs whose files do not say it yet.
        image=replace(image, intensity_range=plane.range),
        labels=labels,
        reviewed=pair.reviewed(labels.shape),
        source=plane.source,
        plane=plane.plane,
        held_out=held_out,
    )
    if labels_hash(found) != record.labels_sha256:
        raise UneticError(
            f"Expected the labels of {record.id} as they were when the run was made, "
            f"got others in {run.folder}; put them back, or start a new run."
        )
    judge = np.array(plane.held_out, np.int64)
    return found, Sides(np.setdiff1d(found.objects, judge), judge)


def pairs_of(folder: str | Path) -> list[CollectedPair]:
    """Return the pairs of a fine-tuning, to start another round with.

    What it held out stays held out in every round that gets these pairs.

    Parameters
    ----------
    folder : str or Path
        The run folder.

    Raises
    ------
    UneticError
        If it is no fine-tuning, or its pairs are not what they were.
    """
    run = Run.open(Path(folder))
    if run.plan.finetune is None:
        raise UneticError(
            f"Expected the run of a fine-tuning, got {run.folder}, which has no pairs "
            "in it; choose another."
        )
    return [read_pair(run, k)[0] for k in range(len(run.plan.train))]


def labels_hash(pair: CollectedPair) -> str:
    """Return the SHA-256 of labels and reviewed area."""
    digest = hashlib.sha256(f"{pair.labels.shape}|".encode())
    digest.update(np.ascontiguousarray(pair.labels, "<i4").data)
    if pair.reviewed is not None:
        digest.update(np.packbits(pair.reviewed).data)
    return digest.hexdigest()


def _file_name(k: int, one: str) -> str:
    """Return a name that every file system takes, and that sorts like the pairs."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", one).strip("-")[:60]
    return f"{k:03d}-{plain or 'image'}.tif"


def _write(
    folder: Path, entry: dict[str, str | int], image: Image, *, packed: bool = False
) -> None:
    path = folder / str(entry["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pixels(path, image, packed=packed)
