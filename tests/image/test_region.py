"""A region covers the pixels whose centres it holds, and survives text and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from napari_unetic.errors import UneticError
from napari_unetic.image.region import Region

SHAPE = (20, 30)

TRIANGLE = ((2.0, 3.0), (2.0, 9.0), (8.0, 3.0))


def whole_mask(region: Region) -> NDArray[np.bool_]:
    return region.mask(slice(0, SHAPE[0]), slice(0, SHAPE[1]))


def test_a_box_is_a_slice() -> None:
    """A box covers the pixels that a slice of the same numbers covers."""
    expected = np.zeros(SHAPE, bool)
    expected[3:7, 10:25] = True

    region = Region.box(3, 10, 7, 25)

    np.testing.assert_array_equal(whole_mask(region), expected)
    assert region.bounds(SHAPE) == (slice(3, 7), slice(10, 25))


def test_a_triangle_covers_the_centres_it_holds() -> None:
    """Edges above and to the left count, those below and to the right do not."""
    region = Region((TRIANGLE,))

    counts = whole_mask(region).sum(axis=1)

    # Row 2 holds columns 3 to 8; each row below has one fewer.
    assert counts.tolist() == [0, 0, 6, 5, 4, 3, 2, 1, *[0] * 12]


@pytest.mark.parametrize("seed", range(8))
def test_any_polygon_agrees_with_a_test_of_each_point(seed: int) -> None:
    """Concave polygons and ones that cross themselves, inside and across the edge."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-5, -5), (25, 35), (rng.integers(3, 12), 2))
    centres = np.indices(SHAPE).reshape(2, -1).T

    found = whole_mask(Region((points,)))

    expected = points_in_poly(centres, points).reshape(SHAPE)
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


def test_parts_that_share_an_edge_share_no_pixel() -> None:
    """The two halves of a box cover each of its pixels once."""
    corners = [(1, 2), (1, 23), (17, 23), (17, 2)]
    halves = [Region((corners[:3],)), Region(([*corners[2:], corners[0]],))]

    total = sum(whole_mask(half).astype(int) for half in halves)

    np.testing.assert_array_equal(total, whole_mask(Region.box(1, 2, 17, 23)))


def test_several_polygons_add_up() -> None:
    """What lies in any polygon lies in the region, also where two overlap."""
    boxes = [Region.box(1, 1, 8, 8), Region.box(5, 5, 12, 20)]

    region = Region(tuple(polygon for box in boxes for polygon in box.polygons))

    expected = whole_mask(boxes[0]) | whole_mask(boxes[1])
    np.testing.assert_array_equal(whole_mask(region), expected)
    assert region.bounds(SHAPE) == (slice(1, 12), slice(1, 20))


def test_a_window_is_a_part_of_the_whole() -> None:
    """The mask of a window is cut out of the mask of the image."""
    region = Region((TRIANGLE, ((10.2, 4.0), (18.7, 28.1), (15.0, 5.5))))

    window = region.mask(slice(5, 16), slice(4, 27))

    np.testing.assert_array_equal(window, whole_mask(region)[5:16, 4:27])


def test_bounds_have_a_margin_within_the_image() -> None:
    """The margin goes as far as the image goes; a region beyond it is cut."""
    assert Region.box(3, 10, 7, 25).bounds(SHAPE, 4) == (slice(0, 11), slice(6, 29))
    assert Region.box(-9, 10, 900, 25).bounds(SHAPE) == (slice(0, 20), slice(10, 25))


def test_bounds_hold_the_mask() -> None:
    """No pixel of the region lies outside of its bounds."""
    region = Region((((2.5, 3.5), (2.4, 9.9), (8.6, 3.1)),))

    rows, columns = region.bounds(SHAPE)

    mask = whole_mask(region)
    assert mask[rows, columns].sum() == mask.sum() > 0
    assert mask[rows.start].any() and mask[:, columns.start].any()


@pytest.mark.parametrize(
    "region",
    [
        pytest.param(Region.box(20, 0, 25, 9), id="below"),
        pytest.param(Region.box(-5, 0, 0, 9), id="above"),
        pytest.param(Region.box(0, 30, 5, 40), id="right"),
        pytest.param(Region.box(0.1, 0.1, 0.9, 0.9), id="between pixels"),
    ],
)
def test_a_region_without_pixels_is_refused(region: Region) -> None:
    """The sentence names the image's size and the region."""
    with pytest.raises(UneticError, match=r"image of 20 rows and 30 columns, got .*,"):
        region.bounds(SHAPE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("10,20,30,40", Region.box(10, 20, 30, 40), id="text of a box"),
        pytest.param([10, 20, 30, 40], Region.box(10, 20, 30, 40), id="four numbers"),
        pytest.param(np.arange(4), Region.box(0, 1, 2, 3), id="array of four"),
        pytest.param("[[[2,3],[2,9],[8,3]]]", Region((TRIANGLE,)), id="json"),
        pytest.param([list(map(list, TRIANGLE))], Region((TRIANGLE,)), id="lists"),
        pytest.param(np.array(TRIANGLE), Region((TRIANGLE,)), id="vertices"),
        pytest.param([*TRIANGLE, TRIANGLE[0]], Region((TRIANGLE,)), id="closed"),
        pytest.param(Region((TRIANGLE,)), Region((TRIANGLE,)), id="a region"),
    ],
)
def test_texts_and_sequences_are_regions(value: object, expected: Region) -> None:
    """Boxes and polygons, from the shell, from Python and from a layer of shapes."""
    assert Region.of(value) == expected
    assert hash(Region.of(value)) == hash(expected)


@pytest.mark.parametrize(
    "region",
    [
        pytest.param(Region.box(10, 20, 30.5, 40), id="box"),
        pytest.param(Region((TRIANGLE, *Region.box(1, 2, 3, 4).polygons)), id="two"),
        pytest.param(Region((((0, 0), (4, 4), (8, 0), (4, -4)),)), id="lozenge"),
    ],
)
def test_text_and_json_lead_back(region: Region) -> None:
    """A region written and read again is the same."""
    assert Region.of(region.text()) == region
    assert Region.of(json.loads(json.dumps(region.to_json()))) == region


def test_a_box_reads_as_its_numbers() -> None:
    """The text is what one would type."""
    assert Region.box(10, 20, 300, 400.5).text() == "10,20,300,400.5"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("a,b", "Expected a region, got 'a,b'; give a box", id="letters"),
        pytest.param("1,2,3", r"Expected a region, got \[1, 2, 3\]", id="three"),
        pytest.param("", r"Expected a region, got \[\]", id="nothing"),
        pytest.param(7, "Expected a region, got 7", id="a number"),
        pytest.param([], r"Expected a region, got \[\]", id="no polygon"),
        pytest.param("5,5,1,9", "y1 above y0 .* got 5,5,1,9; swap", id="upside down"),
        pytest.param([[0, 0], [1, 1]], "three or more finite points", id="a line"),
        pytest.param([[0, 0], [1, 1], [0, np.inf]], "finite points", id="infinite"),
        pytest.param([[0, 0, 0]] * 3, "vertices of two numbers", id="three numbers"),
        pytest.param([[0, 0], [1, "a"], [2, 0]], "of two numbers", id="a letter"),
        pytest.param({"y": 1}, "Expected a region, got", id="a mapping"),
    ],
)
def test_what_is_no_region_is_refused(value: object, message: str) -> None:
    """The sentence says what came and how to give a region."""
    with pytest.raises(UneticError, match=message):
        Region.of(value)


def test_no_polygon_is_no_region() -> None:
    """An empty sequence is refused."""
    with pytest.raises(UneticError, match="got none"):
        Region(())
