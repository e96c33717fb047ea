"""Training: augmentation, patches, the loop, runs, and the tuning of thresholds."""

from napari_unetic.training.sessions import (
    replay_steps,
    resume_steps,
    train,
    train_steps,
)
from napari_unetic.training.settings import TrainSettings, train_settings

__all__ = [
    "TrainSettings",
    "replay_steps",
    "resume_steps",
    "train",
    "train_settings",
    "train_steps",
]
