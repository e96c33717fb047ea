"""Image × model → maps: plan, channels, normalisation, tiles, network.

The network sees one tile at a time, whatever the size of the image; what is decoded
from the maps is the business of `napari_unetic.predict`.
"""

from napari_unetic.maps.plan import Plan, plan_work
from napari_unetic.maps.preparation import Preparation, prepare

__all__ = ["Plan", "Preparation", "plan_work", "prepare"]
