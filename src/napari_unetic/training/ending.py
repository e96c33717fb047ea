"""End a training: thresholds for the best weights, the model, the curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_unetic.image.resample import resample
from napari_unetic.maps import plan_work, prepare
from napari_unetic.model.folder import Model
from napari_unetic.settings import segment_settings
from napari_unetic.steps import Step, Steps, drain
from napari_unetic.training.judges import as_trained
from napari_unetic.training.record import save_run_model

if TYPE_CHECKING:
    from napari_unetic.instances.decode import DecodeSpec
    from napari_unetic.kinds import AnyScores
    from napari_unetic.pairs.pair import Pair
    from napari_unetic.semantic.decode import ClassDecodeSpec
    from napari_unetic.training.loop import Loop


def finish_steps(loop: Loop, validation: Sequence[Pair]) -> Steps[None]:
    """Tune the thresholds of the best model, save it, and mark the run as done."""
    from napari_unetic.training.curves import draw_curves

    best, lesson = loop.best_model(), loop.lesson
    decoding, scores = yield from _tuned_steps(loop, best, validation)
    found = {lesson.figure: lesson.objective(scores)}
    loop.log.write("tuned", decoding=decoding.model_dump(), **found)
    tuned = best.description.model_copy(
        update={"decoding": decoding, "scores": {"validation": lesson.summary(scores)}}
    )
    save_run_model(loop.run, Model(tuned, best.network), loop)
    draw_curves(loop.log.read(), loop.run.folder / "curves.png")
    minutes = round(loop.at.seconds / 60, 3)
    loop.log.write("end", step=loop.at.step, minutes=minutes)
    loop.run.set_finished()


def _tuned_steps(
    loop: Loop, model: Model, pairs: Sequence[Pair]
) -> Steps[tuple[DecodeSpec | ClassDecodeSpec, AnyScores]]:
    """Predict the maps of the validation pairs once, then tune on them."""
    description = model.description
    maps: list[NDArray[np.float16]] = []
    truths: list[NDArray[np.int32]] = []
    areas: list[NDArray[np.bool_] | None] = []
    settings = segment_settings(
        **as_trained(description), device=loop.device.name, precision="float32"
    )
    for k, pair in enumerate(pairs, start=1):
        image, truth = description.kind.read(pair)
        reviewed = pair.reviewed(truth.shape)
        work = prepare(plan_work(image, description, settings), model)
        for plane in work.plan.planes:
            made = drain(work.maps_steps(plane))
            if work.plan.grid != work.plan.image.space:
                made = resample(made, work.plan.grid, work.plan.image.space)
            maps.append(made.astype(np.float16))
            truths.append(truth[plane])
            areas.append(None if reviewed is None else reviewed[plane])
        yield Step(k, len(pairs), "predicting")
    is_tuned = loop.run.plan.settings.tune
    result = yield from loop.lesson.tune_steps(
        maps, truths, description.decoding, areas, lambda: not is_tuned
    )
    return result
