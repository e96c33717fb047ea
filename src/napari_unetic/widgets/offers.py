"""What there is to choose for an image, and the settings that a choice comes to.

Needs neither Qt nor torch. A dock shows what an `Offer` holds, and nothing else: no
planes for a 2-D image, no channel for a grey one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

from napari_unetic.image.channels import COLOURS
from napari_unetic.settings import (
    DECODING_FIELDS,
    OBJECT_FIELDS,
    SegmentSettings,
    segment_settings,
)

if TYPE_CHECKING:
    from napari_unetic.image.region import Region
    from napari_unetic.widgets.layers import LayerSource


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to choose for an image and a model.

    Parameters
    ----------
    axes : tuple of str
        What the dimensions may be, the layer's own reading first.
    channels : tuple of (int or None, str)
        Channels to choose from with their names, None for all of them together; empty
        where there is nothing to choose.
    colour : bool
        Whether the channels are red, green and blue.
    n_planes : int
        Planes along T and Z; frames where volumes are segmented.
    in_volumes : bool
        Whether all planes along Z are segmented together.
    """

    axes: tuple[str, ...] = ()
    channels: tuple[tuple[int | None, str], ...] = ()
    colour: bool = False
    n_planes: int = 1
    in_volumes: bool = False

    @property
    def has_planes(self) -> bool:
        """Whether there are planes to choose from, and to link."""
        return self.n_planes > 1


def offer(
    source: LayerSource, own_axes: str, n_taken: int, *, in_volumes: bool = False
) -> Offer:
    """Return what there is to choose.

    Parameters
    ----------
    source : LayerSource
        The image as it is to be understood.
    own_axes : str
        How it would be understood if nobody said anything.
    n_taken : int
        Channels that the model takes.
    in_volumes : bool
        Whether the model takes volumes.
    """
    sizes = source.sizes
    n_planes = sizes.get("T", 1) * (1 if in_volumes else sizes.get("Z", 1))
    return Offer(
        axes=interpretations(own_axes, colour=source.rgb),
        channels=_channels(source.n_channels, n_taken, colour=source.rgb),
        colour=source.rgb,
        n_planes=n_planes,
        in_volumes=in_volumes,
    )


def interpretations(own: str, *, colour: bool) -> tuple[str, ...]:
    """Return what the dimensions of an image may be.

    Parameters
    ----------
    own : str
        What they are taken for, a letter a dimension; it comes first.
    colour : bool
        Whether the last one holds red, green and blue, and stays what it is.

    Returns
    -------
    tuple of str
        Rows and columns last, or before the channels.
    """
    tail = "YXC" if colour else "YX"
    n_free = len(own) - len(tail)
    letters = "TZ" if colour else "ZTC"
    found = ["".join(order) + tail for order in permutations(letters, n_free)]
    if not colour and n_free > 0:
        # Channels last, as cameras with red, green and blue have them.
        found += ["".join(o) + "YXC" for o in permutations("ZT", n_free - 1)]
    return (own, *(axes for axes in found if axes != own))


def _channels(
    n_channels: int, n_taken: int, *, colour: bool
) -> tuple[tuple[int | None, str], ...]:
    """Return the channels to choose from; none where there is one, or none fits."""
    if colour:
        whole = "as grey" if n_taken == 1 else "all three"
        return ((None, whole), *enumerate(COLOURS))
    if n_channels < 2:
        return ()
    single = [(number, str(number)) for number in range(n_channels)]
    return (*([(None, "all")] if n_channels == n_taken else []), *single)


@dataclass(frozen=True, slots=True)
class Controls:
    """What the controls of the dock say, whether the image has a use for it or not.

    Parameters
    ----------
    axes : str
        As chosen or typed; empty for the layer's own reading.
    region, plane
        Of the image, None for all of it.
    channel, diameter, sensitivity, splitting, smallest, fill_holes, drop_border
        As `SegmentSettings` has them.
    link, device, precision, tile
        As `SegmentSettings` has them.
    """

    axes: str = ""
    channel: int | None = None
    plane: tuple[int, ...] | None = None
    region: Region | None = None
    diameter: float | str = "auto"
    sensitivity: float = 0.5
    splitting: float = 0.5
    smallest: int | None = None
    fill_holes: bool = True
    drop_border: bool = False
    link: bool = False
    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None

    def settings(self, choices: Offer, *, of_classes: bool = False) -> SegmentSettings:
        """Return the settings, without what the image or the model has no use for.

        Parameters
        ----------
        choices : Offer
            What there is to choose for the image.
        of_classes : bool
            Whether the model tells classes, so that nothing is asked of objects.

        Raises
        ------
        UneticError
            If a value is out of bounds.
        """
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        own = choices.axes[0] if choices.axes else ""
        if not self.axes or self.axes.upper() == own:
            values["axes"] = None
        if not choices.channels:
            values["channel"] = None
        if not choices.has_planes:
            values |= {"plane": None, "link": False}
        elif self.plane is not None:
            values["link"] = False
        if of_classes:
            for name in OBJECT_FIELDS:
                del values[name]
        return segment_settings(**values)


def controls_of(settings: SegmentSettings) -> Controls:
    """Return controls that say what settings say."""
    known = {field.name for field in fields(Controls)}
    values = {name: getattr(settings, name) for name in known}
    return replace(Controls(), **values | {"axes": settings.axes or ""})


def live_settings(made_with: SegmentSettings, now: SegmentSettings) -> SegmentSettings:
    """Return the settings of a result as the thresholds of now would have it."""
    return made_with.model_copy(
        update={name: getattr(now, name) for name in DECODING_FIELDS}
    )
