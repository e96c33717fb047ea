"""Generated images of nuclei whose true outlines are known exactly."""

from __future__ import annotations

from napari_unetic.samples.plane import PIXEL_SIZE, nuclei_sample
from napari_unetic.samples.stack import VOXEL_SIZE, nuclei_stack
from napari_unetic.samples.timelapse import FRAME_MINUTES, nuclei_timelapse

__all__ = [
    "FRAME_MINUTES",
    "PIXEL_SIZE",
    "VOXEL_SIZE",
    "nuclei_sample",
    "nuclei_stack",
    "nuclei_timelapse",
]
