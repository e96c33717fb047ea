"""What decodes a plan, by the kind of its model: the one place that chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetic.kinds import ClassKind
from napari_unetic.predict.assembly import Assembly, ObjectAssembly
from napari_unetic.predict.classes import ClassAssembly, decode_class_box
from napari_unetic.predict.planes import decode_box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_unetic.maps.extent import Box
    from napari_unetic.maps.plan import Plan
    from napari_unetic.settings import SegmentSettings


def assembly_of(plan: Plan, settings: SegmentSettings) -> Assembly:
    """Return what makes one label image of the maps of a plan's planes."""
    if isinstance(plan.description.kind, ClassKind):
        return ClassAssembly(plan, settings)
    return ObjectAssembly(plan, settings)


def decode_part(
    maps: NDArray[np.float32],
    plan: Plan,
    settings: SegmentSettings,
    box: Box,
    map_box: Box,
) -> NDArray[np.int32]:
    """Return labels of a part of a plane; the parameters are those of `decode_box`."""
    if isinstance(plan.description.kind, ClassKind):
        return decode_class_box(maps, plan, settings, box, map_box)
    return decode_box(maps, plan, settings, box, map_box).labels
