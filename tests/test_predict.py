"""Segment: tiled equals whole, any size, any channels, labels at the image's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.source import Image, as_image
from napari_unetic.instances.targets import MAP_NAMES
from napari_unetic.maps import prepare
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.presets import PRESETS
from napari_unetic.networks.unet import UNet
from napari_unetic.predict import segment, segment_steps
from napari_unetic.steps import drain


def _model(name: str, *, is_narrow: bool = True, **changes: object) -> Model:
    """A preset with random weights whose maps are neither flat nor saturated."""
    torch.manual_seed(0)
    spec = PRESETS[name].spec
    update: dict[str, object] = {"out_channels": len(MAP_NAMES)}
    if is_narrow:
        update["widths"] = tuple(4 * 2**k for k in range(len(spec.widths)))
    spec = spec.model_copy(update=update)
    network = UNet(spec).eval()
    description = ModelDescription(
        name=name,
        network=spec,
        channels=("grey",) * spec.in_channels,
        working_diameter_px=20,
        weights_sha256=f"random {name} {is_narrow} {changes}",
    ).model_copy(update=changes)
    return Model(description, network)


def _image(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    smooth = rng.normal(0, 1, shape).cumsum(-1).cumsum(-2)
    scaled = (smooth - smooth.min()) / max(float(np.ptp(smooth)), 1e-9)
    return (60_000 * scaled).astype(np.uint16)


def _maps(image: NDArray[np.uint16], model: Model, tile: int) -> NDArray[np.float32]:
    return drain(prepare(image, model, device="cpu", tile=tile).maps_steps(()))


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("shape", [(301, 277), (64, 500), (130, 97)])
def test_tiled_equals_whole(name: str, shape: tuple[int, int]) -> None:
    """Maps of many tiles agree with those of one to 1e-5."""
    model = _model(name)
    image = _image(shape)
    whole = _maps(image, model, 4096)
    assert whole.std() > 1e-3
    tiled = _maps(image, model, 64)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 33)])
def test_any_size_works(name: str, shape: tuple[int, int]) -> None:
    """Labels have the size of the image, down to a single pixel."""
    labels = segment(_image(shape), _model(name), device="cpu")
    assert labels.shape == shape
    assert labels.dtype == np.uint16


def test_what_the_network_gets_does_not_grow_with_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No tile has more pixels than tile and halo, however large the image."""
    seen: list[tuple[int, ...]] = []
    forward = UNet.forward

    def watched(self: UNet, x: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(x.shape[-2:]))
        return forward(self, x)

    monkeypatch.setattr(UNet, "forward", watched)
    model = _model("unetic-24")
    for side in (400, 900):
        segment(_image((side, side)), model, device="cpu", tile=128)
    largest = 128 + 2 * model.description.network.tile_rule.halo
    assert max(max(shape) for shape in seen) == largest


def test_only_the_tiles_are_read() -> None:
    """A lazy image is never asked for the whole plane at full resolution."""

    class Lazy:
        def __init__(self, data: NDArray[np.uint16]):
            self.data, self.shape, self.ndim = data, data.shape, data.ndim
            self.dtype = data.dtype
            self.largest = 0

        def __getitem__(self, key: object) -> NDArray[np.uint16]:
            window = self.data[key]  # type: ignore[index]
            self.largest = max(self.largest, window.size)
            return window

    lazy = Lazy(_image((2000, 1500)))
    work = prepare(lazy, _model("unetic-24"), device="cpu", tile=256)
    # Fitting takes every second row and column; tiles take what they need.
    fitted, lazy.largest = lazy.largest, 0
    assert fitted < lazy.data.size
    steps = work.maps_steps(())
    for _ in range(3):
        next(steps)
    steps.close()
    assert lazy.largest <= (256 + 2 * 128) ** 2


def test_stacks_are_segmented_plane_by_plane() -> None:
    """Planes agree with the same planes alone, and numbers are used once."""
    model = _model("unetic-16")
    stack = np.stack([_image((60, 70), seed) for seed in range(3)])
    found = drain(segment_steps(stack, model, axes="ZYX", device="cpu"))
    assert found.labels.shape == stack.shape and found.axes == "ZYX"
    numbers = [set(np.unique(plane)) - {0} for plane in found.labels]
    assert sum(map(len, numbers)) == found.n_objects == found.labels.max()
    assert not numbers[0] & numbers[1]


def test_channels_and_axes_are_taken_as_told() -> None:
    """One channel of several gives what the channel alone gives, in any order."""
    model = _model("unetic-16")
    image = np.stack([_image((50, 40), seed) for seed in range(5)])
    alone = segment(image[3], model, device="cpu")
    assert alone.any()
    for axes, array in (("CYX", image), ("YXC", np.moveaxis(image, 0, -1))):
        found = segment(array, model, axes=axes, channel=3, device="cpu")
        np.testing.assert_array_equal(found, alone)


def test_grey_as_colour_is_grey() -> None:
    """An RGB image of equal channels gives nearly the maps of the grey one."""
    model = _model("unetic-16")
    grey = _image((40, 50)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    colour = drain(prepare(rgb, model, device="cpu").maps_steps(()))
    np.testing.assert_allclose(colour, _maps(grey, model, 1024), atol=1e-4)


def test_several_stains_need_a_choice() -> None:
    """A model of one channel refuses five before any work."""
    with pytest.raises(UneticError, match="pick one with channel"):
        segment(_image((5, 40, 40)), _model("unetic-16"), axes="CYX", device="cpu")


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0, 3.3])
def test_diameter_rescales_in_and_out(zoom: float) -> None:
    """The network sees the working diameter; labels have the image's size."""
    model = _model("unetic-16")
    image = as_image(_image((90, 120)))
    work = prepare(image, model, diameter=20 / zoom, device="cpu")
    assert work.zoom == pytest.approx(zoom)
    maps = drain(work.maps_steps(()))
    assert maps.shape[1:] == (round(90 * zoom), round(120 * zoom))
    assert segment(image, model, diameter=20 / zoom, device="cpu").shape == (90, 120)


def test_a_pixel_size_rescales_like_a_diameter() -> None:
    """Half the model's pixel size makes the image half as large."""
    model = _model("unetic-16", pixel_size_um=0.5)
    assert prepare(_image((60, 60)), model, pixel_size=0.25).zoom == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"diameter": 0}, "diameter above 0, got 0"),
        ({"diameter": float("nan")}, "diameter above 0, got nan"),
        ({"pixel_size": 0.3}, "model with a known pixel size"),
        ({"diameter": 9, "pixel_size": 0.3}, "got both"),
        ({"diameter": 1e-9}, "within a factor of 50"),
        ({"tile": 8}, "tile of at least 64 pixels, got 8"),
        ({"device": "abacus"}, "got 'abacus'"),
        ({"axes": "XZ"}, "got 'XZ'"),
        ({"axes": "ZYX"}, "Expected 2 axes"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    settings: dict[str, object], message: str
) -> None:
    """What was expected, what came, what to do."""
    with pytest.raises(UneticError, match=message):
        segment(_image((40, 40)), _model("unetic-16"), **settings)  # type: ignore[arg-type]


def test_closing_the_generator_stops_the_work() -> None:
    """After the first tile nothing more is computed."""
    steps = segment_steps(_image((300, 300)), _model("unetic-16"), tile=64)
    first = next(steps)
    assert (first.done, first.total, first.what) == (1, 25, "tile")
    steps.close()
    assert next(steps, None) is None


def test_beyond_65535_objects_labels_are_uint32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers never wrap around."""
    many = np.arange(1, 80_001, dtype=np.int32).reshape(200, 400)
    monkeypatch.setattr("napari_unetic.predict.decode", lambda maps, spec: many)
    labels = segment(_image((200, 400)), _model("unetic-16"), device="cpu")
    assert labels.dtype == np.uint32 and labels.max() == 80_000


def test_provenance_says_what_was_done() -> None:
    """Model, weights, settings, device, versions and normalisation are there."""
    image = Image(_image((40, 40)), "YX", name="mine.tif")
    found = drain(segment_steps(image, _model("unetic-16"), device="cpu"))
    record = found.provenance
    assert record["source"] == "mine.tif"
    assert record["model"] == "unetic-16"
    assert record["weights_sha256"] and record["device"] == "cpu"
    assert set(record["software"]) >= {"python", "torch", "napari-unetic"}
    assert len(record["normalisation"]["offset"]) == 1


def test_the_users_torch_settings_stay() -> None:
    """Threads, random state and gradients are as before."""
    before = torch.get_num_threads(), torch.random.get_rng_state()
    segment(_image((64, 64)), _model("unetic-16"), device="cpu")
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    assert torch.is_grad_enabled()
