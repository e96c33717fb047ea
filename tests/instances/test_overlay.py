"""The overlay: outlines where objects end, in colours that people can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.overlay import COLOURS, outlines, overlay

LABELS = np.array(
    [
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [2, 2, 2, 2, 0],
        [0, 0, 0, 0, 0],
    ]
)


def test_outlines_lie_inside_objects_where_they_end():
    """The image's own edge is no outline, and background never is."""
    assert outlines(LABELS).astype(int).tolist() == [
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_an_overlay_shows_the_image_and_coloured_outlines():
    """Outside the outlines the picture is grey, on them a colour of the palette."""
    image = np.arange(25).reshape(5, 5)
    picture = overlay(image, LABELS)
    edge = outlines(LABELS)
    assert picture.shape == (5, 5, 3)
    assert picture.dtype == np.uint8
    assert (picture[~edge] == picture[~edge][:, :1]).all()
    assert {tuple(c) for c in picture[edge].tolist()} <= set(COLOURS)
    assert tuple(picture[0, 3]) != tuple(picture[3, 0])


def test_touching_objects_differ_in_colour():
    """In a mosaic of random cells no two that touch share a colour."""
    random = np.random.default_rng(1)
    seeds = random.random((40, 2)) * 48
    at = np.indices((48, 48)).reshape(2, -1).T
    distance = ((at[:, np.newaxis] - seeds) ** 2).sum(-1)
    # Multiples of the palette's length would all have one colour by number alone.
    labels = (distance.argmin(-1).reshape(48, 48) + 1) * len(COLOURS)
    picture = overlay(np.zeros((48, 48)), labels).astype(int)
    for first, second in (
        ((slice(None, -1),), (slice(1, None),)),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        touching = labels[first] != labels[second]
        assert (picture[first] != picture[second]).any(-1)[touching].all()


# What the long, middle and short cones get of linear red, green and blue, and what
# people without the long (protan) or the middle ones (deutan) have instead: F. Viénot,
# H. Brettel, J. Mollon, Color Research and Application 24 (1999), 243-252.
CONES = np.array(
    [
        [17.8824, 43.5161, 4.11935],
        [3.45565, 27.1554, 3.86714],
        [0.0299566, 0.184309, 1.46709],
    ]
)
VISION = {
    "all cones": np.eye(3),
    "protan": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deutan": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
}


@pytest.mark.parametrize("kind", VISION)
def test_colours_differ_for_every_colour_vision(kind):
    """Any two colours of the palette stay apart, and from black, as simulated."""
    linear = (np.array([*COLOURS, (0, 0, 0)]) / 255) ** 2.2
    simulated = linear @ (np.linalg.inv(CONES) @ VISION[kind] @ CONES).T
    seen = np.clip(simulated, 0, 1) ** (1 / 2.2)
    closest = min(np.abs(a - b).max() for a, b in combinations(seen, 2))
    assert closest > 0.1


def test_contrast_is_stretched_whatever_the_range():
    """Faint 16-bit structure fills the range, and one hot pixel does not stop it."""
    image = np.tile(np.arange(1000, 1100, dtype=np.uint16), (100, 1))
    image[0, 0] = 65_535
    picture = overlay(image, np.zeros(image.shape, int))
    assert picture[50, 0, 0] == 0
    assert picture[50, 99, 0] == 255


def test_one_two_and_three_channels():
    """Three channels are colours; any other number is shown as the mean, in grey."""
    ramp = np.arange(25.0).reshape(5, 5)
    nothing = np.zeros((5, 5), int)
    grey = overlay(ramp, nothing)
    assert (overlay(ramp[np.newaxis], nothing) == grey).all()
    assert (overlay(np.stack([ramp, ramp]), nothing) == grey).all()
    colour = overlay(np.stack([ramp, 0 * ramp, 0 * ramp]), nothing)
    assert (colour[..., 0] == grey[..., 0]).all()
    assert (colour[..., 1:] == 0).all()


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan, np.inf])
def test_a_constant_image_is_black_under_its_outlines(value):
    """Nothing to stretch, not-a-number or infinite: black and no warning."""
    picture = overlay(np.full((5, 5), value), LABELS)
    assert (picture[~outlines(LABELS)] == 0).all()
    assert (picture[outlines(LABELS)].max(-1) > 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_tiny_images_work(shape):
    """A row, a column and a single pixel have an overlay."""
    assert overlay(np.ones(shape), np.ones(shape, int)).shape == (*shape, 3)


@pytest.mark.parametrize("shape", [(4, 5), (5, 5, 3), (2, 2, 5, 5), (5,)])
def test_an_image_that_does_not_fit_is_refused(shape):
    """Only one plane of the labels' shape, channels first, is taken."""
    with pytest.raises(UneticError, match="Expected one plane"):
        overlay(np.zeros(shape), LABELS)
