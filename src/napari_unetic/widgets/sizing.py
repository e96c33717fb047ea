"""The diameter of a layer's objects, found out where none is given, and said in words.

Of a layer of several levels it is found out on the finest, before the level to segment
is chosen. Of others that is part of segmenting them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_unetic.widgets.levels import fitting_level

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model
    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Steps
    from napari_unetic.widgets.layers import LayerSource

KEY = "diameter"
"""Where the record of a result says which diameter was taken, and why."""


def sized_source_steps(
    source: LayerSource,
    model: Model,
    settings: SegmentSettings,
    *,
    keeps_level: bool,
) -> Steps[tuple[LayerSource, dict[str, Any] | None]]:
    """Find out the diameter on level 0 of a layer, and take the level that fits it.

    Parameters
    ----------
    source : LayerSource
        The layer at any level.
    model : Model
        What segments it.
    settings : SegmentSettings
        In pixels of level 0.
    keeps_level : bool
        Take the level of the source, whatever fits.

    Yields
    ------
    Step
        Before each run of the network.

    Returns
    -------
    tuple of LayerSource and dict or None
        The layer at the level to segment, and the record of its diameter in pixels of
        level 0. The source as it is and None where there is one level, or a diameter
        is given.
    """
    from napari_unetic.predict.sizing import diameter_steps

    if len(source.levels) == 1 or not settings.seeks_diameter:
        return source, None
    plain = settings.model_copy(update={"axes": None})
    record = yield from diameter_steps(source.at_level(0).image(), model, plain)
    if record is None or keeps_level:
        return source, record
    factors, taken = source.level_factors(), record["taken_px"]
    level = fitting_level(factors, model.description, taken)
    return source.at_level(level), record


def sizing_text(record: Mapping[str, Any]) -> str:
    """Say what was found out about the diameter; empty where it was not looked for.

    Parameters
    ----------
    record : mapping
        Of a result.
    """
    sizing = record.get(KEY, {})
    if "estimate_px" not in sizing:
        return ""
    if sizing["estimate_px"] is None:
        return f"Found out: nothing, so {sizing['taken_px']:.3g} px were taken."
    n = sizing["n_objects"]
    objects = "1 object" if n == 1 else f"{n:,} objects"
    return (
        f"Found out: {sizing['estimate_px']:.3g} px from {objects}, "
        f"{sizing['sure']:.0%} sure. Taken: {sizing['taken_px']:.3g} px "
        f"({sizing['why']})."
    )


def sizing_remark(record: Mapping[str, Any]) -> str:
    """Say that an image was brought to another size for its objects; empty if not.

    Parameters
    ----------
    record : mapping
        Of a result.
    """
    sizing = record.get(KEY, {})
    how = str(sizing.get("why", "")).partition(":")[0]
    if how not in ("reduced", "magnified"):
        return ""
    return (
        f"The image was {how} for objects of about {sizing['estimate_px']:.3g} pixels; "
        "if that is wrong, set the diameter under More."
    )
