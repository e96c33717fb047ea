"""Models of classes: probabilities and class maps, tiled as whole."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.normalise import DivisionSpec
from napari_unetic.image.resample import resample
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.build import build_network
from napari_unetic.networks.presets import preset
from napari_unetic.predict import (
    Segmentation,
    decode_again_steps,
    decode_window,
    segment,
    segment_steps,
)
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import semantic_target
from napari_unetic.settings import segment_settings, settings_from
from napari_unetic.steps import drain

NAMES = (("cell",), ("cell", "edge"))


@cache
def _model(names: tuple[str, ...] = NAMES[1], name: str = "unetic-16") -> Model:
    target = semantic_target(names)
    spec = preset(name).spec
    update = {
        "out_channels": target.n_maps,
        "widths": tuple(4 * 2**k for k in range(len(spec.widths))),
        "dropout": (),
    }
    spec = spec.model_copy(update=update)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = build_network(spec).eval()
    description = ModelDescription(
        name="classes",
        network=spec,
        channels=("grey",) * spec.in_channels,
        target=target,
        decoding=ClassDecodeSpec(),
        working_diameter_px=20,
    )
    return Model(description, network)


def _changed(model: Model, **changes: object) -> Model:
    return Model(model.description.model_copy(update=changes), model.network)


def _image(shape: tuple[int, ...] = (150, 130), seed: int = 0) -> NDArray[np.uint16]:
    noise = np.random.default_rng(seed).normal(0, 1, shape).cumsum(-1).cumsum(-2)
    scaled = (noise - noise.min()) / max(float(np.ptp(noise)), 1e-9)
    return (60_000 * scaled).astype(np.uint16)


def _run(image: NDArray[np.uint16], model: Model, **settings: object) -> Segmentation:
    steps = segment_steps(image, model, keep_maps_bytes=10**9, device="cpu", **settings)
    return drain(steps)


@pytest.mark.parametrize("names", NAMES)
def test_probabilities_become_classes(names: tuple[str, ...]) -> None:
    """One map for one class; several sum to 1, and the highest is the class."""
    labels, maps = segment(_image(), _model(names), keep_maps=True, device="cpu")
    assert labels.shape == (150, 130) and labels.dtype == np.uint16
    if len(names) == 1:
        assert maps.shape == (1, 150, 130)
        np.testing.assert_array_equal(labels, maps[0] > 0.5)
    else:
        np.testing.assert_allclose(maps.sum(axis=0), 1, atol=1e-5)
        np.testing.assert_array_equal(labels, maps.argmax(axis=0))
    assert set(np.unique(labels)) == set(range(len(names) + 1))


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("preset_name", ["unetic-16", "ronneberger2015"])
def test_tiled_equals_whole(names: tuple[str, ...], preset_name: str) -> None:
    """Maps to 1e-5; classes but for pixels that near to a threshold."""
    model, image = _model(names, preset_name), _image((180, 150))
    whole = _run(image, model, tile=512, precision="float32")
    tiled = _run(image, model, tile=64, precision="float32")
    assert whole.maps is not None and tiled.maps is not None
    np.testing.assert_allclose(tiled.maps.full(), whole.maps.full(), atol=1e-5)
    assert (tiled.labels != whole.labels).mean() < 1e-3


@pytest.mark.parametrize("diameter", [None, 12.0, 31.0])
def test_bands_give_the_same_classes(
    diameter: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every zoom, bit for bit."""
    whole = _run(_image(), _model(), diameter=diameter, tile=64)
    monkeypatch.setattr("napari_unetic.maps.memory.LARGEST_WHOLE_PX", 1)
    monkeypatch.setattr("napari_unetic.predict.bands.BAND_PX", 130 * 17)
    found = _run(_image(), _model(), diameter=diameter, tile=64)
    np.testing.assert_array_equal(found.labels, whole.labels)


def test_the_threshold_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept maps give what the network would with another sensitivity."""
    kept = _run(_image(), _model(), diameter=15).maps
    assert kept is not None
    wanted = _run(_image(), _model(), diameter=15, sensitivity=0.8)

    def never(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr("napari_unetic.maps.preparation.run_network", never)
    settings = segment_settings(diameter=15, sensitivity=0.8, device="cpu")
    again = drain(decode_again_steps(kept, settings))
    window = decode_window(kept, settings, (), slice(20, 90), slice(100, 140))
    np.testing.assert_array_equal(again.labels, wanted.labels)
    np.testing.assert_array_equal(window[:, :30], wanted.labels[20:90, 100:])
    assert not window[:, 30:].any()
    before = drain(decode_again_steps(kept, kept.plan.settings))
    assert (again.labels > 0).sum() > (before.labels > 0).sum()


def test_planes_and_regions() -> None:
    """Each plane by itself, background outside of the region; shares say how much."""
    image = np.stack([_image((60, 50), seed) for seed in range(3)])
    every = _run(image, _model(), axes="ZYX")
    one = _run(image, _model(), axes="ZYX", plane=1, region=(10, 5, 40, 45))
    single = segment(image[1], _model(), device="cpu")
    assert every.labels.shape == image.shape and every.axes == "ZYX"
    found = one.full()
    inside = np.zeros(image.shape, bool)
    inside[1, 10:40, 5:45] = True
    assert not found[~inside].any()
    # Normalisation is that of the whole stack, so only that is compared.
    np.testing.assert_array_equal(found[inside], every.labels[inside])
    assert single.shape == (60, 50)
    shares = every.class_shares()
    assert list(shares) == ["background", "cell", "edge"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["edge"] == pytest.approx((every.labels == 2).mean())


def test_the_result_has_a_legend() -> None:
    """Names and colours, on the result and in its provenance, with the threshold."""
    found = _run(_image(), _model(), sensitivity=0.6)
    assert [one.name for one in found.classes] == ["background", "cell", "edge"]
    said = found.provenance
    assert said["classes"][1] == {"name": "cell", "colour": "#e69f00"}
    assert said["settings"]["decoding"]["threshold"] < 0.5
    assert settings_from(said).sensitivity == 0.6
    assert found.n_objects == found.scores.size == 0


@pytest.mark.parametrize(
    "setting",
    [
        {"splitting": 0.7},
        {"smallest": 10},
        {"fill_holes": False},
        {"drop_border": True},
        {"link": True},
    ],
)
def test_settings_of_objects_are_refused(setting: dict[str, object]) -> None:
    """Before anything is computed; the sentence names the setting."""
    with pytest.raises(UneticError, match=f"got {next(iter(setting))}"):
        segment(_image((20, 20)), _model(), **setting)


def test_images_can_be_resized_to_one_size() -> None:
    """The network sees a square; the classes are those of the maps brought back."""
    model = _changed(_model(), resize_px=64)
    found = _run(_image(), model, precision="float32")
    assert found.maps is not None
    assert found.maps.maps[()].shape == (3, 64, 64)
    back = resample(found.maps.maps[()], (64, 64), (150, 130))
    np.testing.assert_array_equal(found.labels, back.argmax(axis=0))
    tiled = _run(_image(), model, tile=64, precision="float32")
    np.testing.assert_array_equal(tiled.labels, found.labels)
    with pytest.raises(UneticError, match="as 64 × 64 pixels, got a diameter"):
        _run(_image(), model, diameter=12)


def test_a_division_is_told() -> None:
    """Its divisor is in the provenance, and one image's range is not another's."""
    model = _changed(_model(), normalisation=DivisionSpec())
    image = (_image() // 256).astype(np.uint8)
    found = _run(image, model)
    assert found.provenance["normalisation"] == {
        "kind": "division",
        "divisor": 255.0,
        "offset": [0.0],
        "scale": [255.0],
    }
    darker = _run(image // 4, model)
    assert found.maps is not None and darker.maps is not None
    assert not np.allclose(found.maps.full(), darker.maps.full(), atol=1e-3)
