"""From a description to the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetic.networks.nested import NestedUNet
from napari_unetic.networks.segnet import SegNet
from napari_unetic.networks.unet import UNet

if TYPE_CHECKING:
    from napari_unetic.networks.network import Network
    from napari_unetic.networks.spec import NetworkSpec

_KINDS: dict[str, type[Network]] = {
    "unet": UNet,
    "unet++": NestedUNet,
    "segnet": SegNet,
}


def build_network(spec: NetworkSpec) -> Network:
    """Return the network of a description, with weights to start from.

    Parameters
    ----------
    spec : NetworkSpec
        The description.

    Returns
    -------
    Network
        In training mode. On torch's device ``meta`` (``with torch.device("meta")``) no
        random number is drawn.
    """
    return _KINDS[spec.kind](spec)
