"""Settings of a fine-tuning: those of a training, with other defaults."""

from __future__ import annotations

from typing import Any, Final

from napari_unetic.errors import UneticError
from napari_unetic.training.augment import Augmentation
from napari_unetic.training.settings import TrainSettings, train_settings

DEFAULT_MINUTES: Final = 2.0
LEAST_MINUTES: Final = 1.0
HELD_OUT: Final = 0.25

DEFAULTS: Final[dict[str, Any]] = {
    "batch": 8,
    "patch_px": 128,
    "learning_rate": 4e-3,
    "rehearsal": 0.25,
    "augmentation": Augmentation(blank=0.0, invert=0.0),
}
"""What differs from a training from scratch; `docs/training.md` says why."""


def finetune_settings(**values: object) -> TrainSettings:
    """Return settings of a fine-tuning from keywords.

    Parameters
    ----------
    **values
        Fields of `TrainSettings`. The budget is two minutes if none is given; with
        ``steps`` and one seed the same weights come out.

    Returns
    -------
    TrainSettings

    Raises
    ------
    UneticError
        If a value is out of bounds, the time is too short, or the budget is one of
        epochs, which mean little where areas are reviewed in part.
    """
    given = {name: value for name, value in values.items() if value is not None}
    if "epochs" in given:
        raise UneticError(
            "Expected a budget as minutes or steps, got epochs; give one of these."
        )
    if "steps" not in given:
        given.setdefault("minutes", DEFAULT_MINUTES)
    settings = train_settings(**{**DEFAULTS, **given})
    if settings.minutes is not None and settings.minutes < LEAST_MINUTES:
        raise UneticError(
            f"Expected at least {LEAST_MINUTES:g} minute, got {settings.minutes:g}; "
            "reading and judging alone take a part of that."
        )
    return settings
