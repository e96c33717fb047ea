"""Class masks become one-hot maps; the legend is checked."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from napari_unetic.errors import UneticError
from napari_unetic.semantic.decode import decode_classes
from napari_unetic.semantic.targets import (
    BACKGROUND,
    ClassSpec,
    SemanticTargetSpec,
    make_class_targets,
    named_classes,
    semantic_target,
)

CLASSES = np.array([[0, 1, 2], [2, 1, 0]])


def test_one_class_has_one_map() -> None:
    """Its map is 1 on the class; sigmoid makes it of logits."""
    target = semantic_target(["cell"])
    maps = make_class_targets(CLASSES, target)
    assert (target.activation, target.map_names) == ("sigmoid", ("cell",))
    np.testing.assert_array_equal(maps, [CLASSES == 1])


def test_several_classes_have_a_map_each() -> None:
    """The background's first; in each pixel they sum to 1."""
    target = semantic_target(["cell", "edge"])
    maps = make_class_targets(CLASSES, target)
    assert target.activation == "softmax"
    assert target.map_names == ("background", "cell", "edge")
    np.testing.assert_array_equal(maps, [CLASSES == 0, CLASSES == 1, CLASSES == 2])


@pytest.mark.parametrize("names", [["cell"], ["cell", "edge"]])
def test_targets_decode_to_the_mask(names: list[str]) -> None:
    """Targets and decoding undo each other."""
    truth = np.minimum(CLASSES, len(names))
    maps = make_class_targets(truth, semantic_target(names))
    np.testing.assert_array_equal(decode_classes(maps), truth)


def test_classes_have_names_and_colours() -> None:
    """Colours as given, else colours that can be told; the background is added."""
    cell, edge = named_classes(["cell", "edge = #FF0010"])
    assert (cell.name, cell.colour) == ("cell", "#e69f00")
    assert (edge.name, edge.colour) == ("edge", "#ff0010")
    assert semantic_target([cell, edge]).classes == (BACKGROUND, cell, edge)


@pytest.mark.parametrize("text", ["", "=#ff0000", "cell=red", "a,b"])
def test_a_wrong_class_is_refused(text: str) -> None:
    """With a sentence that quotes it."""
    with pytest.raises(UneticError, match="Expected a class as NAME"):
        named_classes([text])


def test_classes_need_different_names() -> None:
    """Else nobody could tell them in the legend; and there must be one."""
    for names in (["cell", "cell"], ["background"], []):
        with pytest.raises(UneticError, match="of different names"):
            semantic_target(names)


def test_one_map_tells_one_class() -> None:
    """Sigmoid with three classes contradicts itself; two maps for one class do not."""
    three = [ClassSpec(name=n, colour="#000000") for n in "abc"]
    with pytest.raises(ValidationError, match="softmax"):
        SemanticTargetSpec(classes=tuple(three), output="sigmoid")
    assert semantic_target(["cell"], "softmax").n_maps == 2
