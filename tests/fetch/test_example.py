"""Real nuclei out of zips in the layouts of the data sets that can be fetched."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.fetch.example import EXAMPLE_ID, read_example
from napari_unetic.pairs import read_pairs

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
LABELS = np.zeros((6, 8), np.uint16)
LABELS[:2, :2], LABELS[4:, 5:] = 1, 2


def packed(array: np.ndarray, suffix: str) -> bytes:
    """Return an image file as bytes."""
    stream = io.BytesIO()
    if suffix == ".tif":
        tifffile.imwrite(stream, array)
    else:
        PIL.Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


def bowl_zip(path: Path, ids: list[str], image: np.ndarray | None = None) -> Path:
    """Write a zip as BBBC038 is: RGBA images and one mask an object."""
    if image is None:
        image = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for one in ids:
            archive.writestr(f"{one}/images/{one}.png", packed(image, ".png"))
            for number in (1, 2):
                mask = np.uint8(255) * (LABELS == number)
                archive.writestr(f"{one}/masks/{number}.png", packed(mask, ".png"))
    return path


def stardist_zip(path: Path) -> Path:
    """Write a zip as StarDist's is: train and test, each with images and masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for place, one in (("train", "a"), ("train", "b"), ("test", EXAMPLE_ID)):
            for kind, array in (("images", GREY), ("masks", LABELS)):
                name = f"dsb2018/{place}/{kind}/{one}.tif"
                archive.writestr(name, packed(array, ".tif"))
    return path


def test_stardists_layout_is_read(tmp_path: Path) -> None:
    """Images and masks of both parts are paired; masks are label images."""
    pairs = read_pairs(stardist_zip(tmp_path / "s.zip"))
    assert pairs.ids == (
        f"dsb2018/test/{EXAMPLE_ID}",
        "dsb2018/train/a",
        "dsb2018/train/b",
    )
    assert pairs.notices == ()
    for pair in pairs:
        image, labels = pair.read()
        np.testing.assert_array_equal(image.data, GREY)
        np.testing.assert_array_equal(labels, LABELS)


def test_both_layouts_give_the_same_example(tmp_path: Path) -> None:
    """The image that the bundled model was not trained on comes first, in grey."""
    for source in (
        stardist_zip(tmp_path / "s.zip"),
        bowl_zip(tmp_path / "b.zip", ["0", EXAMPLE_ID]),
    ):
        example = read_example(source)
        assert example.pair.id.endswith(EXAMPLE_ID)
        assert (example.image.axes, example.image.rgb) == ("YX", False)
        np.testing.assert_array_equal(example.image.data, GREY)
        np.testing.assert_array_equal(example.labels > 0, LABELS > 0)
        assert example.labels.max() == 2


def test_other_seeds_give_other_images(tmp_path: Path) -> None:
    """Seeds count through the data set, from the first where there is no other."""
    source = bowl_zip(tmp_path / "b.zip", ["c", "a", "b"])
    ids = [read_example(source, seed=seed).pair.id for seed in range(4)]
    assert ids == ["a", "b", "c", "a"]


def test_colour_stays_colour(tmp_path: Path) -> None:
    """An image whose channels differ keeps them."""
    colour = np.dstack([GREY, GREY, GREY + 1])
    example = read_example(bowl_zip(tmp_path / "b.zip", ["a"], colour))
    assert (example.image.axes, example.image.rgb) == ("CYX", True)


def test_fetched_data_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path it is what was fetched, the whole set before the subset."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    with pytest.raises(UneticError, match="run `unetic fetch dsb2018` once"):
        read_example()
    stardist_zip(tmp_path / "data" / "dsb2018-stardist.zip")
    assert read_example().pair.id == f"dsb2018/test/{EXAMPLE_ID}"
    bowl_zip(tmp_path / "data" / "dsb2018.zip", ["a"])
    assert read_example().pair.id == "a"


def test_the_example_is_in_the_real_data(data_folder: Path) -> None:
    """In BBBC038 the example is grey and has 158 nuclei."""
    example = read_example(data_folder / "dsb2018" / "stage1_train.zip")
    assert example.pair.id == EXAMPLE_ID
    assert example.image.shape_yx == example.labels.shape == (520, 696)
    assert (example.image.axes, example.labels.max()) == ("YX", 158)
