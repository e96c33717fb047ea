"""U-Net++: a U-Net whose skips are networks of blocks themselves.

References
----------
Zhou et al.: UNet++: A Nested U-Net Architecture for Medical Image Segmentation. DLMIA
2018, arXiv 1807.10165, section 3.1 and figure 1; without deep supervision (section
3.2), that is, with the output of the last node alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unetic.networks.blocks import Up, block_at, max_pool
from napari_unetic.networks.network import Network

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec


class NestedUNet(Network):
    """A U-Net++ as its description says.

    Parameters
    ----------
    spec : NetworkSpec
        The description, of kind ``unet++``.

    Notes
    -----
    Node ``i_j`` lies at level i behind j others, the first of which is the encoder's.
    It gets the outputs of these and what comes up from node ``i+1_j-1``.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        assert spec.kind == "unet++"
        self.encoder = nn.ModuleList()
        self.up, self.nodes = nn.ModuleDict(), nn.ModuleDict()
        n_in = self._n_in
        for level, width in enumerate(spec.widths):
            self.encoder.append(block_at(level, n_in, spec))
            n_in = width
        for column in range(1, spec.depth + 1):
            for level in range(spec.depth + 1 - column):
                width = spec.widths[level]
                up = Up(spec.widths[level + 1], width, spec)
                node = block_at(level, up.n_out + column * width, spec)
                self.up[f"{level}_{column}"] = up
                self.nodes[f"{level}_{column}"] = node
        self.head = self._make_head(spec.widths[0])
        self._initialise()

    def body(self, x: Tensor) -> Tensor:
        """Return the output of the last node of the finest level."""
        rows: list[list[Tensor]] = []
        for level, block in enumerate(self.encoder):
            x = block(max_pool(x) if level else x)
            rows.append([x])
            # Each diagonal needs the one before it alone, so it can follow at once.
            for column in range(1, level + 1):
                row = level - column
                up = self.up[f"{row}_{column}"](rows[row + 1][column - 1])
                joined = torch.cat([*rows[row], up], dim=1)
                rows[row].append(self.nodes[f"{row}_{column}"](joined))
        return rows[0][-1]
