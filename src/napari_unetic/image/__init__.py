"""Images: reading, writing, normalising, resampling, and the geometry of tiles."""
