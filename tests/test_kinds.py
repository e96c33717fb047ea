"""Objects and classes behind one interface."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unetic.errors import UneticError
from napari_unetic.instances.decode import DecodeSpec
from napari_unetic.instances.targets import TargetSpec
from napari_unetic.kinds import ClassKind, ObjectKind, kind_of
from napari_unetic.semantic.decode import ClassDecodeSpec
from napari_unetic.semantic.targets import semantic_target

LABELS = np.zeros((20, 20), np.int32)
LABELS[2:9, 2:9] = 1
LABELS[11:18, 4:16] = 2

KINDS = (ObjectKind(), ClassKind(semantic_target(["cell", "edge"])))


def test_the_description_decides() -> None:
    """Targets and decoding must be of one kind."""
    target = semantic_target(["cell"])
    assert isinstance(kind_of(TargetSpec(), DecodeSpec()), ObjectKind)
    assert isinstance(kind_of(target, ClassDecodeSpec()), ClassKind)
    with pytest.raises(UneticError, match="of one kind"):
        kind_of(target, DecodeSpec())
    with pytest.raises(UneticError, match="of one kind"):
        kind_of(TargetSpec(), ClassDecodeSpec())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_targets_decode_to_the_truth(kind: ObjectKind | ClassKind) -> None:
    """And score perfectly, alone and added up."""
    maps = kind.make_targets(LABELS)
    found, _ = kind.finish(maps)
    np.testing.assert_array_equal(found, LABELS)
    np.testing.assert_array_equal(kind.decode(maps), LABELS)
    row = kind.score(LABELS, found)
    assert set(kind.so_far(kind.add(kind.add(None, row), row)).values()) == {1.0}
    assert len(kind.scores([row, row]).images) == 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
def test_alike_is_counted(kind: ObjectKind | ClassKind) -> None:
    """One of the two is cut in half, which is too little alike."""
    half = LABELS.copy()
    half[:, 9:][half[:, 9:] == 2] = 0
    assert kind.count_alike(LABELS, LABELS, 0.9) == (2, 2)
    assert kind.count_alike(LABELS, half, 0.9) == (1, 2)
    assert kind.count_alike(0 * LABELS, 0 * LABELS, 0.9) == (0, 0)
