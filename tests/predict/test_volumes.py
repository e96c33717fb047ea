"""Volumes: maps and objects through the planes of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.axes import PixelSize
from napari_unetic.errors import UneticError
from napari_unetic.image.source import as_image
from napari_unetic.instances.decode import DecodeSpec, decode
from napari_unetic.maps import plan_work
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.networks.spec import NetworkSpec
from napari_unetic.predict import (
    Segmentation,
    decode_again_steps,
    decode_window,
    segment_steps,
)
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import semantic_target
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain


def _model(network: torch.nn.Module, spec: NetworkSpec, **more: Any) -> Model:
    fields: dict[str, Any] = {"working_diameter_px": 8, **more}
    description = ModelDescription(
        name="deep", network=spec, axes="ZYX", channels=("grey",), **fields
    )
    return Model(description, network.eval())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def random_model() -> Model:
    """Our preset made narrow, its maps neither flat nor saturated."""
    spec = preset("unetic-3d", dimensions=3).spec
    spec = spec.model_copy(update={"widths": (4, 8, 8)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _model(build_network(spec), spec)


def _threshold(n_maps: int, **more: Any) -> Model:
    """A network that is a threshold: bright voxels are foreground."""
    spec = NetworkSpec(
        dimensions=3,
        in_channels=1,
        out_channels=n_maps,
        widths=(1,),
        convolutions=1,
        norm="none",
    )
    network = build_network(spec)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.bottom[0].weight[0, 0, 1, 1, 1] = 1  # type: ignore[index, union-attr]
        network.head.weight[::2, 0] = 20  # type: ignore[index]
        network.head.bias[:] = -10  # type: ignore[index]
    return _model(network, spec, **more)


@pytest.fixture(scope="module")
def threshold() -> Model:
    """For objects."""
    return _threshold(3)


def _noise(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    smooth = np.random.default_rng(0).normal(0, 1, shape).cumsum(-1).cumsum(-2)
    scaled = (smooth - smooth.min()) / np.ptp(smooth)
    return (60_000 * scaled).astype(np.uint16)


def _boxes() -> NDArray[np.uint16]:
    """Three bright boxes in 12 × 40 × 50 voxels, two of them above each other."""
    image = np.zeros((12, 40, 50), np.uint16)
    for z, y, x in ((1, 4, 4), (7, 6, 5), (4, 20, 30)):
        image[z : z + 4, y : y + 8, x : x + 9] = 1000
    return image


def _run(image: Any, model: Model, axes: str = "ZYX", **settings: Any) -> Segmentation:
    return drain(
        segment_steps(
            image, model, axes=axes, device="cpu", keep_maps_bytes=2**30, **settings
        )
    )


def test_tiled_equals_whole(random_model: Model) -> None:
    """Maps of tiles that end inside the stack are those of one tile, to 1e-5."""
    image = _noise((12, 72, 150))
    whole = _run(image, random_model, tile=256)
    tiled = _run(image, random_model, tile=64)
    assert whole.maps is not None and tiled.maps is not None
    assert whole.maps.plan.n_tiles == 1 and tiled.maps.plan.n_tiles == 6
    assert whole.maps.maps[()].std() > 1e-3
    np.testing.assert_allclose(
        tiled.maps.maps[()], whole.maps.maps[()], rtol=0, atol=1e-5
    )
    assert (tiled.labels != whole.labels).mean() < 1e-3


def test_objects_go_through_the_planes(threshold: Model) -> None:
    """Each box is one object, and the two above each other are two."""
    image = _boxes()
    found = _run(image, threshold)
    assert found.axes == "ZYX" and found.n_objects == 3
    np.testing.assert_array_equal(found.labels > 0, image > 0)
    assert [len(np.unique(found.labels[z])) - 1 for z in (0, 2, 4, 6, 8)] == [
        0,
        1,
        2,
        1,
        1,
    ]
    assert found.provenance["network_axes"] == "ZYX"
    assert found.maps is not None and found.maps.axes == "ZCYX"
    maps = found.maps.full()
    assert maps.shape == (12, 3, 40, 50)
    np.testing.assert_array_equal(decode(np.moveaxis(maps, 1, 0)), found.labels)


def test_a_stack_with_channels(threshold: Model) -> None:
    """The channel that is asked for is segmented as a volume."""
    image = np.stack([np.zeros_like(_boxes()), _boxes()], axis=1)
    found = _run(image, threshold, "ZCYX", channel=1)
    np.testing.assert_array_equal(found.labels > 0, _boxes() > 0)


def test_the_plan_says_volumes(threshold: Model) -> None:
    """One line: as one volume, with the memory that all of it takes."""
    settings = segment_settings(axes="ZYX", device="cpu")
    plan = plan_work(np.zeros((40, 300, 300)), threshold.description, settings)
    assert "as one volume" in plan.text()
    # Decoding takes 30 bytes a voxel, maps 12 and labels 4, beside the network.
    assert plan.bytes > 46 * 40 * 300 * 300
    settings = segment_settings(axes="TZYX", device="cpu", plane=1)
    plan = plan_work(np.zeros((3, 4, 30, 30)), threshold.description, settings)
    assert "1 of 3 volumes" in plan.text() and plan.planes == ((1,),)


def test_a_time_series_frame_by_frame(threshold: Model) -> None:
    """Frames are volumes of their own; linked, what stays keeps its number."""
    movie = np.stack([_boxes(), _boxes()])
    alone = _run(movie, threshold, "TZYX")
    assert alone.axes == "TZYX" and alone.n_objects == 6
    single = _run(_boxes(), threshold).labels
    np.testing.assert_array_equal(alone.labels[0], single)
    np.testing.assert_array_equal(alone.labels[1], np.where(single, single + 3, 0))
    linked = _run(movie, threshold, "TZYX", link=True)
    assert linked.n_objects == 3
    np.testing.assert_array_equal(linked.labels[0], linked.labels[1])
    one = _run(movie, threshold, "TZYX", plane=1)
    assert one.labels.shape == (1, 12, 40, 50) and one.n_objects == 3


@pytest.mark.parametrize(
    ("axes", "shape", "plane", "said"),
    [
        ("ZYX", (4, 8, 8), 2, "no plane of image, which is segmented in volumes"),
        ("TZYX", (3, 4, 8, 8), (1, 2), "a frame along T of image"),
        ("TZYX", (3, 4, 8, 8), 3, "from 0 to 2 along T"),
    ],
)
def test_planes_of_volumes_are_refused(
    threshold: Model, axes: str, shape: tuple[int, ...], plane: Any, said: str
) -> None:
    """Only a frame can be asked for."""
    with pytest.raises(UneticError, match=said):
        _run(np.zeros(shape, np.uint8), threshold, axes, plane=plane)


def test_a_region_through_all_planes(threshold: Model) -> None:
    """Objects with half their volume in it are kept, whole."""
    found = _run(_boxes(), threshold, region="0,0,40,9")
    assert found.n_objects == 1
    rows, columns = np.nonzero(found.full().any(axis=0))
    assert (rows.min(), columns.min(), columns.max()) == (4, 4, 12)


def test_border_and_smallest_count_in_three_dimensions(threshold: Model) -> None:
    """First and last planes are edges, and sizes are voxels."""
    image = _boxes()
    image[0, 4, 4] = 1000
    image[0:2, 4:6, 4:6] = 1000
    assert _run(image, threshold, drop_border=True).n_objects == 2
    image[10, 34:36, 40:42] = 1000
    assert _run(image, threshold).n_objects == 4
    assert _run(image, threshold, smallest=5).n_objects == 3


def test_thresholds_decode_kept_maps_again(random_model: Model) -> None:
    """The same labels as from the start; in view a plane looks as in the whole."""
    image = _noise((20, 60, 70))
    first = _run(image, random_model)
    assert first.maps is not None
    # Between the two halves of the voxels, so that there are objects to find.
    middle = float(np.median(first.maps.maps[()][0]))
    description = random_model.description.model_copy(
        update={"decoding": DecodeSpec(foreground=middle)}
    )
    model = Model(description, random_model.network)
    changed = {"sensitivity": 0.51, "fill_holes": False}
    settings = segment_settings(axes="ZYX", device="cpu", **changed)
    found = _run(image, model)
    assert found.maps is not None
    again = drain(decode_again_steps(found.maps, settings))
    np.testing.assert_array_equal(again.labels, _run(image, model, **changed).labels)
    assert found.maps.has((7,)) and 0 < (again.labels[7] > 0).mean() < 1
    seen = decode_window(found.maps, settings, (7,), slice(5, 50), slice(10, 60))
    np.testing.assert_array_equal(seen > 0, again.labels[7, 5:50, 10:60] > 0)


def test_planes_farther_apart_are_brought_nearer(random_model: Model) -> None:
    """Pixels of the same size and planes twice as far apart: Z is doubled."""
    description = random_model.description.model_copy(update={"anisotropy": 2.0})
    model = Model(description, random_model.network)
    sizes = {"Z": 2.0, "Y": 0.5, "X": 0.5}
    image = as_image(_noise((9, 40, 30)), "ZYX", pixel_size=PixelSize(sizes, "µm"))
    settings = segment_settings(device="cpu", diameter=16)
    plan = plan_work(image, description, settings)
    assert (plan.zoom, plan.zoom_z, plan.grid) == (0.5, 1.0, (9, 20, 15))
    found = _run(image, model)
    assert found.maps is not None and found.maps.plan.grid == (18, 40, 30)
    assert found.labels.shape == (9, 40, 30)
    assert found.maps.full().shape == (9, 3, 40, 30)


def test_classes_of_voxels() -> None:
    """A model of classes tells them in volumes, too."""
    model = _threshold(
        1, target=semantic_target(["nucleus"]), decoding=ClassDecodeSpec()
    )
    found = _run(_boxes(), model)
    np.testing.assert_array_equal(found.labels, _boxes() > 0)
    assert found.classes[1].name == "nucleus"
    assert _run(_boxes(), model, region="0,0,40,8").labels[:, :, 8:].max() == 0
