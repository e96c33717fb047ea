"""Settings: one list of them for dock, command line and Python, with bounds."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

import napari_unetic
from napari_unetic import segment
from napari_unetic.cli.parser import build_parser
from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.settings import (
    DECODING_FIELDS,
    OUTERMOST,
    SegmentSettings,
    segment_settings,
    settings_from,
)

DEFAULTS = {name: field.default for name, field in SegmentSettings.model_fields.items()}

OTHERS = {
    "axes": "ZYX",
    "channel": 1,
    "plane": (3,),
    "region": Region.box(1, 2, 30, 40),
    "diameter": 31.5,
    "pixel_size": None,
    "sensitivity": 0.7,
    "splitting": 0.2,
    "smallest": 12,
    "fill_holes": False,
    "drop_border": True,
    "link": True,
    "device": "cpu",
    "precision": "float32",
    "tile": 256,
}
"""Another value for each setting; the pixel size excludes the diameter."""

SPEC = DecodeSpec(
    foreground=0.55, contact=0.4, peak=0.6, smallest_px=30, largest_hole_px=100
)


def keywords(function: object) -> dict[str, object]:
    """Return the names and defaults of what a function takes by name."""
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def test_every_setting_is_a_keyword_of_segment() -> None:
    """The same names in the same order with the same defaults."""
    found = keywords(segment)

    assert found.pop("keep_maps") is False
    assert found == DEFAULTS
    assert list(found) == list(DEFAULTS)


@pytest.mark.usefixtures("napari_layers")
def test_every_setting_is_a_keyword_of_segment_layer() -> None:
    """The same names in the same order with the same defaults."""
    found = keywords(napari_unetic.segment_layer)

    assert {name: found.get(name, "missing") for name in DEFAULTS} == DEFAULTS


def test_every_setting_is_an_option_of_the_command() -> None:
    """The same names with the same defaults; its help has the same words."""
    arguments = vars(build_parser().parse_args(["segment", "a.tif"]))

    assert {name: arguments.get(name, "missing") for name in DEFAULTS} == DEFAULTS


def test_every_setting_explains_itself() -> None:
    """Tooltips and help have a title and a sentence of each."""
    for field in SegmentSettings.model_fields.values():
        assert field.title and field.title[0].isupper()
        assert field.description and field.description.endswith(".")


def test_changed_leads_back() -> None:
    """What differs from the defaults is JSON, and gives the same settings again."""
    settings = segment_settings(**OTHERS)

    kept = json.loads(json.dumps(settings.changed()))

    assert set(kept) == set(OTHERS) - {"pixel_size"}
    assert segment_settings(**kept) == settings
    assert hash(segment_settings(**kept)) == hash(settings)
    assert segment_settings().changed() == {}


def test_a_dict_of_settings_is_keywords() -> None:
    """``**dict(settings)`` hands every setting on as it is."""
    settings = segment_settings(**OTHERS)

    assert segment_settings(**dict(settings)) == settings


def test_numbers_of_arrays_and_of_the_shell_are_numbers() -> None:
    """NumPy's numbers and texts give the settings that Python's numbers give."""
    expected = segment_settings(channel=2, diameter=20.5, plane=(3,), tile=128)

    arrays = segment_settings(
        channel=np.int64(2),
        diameter=np.float32(20.5),
        plane=np.int64(3),
        tile=np.uint16(128),
    )
    texts = segment_settings(channel="2", diameter="20.5", plane="3", tile="128")

    assert arrays == texts == expected


@pytest.mark.parametrize(
    "plane", [(3, 4), [3, 4], np.array([3, 4]), "3,4", (np.int64(3), "4")]
)
def test_a_plane_of_two_axes(plane: object) -> None:
    """Any sequence of whole numbers, or a text of them."""
    assert segment_settings(plane=plane).plane == (3, 4)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"diameter": 0}, "Expected a diameter above 0, got 0; correct diameter."),
        (
            {"pixel_size": -1.5},
            "Expected a pixel size above 0, got -1.5; correct pixel_size.",
        ),
        (
            {"diameter": float("nan")},
            "Expected diameter to be a finite number, got nan; correct diameter.",
        ),
        (
            {"diameter": 9, "pixel_size": 0.3},
            "Expected a diameter or a pixel size, got both; give one of them.",
        ),
        (
            {"tile": 8},
            "Expected a tile of at least 64 pixels, got 8; correct tile.",
        ),
        (
            {"sensitivity": 1.1},
            "Expected a sensitivity of at most 1, got 1.1; correct sensitivity.",
        ),
        (
            {"channel": 1.5},
            "Expected channel to be a whole number, got 1.5; correct channel.",
        ),
        (
            {"plane": (0, -1)},
            "Expected a plane of at least 0, got -1; correct plane.",
        ),
        (
            {"plane": "first"},
            "Expected plane to be a whole number, got 'first'; correct plane.",
        ),
        (
            {"link": "maybe"},
            "Expected link to be true or false, got 'maybe'; correct link.",
        ),
        (
            {"device": "abacus"},
            "Expected device to be 'auto', 'cpu', 'cuda' or 'mps', got 'abacus'; "
            "correct device.",
        ),
        (
            {"axes": "XZ"},
            "Expected axes as letters out of TZCYX, each once and with Y and X, got "
            "'XZ'; give them in the order of the array, for example ZYX.",
        ),
        ({"axes": 3}, "Expected axes to be a text, got 3; correct axes."),
        (
            {"region": "9,9,1,1"},
            "Expected a box y0,x0,y1,x1 with y1 above y0 and x1 above x0, got "
            "9,9,1,1; swap the numbers.",
        ),
        (
            {"threshold": 0.5},
            f"Expected a setting out of {', '.join(DEFAULTS)}, got 'threshold'; "
            "correct its name.",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_one_sentence(
    values: dict[str, object], sentence: str
) -> None:
    """What was expected, what came, what to do."""
    with pytest.raises(UneticError) as caught:
        segment_settings(**values)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", OTHERS)
def test_what_needs_the_network_is_told(name: str) -> None:
    """Only settings of decoding differ without other maps."""
    default, value = segment_settings(), OTHERS[name]
    other = segment_settings(**{name: value if name != "pixel_size" else 0.5})

    differing = default.maps_differ(other)

    assert differing == (() if name in DECODING_FIELDS else (name,))


def test_the_middle_is_the_model() -> None:
    """At 0.5 the thresholds are the model's own, to the last bit."""
    assert segment_settings().decoding(SPEC, 1.7) == SPEC


@pytest.mark.parametrize("tuned", [0.3, 0.5, 0.55, 0.7])
@pytest.mark.parametrize(
    ("slider", "threshold"),
    [
        ("sensitivity", "foreground"),
        ("splitting", "contact"),
        ("splitting", "peak"),
    ],
)
def test_a_slider_moves_its_threshold_down(
    tuned: float, slider: str, threshold: str
) -> None:
    """Further to the right is a lower threshold, strong at the ends, never extreme."""
    spec = SPEC.model_copy(update={threshold: tuned})

    moved = [
        getattr(segment_settings(**{slider: s}).decoding(spec), threshold)
        for s in np.linspace(0, 1, 11)
    ]

    assert all(np.diff(moved) < 0)
    assert OUTERMOST <= moved[-1] <= tuned / 2
    assert (1 - tuned) / 2 >= 1 - moved[0] >= OUTERMOST


def test_a_slider_moves_nothing_else() -> None:
    """Sensitivity leaves the splitting alone and the other way round."""
    found = segment_settings(sensitivity=0.9).decoding(SPEC)
    split = segment_settings(splitting=0.9).decoding(SPEC)

    assert found == SPEC.model_copy(update={"foreground": found.foreground})
    assert split == SPEC.model_copy(
        update={"contact": split.contact, "peak": split.peak}
    )


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.99, 1.0])
def test_extreme_thresholds_of_a_model_stay_legal(threshold: float) -> None:
    """A threshold beyond the outermost is never moved further out."""
    spec = DecodeSpec(foreground=threshold, contact=threshold, peak=threshold)

    for s in (0.0, 0.5, 1.0):
        moved = segment_settings(sensitivity=s, splitting=s).decoding(spec)
        assert min(threshold, OUTERMOST) <= moved.foreground
        assert moved.foreground <= max(threshold, 1 - OUTERMOST)
        DecodeSpec.model_validate(moved.model_dump())


def test_areas_are_those_of_the_network() -> None:
    """Pixels of the image become pixels at the size that the network works at."""
    decoding = segment_settings(smallest=40, fill_holes=False).decoding(SPEC, zoom=0.5)

    assert (decoding.smallest_px, decoding.largest_hole_px) == (10, 0)


def test_settings_come_back_from_a_provenance() -> None:
    """Settings that were kept with a result are the same, decoded thresholds aside."""
    settings = segment_settings(**OTHERS)
    kept = {"settings": {**settings.changed(), "decoding": SPEC.model_dump()}}

    assert settings_from(json.loads(json.dumps(kept))) == settings


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        ({}, "got one without settings"),
        ({"settings": {"glow": 3}}, "got 'glow'"),
    ],
)
def test_a_provenance_without_known_settings_is_refused(
    provenance: dict[str, object], message: str
) -> None:
    """The sentence says what is missing."""
    with pytest.raises(UneticError, match=message):
        settings_from(provenance)
