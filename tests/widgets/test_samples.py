"""Sample data for napari's menu."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.widgets import samples


@pytest.mark.parametrize(
    ("sample", "name", "scale", "units"),
    [
        (samples.nuclei, "nuclei", [0.65] * 2, ["micrometer"] * 2),
        (samples.nuclei_stack, "nuclei stack", [2, 0.65, 0.65], ["micrometer"] * 3),
        (
            samples.nuclei_timelapse,
            "nuclei time series",
            [5, 0.65, 0.65],
            ["minute", "micrometer", "micrometer"],
        ),
    ],
)
def test_generated_nuclei(
    sample: Callable[[], list[Any]], name: str, scale: list[float], units: list[str]
) -> None:
    """Image over hidden truth, both at the same place and in the same units."""
    (labels, truth, labels_kind), (image, shown, image_kind) = sample()
    assert (labels_kind, image_kind) == ("labels", "image")
    assert labels.shape == image.shape and labels.ndim == len(scale)
    assert labels.max() > 20
    place = {"scale": scale, "units": units}
    place["axis_labels"] = {2: ["y", "x"], 3: ["z", "y", "x"]}[len(scale)]
    if "minute" in units:
        place["axis_labels"][0] = "t"
    assert shown == {"name": name, **place}
    assert truth == {"name": f"{name} truth", "visible": False, **place}


@pytest.mark.usefixtures("napari_layers")
def test_napari_takes_the_generated_samples() -> None:
    """Layers of anisotropic voxels and of minutes can be made of them."""
    from napari.layers import Layer

    for sample in (samples.nuclei, samples.nuclei_stack, samples.nuclei_timelapse):
        truth, image = (Layer.create(*data) for data in sample())
        assert image.units == truth.units
        np.testing.assert_array_equal(image.scale, truth.scale)
        assert image.axis_labels == truth.axis_labels


def png(array: np.ndarray) -> bytes:
    """Return a PNG as bytes."""
    stream = BytesIO()
    PIL.Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def test_what_is_not_fetched_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence that napari shows names the command."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    with pytest.raises(UneticError, match="run `unetic fetch dsb2018` once"):
        samples.dsb2018()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("colour", [False, True])
def test_fetched_nuclei(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: bool
) -> None:
    """Image and hidden truth, colour only where there is some."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    image = np.full((6, 8, 4), 255, np.uint8)
    image[..., :3] = 40
    image[..., 0] += 9 * colour
    mask = np.zeros((6, 8), np.uint8)
    mask[1:3, 2:5] = 255
    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data" / "dsb2018.zip", "w") as archive:
        archive.writestr("a/images/a.png", png(image))
        archive.writestr("a/masks/1.png", png(mask))
    truth, shown = samples.dsb2018()
    np.testing.assert_array_equal(truth[0], mask > 0)
    assert truth[1:] == ({"name": "DSB2018 truth", "visible": False}, "labels")
    if colour:
        np.testing.assert_array_equal(shown[0], image[..., :3])
        assert shown[1:] == ({"name": "DSB2018", "rgb": True}, "image")
    else:
        np.testing.assert_array_equal(shown[0], image[..., 1])
        assert shown[1:] == ({"name": "DSB2018"}, "image")
