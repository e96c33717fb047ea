"""What networks are put together from: blocks of convolutions, up-sampling, gates.

In every module here and beside it, a norm is registered right after the convolution
whose output it takes; `napari_unetic.networks.folding` relies on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "elu": nn.ELU}
_CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {
    2: nn.Conv2d,
    3: nn.Conv3d,
}
_NORMS: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def convolution(
    n_in: int,
    n_out: int,
    spec: NetworkSpec,
    *,
    kernel: int = 3,
    stride: int = 1,
    bias: bool = True,
) -> nn.Conv2d | nn.Conv3d:
    """Return a convolution, padded as the description says where the kernel is odd.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    spec : NetworkSpec
        Dimensions and padding.
    kernel, stride : int
        Along each axis.
    bias : bool
        Whether it has one.
    """
    padding = kernel // 2 if spec.padding == "same" and kernel % 2 else 0
    return _CONVOLUTIONS[spec.dimensions](
        n_in, n_out, kernel, stride=stride, padding=padding, bias=bias
    )


def normed(
    n_in: int, n_out: int, spec: NetworkSpec, *, kernel: int = 3
) -> list[nn.Module]:
    """Return a convolution and its norm; with none, the convolution has a bias."""
    has_norm = spec.norm == "batch"
    first = convolution(n_in, n_out, spec, kernel=kernel, bias=not has_norm)
    return [first, _NORMS[spec.dimensions](n_out)] if has_norm else [first]


def activation(spec: NetworkSpec) -> nn.Module:
    """Return the activation of the description."""
    return _ACTIVATIONS[spec.activation]()


def max_pool(x: Tensor) -> Tensor:
    """Halve the resolution of all axes but the first two."""
    pool = functional.max_pool2d if x.ndim == 4 else functional.max_pool3d
    return pool(x, 2)


class Block(nn.Sequential):
    """Convolutions of 3 × 3, each followed by norm and activation.

    Parameters
    ----------
    widths : sequence of int
        Channels in, then out of each convolution.
    spec : NetworkSpec
        Dimensions, padding, norm and activation.
    dropout : float
        Rate of dropout after the first convolution.
    """

    def __init__(self, widths: list[int], spec: NetworkSpec, dropout: float = 0.0):
        layers: list[nn.Module] = []
        for k, n_out in enumerate(widths[1:]):
            layers += [*normed(widths[k], n_out, spec), activation(spec)]
            if k == 0 and dropout > 0:
                layers.append(nn.Dropout(dropout))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Convolutions of 3 × 3 with a shortcut around them.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    n_convolutions : int
        How many.
    spec : NetworkSpec
        Dimensions, norm and activation.
    dropout : float
        Rate of dropout after the first convolution.

    References
    ----------
    He et al.: Deep Residual Learning for Image Recognition. CVPR 2016, arXiv
    1512.03385, sections 3.2 and 3.3: the sum comes before the last activation, and the
    shortcut is a 1 × 1 convolution where the number of channels changes.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_convolutions: int,
        spec: NetworkSpec,
        dropout: float = 0.0,
    ):
        super().__init__()
        layers: list[nn.Module] = normed(n_in, n_out, spec)
        for k in range(1, n_convolutions):
            layers.append(activation(spec))
            if k == 1 and dropout > 0:
                layers.append(nn.Dropout(dropout))
            layers += normed(n_out, n_out, spec)
        self.path = nn.Sequential(*layers)
        self.shortcut = (
            nn.Identity()
            if n_in == n_out
            else nn.Sequential(*normed(n_in, n_out, spec, kernel=1))
        )
        self.last = nn.Sequential(activation(spec))
        if n_convolutions == 1 and dropout > 0:
            self.last.append(nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the size of `x` with `n_out` channels."""
        result: Tensor = self.last(self.path(x) + self.shortcut(x))
        return result


class DenseBlock(nn.Module):
    """Convolutions of 3 × 3 that each see the block's input and all outputs before.

    They share the block's width among them; a 1 × 1 convolution over everything then
    brings it to that width.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    n_convolutions : int
        How many; divides `n_out`.
    spec : NetworkSpec
        Dimensions, norm and activation.
    dropout : float
        Rate of dropout after the first convolution.

    References
    ----------
    Huang et al.: Densely Connected Convolutional Networks. CVPR 2017, arXiv 1608.06993,
    section 3 (equation 2 and the transition layers; the norm here follows its
    convolution, so that it can be folded into it). In a U-Net: Jégou et al. 2017, arXiv
    1611.09326, section 3.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_convolutions: int,
        spec: NetworkSpec,
        dropout: float = 0.0,
    ):
        super().__init__()
        growth = n_out // n_convolutions
        self.layers = nn.ModuleList()
        for k in range(n_convolutions):
            rate = dropout if k == 0 else 0.0
            self.layers.append(Block([n_in + k * growth, growth], spec, rate))
        self.transition = nn.Sequential(
            *normed(n_in + n_convolutions * growth, n_out, spec, kernel=1),
            activation(spec),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the size of `x` with `n_out` channels."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        result: Tensor = self.transition(x)
        return result


def block_at(
    level: int,
    n_in: int,
    spec: NetworkSpec,
    dropout: float = 0.0,
    *,
    is_before_pooling: bool = False,
) -> nn.Module:
    """Return a block as the description has it at a level.

    Parameters
    ----------
    level : int
        0 is the finest.
    n_in : int
        Channels in; out come ``spec.widths[level]``.
    spec : NetworkSpec
        The network.
    dropout : float
        Rate after the first convolution.
    is_before_pooling : bool
        Whether it belongs to the encoder or the bottom, where filters may double
        within the block.
    """
    width, n = spec.widths[level], spec.convolutions_at(level)
    if spec.block == "residual":
        return ResidualBlock(n_in, width, n, spec, dropout)
    if spec.block == "dense":
        return DenseBlock(n_in, width, n, spec, dropout)
    widths = [width] * n
    if spec.doubling == "before" and is_before_pooling:
        widths[:-1] = [max(1, width // 2)] * (n - 1)
    return Block([n_in, *widths], spec, dropout)


class Up(nn.Module):
    """Double the resolution: a transposed convolution, or repetition.

    Parameters
    ----------
    n_in, n_out : int
        Channels in, and out of a transposed convolution. Repetition keeps the channels,
        or follows a 1 × 1 convolution where the result is added to a skip.
    spec : NetworkSpec
        Dimensions and kind. Where filters double before poolings, the transposed
        convolution keeps the channels and has no bias (Çiçek 2016, figure 2, whose
        19,069,955 parameters leave room for none).
    """

    def __init__(self, n_in: int, n_out: int, spec: NetworkSpec):
        super().__init__()
        keeps = spec.doubling == "before" or (
            spec.up == "nearest" and spec.skip != "add"
        )
        self.n_out = n_in if keeps else n_out
        self.transpose: nn.Module | None = None
        self.project: nn.Module | None = None
        if spec.up == "transpose":
            kind = nn.ConvTranspose2d if spec.dimensions == 2 else nn.ConvTranspose3d
            has_bias = spec.doubling == "after"
            self.transpose = kind(n_in, self.n_out, 2, stride=2, bias=has_bias)
        elif not keeps:
            self.project = convolution(n_in, n_out, spec, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` at twice its resolution."""
        if self.transpose is not None:
            up: Tensor = self.transpose(x)
            return up
        if self.project is not None:
            x = self.project(x)
        return functional.interpolate(x, scale_factor=2, mode="nearest")


class AttentionGate(nn.Module):
    """Weigh the pixels of a skip by what the coarser level knows of them.

    Parameters
    ----------
    n_skip, n_coarse : int
        Channels of the skip and of the coarser level.
    spec : NetworkSpec
        Dimensions.

    References
    ----------
    Oktay et al.: Attention U-Net: Learning Where to Look for the Pancreas. MIDL 2018,
    arXiv 1804.03999, equations 1 and 2 and figure 2: additive attention on the grid of
    the coarser level, brought to that of the skip by linear interpolation.
    """

    def __init__(self, n_skip: int, n_coarse: int, spec: NetworkSpec):
        super().__init__()
        self.theta = convolution(n_skip, n_skip, spec, kernel=2, stride=2, bias=False)
        self.phi = convolution(n_coarse, n_skip, spec, kernel=1)
        self.psi = convolution(n_skip, 1, spec, kernel=1)
        self.mode = "bilinear" if spec.dimensions == 2 else "trilinear"

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Return `skip` times weights between 0 and 1, one a pixel."""
        joined = functional.relu(self.theta(skip) + self.phi(coarse))
        weights = torch.sigmoid(self.psi(joined))  # (B, 1, Y/2, X/2)
        weights = functional.interpolate(
            weights, scale_factor=2, mode=self.mode, align_corners=False
        )
        return skip * weights
