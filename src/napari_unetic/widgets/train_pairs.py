"""From layers to a folder of pairs, or from a folder: what a training learns from.

For a thread that does the work: layers are read here and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.image.normalise import fit_range
from napari_unetic.image.source import Image, part_of
from napari_unetic.image.writing import write_pixels
from napari_unetic.pairs.readers import read_pairs, read_split
from napari_unetic.pairs.selection import split
from napari_unetic.steps import Step, Steps
from napari_unetic.widgets.grids import Grid, grid_of
from napari_unetic.widgets.records import record_of
from napari_unetic.widgets.train_plan import Survey, name_for

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_unetic.image.source import Ranges
    from napari_unetic.pairs.pair import Pairs

CUT: Final = 1 / 4
"""Share of a single image that is held back."""

LEAST_PX: Final = 128
"""Longer side of a single image that is cut."""

NO_LAYERS = (
    "No labelled image: open one and draw labels on it, or choose a folder under Data."
)


class LayerPair(NamedTuple):
    """An image layer and labels on it, themselves and not what a plugin gets."""

    image: ImageLayer
    labels: Labels


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Pairs in a folder or a zip.

    Parameters
    ----------
    path : Path
        In any layout that `napari_unetic.pairs.read_pairs` knows.
    labels : Path, optional
        Where the labels are, if not there.
    """

    path: Path
    labels: Path | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.name


@dataclass(frozen=True, slots=True)
class LayerSource:
    """Pairs of layers.

    Parameters
    ----------
    pairs : tuple of LayerPair
    channel : int, optional
        The one channel to learn from; all if None.
    """

    pairs: tuple[LayerPair, ...]
    channel: int | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.pairs[0].image.name) if self.pairs else ""


Source = FolderSource | LayerSource


@dataclass(frozen=True, slots=True)
class Sharing:
    """How pairs are shared out.

    Parameters
    ----------
    share : float
        Of the images that is held back to choose weights and thresholds with.
    seed : int
        Chooses which.
    as_classes : bool
        Whether labels are class masks.
    """

    share: float = 0.1
    seed: int = 0
    as_classes: bool = False


def survey_steps(source: Source, sharing: Sharing) -> Steps[Survey]:
    """Find out what there is to learn from; pixels of images are not read.

    Raises
    ------
    UneticError
        If there is nothing, or labels do not lie on their image.
    """
    yield Step(0, 0, "looking at the data")
    if isinstance(source, FolderSource):
        pairs = read_pairs(
            source.path, labels=source.labels, as_classes=sharing.as_classes
        )
        train, held = split(pairs, val_fraction=sharing.share, seed=sharing.seed)
        if not held:
            raise UneticError(
                f"Expected at least two images with labels in {source.path}, got "
                f"{len(pairs)}; add another one to hold back."
            )
        notices = tuple(dict.fromkeys(train.notices))
        return Survey(len(train), len(held), f"“{source.name}”", notices=notices)
    if not source.pairs:
        raise UneticError(NO_LAYERS)
    n = 0
    for pair in source.pairs:
        for _ in _labelled(_grid(pair), pair):
            n += 1
            yield Step(n, 0, "looking at the data")
    name = f"“{source.name}”"
    if len(source.pairs) > 1:
        name = f"{len(source.pairs)} layers"
    if n == 1:
        for _, labels in _labelled(_grid(source.pairs[0]), source.pairs[0]):
            _cut_of(labels, source.name)
        return Survey(1, 1, name, is_cut=True)
    n_held = min(max(round(sharing.share * n), 1), n - 1)
    return Survey(n - n_held, n_held, name)


def write_layers_steps(source: LayerSource, folder: Path) -> Steps[str]:
    """Write the labelled planes of layers as images and labels of one name.

    Parameters
    ----------
    source : LayerSource
        Planes without any label are left out; in the others what has no label is
        background.
    folder : Path
        Gets ``images`` and ``labels``.

    Returns
    -------
    str
        The id to hold back, where there was one plane alone, which is cut in two; else
        empty.

    Raises
    ------
    UneticError
        If there is no label, or a single image is too small to be cut.
    """
    written: list[str] = []
    for pair in source.pairs:
        grid = _grid(pair)
        # A plane is to be seen as it is where the whole is segmented.
        known = fit_range(grid.source.image(), source.channel)
        for plane, labels in _labelled(grid, pair):
            image = _part(grid, plane, source.channel, known)
            written.append(f"{len(written):04d}-{name_for(str(pair.image.name))}")
            _write(folder, written[-1], image, labels)
            yield Step(len(written), 0, "collecting")
    if len(written) > 1:
        return ""
    kept, held = _cut_of(labels, source.name)
    for one, part in ((written[0], kept), ("held-back", held)):
        cut = replace(image, data=image.data[..., *part])
        _write(folder, one, cut, labels[part])
    return "held-back"


def split_steps(
    source: Source, sharing: Sharing, staging: Path
) -> Steps[tuple[Pairs, Pairs]]:
    """Return pairs to train on and to validate on.

    Parameters
    ----------
    source : FolderSource or LayerSource
    sharing : Sharing
    staging : Path
        Pairs of layers are written there.

    Raises
    ------
    UneticError
        As `survey_steps` and `write_layers_steps`.
    """
    yield Step(0, 0, "reading pairs")
    if isinstance(source, FolderSource):
        return read_split(
            source.path,
            labels=source.labels,
            val_fraction=sharing.share,
            seed=sharing.seed,
            as_classes=sharing.as_classes,
        )
    held = yield from write_layers_steps(source, staging)
    return read_split(
        staging,
        val_ids=held or None,
        val_fraction=sharing.share,
        seed=sharing.seed,
        as_classes=sharing.as_classes,
    )


def _grid(pair: LayerPair) -> Grid:
    return grid_of(pair.image, pair.labels, record_of(pair.labels))


def _labelled(
    grid: Grid, pair: LayerPair
) -> Iterator[tuple[tuple[int, ...], NDArray[np.int32]]]:
    """Yield the planes that have labels, with these."""
    planes, is_any = grid.planes(), False
    for plane in np.ndindex(planes.shape[:-2]):
        labels = planes[plane]
        if not labels.any():
            continue
        is_any = True
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high > np.iinfo(np.int32).max:
            raise UneticError(
                f"Expected labels from 0 to 2,147,483,647 in {pair.labels.name}, got "
                f"{low if low < 0 else high}; renumber them."
            )
        yield plane, np.ascontiguousarray(labels, np.int32)
    if not is_any:
        raise UneticError(
            f"Expected labels to learn from in {pair.labels.name}, got none; draw some "
            "there, or untick it under More, Data."
        )


def _part(
    grid: Grid, plane: tuple[int, ...], channel: int | None, known: Ranges
) -> Image:
    """Read the part of a plane that the labels are of."""
    at = tuple(i + first for i, first in zip(plane, grid.first, strict=False))
    rows, columns = (
        slice(first, first + size)
        for first, size in zip(grid.first[-2:], grid.shape[-2:], strict=True)
    )
    return part_of(
        grid.source.image(), at, rows, columns, channel=channel, intensity_range=known
    )


def _cut_of(
    labels: NDArray[np.int32], name: str
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the part of a single image to learn from, and the one to hold back."""
    axis = int(np.argmax(labels.shape))
    size = labels.shape[axis]
    at = round((1 - CUT) * size)
    whole = slice(None)
    ends = (
        (slice(0, at), slice(at, None)),
        (slice(size - at, None), slice(0, size - at)),
    )
    for kept, held in ends if size >= LEAST_PX else ():
        parts = [(one, whole) if axis == 0 else (whole, one) for one in (kept, held)]
        if all(labels[part].any() for part in parts):
            return parts[0], parts[1]
    raise UneticError(
        f"Expected two labelled images or planes, or one of at least {LEAST_PX} pixels "
        f"with labels all over it, a quarter of which can be held back, got {name} "
        "alone; label another one."
    )


def _write(folder: Path, one: str, image: Image, labels: NDArray[np.int32]) -> None:
    """Write a plane and its labels."""
    for kind, pixels in (("images", image), ("labels", Image(labels, "YX"))):
        path = folder / kind / f"{one}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_pixels(path, pixels, packed=kind == "labels")
