"""SegNet: a decoder that is told only where the largest values were.

References
----------
Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder
Architecture for Image Segmentation. IEEE TPAMI 39(12), 2017, arXiv 1511.00561, section
3 and figure 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from napari_unetic.networks.blocks import Block, block_at
from napari_unetic.networks.network import Network

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec


class SegNet(Network):
    """A SegNet as its description says.

    Parameters
    ----------
    spec : NetworkSpec
        The description, of kind ``segnet``.

    Notes
    -----
    The decoder has as many convolutions as the encoder at each level; the last of a
    level has the width of the next finer one, and the very last makes the maps.

    Where two values of a pooling are equal but for rounding, which of them is the
    larger, and so the output there, may differ between tiles and machines.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        assert spec.kind == "segnet"
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        n_in = self._n_in
        for level, width in enumerate(spec.widths):
            self.encoder.append(block_at(level, n_in, spec))
            n_in = width
        for level in reversed(range(spec.depth)):
            width, n = spec.widths[level], spec.convolutions_at(level)
            after = [spec.widths[level - 1]] if level else []
            self.decoder.append(Block([width] * n + after, spec))
        self.head = self._make_head(spec.widths[0], kernel=3)
        self._initialise()

    def body(self, x: Tensor) -> Tensor:
        """Return what the last convolution makes the maps of."""
        places: list[Tensor] = []
        pool = functional.max_pool2d if x.ndim == 4 else functional.max_pool3d
        for block in self.encoder:
            x, place = pool(block(x), 2, return_indices=True)
            places.append(place)
        for block in self.decoder:
            x = block(_put_back(x, places.pop()))
        return x


def _put_back(x: Tensor, places: Tensor) -> Tensor:
    """Double the resolution: each value goes where the largest was, 0 elsewhere."""
    # Unlike torch's max_unpool, repeatable on a GPU: no two values share a place.
    fine = x.new_zeros(*x.shape[:2], x[0, 0].numel() * 2 ** (x.ndim - 2))
    fine = fine.scatter(2, places.flatten(2), x.flatten(2))
    return fine.view(*x.shape[:2], *(2 * n for n in x.shape[2:]))
