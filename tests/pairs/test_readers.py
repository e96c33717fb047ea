"""Data sets in every layout that is promised, as folders and as zips."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage
import tifffile

from napari_unetic.errors import UneticError
from napari_unetic.pairs import Pair, Pairs, read_pairs, read_split

IMAGE = np.arange(20, dtype=np.uint8).reshape(4, 5)
LABELS = np.zeros((4, 5), np.uint16)
LABELS[:2, :2], LABELS[3, 3:] = 3, 8
MASKS = [np.uint8(255) * (LABELS == number) for number in (3, 8)]


def write(root: Path, files: Mapping[str, np.ndarray]) -> Path:
    """Write images by relative name and return the folder."""
    for name, array in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, array)
        else:
            PIL.Image.fromarray(array).save(path)
    return root


def bowl(root: Path, ids: str = "ab") -> Path:
    """Write a data set in the layout of the Data Science Bowl 2018."""
    rgba = np.dstack([IMAGE, IMAGE, IMAGE, np.full_like(IMAGE, 255)])
    for one in ids:
        write(root / one, {f"images/{one}.png": rgba})
        write(root / one / "masks", {f"m{i}.png": m for i, m in enumerate(MASKS)})
    return root


def zipped(folder: Path, *, top: bool = False) -> Path:
    """Return a zip of a folder, with or without the folder around its files."""
    where = {"root_dir": folder.parent, "base_dir": folder.name} if top else {}
    name = folder.with_name(f"{folder.name}-{top}")
    return Path(
        shutil.make_archive(str(name), "zip", **(where or {"root_dir": folder}))
    )


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two label images show the same objects, whatever their numbers."""
    both = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    n_one, n_other = len(np.unique(one)), len(np.unique(other))
    return one.shape == other.shape and both.shape[1] == n_one == n_other


@pytest.mark.parametrize("form", ["folder", "zip", "zip with a folder around"])
def test_data_science_bowl(tmp_path: Path, form: str) -> None:
    """Images and masks by id, as a folder and as a zip that is read in place."""
    source = bowl(tmp_path / "stage1")
    (source / ".DS_Store").write_text("")
    (source / "classes.csv").write_text("a,b")
    write(source / "__MACOSX" / "a" / "images", {"a.png": IMAGE})
    if form != "folder":
        source = zipped(source, top=form != "zip")
    pairs = read_pairs(source)
    assert (pairs.ids, pairs.notices, pairs.source) == (("a", "b"), (), str(source))
    image, labels = pairs[0].read()
    assert (image.axes, image.rgb, image.shape_yx) == ("CYX", True, (4, 5))
    np.testing.assert_array_equal(image.data[2], IMAGE)
    assert labels.dtype == np.int32
    assert same_objects(labels, LABELS)
    np.testing.assert_array_equal(pairs[0].labels(), labels)


@pytest.mark.parametrize("folder", ["labels", "masks"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_images_and_labels(tmp_path: Path, folder: str, packed: bool) -> None:
    """Labels lie in labels/ or masks/, in another format or with an ending."""
    source = write(
        tmp_path / "set",
        {
            "images/a.png": IMAGE,
            "images/b.jpg": IMAGE,
            "images/c.ome.tif": IMAGE,
            "images/sub/d.tif": IMAGE,
            "images/e.tif": IMAGE,
            f"{folder}/a.tif": LABELS,
            f"{folder}/b.png": LABELS,
            f"{folder}/c_labels.tif": LABELS,
            f"{folder}/sub/d.tif": LABELS,
        },
    )
    pairs = read_pairs(zipped(source, top=True) if packed else source)
    assert pairs.ids == ("a", "b", "c", "sub/d")
    assert len(pairs.notices) == 1
    assert pairs.notices[0].endswith("has no labels for them: 1.")
    for pair in pairs:
        np.testing.assert_array_equal(pair.labels(), LABELS)


def test_one_mask_an_object_in_a_folder_of_the_id(tmp_path: Path) -> None:
    """Beside images/, masks/ID/ may hold one file an object."""
    source = write(
        tmp_path,
        {
            "images/a.png": IMAGE,
            "masks/a/1.png": MASKS[0],
            "masks/a/2.png": MASKS[1],
        },
    )
    (pair,) = read_pairs(source)
    assert same_objects(pair.labels(), LABELS)


def test_sole_mask_with_the_name_of_the_image_holds_all_objects(tmp_path: Path) -> None:
    """Some write the bowl's layout with one label image instead of many masks."""
    files = {"a/images/a.png": IMAGE, "a/masks/a.png": LABELS}
    (pair,) = read_pairs(write(tmp_path, files))
    np.testing.assert_array_equal(pair.labels(), LABELS)


def test_two_folders(tmp_path: Path) -> None:
    """Images here and labels there, also where there is inside here."""
    write(tmp_path / "raw", {"a.png": IMAGE, "b.png": IMAGE})
    write(tmp_path / "truth", {"a.tif": LABELS, "b_masks.png": LABELS, "z.tif": LABELS})
    pairs = read_pairs(tmp_path / "raw", labels=tmp_path / "truth")
    assert (pairs.ids, pairs.notices) == (("a", "b"), ())
    np.testing.assert_array_equal(pairs[1].labels(), LABELS)
    shutil.move(tmp_path / "truth", tmp_path / "raw" / "truth")
    inside = read_pairs(tmp_path / "raw", labels=tmp_path / "raw" / "truth")
    assert inside.ids == ("a", "b")


def test_labels_beside_images(tmp_path: Path) -> None:
    """What `unetic segment` wrote beside an image, corrected, is its labels."""
    source = write(
        tmp_path, {"a.tif": IMAGE, "a_labels.tif": LABELS, "b_cells.tif": IMAGE}
    )
    pairs = read_pairs(source)
    assert pairs.ids == ("a",)
    np.testing.assert_array_equal(pairs[0].image().data, IMAGE)
    assert len(pairs.notices) == 1


def test_several_places_in_one_set(tmp_path: Path) -> None:
    """A set with train/ and test/ keeps both, and equal names apart."""
    files = {
        f"{part}/{kind}/a.tif": array
        for part in ("test", "train")
        for kind, array in (("images", IMAGE), ("masks", LABELS))
    }
    assert read_pairs(write(tmp_path, files)).ids == ("test/a", "train/a")


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_labels_from_elsewhere_by_id(tmp_path: Path, packed: bool) -> None:
    """Corrected labels replace the set's own; an id they lack is left out, counted."""
    source = bowl(tmp_path / "stage1", "abc")
    corrected = write(tmp_path / "new", {"a.tif": LABELS, "c.tif": LABELS * 2})
    labels = zipped(corrected, top=True) if packed else corrected
    pairs = read_pairs(source, labels=labels)
    assert pairs.ids == ("a", "c")
    np.testing.assert_array_equal(pairs[1].labels(), LABELS * 2)
    assert pairs.notices == (
        f"Images left out because {labels} has no labels for them: 1.",
    )


def test_one_label_image_is_not_given_to_two_images(tmp_path: Path) -> None:
    """Where names in subfolders are equal, the last part alone says nothing."""
    write(tmp_path / "raw", {f"{n}/a.tif": IMAGE for n in "12"} | {"1/b.tif": IMAGE})
    write(tmp_path / "truth", {"a.tif": LABELS, "b.tif": LABELS})
    assert read_pairs(tmp_path / "raw", labels=tmp_path / "truth").ids == ("1/b",)


def test_ids_are_picked_and_excluded(tmp_path: Path) -> None:
    """Lacking labels are counted only among the ids that were asked for."""
    source = bowl(tmp_path / "stage1", "abcd")
    labels = write(tmp_path / "new", {f"{one}.tif": LABELS for one in "ab"})
    lists = tmp_path / "split.json"
    lists.write_text(json.dumps({"train": ["a", "b", "c", "z"], "bad": ["b"]}))
    pairs = read_pairs(
        source, labels=labels, ids=f"{lists}:train", exclude_ids=[f"{lists}:bad"]
    )
    assert pairs.ids == ("a",)
    assert pairs.notices == (
        "Chosen ids left out because the data set lacks them: 1.",
        f"Images left out because {labels} has no labels for them: 1.",
    )
    with pytest.raises(UneticError, match="2 of them with labels, and none of these"):
        read_pairs(source, labels=labels, ids=["d"])


@pytest.mark.parametrize("val", [["b"], ["d"]], ids=["inside", "beside"])
def test_validation_ids_are_never_trained_on(tmp_path: Path, val: list[str]) -> None:
    """Whether the training list holds them or not, they are validated on only."""
    source = bowl(tmp_path / "stage1", "abcd")
    lists = tmp_path / "split.json"
    lists.write_text(json.dumps({"train": ["a", "b", "c"], "val": val, "no": ["c"]}))
    train, held_out = read_split(
        source, ids=f"{lists}:train", val_ids=f"{lists}:val", exclude_ids=f"{lists}:no"
    )
    assert held_out.ids == tuple(val)
    assert set(train.ids) == {"a", "b"} - set(val)


def test_binary_masks_are_taken_apart_with_a_notice(tmp_path: Path) -> None:
    """The set says once that its labels are binary masks."""
    binary = np.uint8(255) * (LABELS > 0)
    files = {f"images/{n}.png": IMAGE for n in "ab"}
    files |= {f"masks/{n}.png": binary for n in "ab"}
    pairs = read_pairs(write(tmp_path, files))
    assert pairs.notices == (
        "a: a binary mask, so its 2 connected pieces are taken as the objects.",
    )
    assert same_objects(pairs[1].labels(), LABELS)
    assert pairs[1].annotation().notices[0].startswith("b: a binary mask")


def test_labels_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The sentence names both shapes and the id."""
    files = {"images/cells.png": IMAGE, "labels/cells.tif": LABELS[:3]}
    (pair,) = read_pairs(write(tmp_path, files))
    with pytest.raises(
        UneticError, match=r"shape \(4, 5\) as the image of cells, got shape \(3, 5\)"
    ):
        pair.labels()
    assert pair.image().shape_yx == (4, 5)


def test_stack_and_the_axes_that_make_it_one(tmp_path: Path) -> None:
    """Labels of a stack have its planes; given axes say that pages are planes."""
    stack, labels = np.stack([IMAGE] * 3), np.stack([LABELS] * 3)
    for name, array in (("images", stack), ("labels", labels)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", array, photometric="minisblack")
    with pytest.raises(UneticError, match="or its axes"):
        read_pairs(tmp_path)[0].labels()
    (pair,) = read_pairs(tmp_path, axes="ZYX")
    image, read = pair.read()
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(read, labels)


def test_two_images_with_one_id_are_refused(tmp_path: Path) -> None:
    """The sentence names both files."""
    files = {"images/a.png": IMAGE, "images/a.tif": IMAGE, "labels/a.tif": LABELS}
    with pytest.raises(UneticError, match=r"id a, got .*a\.png and .*a\.tif"):
        read_pairs(write(tmp_path, files))
    twice = bowl(tmp_path / "x" / "1", "a").parent
    bowl(twice / "2", "a")
    with pytest.raises(UneticError, match="one image for the id a"):
        read_pairs(twice)


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    """Images without labels are no pairs, and neither is an empty folder."""
    write(tmp_path, {"a.png": IMAGE})
    with pytest.raises(UneticError, match=r"Expected ID/images with ID/masks"):
        read_pairs(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UneticError, match="without them"):
        read_pairs(tmp_path / "empty")
    with pytest.raises(UneticError, match="none of these chosen"):
        read_pairs(tmp_path, labels=tmp_path / "empty")
    with pytest.raises(UneticError, match="does not exist"):
        read_pairs(tmp_path / "nowhere")


def test_same_picture_has_one_hash(tmp_path: Path) -> None:
    """PNG, TIFF of either byte order, folder and zip: the picture counts."""
    deep = IMAGE.astype(np.uint16) * 500
    write(tmp_path / "set" / "images", {"a.png": deep, "b.tif": deep, "d.tif": IMAGE})
    tifffile.imwrite(tmp_path / "set/images/c.tif", deep, byteorder=">")
    write(tmp_path / "set" / "labels", {f"{n}.tif": LABELS for n in "abcd"})
    pairs = [*read_pairs(tmp_path / "set"), *read_pairs(zipped(tmp_path / "set"))]
    hashes = [pair.image_hash() for pair in pairs]
    assert len(set(hashes)) == 2
    assert hashes[0] == hashes[1] == hashes[2] == hashes[4] != hashes[3]
    # sha256 of "<u2|(4, 5)|" and the little-endian pixels, by coreutils' sha256sum.
    assert hashes[0] == HASH


HASH = "f3636082b322e060ce324ad0a1e5dcd4dfe47563e92b2825d3b10cfbde13b3a0"


def _n_objects(pair: Pair) -> int:
    return len(np.unique(pair.labels())) - 1


def test_pairs_are_read_by_other_processes(tmp_path: Path) -> None:
    """A pair goes to a worker process by pickling and opens its zip there."""
    pairs = read_pairs(zipped(bowl(tmp_path / "stage1", "abcdef")))
    assert pickle.loads(pickle.dumps(pairs)) == pairs
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert list(pool.map(_n_objects, pairs)) == [2] * 6


def test_pairs_are_a_sequence(tmp_path: Path) -> None:
    """Length, indices, slices and order by id."""
    pairs = read_pairs(bowl(tmp_path / "stage1", "cab"))
    assert isinstance(pairs, Pairs)
    assert [pair.id for pair in pairs] == ["a", "b", "c"]
    assert len(pairs) == 3
    assert pairs[-1].id == "c"
    assert [pair.id for pair in pairs[1:]] == ["b", "c"]


def test_real_set_is_read_from_its_zip(data_folder: Path) -> None:
    """The zip that users download has 670 pairs, 546 of them fluorescence."""
    source = data_folder / "dsb2018"
    pairs = read_pairs(source / "stage1_train.zip")
    assert (len(pairs), pairs.notices) == (670, ())
    assert sum(len(pair.label_entries) for pair in pairs) == 29_461
    kind = f"{source / 'modality.json'}:fluorescence, grey on dark"
    assert len(read_pairs(source / "stage1_train.zip", ids=kind)) == 546


def test_real_set_with_corrected_labels(data_folder: Path) -> None:
    """Six ids lack corrected labels, five of them fluorescence and one a test id."""
    source = data_folder / "dsb2018"
    data, labels = source / "stage1_train.zip", source / "corrected_labels.zip"
    pairs = read_pairs(data, labels=labels)
    assert len(pairs) == 664
    assert pairs.notices[0].endswith("has no labels for them: 6.")
    test = read_pairs(data, labels=labels, ids=f"{source / 'stardist_split.json'}:test")
    assert len(test) == 49
    image, read = test[0].read()
    assert read.shape == image.shape_yx


def test_real_split_holds_validation_and_test_out(data_folder: Path) -> None:
    """447 training ids with 67 validation ids inside them leave 380."""
    source = data_folder / "dsb2018"
    lists = source / "stardist_split.json"
    train, val = read_split(
        source / "stage1_train.zip",
        ids=f"{lists}:train",
        exclude_ids=f"{lists}:test",
        val_ids=f"{lists}:val_of_train_seed42",
    )
    assert (len(train), len(val)) == (380, 67)
    assert not set(train.ids) & set(val.ids)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_real_object_is_there_and_eleven_are_in_pieces(data_folder: Path) -> None:
    """All 29,461 masks are objects; 11 of them are in several pieces and stay one."""
    n_objects = n_in_pieces = 0
    touching = np.ones((3, 3), bool)
    for pair in read_pairs(data_folder / "dsb2018" / "stage1_train.zip"):
        annotation = pair.annotation()
        assert annotation.notices == ()
        labels = annotation.labels
        for number, window in enumerate(scipy.ndimage.find_objects(labels), 1):
            assert window is not None
            _, n_pieces = scipy.ndimage.label(labels[window] == number, touching)
            n_objects += 1
            n_in_pieces += n_pieces > 1
    assert (n_objects, n_in_pieces) == (29_461, 11)
