"""Snippets and commands make the same labels again, to the pixel."""

from __future__ import annotations

import shlex
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from napari.layers._source import layer_source
from numpy.typing import NDArray

from napari_unetic.cli import main
from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.image.region import Region
from napari_unetic.model.registry import BUNDLED
from napari_unetic.predict import segment
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.recipes import (
    as_command,
    as_python,
    settings_of,
    weights_changed,
)
from napari_unetic.widgets.results import segment_layer

pytestmark = pytest.mark.usefixtures("plugins")

CHANGED = [
    pytest.param({}, id="defaults"),
    pytest.param({"sensitivity": 0.7, "splitting": 0.25, "smallest": 40}, id="sliders"),
    pytest.param(
        {"fill_holes": False, "drop_border": True, "device": "cpu", "tile": 128},
        id="switches",
    ),
    pytest.param({"region": (10, 12, 110, 100), "diameter": 22.5}, id="box"),
    pytest.param(
        {
            "region": [
                [(-5.5, 3), (0, 150), (120.25, 90)],
                [(100, 0), (128, 0), (99, 30)],
            ]
        },
        id="polygons",
    ),
]


def grey(seed: int = 0) -> NDArray[np.uint16]:
    """Return a small image of nuclei."""
    return nuclei_sample((128, 160), seed)[0]


def run_python(viewer: ViewerModel, text: str) -> Labels:
    """Run a snippet as napari's console would; return the layer that it adds."""
    n_before = len(viewer.layers)
    exec(text, {"viewer": viewer})
    assert len(viewer.layers) == n_before + 1
    return viewer.layers[-1]


def run_command(text: str, folder: Path) -> NDArray[Any]:
    """Run a line as a shell would; return the labels that it writes."""
    words = shlex.split(text)
    assert words[0] == "unetic"
    out = folder / "out"
    assert main([*words[1:], "-o", str(out)]) == 0
    (path,) = out.glob("*_labels.tif")
    return read_labels(path)


@pytest.mark.parametrize("values", CHANGED)
def test_both_recipes(values: dict[str, Any], tmp_path: Path) -> None:
    """The snippet and the command give exactly the labels of the layer."""
    path = tmp_path / 'it\'s a "file".tif'
    tifffile.imwrite(path, grey())
    viewer = ViewerModel()
    (image,) = viewer.open(path)
    labels = segment_layer(image, **values)
    assert labels.data.max() > 0
    recipe = (image, *settings_of(labels))
    again = run_python(viewer, as_python(*recipe))
    np.testing.assert_array_equal(again.data, labels.data)
    assert again.features.equals(labels.features)
    assert again.metadata == labels.metadata
    written = run_command(as_command(*recipe), tmp_path)
    np.testing.assert_array_equal(written, labels.data)


FILES = [
    pytest.param((2, 128, 160), {"channel": 1}, "cyx", {}, id="channel"),
    pytest.param((3, 128, 160), {"plane": 2, "link": True}, "zyx", {}, id="plane"),
    pytest.param((2, 2, 96, 96), {"plane": (1, 0)}, "tzyx", {}, id="frame and plane"),
    pytest.param((3, 128, 160), {"axes": "tyx"}, "zyx", {}, id="axes by hand"),
    pytest.param((2, 128, 160), {}, "zyx", {"axes": "CYX"}, id="other than the file"),
    pytest.param((128, 160, 3), {}, "", {"photometric": "rgb"}, id="colour"),
    pytest.param((128, 160), {}, "xy", {}, id="transposed"),
]


@pytest.mark.parametrize(("shape", "values", "axes", "keywords"), FILES)
def test_recipes_of_many_kinds_of_images(
    shape: tuple[int, ...],
    values: dict[str, Any],
    axes: str,
    keywords: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Whatever the axes, snippet and command read them as the layer does."""
    colour = "photometric" in keywords
    n_planes = 3 if colour else int(np.prod(shape[:-2]))
    size = shape[:2] if colour else shape[-2:]
    planes = np.stack([nuclei_sample(size, seed)[0] for seed in range(n_planes)])
    pixels = np.moveaxis(planes, 0, -1) if colour else planes.reshape(shape)
    path = tmp_path / "image.tif"
    if "axes" in keywords:
        tifffile.imwrite(path, pixels, ome=True, metadata=keywords)
    else:
        grey8 = (pixels // 16).astype(np.uint8)
        tifffile.imwrite(path, grey8, **{"photometric": "minisblack", **keywords})
    viewer = ViewerModel()
    options = {"rgb": True} if colour else {"axis_labels": tuple(axes)}
    (image,) = viewer.open(path, **options)
    labels = segment_layer(image, **values)
    assert labels.data.max() > 0
    recipe = (image, *settings_of(labels))
    again = run_python(viewer, as_python(*recipe))
    np.testing.assert_array_equal(again.data, labels.data)
    written = run_command(as_command(*recipe), tmp_path)
    expected = labels.data.T if axes == "xy" else labels.data
    np.testing.assert_array_equal(written, expected)


def test_recipes_of_a_picture(tmp_path: Path) -> None:
    """A PNG with transparency is read alike."""
    colours = np.stack([grey(), grey(1), grey(2)], -1) // 12
    alpha = np.full((128, 160, 1), 255)
    PIL.Image.fromarray(np.append(colours, alpha, -1).astype(np.uint8)).save(
        tmp_path / "image.png"
    )
    viewer = ViewerModel()
    (image,) = viewer.open(tmp_path / "image.png")
    labels = segment_layer(image)
    written = run_command(as_command(image, *settings_of(labels)), tmp_path)
    np.testing.assert_array_equal(written, labels.data)
    again = run_python(viewer, as_python(image, *settings_of(labels)))
    np.testing.assert_array_equal(again.data, labels.data)


def test_text_of_the_snippet() -> None:
    """The snippet names what differs from the defaults, and quotes any name."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 40, 40)), name="a \"b\" 'c'\\")
    settings = SegmentSettings(
        plane=(2,), region=Region.box(1, 2, 3.5, 4), fill_holes=False
    )
    assert as_python(image, "my model", settings) == (
        "from napari_unetic import segment_layer\n"
        "\n"
        "labels = segment_layer(\n"
        "    viewer.layers[" + repr("a \"b\" 'c'\\") + "],\n"
        '    "my model",\n'
        "    plane=2,\n"
        "    region=[1, 2, 3.5, 4],\n"
        "    fill_holes=False,\n"
        ")\n"
        "viewer.add_layer(labels)\n"
    )
    assert as_python(
        viewer.add_image(np.zeros((4, 4))), "nuclei", SegmentSettings()
    ) == (
        "from napari_unetic import segment_layer\n"
        "\n"
        'labels = segment_layer(viewer.layers["Image"], "nuclei")\n'
        "viewer.add_layer(labels)\n"
    )


def test_text_of_the_command(tmp_path: Path) -> None:
    """The command has an option for what differs, and no word that needs guessing."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 40, 40), np.uint8), photometric="minisblack")
    (image,) = ViewerModel().open(path)
    settings = SegmentSettings(
        plane=(2,), region=Region.box(-1, 2, 3.5, 4), fill_holes=False, drop_border=True
    )
    assert as_command(image, "nuclei", settings) == (
        f"unetic segment {path} --model nuclei --axes ZYX --plane 2 "
        "--region=-1,2,3.5,4 --no-fill-holes --drop-border"
    )


def test_a_model_in_a_folder(tmp_path: Path) -> None:
    """A model that was asked for by its folder is named by it."""
    folder = tmp_path / "my models" / "one"
    shutil.copytree(BUNDLED / "nuclei", folder)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, grey())
    viewer = ViewerModel()
    (image,) = viewer.open(path)
    labels = segment_layer(image, folder)
    assert settings_of(labels)[0] == str(folder)
    again = run_python(viewer, as_python(image, *settings_of(labels)))
    assert again.metadata == labels.metadata
    written = run_command(as_command(image, *settings_of(labels)), tmp_path)
    np.testing.assert_array_equal(written, labels.data)


def test_layers_without_a_command(tmp_path: Path) -> None:
    """Where no command gives the same labels, it is said why, and what to do."""
    viewer, settings = ViewerModel(), SegmentSettings()
    image = viewer.add_image(grey(), name="made")
    with pytest.raises(UneticError, match="opened from a file, got made"):
        as_command(image, "nuclei", settings)
    np.save(tmp_path / "a.npy", grey())
    (image,) = viewer.open(tmp_path / "a.npy")
    with pytest.raises(UneticError, match=r"Expected an image file ending in one of"):
        as_command(image, "nuclei", settings)
    tifffile.imwrite(tmp_path / "a.tif", grey())
    (image,) = viewer.open(tmp_path / "a.tif")
    image.data = image.data[:100]
    with pytest.raises(
        UneticError, match=r"shows all of a.tif, got a .*Python instead"
    ):
        as_command(image, "nuclei", settings)
    with layer_source(path=str(tmp_path / "a.tif")):
        image = ImageLayer([grey(), grey()[::2, ::2]], multiscale=True)
    as_command(image, "nuclei", settings)
    with pytest.raises(UneticError, match="segmented on a coarser one"):
        as_command(image, "nuclei", SegmentSettings(diameter=200))
    (tmp_path / "a.tif").unlink()
    with pytest.raises(UneticError, match="opened from a file"):
        as_command(image, "nuclei", settings)


def test_settings_of_a_result() -> None:
    """A result says what it was made with; labels drawn by hand do not."""
    values: dict[str, Any] = {"sensitivity": 0.75, "region": (0, 0, 100, 90)}
    labels = segment_layer(ImageLayer(grey()), **values)
    model, settings = settings_of(labels)
    assert (model, settings) == ("nuclei", SegmentSettings(**values))
    with pytest.raises(UneticError, match="of which no record is found"):
        settings_of(Labels(np.zeros((4, 4), int)))


def test_weights_that_changed(tmp_path: Path) -> None:
    """It is said if the model is another now, or gone."""
    folder = tmp_path / "mine"
    shutil.copytree(BUNDLED / "nuclei", folder)
    labels = segment_layer(ImageLayer(grey()), folder)
    assert weights_changed(labels) == ""
    record = labels.metadata[METADATA_KEY]
    labels.metadata = {METADATA_KEY: {**record, "weights_sha256": "0" * 64}}
    assert "has other weights now" in weights_changed(labels)
    shutil.rmtree(folder)
    assert "is not here any more" in weights_changed(labels)


def test_the_three_faces_agree_on_real_images(
    data_folder: Path, tmp_path: Path
) -> None:
    """Array, layer, snippet and command give the same labels of three real images."""
    with zipfile.ZipFile(data_folder / "dsb2018" / "stage1_train.zip") as archive:
        names = sorted(
            n for n in archive.namelist() if "/images/" in n and n[-1] != "/"
        )
        for k in (0, 3, 17):
            with archive.open(names[k]) as file, PIL.Image.open(file) as picture:
                picture.crop((0, 0, 200, 180)).save(tmp_path / f"{k}.png")
    for path in sorted(tmp_path.glob("*.png")):
        viewer = ViewerModel()
        (image,) = viewer.open(path)
        labels = segment_layer(image, sensitivity=0.6)
        assert labels.data.max() > 0
        recipe = (image, *settings_of(labels))
        array = segment(read_image(path), sensitivity=0.6)
        np.testing.assert_array_equal(array, labels.data)
        again = run_python(viewer, as_python(*recipe))
        np.testing.assert_array_equal(again.data, labels.data)
        written = run_command(as_command(*recipe), tmp_path / path.stem)
        np.testing.assert_array_equal(written, labels.data)
