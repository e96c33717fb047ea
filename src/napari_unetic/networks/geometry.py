"""Which pixels of the input an output pixel depends on, followed through a network.

The rows (or columns, or planes) that something depends on are an interval, traced from
the output back to the input. All axes are alike but for the stem, which leaves Z as it
is, so the functions here are asked about an axis by the factor of its stem. Every layer
of the family maps an interval to an interval, so the result is exact: no bound is
rounded up on the way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from napari_unetic.image.tiles import TileRule

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

RESNET_BLOCKS: Final = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
"""Basic blocks in each of the four stages (He 2016, table 1)."""

Interval = tuple[int, int]
"""First and last pixel of a level, both included."""


def _grown(interval: Interval, radius: int) -> Interval:
    """Return what convolutions with zero padding look at."""
    return interval[0] - radius, interval[1] + radius


def _unpooled(interval: Interval) -> Interval:
    """Return what a pooling by 2, or a convolution without overlap, looks at."""
    return 2 * interval[0], 2 * interval[1] + 1


def _strided(interval: Interval, kernel: int) -> Interval:
    """Return what a layer with stride 2 and an odd kernel in the middle looks at."""
    radius = kernel // 2
    return 2 * interval[0] - radius, 2 * interval[1] + radius


def _coarse(interval: Interval) -> Interval:
    """Return what repetition or a transposed convolution by 2 looks at."""
    return interval[0] // 2, interval[1] // 2


def _coarse_smooth(interval: Interval) -> Interval:
    """Return what linear up-sampling, pixel centres at half pixels, looks at."""
    return (interval[0] - 1) // 2, (interval[1] + 1) // 2


def _union(*intervals: Interval | None) -> Interval:
    found = [interval for interval in intervals if interval is not None]
    return min(low for low, _ in found), max(high for _, high in found)


@lru_cache(maxsize=64)
def reach(spec: NetworkSpec, stem: int) -> int:
    """Return the radius beyond which the input cannot change an output pixel.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    stem : int
        Factor of the stem along the axis.

    Returns
    -------
    int
        In pixels of the input; the largest over all places that an output pixel can
        have on the grid of the coarsest level.
    """
    stride = stem * 2**spec.depth
    places = [(pixel, *_looked_at(spec, stem, pixel)) for pixel in range(stride)]
    return max(max(pixel - low, high - pixel) for pixel, low, high in places)


def receptive_field(spec: NetworkSpec) -> tuple[int, ...]:
    """Return the most pixels along each axis that an output pixel depends on."""
    fields = []
    for stem in spec.stems:
        pixels = range(stem * 2**spec.depth)
        places = [_looked_at(spec, stem, pixel) for pixel in pixels]
        fields.append(max(high - low + 1 for low, high in places))
    return tuple(fields)


@lru_cache(maxsize=64)
def tile_rule(spec: NetworkSpec, stem: int) -> TileRule:
    """Return how an axis must be cut so that tiles agree with the whole.

    The parameters are those of `reach`.
    """
    stride = stem * 2**spec.depth
    if spec.padding == "same":
        halo = -(-reach(spec, stem) // stride) * stride
        return TileRule(stride=stride, halo=halo, context=0, remainder=0)
    # A block of n convolutions at level k eats n * 2**k pixels a side.
    eaten = [stem * spec.convolutions_at(k) * 2**k for k in range(len(spec.widths))]
    in_decoder = sum(eaten[:-1])
    return TileRule(
        stride=stride,
        halo=0,
        context=in_decoder + sum(eaten),
        remainder=-2 * in_decoder % stride,
    )


def _looked_at(spec: NetworkSpec, stem: int, pixel: int) -> Interval:
    """Return the pixels of the input that one of the output depends on."""
    place = pixel // stem
    # The last convolution is 3 × 3 where a decoder of that source ends in one.
    head = int(spec.encoder != "blocks")
    needs = _DECODERS[spec.kind](spec, _grown((place, place), head))
    trace = _through_blocks if spec.encoder == "blocks" else _through_resnet
    low, high = trace(spec, needs)
    return stem * low, stem * high + stem - 1


def _of_unet(spec: NetworkSpec, interval: Interval) -> list[Interval]:
    """Return what the decoder needs of each level of the encoder, the bottom last."""
    needs = []
    for level in range(spec.depth):
        interval = _grown(interval, spec.convolutions_at(level))
        if spec.skip == "attention":
            # The gate is found at the coarser level, from both, and brought up.
            gate = _coarse_smooth(interval)
            needs.append(_union(interval, _unpooled(gate)))
            interval = _union(_coarse(interval), gate)
        else:
            needs.append(interval)
            interval = _coarse(interval)
    return [*needs, interval]


def _of_nested(spec: NetworkSpec, interval: Interval) -> list[Interval]:
    """Return the same for a U-Net++, whose nodes lie in levels and columns."""
    needs: dict[tuple[int, int], Interval] = {(0, spec.depth): interval}
    for column in range(spec.depth, 0, -1):
        for level in range(spec.depth - column + 1):
            inside = _grown(needs[level, column], spec.convolutions_at(level))
            sources = [((level, left), inside) for left in range(column)]
            sources.append(((level + 1, column - 1), _coarse(inside)))
            for node, looked_at in sources:
                needs[node] = _union(needs.get(node), looked_at)
    return [needs[level, 0] for level in range(spec.depth + 1)]


def _of_segnet(spec: NetworkSpec, interval: Interval) -> list[Interval]:
    """Return the same for a SegNet; what was pooled at the bottom comes last."""
    needs = []
    for level in range(spec.depth):
        interval = _coarse(_grown(interval, spec.convolutions_at(level)))
        # Where a value goes depends on all the values that it was the largest of.
        needs.append(_unpooled(interval))
    return [*needs, interval]


_DECODERS = {"unet": _of_unet, "unet++": _of_nested, "segnet": _of_segnet}


def _through_blocks(spec: NetworkSpec, needs: list[Interval]) -> Interval:
    """Return what the levels that are needed look at in the input."""
    interval: Interval | None = None
    for level in range(spec.depth, -1, -1):
        interval = _union(needs[level], interval)
        if level < len(spec.widths):
            interval = _grown(interval, spec.convolutions_at(level))
        if level > 0:
            interval = _unpooled(interval)
    assert interval is not None
    return interval


def _through_resnet(spec: NetworkSpec, needs: list[Interval]) -> Interval:
    """Return the same through a ResNet, which has nothing at the finest level."""
    first, *stages = RESNET_BLOCKS[spec.encoder]
    interval = needs[5]
    for level, n_blocks in zip((4, 3, 2), reversed(stages), strict=True):
        # Two convolutions a block, the very first with a stride.
        interval = _strided(_grown(interval, 2 * n_blocks - 1), 3)
        interval = _union(needs[level], interval)
    interval = _strided(_grown(interval, 2 * first), 3)
    return _strided(_union(needs[1], interval), 7)
