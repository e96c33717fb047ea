"""A GPU gives what the CPU gives; skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unetic.instances.matching import match, overlap
from napari_unetic.maps import plan_work, prepare
from napari_unetic.predict import segment
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import segment_settings
from napari_unetic.steps import drain

if TYPE_CHECKING:
    from napari_unetic.model.folder import Model

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU that torch can use"
)


def _maps(
    image: NDArray[np.uint16], model: Model, **settings: object
) -> NDArray[np.float32]:
    plan = plan_work(image, model.description, segment_settings(**settings))
    return drain(prepare(plan, model).maps_steps(()))


@pytest.mark.parametrize("tile", [None, 128])
def test_maps_are_those_of_the_cpu(
    tile: int | None,
    random_model: Callable[..., Model],
    smooth_image: Callable[..., NDArray[np.uint16]],
) -> None:
    """In one piece and in batches of tiles, to what tensor cores round."""
    model, image = random_model(), smooth_image((500, 430))
    expected = _maps(image, model, device="cpu")
    found = _maps(image, model, device="cuda", tile=tile, precision="float32")
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_objects_are_those_of_the_cpu(precision: str) -> None:
    """99 in 100 are matched at IoU .9."""
    image, _ = nuclei_sample((512, 512), n_nuclei=200)
    expected = segment(image, device="cpu", precision="float32")
    found = segment(image, device="cuda", precision=precision)
    assert isinstance(expected, np.ndarray) and isinstance(found, np.ndarray)
    matched = match(overlap(expected, found), 0.9).iou.size
    assert matched >= 0.99 * max(int(expected.max()), int(found.max()))
