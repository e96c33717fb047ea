"""Batch norm folded into the convolutions before it."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(network: nn.Module) -> None:
    """Replace each convolution and its norm by one convolution, in place.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, made of the modules of this package: a norm that is
        registered right after a convolution takes its output.

    Notes
    -----
    Folding changes results by rounding only and saves the norms' passes over memory.
    """
    for parent in list(network.modules()):
        for (before, first), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                assert isinstance(first, nn.Conv2d | nn.Conv3d)
                setattr(parent, before, fuse_conv_bn_eval(first, norm))
                setattr(parent, name, nn.Identity())
