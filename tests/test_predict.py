"""Segment: any image, any part of it, any setting; kept maps are decoded again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.image.source import Image, as_image
from napari_unetic.instances.decode import renumber
from napari_unetic.instances.objects import score_objects
from napari_unetic.instances.targets import MAP_NAMES, make_targets
from napari_unetic.maps.network import run_network
from napari_unetic.model.description import ModelDescription
from napari_unetic.model.folder import Model
from napari_unetic.networks.presets import PRESETS
from napari_unetic.networks.unet import UNet
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.predict import (
    KeptMaps,
    Segmentation,
    decode_again_steps,
    decode_window,
    segment,
    segment_steps,
)
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import segment_settings, settings_from
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


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 33)])
def test_any_size_works(shape: tuple[int, int]) -> None:
    """Labels have the size of the image, down to a single pixel."""
    labels = segment(_image(shape), _model("unetic-16"), device="cpu")
    assert labels.shape == shape
    assert labels.dtype == np.uint16


def test_what_the_network_gets_does_not_grow_with_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No tile has more pixels than tile and halo, however large the image."""
    seen: list[tuple[int, ...]] = []

    def watched(
        network: Any, windows: NDArray[np.float32], *rest: Any
    ) -> NDArray[np.float32]:
        seen.append(windows.shape[-2:])
        return run_network(network, windows, *rest)

    monkeypatch.setattr("napari_unetic.maps.preparation.run_network", watched)
    model = _model("unetic-24")
    for side in (300, 500):
        segment(_image((side, side)), model, device="cpu", tile=128)
    largest = 128 + 2 * model.description.network.tile_rule.halo
    assert max(max(shape) for shape in seen) == largest


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


def test_axes_that_an_image_was_read_with_are_no_other_axes() -> None:
    """An image that was transposed takes the axes of before, and keeps them."""
    model = _model("unetic-16")
    array = np.stack([_image((40, 50), seed) for seed in range(5)], axis=-1)

    found = drain(segment_steps(as_image(array, "YXZ"), model, axes="yxz"))

    np.testing.assert_array_equal(found.labels, segment(array, model, axes="YXZ"))
    assert found.provenance["settings"]["axes"] == "YXZ"


def test_several_stains_need_a_choice() -> None:
    """A model of one channel refuses five before any work."""
    with pytest.raises(UneticError, match="pick one with channel"):
        segment(_image((5, 40, 40)), _model("unetic-16"), axes="CYX", device="cpu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"diameter": 0}, "diameter above 0, got 0"),
        ({"diameter": float("nan")}, "finite number, got nan"),
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
    monkeypatch.setattr("napari_unetic.predict.planes.decode", lambda maps, spec: many)
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


ZOOMS = {0.6: 19.64 / 0.6, 1.0: None, 1.7: 19.64 / 1.7}
"""Factors of resampling to the diameters that lead to them with the bundled model."""


SHAPE = (200, 230)


@cache
def _field(n: int = 1) -> NDArray[np.uint16]:
    """Generated nuclei, some of which touch: a plane, or several."""
    planes = [nuclei_sample(SHAPE, seed=seed)[0] for seed in range(n)]
    return planes[0] if n == 1 else np.stack(planes)


def _run(image: NDArray[np.uint16], keep: int = 0, **settings: object) -> Segmentation:
    steps = segment_steps(image, "nuclei", keep_maps_bytes=keep, **settings)
    return drain(steps)


def _again(kept: KeptMaps, **settings: object) -> Segmentation:
    return drain(decode_again_steps(kept, segment_settings(**settings)))


@cache
def _kept(maps: str = "discs") -> KeptMaps:
    """Kept maps of a plane of 120 × 160 pixels, replaced by exact ones."""
    labels = np.zeros((120, 160), np.int32)
    rows, columns = np.indices(labels.shape)
    for number, (y, x, radius) in enumerate(
        [(40, 40, 15), (40, 70, 15), (90, 120, 20), (0, 110, 9), (100, 20, 5)], start=1
    ):
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    exact = make_targets(labels)
    if maps == "ring":
        exact[0, 88:92, 118:122] = 0
    kept = _run(np.zeros(labels.shape, np.uint16) + 1, 10**9).maps
    assert kept is not None
    return dataclasses.replace(kept, maps={(): exact})


@pytest.fixture
def network_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count how often the network runs."""
    calls: list[int] = []

    def counted(*args: Any) -> NDArray[np.float32]:
        calls.append(1)
        return run_network(*args)

    monkeypatch.setattr("napari_unetic.maps.preparation.run_network", counted)
    return calls


def _in_region(labels: NDArray[np.uint16], region: Region) -> NDArray[np.int32]:
    """Return the objects with at least half their area in a region, numbered anew."""
    inside = region.mask(slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    area = np.bincount(labels.ravel())
    shared = np.bincount(labels[inside], minlength=area.size)
    return renumber(np.where((2 * shared >= area)[labels], labels, 0).astype(np.int32))


REGIONS = [
    pytest.param(Region.box(60, 70, 140, 180), id="box"),
    pytest.param(Region.box(0, 0, 90, 80), id="corner"),
    pytest.param(
        Region((((40, 40), (190, 80), (80, 200)), ((5, 130), (30, 225), (60, 140)))),
        id="polygons",
    ),
]


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("region", REGIONS)
def test_a_region_gives_what_the_whole_gives_there(region: Region, zoom: float) -> None:
    """Object for object, each whole, at the same place."""
    image = _field()
    whole = segment(image, diameter=ZOOMS[zoom])
    expected = _in_region(whole, region)

    found = _run(image, region=region, diameter=ZOOMS[zoom])

    labels = found.full()
    assert 2 <= found.n_objects == expected.max() < whole.max()
    # Maps agree to 1e-5, so that a pixel at a threshold may differ.
    assert np.count_nonzero(labels != expected) <= 2
    assert found.labels.shape == tuple(s.stop - s.start for s in found.extent)
    assert found.full_shape == labels.shape == image.shape


def test_a_region_costs_what_it_covers(network_calls: list[int]) -> None:
    """Maps are made of the region and a margin alone."""
    where = {"region": (60, 60, 80, 90), "tile": 64}
    found = _run(_field(), 10**9, diameter="usual", **where)

    assert found.maps is not None
    assert found.maps.plan.map_shape == (100, 110)
    assert len(network_calls) == found.maps.plan.n_tiles == 4


def test_one_plane_of_a_stack() -> None:
    """It gives what all planes give there, and covers that plane alone."""
    stack = _field(3)
    every = _run(stack, axes="ZYX")

    found = _run(stack, axes="ZYX", plane=1)

    expected = renumber(every.labels[1].astype(np.int32))
    assert found.extent == (slice(1, 2), slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    np.testing.assert_array_equal(found.labels[0], expected)
    assert found.n_objects == expected.max() == found.scores.size
    full = found.full()
    assert full.shape == stack.shape and not full[[0, 2]].any()
    np.testing.assert_array_equal(
        segment(stack, axes="ZYX", plane=1), full, strict=True
    )


def test_one_plane_of_a_series_of_stacks() -> None:
    """A plane is an index along T and Z."""
    series = _field(4).reshape(2, 2, *SHAPE)

    found = _run(series, axes="TZYX", plane=(1, 0), region="30,40,100,150")

    assert found.extent[:2] == (slice(1, 2), slice(0, 1))
    full = found.full()
    assert full[1, 0].any() and full.any(axis=(2, 3)).sum() == 1


DECODINGS = (
    {"sensitivity": 0.9, "splitting": 0.2, "smallest": 90, "fill_holes": False},
    {"splitting": 1.0, "smallest": 0, "drop_border": True, "link": True},
)

PARTS = [
    pytest.param({}, id="plane"),
    pytest.param({"diameter": ZOOMS[0.6]}, id="smaller"),
    pytest.param({"diameter": ZOOMS[1.7]}, id="larger"),
    pytest.param({"region": "40,30,140,190", "diameter": ZOOMS[1.7]}, id="region"),
    pytest.param({"axes": "ZYX"}, id="stack"),
    pytest.param({"axes": "TYX", "region": "40,30,140,190", "plane": 1}, id="one"),
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("decoding", DECODINGS, ids=["all", "link"])
def test_decoding_again_is_segmenting_anew(
    part: dict[str, object], decoding: dict[str, object], network_calls: list[int]
) -> None:
    """The same result in all there is to it, and the network never runs."""
    image = _field(2) if "axes" in part else _field()
    first = _run(image, 10**9, **part)
    anew = _run(image, **part, **decoding)
    assert first.maps is not None and first.n_objects > 1
    network_calls.clear()

    again = _again(first.maps, **part, **decoding)

    assert network_calls == []
    np.testing.assert_array_equal(again.labels, anew.labels, strict=True)
    np.testing.assert_array_equal(again.scores, anew.scores, strict=True)
    assert again.provenance == anew.provenance != first.provenance
    same = ("axes", "extent", "full_shape", "n_objects", "notices", "pixel_size")
    for name in same:
        assert getattr(again, name) == getattr(anew, name)
    assert again.maps is first.maps


@pytest.mark.parametrize(
    "setting",
    [
        {"axes": "XY"},
        {"channel": 0},
        {"plane": ()},
        {"region": "1,1,50,50"},
        {"diameter": 30},
        {"device": "cpu"},
        {"tile": 128},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_other_maps_are_not_decoded(setting: dict[str, object]) -> None:
    """Settings with which the maps would differ are refused by their names."""
    (name,) = setting
    with pytest.raises(UneticError, match=f"got another {name}; segment"):
        _again(_kept(), **setting)
    with pytest.raises(UneticError, match=f"got another {name}; segment"):
        decode_window(
            _kept(), segment_settings(**setting), (), slice(0, 9), slice(0, 9)
        )


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("region", [None, Region.box(40, 30, 140, 190)])
def test_a_window_is_decoded_as_the_whole(region: Region | None, zoom: float) -> None:
    """What is looked at first is what the whole shows there afterwards."""
    settings = {"region": region, "diameter": ZOOMS[zoom]}
    found = _run(_field(), 10**9, **settings)
    assert found.maps is not None
    chosen = {**settings, "sensitivity": 0.7, "smallest": 80, "drop_border": True}
    whole = _again(found.maps, **chosen).full()

    for rows, columns in (
        (slice(50, 121), slice(61, 153)),
        (slice(0, 80), slice(130, 230)),
    ):
        window = decode_window(
            found.maps, segment_settings(**chosen), (), rows, columns
        )
        expected = whole[rows, columns].astype(np.int32)
        assert expected.any() and window.dtype == np.int32
        np.testing.assert_array_equal(window > 0, expected > 0)
        np.testing.assert_array_equal(renumber(window), renumber(expected))


def test_a_window_without_maps_is_empty() -> None:
    """Beyond the region there is nothing; of another plane there are no maps."""
    found = _run(_field(2), 10**9, axes="ZYX", plane=1, region="0,0,60,60")
    assert found.maps is not None
    settings = found.maps.plan.settings

    window = decode_window(found.maps, settings, (1,), slice(140, 190), slice(140, 200))
    assert window.shape == (50, 60) and not window.any()
    with pytest.raises(UneticError, match=r"got \(0,\); segment it first"):
        decode_window(found.maps, settings, (0,), slice(0, 50), slice(0, 50))


def test_maps_are_kept_within_their_budget() -> None:
    """To the byte; the labels are the same."""
    n_bytes = 2 * len(MAP_NAMES) * SHAPE[0] * SHAPE[1] * 4
    kept = _run(_field(2), n_bytes, axes="ZYX")
    not_kept = _run(_field(2), n_bytes - 1, axes="ZYX")

    assert kept.maps is not None and not_kept.maps is None
    assert kept.maps.nbytes == n_bytes
    np.testing.assert_array_equal(kept.labels, not_kept.labels)


@pytest.mark.parametrize("diameter", ZOOMS.values())
def test_maps_are_returned_at_the_images_size(diameter: float | None) -> None:
    """Three maps a plane, between 0 and 1, high where the labels are."""
    labels, maps = segment(_field(2), axes="ZYX", diameter=diameter, keep_maps=True)

    assert maps.shape == (2, len(MAP_NAMES), *SHAPE) and maps.dtype == np.float32
    assert 0 <= maps.min() < 0.01 and 0.9 < maps.max() <= 1
    foreground = maps[:, 0]
    assert foreground[labels > 0].mean() > 0.8 > 0.2 > foreground[labels == 0].mean()


def test_maps_of_a_region_are_zero_elsewhere() -> None:
    """They cover the region and its margin."""
    region = Region.box(80, 90, 120, 140)

    _, maps = segment(_field(), region=region, keep_maps=True)

    inside = np.zeros(SHAPE, bool)
    inside[40:160, 50:180] = True
    assert maps[:, inside].all() and not maps[:, ~inside].any()


def test_each_plane_says_when_it_is_decoded() -> None:
    """A step before the decoding of each plane, tiles before it; none goes back."""
    steps = list(segment_steps(_field(2), axes="ZYX", diameter="usual", tile=128))

    assert [step.what for step in steps] == [*["tile"] * 4, "decoding"] * 2
    done = [step.done for step in steps]
    assert done == sorted(done) and done[-1] == steps[-1].total == 8
    again = list(decode_again_steps(_kept(), segment_settings()))
    assert [(step.done, step.total, step.what) for step in again] == [
        (0, 1, "decoding")
    ]


def test_a_setting_out_of_bounds_costs_nothing(network_calls: list[int]) -> None:
    """It is refused before a model is loaded."""
    with pytest.raises(UneticError, match="sensitivity of at most 1"):
        segment(_field(), "no such model", sensitivity=3)
    assert network_calls == []


def test_more_sensitivity_finds_more_and_larger() -> None:
    """Of two sensitivities the higher one covers all that the lower one covers."""
    found = _run(_field(), 10**9)
    assert found.maps is not None

    covered = [
        _again(found.maps, sensitivity=s, smallest=0).labels > 0
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]

    for less, more in pairwise(covered):
        assert more.sum() > less.sum() and not (less & ~more).any()


def test_splitting_cuts_and_joins() -> None:
    """Discs that touch are one at the left end and two at the right."""
    maps = _kept().maps[()].copy()
    # As the network is: unsure of the border, and of how deep the smaller core is.
    maps[1] *= 0.62
    maps[2, :, 56:] *= 0.5
    kept = dataclasses.replace(_kept(), maps={(): maps})

    n_objects = [_again(kept, splitting=s).n_objects for s in (0, 0.5, 1)]

    assert n_objects[0] < n_objects[2]
    assert n_objects == sorted(n_objects)


@pytest.mark.parametrize("zoom", ZOOMS)
def test_the_smallest_object_is_counted_in_pixels_of_the_image(zoom: float) -> None:
    """To the pixel, whatever the size that the network works at."""
    found = _run(_field(), 10**9, diameter=ZOOMS[zoom])
    assert found.maps is not None
    every = _again(found.maps, diameter=ZOOMS[zoom], smallest=0)
    area = np.bincount(every.labels.ravel())[1:]
    limit = int(np.median(area))

    fewer = _again(found.maps, diameter=ZOOMS[zoom], smallest=limit)

    assert 0 < fewer.n_objects < every.n_objects
    assert sorted(np.bincount(fewer.labels.ravel())[1:]) == sorted(area[area >= limit])
    np.testing.assert_array_equal(fewer.scores, every.scores[area >= limit])


def test_the_models_limit_is_an_area_at_its_own_size() -> None:
    """Where the image has more pixels an object, the limit has as many more."""
    diameter = ZOOMS[0.6]
    kept = _run(_field(), 10**9, diameter=diameter).maps
    assert kept is not None
    own = kept.plan.description.decoding
    # Two objects of less and of more pixels than the limit, on the network's grid.
    maps = np.zeros_like(kept.maps[()])
    for side, left in ((4, 20), (7, 60)):
        maps[::2, 20 : 20 + side, left : left + side] = 1
    assert 4**2 < own.smallest_px < 7**2
    two = dataclasses.replace(kept, maps={(): maps})

    n_objects = [
        _again(two, diameter=diameter, smallest=smallest).n_objects
        for smallest in (None, own.smallest_px)
    ]

    assert n_objects == [1, 2]


def test_holes_are_filled_unless_told_otherwise() -> None:
    """A hole in an object is part of it, or background."""
    assert _again(_kept("ring")).labels[90, 120] > 0
    assert _again(_kept("ring"), fill_holes=False).labels[90, 120] == 0


def test_objects_at_the_edge_are_dropped_when_told() -> None:
    """Those that touch the image's edge go; the others keep their order."""
    every, fewer = _again(_kept()), _again(_kept(), drop_border=True)

    assert (every.n_objects, fewer.n_objects) == (5, 4)
    at_edge = every.labels[0].max()
    expected = np.where(every.labels == at_edge, 0, every.labels)
    np.testing.assert_array_equal(fewer.labels, renumber(expected.astype(np.int32)))


def test_the_edge_of_a_region_is_no_edge_of_the_image() -> None:
    """Objects that the edge of a region's maps cuts are not dropped."""
    region = Region.box(0, 35, 60, 130)
    kept = _kept()
    box = region.bounds((120, 160))
    plan = dataclasses.replace(
        kept.plan,
        box=box,
        map_box=box,
        settings=segment_settings(region=region),
    )
    maps = {(): kept.maps[()][:, box[0], box[1]]}
    part = dataclasses.replace(kept, plan=plan, maps=maps)

    found = _again(part, region=region, drop_border=True)

    # The first disc touches the image's edge, the second that of the maps.
    expected = np.isin(_again(kept).labels, (2, 3))
    expected[:, : box[1].start] = False
    np.testing.assert_array_equal(found.full() > 0, expected)


def test_linked_planes_share_numbers() -> None:
    """The same plane twice is one set of objects; unlinked it is two."""
    stack = np.stack([_field(), _field(), np.zeros_like(_field())])

    apart = _run(stack, axes="ZYX")
    linked = _run(stack, axes="ZYX", link=True)

    assert apart.n_objects == 2 * linked.n_objects == 2 * linked.scores.size
    np.testing.assert_array_equal(linked.labels[0], linked.labels[1])
    np.testing.assert_array_equal(linked.labels[0], apart.labels[0])
    assert linked.labels.dtype == np.uint16
    np.testing.assert_allclose(linked.scores, apart.scores[: linked.n_objects])


def test_a_linked_object_has_the_mean_score_of_its_parts() -> None:
    """Each part counts by its area."""
    stack = np.stack([_field(), _field() // 4])
    apart = _run(stack, axes="ZYX", smallest=0)

    linked = _run(stack, axes="ZYX", smallest=0, link=True)

    assert linked.n_objects < apart.n_objects
    several = 0
    for number, score in enumerate(linked.scores, start=1):
        parts = apart.labels[linked.labels == number]
        assert score == pytest.approx(apart.scores[parts - 1].mean(), rel=1e-4)
        several += np.ptp(apart.scores[np.unique(parts) - 1]) > 1e-3
    assert several > 3


def test_scores_belong_to_their_objects() -> None:
    """Objects that were dropped took their scores along."""
    found = _run(_field(), 10**9, smallest=60, drop_border=True)
    assert found.maps is not None

    assert found.scores.dtype == np.float32 and found.scores.shape == (found.n_objects,)
    assert 0 <= found.scores.min() < found.scores.max() <= 1
    expected = score_objects(found.labels, found.maps.maps[()])
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)


def test_a_result_says_how_to_make_it_again() -> None:
    """The settings in the provenance, kept as JSON, give the same labels."""
    settings = {
        "axes": "ZYX",
        "plane": 1,
        "region": "[[[20,30],[180,40],[90,220]]]",
        "diameter": 25.0,
        "sensitivity": 0.8,
        "splitting": 0.7,
        "smallest": 20,
        "drop_border": True,
    }
    found = _run(_field(2), **settings)
    kept = json.loads(json.dumps(found.provenance))

    again = settings_from(kept)

    assert again == segment_settings(**settings)
    assert set(kept["settings"]) == {*settings, "decoding"}
    assert kept["settings"]["decoding"]["foreground"] < 0.55
    np.testing.assert_array_equal(
        segment(_field(2), **dict(again)), found.full(), strict=True
    )


def test_nothing_found_is_a_result() -> None:
    """An image without objects gives labels of 0, with all settings at once."""
    found = _run(
        np.zeros((2, 50, 60), np.uint16),
        10**9,
        axes="ZYX",
        link=True,
        drop_border=True,
        region="5,5,40,40",
    )

    assert (found.n_objects, found.scores.size) == (0, 0)
    assert found.full().shape == (2, 50, 60) and not found.full().any()


def test_sliders_move_real_images(data_folder: Path) -> None:
    """On real images sensitivity covers more and more, and splitting splits."""
    folder = data_folder / "dsb2018"
    pairs = read_pairs(
        folder / "stage1_train.zip",
        ids=f"{folder / 'stardist_split.json'}:val_of_train_seed42",
    )
    for pair in list(pairs)[15:66:12]:
        image, _ = pair.read()
        found = drain(segment_steps(image, keep_maps_bytes=10**9))
        assert found.maps is not None
        areas, counts = [], []
        for s in np.linspace(0, 1, 6):
            sensed = _again(found.maps, sensitivity=s)
            areas.append(np.count_nonzero(sensed.labels))
            counts.append(_again(found.maps, splitting=s).n_objects)
        assert all(np.diff(areas) > 0)
        assert counts[0] <= counts[-1]
