"""What there is to choose for an image, and the settings that come of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.layers import Image as ImageLayer

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region
from napari_unetic.settings import SegmentSettings
from napari_unetic.widgets.layers import layer_source
from napari_unetic.widgets.offers import (
    Controls,
    Offer,
    controls_of,
    interpretations,
    live_settings,
    offer,
)

STACK = Offer(axes=("ZYX", "TYX", "CYX"), n_planes=5)


def offered(n_taken: int = 1, axes: str | None = None, **layer: Any) -> Offer:
    image = ImageLayer(**layer)
    own = layer_source(image)
    return offer(layer_source(image, axes), own.axes, n_taken)


def test_plane() -> None:
    """A grey plane offers neither channel nor planes, and one reading of its axes."""
    assert offered(data=np.zeros((6, 8))) == Offer(axes=("YX",))


def test_colour() -> None:
    """A colour image offers its colours by name, grey first where the model is grey."""
    grey = offered(data=np.zeros((40, 50, 3), np.uint8), rgb=True)
    assert grey.channels == ((None, "as grey"), (0, "red"), (1, "green"), (2, "blue"))
    assert grey.colour and not grey.has_planes
    colour = offered(3, data=np.zeros((40, 50, 3), np.uint8), rgb=True)
    assert colour.channels[0] == (None, "all three")


def test_channels() -> None:
    """Several channels are offered by number, all of them where the model takes all."""
    stains = {"data": np.zeros((2, 6, 8)), "axis_labels": tuple("cyx")}
    assert offered(**stains).channels == ((0, "0"), (1, "1"))
    assert offered(2, **stains).channels[0] == (None, "all")
    assert offered(axes="ZYX", **stains) == Offer(
        axes=("CYX", "ZYX", "TYX", "YXC"), n_planes=2
    )


def test_planes() -> None:
    """Planes run along T and Z together."""
    movie = offered(data=np.zeros((2, 3, 6, 8)))
    assert movie.n_planes == 6 and movie.has_planes
    assert not offered(data=np.zeros((1, 6, 8))).has_planes


@pytest.mark.parametrize(
    ("own", "colour", "expected"),
    [
        ("YX", False, ("YX",)),
        ("ZYX", False, ("ZYX", "TYX", "CYX", "YXC")),
        ("XYZ", False, ("XYZ", "ZYX", "TYX", "CYX", "YXC")),
        ("YXC", True, ("YXC",)),
        ("ZYXC", True, ("ZYXC", "TYXC")),
    ],
)
def test_interpretations(own: str, colour: bool, expected: tuple[str, ...]) -> None:
    """The readings fit the number of dimensions, the image's own comes first."""
    assert interpretations(own, colour=colour) == expected


@pytest.mark.parametrize("own", ["TZYX", "TZCYX"])
def test_interpretations_are_legal(own: str) -> None:
    """Each reading names every dimension once, rows and columns among them."""
    found = interpretations(own, colour=False)
    assert len(set(found)) == len(found) >= 6
    for axes in found:
        assert len(set(axes)) == len(own) and {"Y", "X"} <= set(axes) <= set("TZCYX")


def test_defaults() -> None:
    """Controls that nobody touched say what the settings say by default."""
    assert Controls().settings(STACK) == SegmentSettings()
    assert Controls(axes="zyx").settings(STACK) == SegmentSettings()


def test_all_are_told() -> None:
    """Everything that is chosen, and that the image has a use for, is a setting."""
    region = Region.box(1, 2, 30, 40)
    chosen = Controls(
        axes="TYX",
        region=region,
        diameter=31.5,
        sensitivity=0.7,
        splitting=0.2,
        smallest=0,
        fill_holes=False,
        drop_border=True,
        link=True,
        device="cpu",
        tile=512,
    )
    assert chosen.settings(STACK).changed() == {
        "axes": "TYX",
        "region": [1, 2, 30, 40],
        "diameter": 31.5,
        "sensitivity": 0.7,
        "splitting": 0.2,
        "smallest": 0,
        "fill_holes": False,
        "drop_border": True,
        "link": True,
        "device": "cpu",
        "tile": 512,
    }


def test_what_the_image_has_no_use_for() -> None:
    """A channel, a plane or linking of an image that has none is left out."""
    chosen = Controls(channel=1, plane=(3,), link=True)
    assert chosen.settings(Offer(axes=("YX",))) == SegmentSettings()
    # One plane alone is linked to nothing.
    assert chosen.settings(STACK).changed() == {"plane": [3]}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Controls(tile=30), "tile of at least 64 pixels, got 30"),
        (Controls(axes="ZZX"), "Expected axes as letters out of TZCYX"),
    ],
)
def test_out_of_bounds(wrong: Controls, text: str) -> None:
    """A value that cannot be is told by its name."""
    with pytest.raises(UneticError, match=text):
        wrong.settings(STACK)


def test_there_and_back() -> None:
    """Controls made of settings come to the same settings."""
    settings = SegmentSettings(
        axes="TYX", plane=(2,), diameter=20, sensitivity=0.61, smallest=7, tile=128
    )
    assert controls_of(settings).settings(STACK) == settings
    assert controls_of(SegmentSettings()) == Controls()


def test_live_settings() -> None:
    """Thresholds of now, all else as the result was made."""
    made = SegmentSettings(diameter=12, region=Region.box(0, 0, 9, 9), sensitivity=0.3)
    now = SegmentSettings(diameter=99, sensitivity=0.8, drop_border=True)
    assert live_settings(made, now).changed() == {
        "diameter": 12,
        "region": [0, 0, 9, 9],
        "sensitivity": 0.8,
        "drop_border": True,
    }


def test_controls_cover_the_settings() -> None:
    """Every setting but the pixel size, which the layer knows, has a control."""
    known = set(SegmentSettings.model_fields) - {"pixel_size"}
    assert set(replace(Controls()).__dataclass_fields__) == known


def test_volumes() -> None:
    """With a model for volumes there are frames to choose from, and no planes."""
    movie = layer_source(ImageLayer(np.zeros((2, 3, 6, 8))))
    assert offer(movie, movie.axes, 1, in_volumes=True).n_planes == 2
    stack = layer_source(ImageLayer(np.zeros((5, 6, 8)), axis_labels=tuple("zyx")))
    found = offer(stack, stack.axes, 1, in_volumes=True)
    assert not found.has_planes
    assert Controls(plane=(2,), link=True).settings(found) == SegmentSettings()
