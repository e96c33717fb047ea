"""Training: augmentation, patches, the loop, and the tuning of thresholds."""

from napari_unetic.training.loop import train, train_steps
from napari_unetic.training.settings import TrainSettings, train_settings

__all__ = ["TrainSettings", "train", "train_settings", "train_steps"]
