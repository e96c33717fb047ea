"""The docks and layers of napari: the only part of the package that knows it."""
