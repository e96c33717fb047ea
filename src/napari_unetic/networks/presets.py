"""Networks by name, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from napari_unetic.errors import UneticError
from napari_unetic.networks.spec import NetworkSpec


@dataclass(frozen=True, slots=True)
class Preset:
    """A network description with its origin.

    Parameters
    ----------
    name : str
        By which it is asked for.
    spec : NetworkSpec
        The network. `n_maps` of the target kind replaces its number of maps when it is
        trained for something else than its source did.
    source : str
        Paper and section, or the program it comes from.
    normalisation : {"percentile", "division"}
        How its source brings intensities into range: by percentiles, as ours, or by a
        division by 255. For classes of pixels, which its source learnt.
    """

    name: str
    spec: NetworkSpec
    source: str
    normalisation: Literal["percentile", "division"] = "percentile"


def _ours(width: int) -> NetworkSpec:
    """Describe our shape: 2 × 2 space-to-depth stem, three poolings, batch norm.

    The full-resolution layers of a plain U-Net take most of its time; the stem moves
    them to half the resolution and loses no pixel.
    """
    return NetworkSpec(
        in_channels=1,
        out_channels=3,
        widths=(width, 2 * width, 4 * width, 8 * width),
        stem=2,
    )


_OURS = (
    Preset("unetic-16", _ours(16), "napari-unetic, the default"),
    Preset("unetic-24", _ours(24), "napari-unetic, of the bundled model"),
    Preset("unetic-32", _ours(32), "napari-unetic, the widest"),
)

_TUTORIALS = (
    Preset(
        "ronneberger2015",
        NetworkSpec(
            in_channels=1,
            out_channels=2,
            widths=(64, 128, 256, 512, 1024),
            padding="valid",
            norm="none",
        ),
        "Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597, figure 1",
    ),
    Preset(
        "keras-128",
        NetworkSpec(
            in_channels=3,
            out_channels=1,
            widths=(64, 128, 256, 512, 1024),
            norm="none",
        ),
        "the U-Net of 2015 with same padding, as Keras tutorials build it for "
        "128 × 128 colour images",
    ),
    Preset(
        "keras-dsb2018",
        NetworkSpec(
            in_channels=3,
            out_channels=1,
            widths=(16, 32, 64, 128, 256),
            norm="none",
            activation="elu",
            dropout=(0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1),
        ),
        "K. Åmdal-Sævik, 'Keras U-Net starter', Data Science Bowl 2018",
        normalisation="division",
    ),
    Preset(
        "tutorial-2level",
        NetworkSpec(
            in_channels=1,
            out_channels=1,
            widths=(16, 32, 64),
            norm="none",
            up="nearest",
        ),
        "the U-Net of 2015 with two poolings and up-sampling, as tutorials cut it down",
    ),
    Preset(
        "tutorial-1level",
        NetworkSpec(in_channels=3, out_channels=1, widths=(64, 128), norm="none"),
        "the U-Net of 2015 with one pooling, as tutorials cut it down",
    ),
    Preset(
        "tutorial-1level-upsampling",
        NetworkSpec(
            in_channels=3, out_channels=1, widths=(64, 128), norm="none", up="nearest"
        ),
        "tutorial-1level with up-sampling for its transposed convolution",
    ),
)

_VARIANTS = (
    Preset(
        "attention-unet",
        NetworkSpec(
            in_channels=1,
            out_channels=3,
            widths=(32, 64, 128, 256, 512),
            skip="attention",
        ),
        "gates of Oktay et al., MIDL 2018, arXiv 1804.03999, figure 2; in planes, with "
        "the widths of unet++",
    ),
    Preset(
        "unet++",
        NetworkSpec(
            kind="unet++",
            in_channels=1,
            out_channels=1,
            widths=(32, 64, 128, 256, 512),
            norm="none",
        ),
        "Zhou et al., DLMIA 2018, arXiv 1807.10165, figure 1, and its Keras code; "
        "without deep supervision",
    ),
    Preset(
        "residual-unet",
        NetworkSpec(
            in_channels=1,
            out_channels=3,
            widths=(32, 64, 128, 256, 512),
            block="residual",
        ),
        "blocks of He et al., CVPR 2016, arXiv 1512.03385, figure 2; with the widths "
        "of unet++",
    ),
    Preset(
        "dense-unet",
        NetworkSpec(
            in_channels=1,
            out_channels=3,
            widths=(32, 64, 128, 256, 512),
            block="dense",
            convolutions=4,
        ),
        "blocks of Huang et al., CVPR 2017, arXiv 1608.06993, figure 1; with the "
        "widths of unet++",
    ),
    Preset(
        "resnet18-unet",
        NetworkSpec(
            in_channels=3,
            out_channels=1,
            widths=(16, 32, 64, 128, 256, 512),
            encoder="resnet18",
            up="nearest",
        ),
        "encoder of He et al., CVPR 2016, arXiv 1512.03385, table 1; decoder of "
        "segmentation_models.pytorch (P. Iakubovskii)",
    ),
    Preset(
        "resnet34-unet",
        NetworkSpec(
            in_channels=3,
            out_channels=1,
            widths=(16, 32, 64, 128, 256, 512),
            encoder="resnet34",
            up="nearest",
        ),
        "encoder of He et al., CVPR 2016, arXiv 1512.03385, table 1; decoder of "
        "segmentation_models.pytorch (P. Iakubovskii)",
    ),
    Preset(
        "segnet",
        NetworkSpec(
            kind="segnet",
            in_channels=3,
            out_channels=12,
            widths=(64, 128, 256, 512, 512),
            convolutions=(2, 2, 3, 3, 3),
        ),
        "Badrinarayanan, Kendall, Cipolla, TPAMI 2017, arXiv 1511.00561, figure 2",
    ),
)

_VOLUMES = (
    Preset(
        "unetic-3d",
        NetworkSpec(
            dimensions=3,
            in_channels=1,
            out_channels=3,
            widths=(16, 32, 64),
            stem=2,
        ),
        "napari-unetic, for volumes; planes are taken to be farther apart than pixels",
    ),
    Preset(
        "cicek2016",
        NetworkSpec(
            dimensions=3,
            in_channels=3,
            out_channels=3,
            widths=(64, 128, 256, 512),
            doubling="before",
            padding="valid",
        ),
        "Çiçek et al., MICCAI 2016, arXiv 1606.06650, figure 2",
    ),
    Preset(
        "attention-unet-3d",
        NetworkSpec(
            dimensions=3,
            in_channels=1,
            out_channels=3,
            widths=(16, 32, 64, 128, 256),
            skip="attention",
        ),
        "Oktay et al., MIDL 2018, arXiv 1804.03999, figure 1, without deep supervision",
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {p.name: p for p in (*_OURS, *_TUTORIALS, *_VARIANTS, *_VOLUMES)}
)
"""All presets by name."""

DEFAULT_PRESET = "unetic-16"
"""As accurate as wider, deeper and full-resolution ones after the same time of training
and up to six times as fast (`docs/speed.md`, which shape of network)."""


def preset(name: str, *, dimensions: int | None = 2) -> Preset:
    """Return a preset by its name.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    dimensions : {2, 3}, optional
        What it must be for: 2 for planes, 3 for volumes; either if None.

    Raises
    ------
    UneticError
        If there is none of that name and for that number of dimensions.
    """
    fitting = {
        p.name: p for p in PRESETS.values() if dimensions in (None, p.spec.dimensions)
    }
    try:
        return fitting[name]
    except KeyError:
        pass
    got = repr(name)
    if name in PRESETS:
        got += {2: ", which is for planes", 3: ", which is for volumes"}[
            PRESETS[name].spec.dimensions
        ]
    raise UneticError(
        f"Expected a preset out of {', '.join(fitting)}, got {got}; choose one of "
        "these."
    )
