"""The diameter of a layer's objects is found out; of several levels on level 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image as ImageLayer
from napari.layers._source import layer_source as opened_from

from napari_unetic import predict
from napari_unetic.errors import UneticError
from napari_unetic.samples import nuclei_sample
from napari_unetic.settings import SegmentSettings
from napari_unetic.steps import drain
from napari_unetic.widgets.layers import METADATA_KEY, layer_source
from napari_unetic.widgets.recipes import as_command, as_python, settings_of
from napari_unetic.widgets.results import (
    decode_layer_steps,
    segment_layer,
    segment_source_steps,
)
from napari_unetic.widgets.sizing import sizing_remark, sizing_text

LARGE, _ = nuclei_sample((330, 330), 1, n_nuclei=9, diameter=(68, 80), touching=0)
"""Nuclei of nearly four times the usual diameter."""


def _pyramid(**where: Any) -> ImageLayer:
    half = LARGE.reshape(165, 2, 165, 2).mean((1, 3)).astype(LARGE.dtype)
    return ImageLayer([LARGE, half, half[::3, ::3]], multiscale=True, **where)


def test_a_layer_is_segmented_as_its_array() -> None:
    """Labels and what was found out are those of Python; settings stay as asked for."""
    layer = segment_layer(ImageLayer(LARGE, name="large"))
    found = drain(predict.segment_steps(LARGE))
    np.testing.assert_array_equal(layer.data, found.labels)
    record = layer.metadata[METADATA_KEY]
    assert record["diameter"] == found.provenance["diameter"]
    assert record["diameter"]["why"].startswith("reduced")
    assert settings_of(layer) == ("nuclei", SegmentSettings())
    assert "diameter" not in as_python(ImageLayer(LARGE), *settings_of(layer))


def test_the_level_follows_what_is_found_out() -> None:
    """Large objects are segmented on a coarser level, the diameter told in level 0."""
    layer = _pyramid()
    labels = segment_layer(layer)
    record = labels.metadata[METADATA_KEY]
    assert record["level"] == 1 and labels.data.shape == (165, 165)
    assert record["diameter"]["estimate_px"] == pytest.approx(74, rel=0.15)
    assert record["zoom"] == pytest.approx(2 * 19.64 / record["diameter"]["taken_px"])
    assert labels.data.max() == segment_layer(ImageLayer(LARGE)).data.max()


def test_thresholds_keep_what_was_found_out_on_level_0() -> None:
    """Decoding again gives what a new run with these thresholds gives."""
    layer = _pyramid(scale=(2, 2))
    steps = segment_source_steps(
        layer_source(layer), keep_maps_bytes=10**9, keeps_level=False
    )
    first = drain(steps)
    other = SegmentSettings(sensitivity=0.85, smallest=300)
    again = drain(decode_layer_steps(first, other)).layer
    new = segment_layer(layer, sensitivity=0.85, smallest=300)
    np.testing.assert_array_equal(again.data, new.data)
    ours, theirs = (one.metadata[METADATA_KEY] for one in (again, new))
    assert ours["diameter"] == theirs["diameter"]
    assert ours["settings"] == theirs["settings"]


def test_no_command_where_the_level_was_found_out(tmp_path: Any) -> None:
    """The command reads level 0 of the file."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, LARGE)
    with opened_from(path=str(path)):
        layer = _pyramid()
    with pytest.raises(UneticError, match="finest level"):
        as_command(layer, "nuclei", SegmentSettings(), level=1)
    assert "--diameter" not in as_command(layer, "nuclei", SegmentSettings())


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_source_at_another_level(level: int) -> None:
    """It is the source that is made of the layer at that level."""
    layer = _pyramid(scale=(0.5, 0.25), units=("um", "um"))
    wanted, found = (
        layer_source(layer, level=level),
        layer_source(layer).at_level(level),
    )
    assert found.data is wanted.data and found.level == level
    assert found.factors == wanted.factors and found.pixel_size == wanted.pixel_size


def _said(**values: Any) -> dict[str, Any]:
    known = {"estimate_px": 61.04, "sure": 0.834, "n_objects": 12, "taken_px": 40.7}
    return {"diameter": {**known, "why": "reduced: the objects are larger", **values}}


def test_what_is_said() -> None:
    """Estimate, how sure, from how many; a remark where the size was changed."""
    assert sizing_text(_said()) == (
        "Found out: 61 px from 12 objects, 83% sure. Taken: 40.7 px (reduced: the "
        "objects are larger)."
    )
    assert "The image was reduced for objects of about 61 pixels" in sizing_remark(
        _said()
    )
    usual = _said(why="usual: the objects are near enough to it", n_objects=1)
    assert "from 1 object," in sizing_text(usual) and not sizing_remark(usual)
    nothing = _said(estimate_px=None, why="usual: no object was found")
    assert sizing_text(nothing) == "Found out: nothing, so 40.7 px were taken."
    given = {"diameter": {"taken_px": 35.0, "why": "given"}}
    assert sizing_text(given) == sizing_remark(given) == sizing_text({}) == ""
