"""ResNet-18 and 34 as encoders, with the parameter names of torchvision.

So ``network.encoder.load_state_dict`` takes what torchvision's pretrained files hold,
short of the classifier.

References
----------
He et al.: Deep Residual Learning for Image Recognition. CVPR 2016, arXiv 1512.03385,
table 1. Names and order of the layers: torchvision, ``models/resnet.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from napari_unetic.networks.geometry import RESNET_BLOCKS

if TYPE_CHECKING:
    from napari_unetic.networks.spec import NetworkSpec


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut around them.

    Parameters
    ----------
    n_in, n_out : int
        Channels in and out.
    stride : int
        Of the first convolution.
    """

    def __init__(self, n_in: int, n_out: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(n_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of `n_out` channels, smaller by the stride."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.downsample(x)
        return functional.relu(y)


class ResNetEncoder(nn.Module):
    """A ResNet short of its classifier; it halves the resolution five times.

    Parameters
    ----------
    spec : NetworkSpec
        Which ResNet, channels in, and the width of its last stage.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        base = spec.widths[-1] // 8
        self.n_skips = [0, base, base, 2 * base, 4 * base]
        self.conv1 = nn.Conv2d(
            spec.in_channels, base, 7, stride=2, padding=3, bias=False
        )
        self.bn1 = nn.BatchNorm2d(base)
        n_blocks = RESNET_BLOCKS[spec.encoder]
        self.layer1 = _stage(base, base, n_blocks[0], stride=1)
        self.layer2 = _stage(base, 2 * base, n_blocks[1], stride=2)
        self.layer3 = _stage(2 * base, 4 * base, n_blocks[2], stride=2)
        self.layer4 = _stage(4 * base, 8 * base, n_blocks[3], stride=2)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the skips from half to a sixteenth of the size, and the bottom."""
        x = functional.relu(self.bn1(self.conv1(x)))
        skips = [x]
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
            skips.append(x)
        return skips, self.layer4(x)


def _stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> nn.Sequential:
    blocks = [BasicBlock(n_in, n_out, stride)]
    blocks += [BasicBlock(n_out, n_out) for _ in range(n_blocks - 1)]
    return nn.Sequential(*blocks)
