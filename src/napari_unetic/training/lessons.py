"""Which lesson is for which kind of model; nothing else in the training asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unetic.kinds import ClassKind
from napari_unetic.training.class_lesson import ClassLesson, check_for_classes
from napari_unetic.training.object_lesson import ObjectLesson, check_for_objects

if TYPE_CHECKING:
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.training.lesson import Lesson
    from napari_unetic.training.settings import TrainSettings


def lesson_of(description: ModelDescription, settings: TrainSettings) -> Lesson:
    """Return what a model is to learn.

    Parameters
    ----------
    description : ModelDescription
        Its kind.
    settings : TrainSettings
        Its loss.

    Raises
    ------
    UneticError
        If the loss or its weights are not for this kind of model.
    """
    kind = description.kind
    if isinstance(kind, ClassKind):
        check_for_classes(kind, settings)
        return ClassLesson(kind, settings)
    check_for_objects(settings)
    return ObjectLesson(kind)
