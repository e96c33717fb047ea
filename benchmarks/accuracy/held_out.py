"""Hold a quarter of each kind of DSB2018 out of training, by a rule.

Fluorescence has its published lists. Of each other kind a quarter of the images is held
out, half of it to choose with and half for the figures that are reported. Images that
belong together stay together: near-duplicates (a correlation of .9, as
``near_duplicates.py`` measures it) and images that continue each other, for most of the
stained ones are quarters of one field: an edge of one correlates by .9 or more with the
opposite edge of the other.

Groups are taken in the order of the smallest SHA-256 of their ids, each into the half
that has fewer images so far, where that brings this half nearer to an eighth of the
kind.

    python benchmarks/accuracy/held_out.py DATA            # writes kinds.json
    python benchmarks/accuracy/held_out.py DATA --check    # compares with it
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from dsb import KINDS, KINDS_FILE, dsb_pairs, ids_of_kind, n_objects, validation_ids
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

sys.path.append(str(Path(__file__).resolve().parents[1]))

from near_duplicates import SIDE, signature

ALIKE = 0.9
HALVES = ("report", "choose")
SHARE = 0.25


def hold_out(
    groups: Sequence[Sequence[str]], share: float = SHARE
) -> dict[str, list[str]]:
    """Return the ids that are held out, by half.

    Parameters
    ----------
    groups : sequence of sequence of str
        Ids that must not be parted; each id once.
    share : float
        Of the images, both halves together.
    """
    wanted = share / len(HALVES) * sum(map(len, groups))
    held: dict[str, list[str]] = {half: [] for half in HALVES}
    for group in sorted(groups, key=lambda group: min(map(_hash, group))):
        half = min(held.values(), key=len)
        if abs(len(half) + len(group) - wanted) < abs(len(half) - wanted):
            half.extend(group)
    return {half: sorted(ids) for half, ids in held.items()}


def _hash(one: str) -> str:
    return hashlib.sha256(one.encode()).hexdigest()


def together(ids: Sequence[str], linked: NDArray[np.bool_]) -> list[list[str]]:
    """Return ids in groups: all that a chain of links joins."""
    n, group = connected_components(linked, directed=False)
    return [[ids[k] for k in np.flatnonzero(group == g)] for g in range(n)]


def likeness(signatures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest correlation over all shifts of each image with each.

    Parameters
    ----------
    signatures : ndarray of shape (n, 64, 64), float32
        Of ``near_duplicates.signature``.
    """
    spectra = np.fft.rfft2(signatures)
    rows = [
        np.fft.irfft2(spectra * np.conj(one), s=(SIDE, SIDE)).max(axis=(1, 2))
        for one in spectra
    ]
    return np.asarray(rows, np.float32)


def continued(greys: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return how well an edge of each image goes on in the opposite edge of each.

    Parameters
    ----------
    greys : sequence of ndarray of shape (Y, X), float32

    Returns
    -------
    ndarray of shape (n, n), float32
        The larger correlation, of bottom with top and of right with left; -1 where
        the edges differ in length.
    """
    n = len(greys)
    best = np.full((n, n), -1.0, np.float32)
    for ends in ([(g[-1], g[0]) for g in greys], [(g[:, -1], g[:, 0]) for g in greys]):
        for a, (last, _) in enumerate(ends):
            for b, (_, first) in enumerate(ends):
                if a != b and last.size == first.size:
                    best[a, b] = max(best[a, b], _correlation(last, first))
    return best


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))


def _kind(data: Path, kind: str) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Return what is held out of a kind, and the counts."""
    pairs = dsb_pairs(data, ids_of_kind(data, kind))
    images = [pair.image().read().astype(np.float32).mean(axis=0) for pair in pairs]
    alike = likeness(np.stack([signature(pair) for pair in pairs])) >= ALIKE
    linked = alike | (continued(images) >= ALIKE)
    ids = [pair.id for pair in pairs]
    groups = together(ids, linked)
    held = hold_out(groups)
    halves = {half: [p for p in pairs if p.id in held[half]] for half in HALVES}
    counts = {
        "images": len(pairs),
        "objects": n_objects(pairs),
        "groups": len(groups),
        "near-duplicates": int(np.triu(alike, 1).sum()),
    }
    for half, some in halves.items():
        counts[half] = {"images": len(some), "objects": n_objects(some)}
    return held, counts


def kinds(data: Path) -> dict[str, Any]:
    """Return the content of ``kinds.json``."""
    lists: dict[str, list[str]] = {}
    counts: dict[str, Mapping[str, Any]] = {}
    for kind in KINDS:
        if kind != "fluorescence":
            held, counts[kind] = _kind(data, kind)
            lists |= {f"{kind}, {half}": held[half] for half in HALVES}
    ids = ids_of_kind(data, "fluorescence")
    validation = dsb_pairs(data, validation_ids(data))
    counts["fluorescence"] = {
        "images": len(ids),
        "objects": n_objects(dsb_pairs(data, ids)),
        "choose": {"images": len(validation), "objects": n_objects(validation)},
    }
    every = sorted(one for ids in lists.values() for one in ids)
    rule = " ".join(" ".join((__doc__ or "").split("\n\n")[1:3]).split())
    return {"rule": rule, "counts": counts, "held out": every, **lists}


def main() -> None:
    """Write the lists, or compare them with those that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds dsb2018/")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    found = kinds(arguments.data)
    if arguments.check:
        same = json.loads(KINDS_FILE.read_text(encoding="utf-8")) == found
        raise SystemExit(not same and f"{KINDS_FILE} differs from the rule")
    text = json.dumps(found, indent=1, ensure_ascii=False)
    KINDS_FILE.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(found["counts"], indent=1))


if __name__ == "__main__":
    main()
