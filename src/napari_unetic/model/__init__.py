"""Models: a frozen description plus weights, in a folder anybody can read."""
