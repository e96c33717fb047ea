"""Segment: image × model → labels.

The river runs one way: normalise, tiles, network, maps, decode, labels. Everything a
result depends on is in the model's description, the settings and the image.
"""

from __future__ import annotations

from napari_unetic.predict.again import decode_again_steps, decode_window
from napari_unetic.predict.result import KeptMaps, Segmentation
from napari_unetic.predict.run import segment, segment_steps

__all__ = [
    "KeptMaps",
    "Segmentation",
    "decode_again_steps",
    "decode_window",
    "segment",
    "segment_steps",
]
