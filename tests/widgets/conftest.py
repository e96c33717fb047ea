"""What the headless tests of layers share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from npe2 import PluginManager
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic import predict
from napari_unetic.predict import Segmentation
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import Step, Steps

if TYPE_CHECKING:
    from napari_unetic.image.source import Image

BRIGHT = 5
"""What is brighter becomes an object of the stand-in for the network."""


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep records of results apart from those of whoever runs the tests."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))


def threshold_steps(
    image: Image, model: Any, *, keep_maps_bytes: int = 0, **values: Any
) -> Steps[Segmentation]:
    """Stand in for the network: bright patches become objects, plane by plane."""
    settings = SegmentSettings(**values)
    planes = [settings.plane] if settings.plane is not None else list(image.planes())
    box = tuple(slice(0, size) for size in image.shape_yx)
    if settings.region is not None:
        box = settings.region.bounds(image.shape_yx, 1)
    along = zip(*planes, strict=True)
    extent = (*(slice(min(i), max(i) + 1) for i in along), *box)
    labels = np.zeros([part.stop - part.start for part in extent], np.uint16)
    n_objects = 0
    for index, plane in enumerate(planes):
        pixels = image.read(plane, None, *box)[settings.channel or 0]
        bright = pixels > BRIGHT
        if settings.region is not None:
            bright &= settings.region.mask(*box)
        found, n_found = ndimage.label(bright)
        labels.reshape(-1, *found.shape)[index] = np.where(found, found + n_objects, 0)
        n_objects += n_found
        yield Step(index + 1, len(planes), "tile")
    return Segmentation(
        labels=labels,
        axes=image.plane_axes + "YX",
        extent=extent,
        full_shape=(*image.plane_shape, *image.shape_yx),
        n_objects=n_objects,
        scores=np.linspace(0.5, 1, n_objects, dtype=np.float32),
        seconds=0.1,
        provenance={
            "model": model.description.name,
            "weights_sha256": model.description.weights_sha256,
            "source": image.name,
            "settings": {**settings.changed(), "decoding": {"foreground": 0.5}},
        },
        pixel_size=image.pixel_size,
    )


@pytest.fixture
def threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a threshold stand in for the network."""
    monkeypatch.setattr(predict, "segment_steps", threshold_steps)


@pytest.fixture
def plugins() -> None:
    """Let napari know its readers and writers, and ours, as when it starts."""
    PluginManager.instance().discover()


@pytest.fixture
def counted() -> Callable[[NDArray[Any]], Any]:
    """Return what wraps an array like zarr's, which counts the pixels that are read."""
    return CountedArray


class CountedArray:
    """An array that is read by slices alone, and counts what is read of it."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.largest = 0
        self.read = np.zeros(array.shape, np.int64)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        window = self._array[key]
        self.largest = max(self.largest, window.size)
        self.read[key] += 1
        return np.array(window)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        raise AssertionError("read whole")
