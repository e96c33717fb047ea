"""Networks by name, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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
    """

    name: str
    spec: NetworkSpec
    source: str


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


_ALL = (
    Preset("unetic-16", _ours(16), "napari-unetic, the smallest"),
    Preset("unetic-24", _ours(24), "napari-unetic, the default"),
    Preset("unetic-32", _ours(32), "napari-unetic, the widest"),
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
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _ALL})
"""All presets by name."""

DEFAULT_PRESET = "unetic-24"


def preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    UneticError
        If there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise UneticError(
            f"Expected a preset out of {', '.join(PRESETS)}, got {name!r}; "
            "choose one of these."
        ) from None
