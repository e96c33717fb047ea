"""Objects of another size are found without a word about their diameter."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_unetic.image.source import Image
from napari_unetic.instances.counts import score_image
from napari_unetic.maps import plan_work
from napari_unetic.maps.preparation import Preparation
from napari_unetic.model.registry import load_model
from napari_unetic.predict import (
    Segmentation,
    darkness,
    decode_again_steps,
    segment_steps,
)
from napari_unetic.predict import diameter as looking
from napari_unetic.predict.diameter import WHOLE_PX
from napari_unetic.predict.sizing import choose
from napari_unetic.predict.votes import DiameterEstimate
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings, segment_settings
from napari_unetic.steps import drain

USUAL = load_model("nuclei").description.working_diameter_px

LARGE, LARGE_TRUTH = nuclei_sample(
    (330, 330), 1, n_nuclei=9, diameter=(68, 80), touching=0
)
"""Nuclei of nearly four times the usual diameter."""

COMMON, _ = nuclei_sample((200, 220), 2, n_nuclei=30, diameter=(18, 24))
"""Nuclei of the usual diameter."""

WIDE, _ = nuclei_sample((260, 280), 4, n_nuclei=14, diameter=(38, 44), touching=0)
"""Nuclei of about twice the usual diameter."""


CPU: dict[str, Any] = {"device": "cpu", "precision": "float32"}


def _run(image: Any, keep: int = 0, **settings: Any) -> Segmentation:
    chosen = {**CPU, **settings}
    return drain(segment_steps(image, "nuclei", keep_maps_bytes=keep, **chosen))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, ...], float]]:
    """Plane and zoom of each run of the network over a plane or a part of one."""
    seen = []
    original = Preparation.strips_steps

    def strips_steps(self: Preparation, plane: Any, *more: Any) -> Any:
        seen.append((plane, self.plan.zoom))
        return original(self, plane, *more)

    monkeypatch.setattr(Preparation, "strips_steps", strips_steps)
    return seen


def _ap(labels: NDArray[Any]) -> float:
    return float(score_image(LARGE_TRUTH, labels).ap[0])


def test_large_objects_are_found() -> None:
    """Nuclei that noise takes to pieces at the usual size are found whole."""
    rng = np.random.default_rng(0)
    grain = ndimage.gaussian_filter(rng.normal(size=LARGE.shape), 2)
    image = np.clip(LARGE * (1 + 0.6 * grain / grain.std()), 0, 65535)
    found = _run(image.astype(LARGE.dtype))
    assert found.provenance["diameter"]["why"].startswith("reduced")
    usual = _run(image.astype(LARGE.dtype), diameter="usual")
    assert _ap(found.labels) >= 0.7 > _ap(usual.labels)


def test_small_objects_are_found() -> None:
    """Nuclei of a third of the usual diameter are magnified."""
    image, truth = nuclei_sample((110, 120), 3, n_nuclei=45, diameter=(6, 7))
    found = _run(image)
    assert found.provenance["diameter"]["why"].startswith("magnified")
    ap = [
        score_image(truth, _run(image, diameter=d).labels).ap[0] for d in ("usual", 6.5)
    ]
    assert ap[0] < score_image(truth, found.labels).ap[0]
    assert score_image(truth, found.labels).ap[0] > ap[1] - 0.05


def test_the_provenance_says_what_was_found_out_and_taken() -> None:
    """Estimate, how sure, from how many, what was taken and why, as JSON."""
    found = _run(LARGE)
    record = json.loads(json.dumps(found.provenance))["diameter"]
    assert record["estimate_px"] == pytest.approx(74, rel=0.15)
    assert record["taken_px"] == pytest.approx(record["estimate_px"] / 1.5)
    assert 0.5 < record["sure"] <= 1 and record["n_objects"] >= 6
    assert record["why"] == "reduced: the objects are larger"
    assert found.provenance["zoom"] == pytest.approx(USUAL / record["taken_px"])
    assert "diameter" not in found.provenance["settings"]


@pytest.mark.parametrize(
    ("settings", "taken", "why"),
    [
        pytest.param({"diameter": "usual"}, USUAL, "usual: asked for", id="usual"),
        pytest.param({"diameter": None}, USUAL, "usual: asked for", id="none"),
        pytest.param({"diameter": 50}, 50, "given", id="given"),
    ],
)
def test_a_diameter_that_is_given_is_taken(
    runs: Any, settings: dict[str, Any], taken: float, why: str
) -> None:
    """It overrides what would be found out, and nothing is looked for."""
    found = _run(LARGE, **settings)
    assert found.provenance["diameter"] == {
        "taken_px": pytest.approx(taken),
        "why": why,
    }
    assert [zoom for _, zoom in runs] == [pytest.approx(USUAL / taken)]


def test_a_pixel_size_is_taken() -> None:
    """A pixel size sets the zoom, and nothing is looked for."""
    model = load_model("nuclei")
    known = model.description.model_copy(update={"pixel_size_um": 0.5})
    model = type(model)(known, model.network)
    found = drain(segment_steps(LARGE, model, pixel_size=0.25, device="cpu"))
    assert found.provenance["zoom"] == 0.5
    assert found.provenance["diameter"]["why"] == "by the pixel size"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="plain"),
        pytest.param({"sensitivity": 0.8, "smallest": 80}, id="thresholds"),
        pytest.param({"drop_border": True}, id="border"),
        pytest.param({"region": (20, 30, 150, 190)}, id="region"),
        pytest.param({"tile": 64}, id="tiles"),
    ],
)
def test_what_is_usual_costs_no_run(runs: Any, settings: dict[str, Any]) -> None:
    """A small image of usual objects is run once, with the result of the usual size."""
    found = _run(COMMON, 10**9, **settings)
    assert len(runs) == 1
    wanted = _run(COMMON, 10**9, diameter="usual", **settings)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    assert found.maps is not None and wanted.maps is not None
    np.testing.assert_array_equal(found.maps.full(), wanted.maps.full())
    assert (
        found.provenance["diameter"]["why"]
        == "usual: the objects are near enough to it"
    )


def test_a_large_plane_costs_one_small_run(
    runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a plane of more than a megapixel a window is looked at first."""
    assert WHOLE_PX == 1024**2
    monkeypatch.setattr("napari_unetic.predict.diameter.WHOLE_PX", COMMON.size - 1)
    found = _run(COMMON)
    assert len(runs) == 2
    wanted = _run(COMMON, diameter="usual")
    np.testing.assert_array_equal(found.labels, wanted.labels)


def test_a_large_plane_of_large_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks alone tell the size, too."""
    monkeypatch.setattr("napari_unetic.predict.diameter.WHOLE_PX", 1)
    assert _ap(_run(LARGE).labels) >= 0.9


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (120, 130)])
def test_where_nothing_is_found_the_usual_size_is_taken(shape: tuple[int, int]) -> None:
    """A blank or tiny image has no objects, and says so."""
    found = _run(np.full(shape, 7, np.uint8))
    assert found.labels.shape == shape and found.n_objects == 0
    record = found.provenance["diameter"]
    assert record["why"] == "usual: no object was found"
    assert record["estimate_px"] is None and found.provenance["zoom"] == 1


def test_one_plane_decides_for_a_stack(runs: Any) -> None:
    """All planes are segmented at one size, that of the one in the middle."""
    blank = np.zeros_like(LARGE)
    stack = np.stack([blank, LARGE, np.tile(COMMON, (2, 2))[:330, :330]])
    found = _run(stack, axes="ZYX")
    (zoom,) = {zoom for _, zoom in runs[-3:]}
    assert zoom == found.provenance["zoom"] < 0.5
    assert _ap(found.labels[1]) >= 0.9 and not found.labels[0].any()


def test_of_a_stack_no_plane_is_run_twice(runs: Any) -> None:
    """The plane that was looked at has its maps already; order and numbers stay."""
    stack = np.stack([COMMON, COMMON[::-1], COMMON[:, ::-1]])
    found = _run(stack, axes="TYX", link=True)
    assert sorted(plane for plane, _ in runs) == [(0,), (1,), (2,)]
    wanted = _run(stack, axes="TYX", link=True, diameter="usual")
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_array_equal(found.scores, wanted.scores)


def test_a_region_has_its_own_size() -> None:
    """Objects outside of it have no say."""
    beside = np.concatenate([np.tile(COMMON, (2, 2))[:330, :300], LARGE], axis=1)
    inside = _run(beside, region=(0, 0, 330, 250))
    assert inside.provenance["zoom"] == 1
    assert _run(beside, region=(0, 340, 330, 630)).provenance["zoom"] < 0.5


def test_thresholds_never_run_the_network(runs: Any) -> None:
    """Decoding again keeps the size that was found out; so does a new run."""
    found = _run(LARGE, 10**9)
    assert found.maps is not None
    n_runs = len(runs)
    for settings in ({"sensitivity": 0.9}, {"splitting": 0.1, "smallest": 900}):
        chosen = segment_settings(device="cpu", precision="float32", **settings)
        again = drain(decode_again_steps(found.maps, chosen))
        assert len(runs) == n_runs
        assert again.provenance["diameter"] == found.provenance["diameter"]
        wanted = _run(LARGE, **settings)
        np.testing.assert_array_equal(again.labels, wanted.labels)
        n_runs = len(runs)


class _Lazy:
    """Counts the pixels that are read."""

    def __init__(self, data: NDArray[Any]):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.ndim, self.n_read = data.ndim, 0

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        window = self.data[key]
        self.n_read += window.size
        return window


def test_of_a_large_lazy_image_little_more_is_read() -> None:
    """A region of it is looked at, no more; the rest is sampled as ever."""
    image = np.tile(COMMON, (10, 10))
    region = (500, 600, 800, 900)
    read = []
    for diameter in ("usual", "auto"):
        lazy = _Lazy(image)
        _run(Image(lazy, "YX"), region=region, diameter=diameter)
        read.append(lazy.n_read)
    assert read[0] <= read[1] <= read[0] + darkness._COMPARED_PX


def test_steps_do_not_jump_in_a_stack() -> None:
    """The look at a plane in the middle is no progress."""
    stack = np.stack([COMMON] * 3)
    steps = list(segment_steps(stack, "nuclei", axes="ZYX", device="cpu"))
    done = [step.done for step in steps if step.total]
    assert done == sorted(done) and {step.total for step in steps} == {0, 3}
    assert steps[0].what == "looking for the diameter"


@pytest.mark.parametrize(
    ("size", "sure", "taken", "why"),
    [
        (1.3, 0.9, None, "usual: the objects are near"),
        (2.7, 0.9, None, "usual: the objects are near"),
        (0.5, 0.9, None, "usual: the objects are near"),
        (3.0, 0.9, 2.0, "reduced"),
        (6.0, 0.3, 4.0, "reduced"),
        (6.0, 0.29, None, "usual: the estimate is not sure"),
        (0.4, 0.9, 0.4, "magnified"),
        (0.2, 0.9, 0.25, "magnified"),
        (0.1, 0.9, None, "usual: objects so small"),
    ],
)
def test_the_rule(size: float, sure: float, taken: float | None, why: str) -> None:
    """Only sure estimates far from the usual diameter change the size."""
    said = DiameterEstimate(size * USUAL, 9, sure, 0.1)
    chosen, reason = choose(said, load_model("nuclei").description)
    assert reason.startswith(why)
    assert chosen == (None if taken is None else pytest.approx(taken * USUAL))


@pytest.mark.parametrize(
    ("size", "sure", "taken", "why"),
    [
        (1.0, 0.9, 1.0 / 1.5, "magnified: the objects are dark"),
        (1.45, 0.9, 1.45 / 1.5, "magnified: the objects are dark"),
        (0.3, 0.9, 0.25, "magnified: the objects are dark"),
        (0.1, 0.9, None, "usual: objects so small"),
        (1.6, 0.9, None, "usual: the objects are near"),
        (3.0, 0.9, 2.0, "reduced"),
        (1.0, 0.29, None, "usual: the estimate is not sure"),
    ],
)
def test_the_rule_for_dark_objects(
    size: float, sure: float, taken: float | None, why: str
) -> None:
    """They are brought to one and a half usual diameters if they are smaller."""
    description = load_model("nuclei").description
    assert description.dark is not None
    assert description.dark.diameter_px == pytest.approx(1.5 * USUAL, rel=1e-3)
    said = DiameterEstimate(size * USUAL, 9, sure, 0.1, are_dark=True)
    chosen, reason = choose(said, description)
    assert reason.startswith(why)
    expected = None if taken is None else pytest.approx(taken * USUAL, rel=1e-3)
    assert chosen == expected
    plain = description.model_copy(update={"dark": None})
    bright = replace(said, are_dark=False)
    assert choose(said, plain) == choose(bright, description)


@pytest.mark.parametrize("whole", [True, False])
def test_dark_objects_have_a_size_and_thresholds_of_their_own(
    whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in whole planes and in windows; thresholds move from the dark ones."""
    if not whole:
        monkeypatch.setattr(looking, "WHOLE_PX", 0)
    dark = (int(COMMON.max()) - COMMON.astype(np.int64)).astype(np.uint16)
    found = _run(dark, keep=10**9)
    sizing, settings = found.provenance["diameter"], found.provenance["settings"]
    assert sizing["are_dark"] and sizing["why"] == "magnified: the objects are dark"
    spec = load_model("nuclei").description.dark
    assert spec is not None
    assert found.provenance["zoom"] == pytest.approx(
        spec.diameter_px / sizing["estimate_px"], rel=0.01
    )
    assert settings["decoding"]["foreground"] == spec.decoding.foreground
    bright = _run(COMMON)
    assert not bright.provenance["diameter"]["are_dark"]
    assert bright.provenance["settings"]["decoding"]["foreground"] == 0.6
    again = drain(decode_again_steps(found.maps, SegmentSettings(**CPU)))
    assert np.array_equal(again.labels, found.labels)


def test_dark_objects_left_at_their_size_have_their_thresholds() -> None:
    """Maps that the look has made are decoded with these, not as the look did it."""
    dark = (int(WIDE.max()) - WIDE.astype(np.int64)).astype(np.uint16)
    found = _run(dark)
    assert found.provenance["zoom"] == 1
    assert found.provenance["diameter"]["are_dark"]
    assert found.provenance["settings"]["decoding"]["foreground"] == 0.7
    model = load_model("nuclei")
    spec = model.description.dark
    assert spec is not None
    same = model.description.model_copy(update={"decoding": spec.decoding})
    told = drain(
        segment_steps(
            dark,
            type(model)(same, model.network),
            diameter="usual",
            **CPU,
        )
    )
    assert np.array_equal(found.labels, told.labels)


@pytest.mark.parametrize(("by", "is_dark"), [(0.9, True), (0.2, False), (-3, False)])
def test_a_little_darker_is_not_dark(by: float, is_dark: bool) -> None:
    """As cells in phase contrast may be: such images keep their size."""
    labels = np.zeros((200, 200), np.int32)
    labels[np.indices(labels.shape)[0] // 20 % 2 == 0] = 1
    noise = np.random.default_rng(0).normal(size=labels.shape)
    image = Image((noise - by * (labels > 0)).astype(np.float32), "YX")
    plan = plan_work(image, load_model("nuclei").description, SegmentSettings(**CPU))
    assert darkness.are_dark(plan, (), labels, plan.box) == is_dark
    half = labels[:, ::2].copy()
    assert darkness.are_dark(plan, (), half, plan.box) == is_dark


def test_what_is_no_number_is_neither_dark_nor_bright() -> None:
    """Missing pixels do not make bright objects dark."""
    image = COMMON.astype(np.float32)
    image[:, :40] = np.nan
    assert not _run(image).provenance["diameter"]["are_dark"]


def test_the_usual_diameter_of_a_model_counts() -> None:
    """A model for large objects leaves these alone."""
    model = load_model("nuclei")
    large = model.description.model_copy(update={"input_diameter_px": 70.0})
    found = drain(segment_steps(LARGE, type(model)(large, model.network), device="cpu"))
    assert found.provenance["zoom"] == pytest.approx(USUAL / 70)
    assert found.provenance["diameter"]["why"].startswith("usual: the objects are near")
    assert _ap(found.labels) >= 0.8


def test_settings_say_which() -> None:
    """auto by default; None is the usual one; both can be typed."""
    assert SegmentSettings().diameter == "auto" and SegmentSettings().seeks_diameter
    assert segment_settings(diameter=None).diameter == "usual"
    assert segment_settings(diameter="usual").given_diameter is None
    assert segment_settings(diameter="35").given_diameter == 35
    assert not segment_settings(pixel_size=0.5).seeks_diameter
