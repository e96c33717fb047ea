"""Make the run of a fine-tuning: pairs, what is held out, the model to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unetic.errors import UneticError
from napari_unetic.finetuning.channels import adapt_channels
from napari_unetic.finetuning.collect import collected
from napari_unetic.finetuning.collected import CollectedPair
from napari_unetic.finetuning.folder import (
    pair_records,
    plane_records,
    write_pairs,
)
from napari_unetic.finetuning.held_out import hold_out
from napari_unetic.model.description import check_planar, object_kind
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict.darkness import DARKER, compared_every, contrast
from napari_unetic.provenance import software_versions
from napari_unetic.training.beginning import begin
from napari_unetic.training.record import refuse_given
from napari_unetic.training.run import FinetunePlan, Run, RunPlan

if TYPE_CHECKING:
    from torch import Tensor

    from napari_unetic.kinds import Decoding
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import Model
    from napari_unetic.networks.device import Device
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.training.settings import TrainSettings


def read_collected(
    pairs: Sequence[CollectedPair] | Sequence[Pair] | str | Path,
) -> list[CollectedPair]:
    """Return the planes of anything that holds pairs, with ids used once."""
    if isinstance(pairs, str | Path):
        pairs = read_pairs(pairs)
    found: list[CollectedPair] = []
    for pair in pairs:
        found += [pair] if isinstance(pair, CollectedPair) else collected([pair])
    counts: dict[str, int] = {}
    for k, one in enumerate(found):
        counts[one.id] = counts.get(one.id, 0) + 1
        if counts[one.id] > 1:
            found[k] = replace(one, id=f"{one.id} ({counts[one.id]})")
    return found


def begin_run(
    folder: Path,
    base: Model,
    pairs: list[CollectedPair],
    settings: TrainSettings,
    share: float,
    name: str,
    device: Device,
) -> Run:
    """Choose what is held out and make the run folder, with the pairs in it."""
    object_kind(base.description)
    check_planar(base.description)
    refuse_given(settings, base)
    sides = hold_out(pairs, share)
    areas = [
        np.bincount(pair.labels.ravel())[side.learn]
        for pair, side in zip(pairs, sides, strict=True)
    ]
    diameter = float(np.median(np.sqrt(4 * np.concatenate(areas) / np.pi)))
    description, start, notices = _described(base, pairs, name or folder.name, diameter)
    n_objects = sum(pair.n_objects for pair in pairs)
    records = pair_records(pairs)
    plan = RunPlan(
        settings=settings,
        description=description.model_copy(
            update={
                "summary": f"{base.name}, fine-tuned on {n_objects} objects in "
                f"{len(pairs)} image{'s' if len(pairs) > 1 else ''}"
            }
        ),
        parent=base.description.weights_sha256,
        train=records,
        validation=(),
        finetune=FinetunePlan(
            parent_name=base.name,
            diameter_px=round(diameter, 2),
            planes=plane_records(pairs, sides),
            notices=notices,
        ),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=software_versions(),
    )
    return begin(
        folder, plan, start, device, lambda part: write_pairs(part, pairs, records)
    )


def _described(
    base: Model, pairs: Sequence[CollectedPair], name: str, diameter: float
) -> tuple[ModelDescription, dict[str, Tensor], tuple[str, ...]]:
    """Return the model to be, the weights to start from, and what was adapted."""
    channels = {(pair.image.n_channels, pair.image.rgb) for pair in pairs}
    if len(channels) > 1:
        raise UneticError(
            "Expected pairs with the same channels, got "
            f"{' and '.join(str(n) for n, _ in sorted(channels))}; choose one channel "
            "when collecting them, or remove some."
        )
    ((n_channels, rgb),) = channels
    spec, weights = base.description.network, base.network.state_dict()
    update: dict[str, object] = {
        "name": name,
        "training": None,
        "scores": {},
        "weights_sha256": "",
        "input_diameter_px": round(diameter, 2),
        # Its images, dark or not, are those that the pairs are of.
        "decoding": _decoding(base.description, pairs),
        "dark": None,
        "pixel_size_um": None,
    }
    notices: tuple[str, ...] = ()
    if n_channels not in (1, spec.in_channels) and not (rgb and spec.in_channels == 1):
        spec, weights = adapt_channels(weights, spec, n_channels)
        update |= {
            "network": spec,
            "channels": tuple(f"channel {k}" for k in range(n_channels)),
        }
        notices = (
            f"The first layer of {base.name} was adapted from "
            f"{base.description.network.in_channels} to {n_channels} channels.",
        )
    return base.description.model_copy(update=update), weights, notices


def _decoding(base: ModelDescription, pairs: Sequence[CollectedPair]) -> Decoding:
    """Return the thresholds to start from: of dark objects where most images hold such.

    By them the old model is judged, too, as it segments such images by itself.
    """
    if base.dark is None:
        return base.decoding
    found = []
    for pair in pairs:
        thin = slice(None, None, compared_every(pair.labels.size))
        pixels = pair.image.read((), None, thin, thin)
        found.append(contrast(pixels, pair.labels[thin, thin] > 0))
    return base.dark.decoding if np.median(found) < DARKER else base.decoding
