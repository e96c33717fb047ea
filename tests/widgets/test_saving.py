"""Labels are saved, opened again, and what made them is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from npe2 import PluginManager
from numpy.typing import NDArray

from napari_unetic.cli import main
from napari_unetic.errors import UneticError
from napari_unetic.home import user_folder
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.samples import nuclei_sample
from napari_unetic.widgets import records
from napari_unetic.widgets.layers import METADATA_KEY, PLACEMENT
from napari_unetic.widgets.recipes import settings_of
from napari_unetic.widgets.records import record_of, sidecar
from napari_unetic.widgets.results import segment_layer
from napari_unetic.widgets.saving import get_reader, open_labels, save_labels
from napari_unetic.widgets.touching import is_touched, touched_objects

pytestmark = pytest.mark.usefixtures("plugins")

WHERE: dict[str, Any] = {
    "scale": (0.5, 0.25),
    "rotate": 30.0,
    "shear": [0.2],
    "translate": (-7, 40),
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


@pytest.fixture
def image() -> NDArray[np.uint16]:
    """An image of some nuclei."""
    return nuclei_sample((128, 160))[0]


@pytest.fixture
def labels(image: NDArray[np.uint16]) -> Labels:
    """A result on a layer that is turned and sheared."""
    return segment_layer(ImageLayer(image, name="cells", **WHERE), sensitivity=0.6)


def forget() -> None:
    """Empty the folder of the last results, as on another computer."""
    shutil.rmtree(user_folder("records"), ignore_errors=True)


def saved(layer: Labels, path: Path) -> list[Path]:
    """Save a layer as napari's File > Save does, by the ending of the name."""
    viewer = ViewerModel()
    viewer.add_layer(layer)
    return [Path(written) for written in viewer.layers.save(str(path))]


def opened(path: Path) -> Any:
    """Open a file as napari does when it is dropped: it must be clear who reads it."""
    (layer,) = ViewerModel().open(path, plugin=None)
    return layer


def assert_same(one: Labels, other: Labels) -> None:
    """Assert that two layers of labels are alike in all that is kept."""
    np.testing.assert_array_equal(one.data, other.data)
    assert one.data.dtype == other.data.dtype
    assert one.name == other.name
    ours, theirs = one.as_layer_data_tuple()[1], other.as_layer_data_tuple()[1]
    for key in PLACEMENT:
        if key in ("units", "axis_labels"):
            assert ours[key] == theirs[key]
        else:
            np.testing.assert_allclose(ours[key], theirs[key], atol=1e-12)
    assert one.metadata[METADATA_KEY] == other.metadata[METADATA_KEY]
    assert list(one.features) == list(other.features)
    for name in one.features:
        np.testing.assert_allclose(one.features[name], other.features[name])


def test_there_and_back(labels: Labels, tmp_path: Path) -> None:
    """The JSON beside the labels opens them in place, with table and record."""
    files = saved(labels, tmp_path / "a b.ome.tif")
    assert [path.name for path in files] == ["a b.ome.tif", "a b.unetic.json"]
    assert_same(opened(files[1]), labels)
    assert_same(open_labels(files[1]), labels)
    assert_same(open_labels(files[0]), labels)
    assert not is_touched(opened(files[1]))


def test_other_programs_can_read_it(labels: Labels, tmp_path: Path) -> None:
    """The TIFF is an OME-TIFF of labels with the size of a pixel."""
    path, _ = saved(labels, tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(read_labels(path), labels.data)
    size = read_image(path).pixel_size
    assert (size.sizes, size.unit) == ({"Y": 0.5, "X": 0.25}, "µm")
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and file.series[0].dtype == np.uint32


def test_which_writer_is_taken(labels: Labels, tmp_path: Path) -> None:
    """Names that end in .ome.tif are ours, all others stay napari's."""
    assert len(saved(labels, tmp_path / "a.tif")) == 1
    assert len(saved(labels, tmp_path / "b.ome.tiff")) == 2
    assert len(saved(Labels(np.eye(4, dtype=int)), tmp_path / "c.ome.tif")) == 2
    image = ViewerModel().add_image(np.zeros((4, 4)))
    assert npe2.write(str(tmp_path / "d.ome.tif"), [image]) == [
        str(tmp_path / "d.ome.tif")
    ]


def test_napari_never_asks_which_reader() -> None:
    """No image or table that napari opens by itself is claimed by this plugin."""
    manager = PluginManager.instance()
    for name in ("a.tif", "a.ome.tif", "a_labels.tif", "a.png", "a.json", "a.zarr"):
        readers = {r.plugin_name for r in manager.iter_compatible_readers([name])}
        assert "napari-unetic" not in readers
    (reader,) = manager.iter_compatible_readers(["/x/a.b.unetic.json"])
    assert reader.plugin_name == "napari-unetic"
    assert get_reader(["a.unetic.json", "b.unetic.json"]) is None
    assert get_reader("a.json") is None


def test_the_writer_without_an_ending(labels: Labels, tmp_path: Path) -> None:
    """Chosen in the dialog, the writer adds its ending to a name without one."""
    (writer,) = [
        writer
        for writer in PluginManager.instance().iter_compatible_writers(["labels"])
        if writer.plugin_name == "napari-unetic"
    ]
    viewer = ViewerModel()
    viewer.add_layer(labels)
    files = viewer.layers.save(str(tmp_path / "cells nuclei"), _writer=writer)
    assert [Path(path).name for path in files] == [
        "cells nuclei.ome.tif",
        "cells nuclei.unetic.json",
    ]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        pytest.param((1, 5, 6), "zyx", id="one plane"),
        pytest.param((3, 5, 6), "tyx", id="frames"),
        pytest.param((2, 1, 3, 5, 6), "tczyx", id="five"),
        pytest.param((6, 5), "xy", id="transposed"),
        pytest.param((2, 3, 1, 5, 6), "abcde", id="other names"),
    ],
)
def test_any_labels(shape: tuple[int, ...], axes: str, tmp_path: Path) -> None:
    """Labels of any kind come back as they were, whoever made them."""
    data = np.random.default_rng(0).integers(0, 9, shape, np.uint8)
    table = {"index": [1, 2], "size": [1.5, np.nan], "kind": ["a", "b"]}
    layer = Labels(
        data,
        name="drawn",
        features=table,
        axis_labels=tuple(axes),
        scale=np.arange(1, len(shape) + 1),
    )
    files = save_labels(layer, tmp_path / "new" / "drawn")
    back = open_labels(files[1])
    np.testing.assert_array_equal(back.data, data)
    assert back.data.dtype == np.uint8
    assert back.axis_labels == tuple(axes)
    assert list(back.scale) == list(layer.scale)
    assert list(back.features["kind"]) == ["a", "b"]
    assert np.isnan(back.features["size"][1])
    assert METADATA_KEY not in back.metadata
    assert isinstance(opened(files[0]), Labels)


def test_labels_that_cannot_be_saved(tmp_path: Path) -> None:
    """Negative and huge numbers and a sixth dimension leave no file."""
    with pytest.raises(UneticError, match="Expected labels as integers of 0 and more"):
        save_labels(Labels(np.array([[0, -1]])), tmp_path / "a")
    with pytest.raises(UneticError, match="Expected at most 4294967295 objects"):
        save_labels(Labels(np.array([[0, 2**40]])), tmp_path / "a")
    with pytest.raises(UneticError, match="2 to 5 dimensions, got 6"):
        save_labels(Labels(np.zeros((1,) * 6, int)), tmp_path / "a")
    assert list(tmp_path.glob("a*")) == []


def edit(layer: Labels) -> None:
    """Enlarge object 2, erase object 3 and draw a new one."""
    rows, columns = np.nonzero(layer.data == 2)
    layer.data[rows[0] : rows[0] + 2, columns[0] : columns[0] + 9] = 2
    layer.data[layer.data == 3] = 0
    layer.data[:2, :2] = 900
    layer.refresh()


def touched_numbers(layer: Labels) -> tuple[bool, list[int], list[int]]:
    found = touched_objects(layer)
    return 2 in found.edited, list(found.added), list(found.erased)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"], ids=["ours", "napari's"])
def test_what_was_touched_is_known_after_reopening(
    name: str, labels: Labels, tmp_path: Path
) -> None:
    """Saved by either writer and opened as a plain TIFF, edits are still told."""
    edit(labels)
    path = saved(labels, tmp_path / name)[0]
    again = opened(path)
    assert isinstance(again, Labels) and METADATA_KEY not in again.metadata
    assert touched_numbers(again) == (True, [900], [3])
    assert is_touched(again)
    assert settings_of(again)[1].sensitivity == 0.6
    # It is in the layer from then on.
    assert METADATA_KEY in again.metadata


def test_saved_by_us_and_then_by_napari(labels: Labels, tmp_path: Path) -> None:
    """The JSON is found again when napari has written over the TIFF beside it."""
    saved(labels, tmp_path / "a.ome.tif")
    forget()
    edit(labels)
    saved(labels, tmp_path / "a.tif")
    (tmp_path / "a.ome.tif").unlink()
    assert touched_numbers(opened(tmp_path / "a.tif")) == (True, [900], [3])


def test_our_tiff_alone(labels: Labels, tmp_path: Path) -> None:
    """A TIFF of ours that was moved without its JSON has its record inside."""
    edit(labels)
    path, beside = saved(labels, tmp_path / "a.ome.tif")
    beside.unlink()
    forget()
    moved = path.rename(tmp_path / "other.ome.tif")
    assert touched_numbers(opened(moved)) == (True, [900], [3])
    layer = open_labels(moved)
    assert layer.metadata[METADATA_KEY] == labels.metadata[METADATA_KEY]
    assert list(layer.scale) == [0.5, 0.25] and layer.units == labels.units


@pytest.fixture
def segmented(image: NDArray[np.uint16], tmp_path: Path) -> Path:
    """The file that ``unetic segment`` writes of an image."""
    source = tmp_path / "cells.tif"
    tifffile.imwrite(source, image, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    assert main(["segment", str(source), "--sensitivity", "0.7"]) == 0
    return tmp_path / "cells_labels.tif"


def test_labels_of_the_command_line(segmented: Path) -> None:
    """What ``unetic segment`` wrote says how it was made, and what was predicted."""
    layer = open_labels(segmented)
    assert settings_of(layer)[0] == "nuclei"
    assert settings_of(layer)[1].sensitivity == 0.7
    assert layer.scale == pytest.approx([0.5, 0.5])
    assert len(touched_objects(layer).untouched) == layer.data.max() > 3
    edit(layer)
    assert touched_numbers(layer) == (True, [900], [3])


def test_corrected_beside_the_labels_of_the_command_line(segmented: Path) -> None:
    """Corrected in napari and saved beside under a like name, the record is found."""
    layer = Labels(read_labels(segmented))
    edit(layer)
    path = saved(layer, segmented.with_name("cells_corrected.tif"))[0]
    forget()
    again = opened(path)
    assert touched_numbers(again) == (True, [900], [3])
    assert settings_of(again)[1].sensitivity == 0.7


def test_a_record_of_other_objects_is_not_believed(
    labels: Labels, tmp_path: Path
) -> None:
    """Labels of the same size that share no objects have no record."""
    saved(labels, tmp_path / "a.ome.tif")
    other = np.zeros(labels.data.shape, np.int32)
    other[::3, ::3] = np.arange(other[::3, ::3].size).reshape(other[::3, ::3].shape)
    for path in (tmp_path / "ab.tif", tmp_path / "b" / "z.tif"):
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, other)
        layer = opened(path)
        assert record_of(layer) is None
        assert is_touched(layer)
    # In memory only, and of no file.
    assert record_of(Labels(other)) is None
    with pytest.raises(UneticError, match="of which no record is found"):
        settings_of(Labels(other))


def test_the_most_alike_of_the_last_results(
    image: NDArray[np.uint16], tmp_path: Path
) -> None:
    """Of several results of one image, that is found which was saved."""
    for sensitivity in (0.1, 0.5, 0.9):
        layer = segment_layer(ImageLayer(image), sensitivity=sensitivity)
        if sensitivity == 0.5:
            path = saved(layer, tmp_path / "a.tif")[0]
    assert settings_of(opened(path))[1].sensitivity == 0.5


def test_only_the_last_results_are_kept(
    image: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more results are kept than are allowed, the oldest go; no image is kept."""
    monkeypatch.setattr(records, "N_KEPT", 2)
    for sensitivity in (0.1, 0.5, 0.9):
        segment_layer(ImageLayer(image), sensitivity=sensitivity)
    kept = [json.loads(p.read_text()) for p in user_folder("records").iterdir()]
    assert sorted(k["settings"].get("sensitivity", 0.5) for k in kept) == [0.5, 0.9]
    assert max(len(json.dumps(record)) for record in kept) < 20_000
    monkeypatch.setattr(records, "KEPT_BYTES", 10)
    segment_layer(ImageLayer(image), sensitivity=0.3)
    assert len(list(user_folder("records").iterdir())) == 2


def test_a_home_that_cannot_be_written(
    image: NDArray[np.uint16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be kept, the result comes all the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "file"))
    assert segment_layer(ImageLayer(image)).data.max() > 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param('{"format": "other"}', id="another format"),
        pytest.param(
            '{"format": "napari-unetic labels", "format_version": 99}', id="too new"
        ),
        pytest.param(
            '{"format": "napari-unetic labels", "format_version": 1, "labels": "../x"}',
            id="a path",
        ),
        pytest.param(
            '{"format": "napari-unetic labels", "format_version": 1, '
            '"labels": "a.ome.tif", "shape": [7], "layer": 3}',
            id="not of these labels",
        ),
    ],
)
def test_a_damaged_json(text: str, labels: Labels, tmp_path: Path) -> None:
    """A JSON that is none of ours is refused with a sentence, and harms no TIFF."""
    path, beside = saved(labels, tmp_path / "a.ome.tif")
    beside.write_text(text)
    with pytest.raises(UneticError, match="Expected the record of"):
        open_labels(beside)
    assert record_of(opened(path)) == labels.metadata[METADATA_KEY]


def test_a_missing_tiff(labels: Labels, tmp_path: Path) -> None:
    """A JSON whose labels are gone says so."""
    path, beside = saved(labels, tmp_path / "a.ome.tif")
    path.unlink()
    with pytest.raises(UneticError, match=r"Expected the labels a\.ome\.tif beside"):
        open_labels(beside)


def test_damaged_neighbours(labels: Labels, tmp_path: Path) -> None:
    """Files of any kind in the folder do no harm while a record is looked for."""
    path = saved(labels, tmp_path / "a.tif")[0]
    forget()
    (tmp_path / "a.unetic.json").write_text("{")
    (tmp_path / "ab.tif").write_bytes(b"II*\0nonsense")
    (tmp_path / "abc.tif").mkdir()
    tifffile.imwrite(tmp_path / "abcd.tif", np.zeros((4, 4)), description="{}")
    tifffile.imwrite(
        tmp_path / "abcde.ome.tif",
        np.zeros((4, 4), np.uint8),
        metadata={"axes": "YX", "Description": '{"model": 1, "weights_sha256": 2}'},
    )
    assert record_of(opened(path)) is None


def test_names_of_the_json() -> None:
    """The JSON has the name of the labels, without .ome and .tif."""
    names = [
        "a.ome.tif",
        "a.OME.TIFF",
        "a.tif",
        "a b.c.tif",
        "a.unetic.json",
        ".ome.tif",
    ]
    assert [sidecar(Path("x", name)).name for name in names] == [
        "a.unetic.json",
        "a.unetic.json",
        "a.unetic.json",
        "a b.c.unetic.json",
        "a.unetic.json",
        ".ome.unetic.json",
    ]
