"""Sample data for napari's menu."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.widgets import samples


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
