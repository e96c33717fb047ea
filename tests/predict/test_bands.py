"""Decoding in bands gives the objects that decoding in one piece gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.image.source import as_image
from napari_unetic.instances.matching import match, overlap
from napari_unetic.instances.targets import make_targets
from napari_unetic.maps import Plan, plan_work
from napari_unetic.model.registry import load_model
from napari_unetic.predict import (
    Segmentation,
    bands,
    decode_again_steps,
    segment_steps,
)
from napari_unetic.predict.bands import MapRows, PlaneDecoder
from napari_unetic.predict.planes import Objects, decode_plane
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

Cut = Callable[[int], None]


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Makes every plane one that is decoded in bands of so many pixels."""

    def cut_at(n_pixels: int) -> None:
        monkeypatch.setattr("napari_unetic.maps.memory.LARGEST_WHOLE_PX", 1)
        monkeypatch.setattr("napari_unetic.predict.bands.BAND_PX", n_pixels)

    return cut_at


@cache
def _field() -> NDArray[np.uint16]:
    """Generated nuclei, most of which touch."""
    return nuclei_sample(
        (420, 260), n_nuclei=190, diameter=(14, 26), touching=0.6, seed=3
    )[0]


def _run(image: NDArray[np.uint16], **settings: object) -> Segmentation:
    return drain(segment_steps(image, "nuclei", precision="float32", **settings))


@pytest.mark.parametrize("diameter", [13.0, None, 33.0])
@pytest.mark.parametrize("band_px", [260 * 70, 260 * 150])
def test_bands_give_the_same_objects(
    diameter: float | None, band_px: int, cut: Cut
) -> None:
    """As many, in the same order, with the same scores, at every zoom."""
    whole = _run(_field(), diameter=diameter, tile=128)
    cut(band_px)
    found = _run(_field(), diameter=diameter, tile=128)
    assert found.n_objects == whole.n_objects > 60
    # Chains of objects that touch share out some pixels another way.
    assert np.count_nonzero(found.labels != whole.labels) <= 5
    np.testing.assert_allclose(found.scores, whole.scores, atol=0.005)


@pytest.mark.parametrize(
    "settings",
    [{"drop_border": True}, {"region": (90, 60, 350, 200)}, {"smallest": 200}],
    ids=str,
)
def test_bands_leave_out_what_the_whole_leaves_out(
    settings: dict[str, object], cut: Cut
) -> None:
    """Objects at the edge of the image, outside of a region, too small."""
    whole = _run(_field(), tile=128, **settings)
    cut(260 * 70)
    found = _run(_field(), tile=128, **settings)
    assert 0 < whole.n_objects < _run(_field()).n_objects
    np.testing.assert_array_equal(found.full(), whole.full())


def test_kept_maps_are_decoded_in_bands_as_well(cut: Cut) -> None:
    """They are the very maps, all of them."""
    image = _field()
    cut(260 * 70)
    first = _run(image, tile=128, keep_maps_bytes=10**9)
    assert first.maps is not None
    expected = _run(image, sensitivity=0.7, tile=128)
    again = drain(
        decode_again_steps(
            first.maps, segment_settings(precision="float32", tile=128, sensitivity=0.7)
        )
    )
    assert again.n_objects != first.n_objects
    np.testing.assert_array_equal(again.labels, expected.labels)


def _plan(labels: NDArray[np.int32]) -> Plan:
    return plan_work(
        as_image(np.zeros(labels.shape, np.uint8)),
        load_model("nuclei").description,
        segment_settings(),
    )


def _decoded(labels: NDArray[np.int32], n_strip: int) -> NDArray[np.int32]:
    """Decode exact maps that come in by strips."""
    plan, maps = _plan(labels), make_targets(labels)
    result, n_objects = np.zeros(labels.shape, np.int32), 0

    def put(rows: slice, objects: Objects) -> None:
        nonlocal n_objects
        free = (objects.labels > 0) & (result[rows] == 0)
        result[rows][free] = objects.labels[free] + n_objects
        n_objects += objects.scores.size

    decoder = PlaneDecoder(plan, plan.settings, put)
    for start in range(0, len(labels), n_strip):
        decoder.take(maps[:, start : start + n_strip])
    return result


@pytest.mark.parametrize("n_strip", [11, 64, 300])
def test_objects_larger_than_the_margin_are_whole(n_strip: int, cut: Cut) -> None:
    """Bands are read as far as their objects reach, once that is there."""
    labels = np.zeros((300, 90), np.int32)
    labels[5:290, 5:40] = 1
    labels[100:110, 60:80] = 2
    labels[120:299, 60:80] = 3
    plan = _plan(labels)
    whole = decode_plane(make_targets(labels), plan, plan.settings).labels
    assert whole.max() == 3
    cut(90 * 20)
    np.testing.assert_array_equal(_decoded(labels, n_strip), whole)


def test_a_band_begins_with_what_the_one_before_needed(
    cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where objects reach beyond the margin, one band is decoded twice, not each."""
    # Bars of 70 rows, some of which begin at the end of every band; the margin is twice
    # the working diameter of 19.6.
    labels = np.zeros((700, 140), np.int32)
    for k, column in enumerate(range(2, 138, 8)):
        for start in range(10 * k % 76, 700, 76):
            labels[start : start + 70, column : column + 6] = labels.max() + 1
    decode_all, n_decoded = bands.decode_all, 0

    def counted(*arguments: Any) -> Objects:
        nonlocal n_decoded
        n_decoded += 1
        return decode_all(*arguments)

    monkeypatch.setattr(bands, "decode_all", counted)
    whole = _decoded(labels, 50)
    n_decoded = 0
    cut(140 * 100)
    np.testing.assert_array_equal(_decoded(labels, 50), whole)
    n_bands = 7
    assert n_decoded <= n_bands + 2


def test_nearly_all_crowded_objects_are_the_same(cut: Cut) -> None:
    """Of thousands that touch each other, 99.9 in 100, and in the same order."""
    labels = np.zeros((1500, 600), np.int32)
    rows, columns = np.indices(labels.shape)
    # Cells of a shifted grid, each touching six others.
    number = (rows // 15) * 50 + (columns + 7 * (rows // 15 % 2)) // 15
    inside = (rows % 15 > 0) | ((columns + 7 * (rows // 15 % 2)) % 15 > 4)
    labels[inside] = number[inside] + 1
    plan = _plan(labels)
    whole = decode_plane(make_targets(labels), plan, plan.settings).labels
    assert whole.max() > 3000
    cut(600 * 150)
    same = match(overlap(whole, _decoded(labels, 400)), 0.9)
    assert same.iou.size >= 0.999 * whole.max()
    assert (np.diff(same.pred_index[np.argsort(same.true_index)]) > 0).all()


def test_a_plane_without_objects_has_none(cut: Cut) -> None:
    """In no band."""
    cut(700)
    assert not _decoded(np.zeros((50, 70), np.int32), 20).any()


def test_rows_that_are_done_with_are_let_go() -> None:
    """Parts as a whole, and most of the last one."""
    rows, maps = MapRows(100), np.arange(3 * 40 * 5, dtype=np.float32)
    strips = [maps.reshape(3, 40, 5) + 1000 * k for k in range(3)]
    for strip in strips:
        rows.add(strip)
    assert rows.stop == 220
    np.testing.assert_array_equal(
        rows.part(slice(130, 190)),
        np.concatenate(strips, axis=1)[:, 30:90],
    )
    rows.forget(150)
    assert rows.held == 80
    rows.forget(205)
    assert rows.held == 15
    np.testing.assert_array_equal(rows.part(slice(205, 220)), strips[2][:, 25:])


def test_a_large_plane_takes_memory_for_a_part_of_its_maps() -> None:
    """Two rows of tiles, where the maps of a smaller plane are there as a whole."""
    model = load_model("nuclei").description

    large = np.broadcast_to(np.uint16(0), (8192, 8192))
    settings = segment_settings(device="cpu", precision="bfloat16")
    plan = plan_work(large, model, settings)
    kept = plan_work(large, model, settings, keep_maps_bytes=10**10)
    assert not plan.keeps_maps and kept.keeps_maps
    assert plan.bytes < 1.5e9
    assert kept.bytes - plan.bytes > 8192**2 * 12 / 3
