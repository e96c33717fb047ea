"""Preparation: what is fitted, noted and recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.channels import COLOURS
from napari_unetic.image.source import Image
from napari_unetic.maps import Preparation, plan_work, prepare
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model

MakeModel = Callable[..., "Model"]
MakeImage = Callable[..., NDArray[np.uint16]]


def _prepare(image: Any, model: Model, **settings: object) -> Preparation:
    chosen = segment_settings(device="cpu", **settings)
    return prepare(plan_work(image, model.description, chosen), model)


def test_the_record_says_all_that_the_maps_depend_on(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """And JSON can hold it."""
    image = Image(smooth_image((70, 80)), "YX", name="mine.tif")
    model = random_model(weights_sha256="random")
    where = {"diameter": 10, "region": "9,9,30,30", "tile": 64}
    work = _prepare(image, model, precision="float32", **where)
    record = work.provenance()
    assert json.loads(json.dumps(record)) == record
    assert (record["source"], record["model"]) == ("mine.tif", "unetic-16")
    assert (record["axes"], record["shape"]) == ("YX", [70, 80])
    assert record["settings"] == work.plan.settings.changed()
    assert record["weights_sha256"] == "random" and record["zoom"] == 2
    assert record["precision"] == "float32"
    assert record["precision_reason"] == "asked for"
    assert record["box"] == [[0, 50], [0, 50]]
    assert (record["device"], record["device_reason"]) == ("cpu", "CPU: asked for")
    assert record["normalisation"]["offset"] == list(work.normalisation.offset)
    assert set(record["software"]) >= {"python", "torch", "napari-unetic"}


def test_channels_taken_for_colours_are_said(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """But not those of a colour image, nor one that was chosen, nor of other models."""
    colour, stains = (
        random_model("keras-128", 2, channels=channels)
        for channels in (COLOURS, ("a", "b", "c"))
    )
    planes = smooth_image((3, 40, 40))
    image = Image(planes, "CYX", name="mine.tif")
    said = "channels of mine.tif were taken as red, green and blue"
    assert any(said in text for text in _prepare(image, colour).notices)
    for pixels, model, settings in (
        (Image(planes, "CYX", rgb=True), colour, {}),
        (image, colour, {"channel": 1}),
        (image, stains, {}),
        (planes[0], colour, {}),
    ):
        notices = _prepare(pixels, model, **settings).notices
        assert not any("taken as red" in text for text in notices)


def test_a_region_is_normalised_as_the_whole_image(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """So that its objects are those of the whole image."""
    model, image = random_model(), smooth_image((300, 300))
    image[:100, :100] //= 50
    part = _prepare(image, model, region="0,0,50,50")
    assert part.normalisation == _prepare(image, model).normalisation
    assert part.normalisation.scale[0] > 2 * image[:100, :100].max()


def test_what_is_no_number_is_noted_once(random_model: MakeModel) -> None:
    """Of all tiles and planes, and only where there is such."""
    stack = np.random.default_rng(0).random((2, 150, 90))
    stack[:, ::7, ::7] = np.nan
    work = _prepare(Image(stack, "ZYX", name="mine"), random_model(), tile=64)
    for plane in work.plan.planes:
        assert np.isfinite(drain(work.maps_steps(plane))).all()
    assert work.notices == [
        "mine: not-a-number and infinite values are read as background."
    ]
    clean = _prepare(np.nan_to_num(stack[0]), random_model())
    drain(clean.maps_steps(()))
    assert clean.notices == []


def test_an_image_without_numbers_is_refused(random_model: MakeModel) -> None:
    """Where the normalisation is fitted, with what to do."""
    with pytest.raises(UneticError, match="finite values, got none"):
        _prepare(np.full((9, 9), np.nan), random_model())


def test_work_can_be_given_up_after_a_tile(
    random_model: MakeModel, smooth_image: MakeImage
) -> None:
    """Closing the generator ends it; no further tile is computed."""
    work = _prepare(smooth_image((300, 300)), random_model(), tile=64)
    steps = work.maps_steps(())
    first = next(steps)
    assert (first.done, first.total, first.what) == (1, 25, "tile")
    steps.close()
    assert next(steps, None) is None
