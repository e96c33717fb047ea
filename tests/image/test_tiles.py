"""Integer geometry: every pixel once, on the grid, with enough around it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.image.tiles import TileRule, cover, reflected, tiles

SAME = TileRule(stride=16, halo=128, context=0, remainder=0)
SMALL = TileRule(stride=4, halo=8, context=0, remainder=0)
VALID = TileRule(stride=16, halo=0, context=92, remainder=4)


@pytest.mark.parametrize("rule", [SAME, SMALL, VALID], ids=["same", "small", "valid"])
@pytest.mark.parametrize("tile", [1, 16, 33])
def test_every_pixel_is_written_once(rule: TileRule, tile: int) -> None:
    """Spans follow each other from the first pixel to the last, for all sizes."""
    for size in range(1, 131):
        spans = cover(size, tile, rule)
        assert [s.start for s in spans] == [0] + [s.stop for s in spans[:-1]]
        assert spans[-1].stop == size


@pytest.mark.parametrize("rule", [SAME, SMALL, VALID], ids=["same", "small", "valid"])
def test_starts_lie_on_the_grid_and_sizes_suit_the_network(rule: TileRule) -> None:
    """Starts are multiples of the stride, and output sizes leave the remainder."""
    for size in range(1, 300, 7):
        for span in cover(size, 32, rule):
            assert span.start % rule.stride == 0
            output = span.read_stop - span.read_start - 2 * rule.context
            assert output % rule.stride == rule.remainder
            assert (span.read_start + rule.context) % rule.stride == 0
            assert span.offset + span.stop - span.start <= output


def test_edges_inside_the_image_get_a_halo_of_real_pixels() -> None:
    """A tile reads the halo on either side unless the image ends before."""
    spans = cover(400, 128, SAME)
    for span in spans:
        assert span.read_start == max(0, span.start - 128)
        assert span.read_stop == min(400, span.stop + 128) or span.read_stop == 400


def test_the_last_tile_reads_no_further_than_the_next_multiple() -> None:
    """Beyond the image reflection goes up to the next multiple of the stride only."""
    assert cover(37, 1024, SAME)[0].read_stop == 48
    assert cover(1, 1024, SAME)[0].read_stop == 16
    assert cover(300, 100, SMALL)[-1].read_stop == 300


@pytest.mark.parametrize("rule", [SAME, SMALL, VALID], ids=["same", "small", "valid"])
def test_a_part_is_cut_as_the_whole_is(rule: TileRule) -> None:
    """Its pixels are written once, from windows on the grid of the whole axis."""
    for first, end in ((0, 300), (5, 6), (17, 130), (299, 300), (64, 128)):
        spans = cover(300, 32, rule, slice(first, end))
        assert [s.start for s in spans] == [first] + [s.stop for s in spans[:-1]]
        assert spans[-1].stop == end
        for span in spans:
            assert (span.read_start + rule.context) % rule.stride == 0
            output = span.read_stop - span.read_start - 2 * rule.context
            assert output % rule.stride == rule.remainder
            at = span.start - span.read_start - rule.context
            assert span.offset == at >= 0 and at + span.stop - span.start <= output
            beyond = min(300, span.stop + rule.halo)
            assert span.read_start <= max(0, span.start - rule.halo)
            assert span.read_stop >= beyond


def test_tiles_write_a_plane_once() -> None:
    """Painting every tile's written part gives ones everywhere."""
    painted = np.zeros((75, 41), int)
    for tile in tiles((75, 41), 20, (SMALL, SMALL)):
        painted[tile.write] += 1
        rows, columns = tile.write
        top, left = tile.crop
        assert (top.stop - top.start, left.stop - left.start) == (
            rows.stop - rows.start,
            columns.stop - columns.start,
        )
    assert (painted == 1).all()


def test_reflection_is_that_of_numpy() -> None:
    """Indices agree with numpy.pad in reflect mode, also beyond one period."""
    for size in (1, 2, 3, 7):
        for before, after in ((0, 0), (3, 2), (20, 31)):
            expected = np.pad(np.arange(size), (before, after), mode="reflect")
            found = reflected(-before, size + after, size)
            np.testing.assert_array_equal(found, expected)
