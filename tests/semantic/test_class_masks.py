"""The rule by which files become class masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imsave

from napari_unetic.errors import UneticError
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.semantic.masks import join_masks, take_classes

ZERO_ONE = np.array([[0, 1], [1, 0]], np.uint8)


@pytest.mark.parametrize(
    "mask",
    [ZERO_ONE, 255 * ZERO_ONE, ZERO_ONE.astype(np.uint16) * 65535],
    ids=["0/1", "0/255", "0/65535"],
)
def test_binary_masks_are_one_class(mask: np.ndarray) -> None:
    """Whatever number stands for yes."""
    np.testing.assert_array_equal(take_classes(mask, 2), ZERO_ONE)


def test_objects_are_all_of_the_one_class() -> None:
    """A label image says with one class where there is any object."""
    labels = np.array([[0, 7], [300, 0]], np.uint16)
    np.testing.assert_array_equal(take_classes(labels, 2), ZERO_ONE)


def test_soft_edges_are_refused() -> None:
    """An 8-bit picture of a mask has greys; they are no objects."""
    grey = np.array([[0, 128], [255, 3]], np.uint8)
    with pytest.raises(UneticError, match=r"m\.png, got 255 and 2 greys .* threshold"):
        take_classes(grey, 2, "m.png")


def test_indices_are_classes() -> None:
    """With several classes, a number is its class."""
    mask = np.array([[0, 1], [2, 0]], np.uint8)
    np.testing.assert_array_equal(take_classes(mask, 3), mask)


@pytest.mark.parametrize("number", [3, 255])
def test_an_index_without_a_class_is_refused(number: int) -> None:
    """The sentence says which number, and which there may be."""
    mask = np.array([[0, 1], [number, 0]], np.uint8)
    with pytest.raises(UneticError, match=f"from 0 .* to 2 in m, got {number}"):
        take_classes(mask, 3, "m")


def test_masks_of_objects_are_laid_over_each_other() -> None:
    """One file an object gives one class; it can give no more."""
    top, left = np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    top[0], left[:, 0] = 255, 1
    np.testing.assert_array_equal(join_masks([top, left], 2), [[1, 1], [1, 0]])
    with pytest.raises(UneticError, match="says nothing of classes"):
        join_masks([top], 3)
    with pytest.raises(UneticError, match="of one shape"):
        join_masks([top, left[:1]], 2)
    with pytest.raises(UneticError, match="at least one mask"):
        join_masks([], 2)


def test_pairs_read_class_masks(tmp_path: Path) -> None:
    """From a mask an image and from a mask an object; touching objects stay one."""
    image = np.zeros((4, 4), np.uint8)
    for folder, pictures in (
        ("images", {"a": image}),
        ("masks", {"a": np.pad(255 * ZERO_ONE, 1)}),
    ):
        (tmp_path / "flat" / folder).mkdir(parents=True)
        for name, picture in pictures.items():
            imsave(
                tmp_path / "flat" / folder / f"{name}.png",
                picture,
                check_contrast=False,
            )
    pairs = read_pairs(tmp_path / "flat", as_classes=True)
    assert not pairs.notices
    np.testing.assert_array_equal(pairs[0].read_classes(2)[1], np.pad(ZERO_ONE, 1))


def test_a_class_mask_must_fit_its_image(tmp_path: Path) -> None:
    """A mask of another shape is refused with the name of the pair."""
    for folder, shape in (("images", (4, 4)), ("labels", (3, 4))):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", np.eye(*shape, dtype=np.uint8))
    with pytest.raises(UneticError, match="as the image of a"):
        read_pairs(tmp_path)[0].read_classes(2)
