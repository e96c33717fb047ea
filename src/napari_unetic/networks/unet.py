"""The U-Net: one class for any depth, width, padding and number of channels.

References
----------
Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
Segmentation. MICCAI 2015, arXiv 1505.04597, section 2 and figure 1.
Shi et al.: Real-Time Single Image and Video Super-Resolution Using an Efficient
Sub-Pixel Convolutional Neural Network. CVPR 2016, arXiv 1609.05158, section 3.2 (the
pixel shuffle, here undone in the stem and applied at the output).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}


class Block(nn.Sequential):
    """Convolutions of 3 × 3, each followed by norm and activation.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    spec : NetworkSpec
        Padding, norm, activation and number of convolutions.
    dropout : float
        Rate of dropout after the first convolution.
    """

    def __init__(self, n_in: int, n_out: int, spec: NetworkSpec, dropout: float):
        layers: list[nn.Module] = []
        for k in range(spec.convolutions):
            layers.append(
                nn.Conv2d(
                    n_in if k == 0 else n_out,
                    n_out,
                    kernel_size=3,
                    padding=1 if spec.padding == "same" else 0,
                    bias=spec.norm == "none",
                )
            )
            if spec.norm == "batch":
                layers.append(nn.BatchNorm2d(n_out))
            layers.append(_ACTIVATIONS[spec.activation]())
            if k == 0 and dropout > 0:
                layers.append(nn.Dropout(dropout))
        super().__init__(*layers)


class Up(nn.Module):
    """Double the resolution: a transposed convolution, or repetition."""

    def __init__(self, n_in: int, n_out: int, kind: str):
        super().__init__()
        self.n_out = n_out if kind == "transpose" else n_in
        self.transpose = (
            nn.ConvTranspose2d(n_in, n_out, kernel_size=2, stride=2)
            if kind == "transpose"
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` at twice its resolution."""
        if self.transpose is not None:
            up: Tensor = self.transpose(x)
            return up
        return functional.interpolate(x, scale_factor=2, mode="nearest")


class UNet(nn.Module):
    """A U-Net as its description says.

    Parameters
    ----------
    spec : NetworkSpec
        The description.

    Notes
    -----
    The input must have the size that ``spec.tile_rule`` asks for: multiples of the
    stride with padding ``same``. The output is logits; what they mean is the business
    of the target kind.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.spec = spec
        rates = spec.dropout or (0.0,) * (2 * spec.depth + 1)
        n_in = spec.in_channels * spec.stem**2
        self.encoder = nn.ModuleList()
        for width, rate in zip(spec.widths[:-1], rates, strict=False):
            self.encoder.append(Block(n_in, width, spec, rate))
            n_in = width
        self.bottom = Block(n_in, spec.widths[-1], spec, rates[spec.depth])
        n_in = spec.widths[-1]
        self.up, self.decoder = nn.ModuleList(), nn.ModuleList()
        for width, rate in zip(
            reversed(spec.widths[:-1]), rates[spec.depth + 1 :], strict=True
        ):
            up = Up(n_in, width, spec.up)
            self.up.append(up)
            self.decoder.append(Block(up.n_out + width, width, spec, rate))
            n_in = width
        self.head = nn.Conv2d(n_in, spec.out_channels * spec.stem**2, kernel_size=1)
        self._initialise()

    def _initialise(self) -> None:
        """He-normal weights (He 2015, arXiv 1502.01852, section 2.2), zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of all maps.

        Parameters
        ----------
        x : Tensor of shape (B, C, Y, X), float32

        Returns
        -------
        Tensor of shape (B, M, Y', X')
            Y' = Y and X' = X with padding ``same``, else smaller by twice the context.
        """
        if self.spec.stem > 1:
            x = functional.pixel_unshuffle(x, self.spec.stem)  # (B, 4C, Y/2, X/2)
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, block in zip(self.up, self.decoder, strict=True):
            x = up(x)
            x = block(torch.cat([_centre(skips.pop(), x), x], dim=1))
        x = self.head(x)
        if self.spec.stem > 1:
            x = functional.pixel_shuffle(x, self.spec.stem)
        return x


def _centre(skip: Tensor, like: Tensor) -> Tensor:
    """Cut the middle of a skip to the size of what came up (valid padding only)."""
    top = (skip.shape[-2] - like.shape[-2]) // 2
    left = (skip.shape[-1] - like.shape[-1]) // 2
    if top == 0 and left == 0:
        return skip
    return skip[..., top : top + like.shape[-2], left : left + like.shape[-1]]


def n_parameters(network: nn.Module) -> int:
    """Return the number of trainable values: weights and biases."""
    return sum(p.numel() for p in network.parameters())
