"""A strip of augmented patches as a picture, to see what a training will see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.writing import write_png
from napari_unetic.training.patches import PatchSource, load_samples
from napari_unetic.training.record import describe, sized
from napari_unetic.training.settings import usual_of

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings

N_COLUMNS = 8


def preview_strip(source: PatchSource, n_steps: int = 2) -> NDArray[np.uint8]:
    """Return patches of the first steps above what is to be learnt from them.

    Parameters
    ----------
    source : PatchSource
        Where the batches come from.
    n_steps : int
        Batches to show.

    Returns
    -------
    ndarray of shape (Y, X, 3), uint8
        In pairs of rows: the image, cut at 0 and 1; and the targets, depth as green,
        contact as red, foreground as blue, or classes in the colours of the legend. Of
        volumes the plane in the middle.
    """
    cells = []
    for step in range(n_steps):
        batch = source[step]
        margin = (batch.images.shape[-1] - batch.targets.shape[-1]) // 2
        pairs = zip(_planes(batch.images), _planes(batch.targets), strict=True)
        for image, maps in pairs:
            inner = image[:, margin : margin + maps.shape[1], :][
                ..., margin : margin + maps.shape[2]
            ]
            shown = np.repeat(inner.mean(0)[..., None], 3, axis=-1)
            targets = source.lesson.picture(maps)
            cell = np.concatenate([shown, targets])
            cells.append(np.pad(cell, ((0, 4), (0, 4), (0, 0))))
    while len(cells) % N_COLUMNS and len(cells) > N_COLUMNS:
        cells.append(np.zeros_like(cells[0]))
    rows = [
        np.concatenate(cells[k : k + N_COLUMNS], axis=1)
        for k in range(0, len(cells), N_COLUMNS)
    ]
    strip = np.concatenate(rows)
    result: NDArray[np.uint8] = np.rint(255 * np.clip(strip, 0, 1)).astype(np.uint8)
    return result


def _planes(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return patches, of volumes the planes in their middle."""
    return patches if patches.ndim == 4 else patches[:, :, patches.shape[2] // 2]


def write_preview(
    pairs: Sequence[Pair],
    path: Path,
    settings: TrainSettings,
    base: Model | None = None,
) -> None:
    """Write the strip of a training to be.

    Parameters
    ----------
    pairs : sequence of Pair
        Training pairs.
    path : Path
        The PNG.
    settings : TrainSettings
        As for the training.
    base : Model, optional
        What the training starts from.
    """
    description = describe(base, settings, "preview")
    settings = usual_of(settings, description.network.dimensions)
    samples = [s for pair in pairs for s in load_samples(pair, description, settings)]
    if base is None:
        description = sized(description, samples, settings)
    write_png(path, preview_strip(PatchSource(samples, description, settings)))
