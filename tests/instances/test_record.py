"""Packed labels come back, and objects that a person touched are told."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_unetic import nuclei_sample
from napari_unetic.errors import UneticError
from napari_unetic.instances.record import Touched, pack_labels, touched, unpack_labels

PREDICTED = np.array(
    [
        [1, 1, 0, 2, 2],
        [1, 1, 0, 2, 2],
        [0, 0, 0, 0, 0],
        [3, 3, 0, 4, 4],
    ]
)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.int64])
def test_packed_labels_come_back(dtype: type) -> None:
    """Pixels, shape and dtype are those packed, after a trip through JSON."""
    labels = (nuclei_sample((90, 110))[1] % 200).astype(dtype)
    back = unpack_labels(json.loads(json.dumps(pack_labels(labels))))
    assert back.dtype == labels.dtype
    np.testing.assert_array_equal(back, labels)


@settings(deadline=None, max_examples=60)
@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64]),
        array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
        elements=st.one_of(st.integers(0, 2), st.just(255)),
    )
)
def test_any_labels_come_back(labels: np.ndarray) -> None:
    """Whatever the shape, empty ones too."""
    back = unpack_labels(pack_labels(labels))
    assert back.dtype == labels.dtype
    np.testing.assert_array_equal(back, labels, strict=True)


def test_extreme_numbers_come_back() -> None:
    """The highest number of each type survives, and the result can be written to."""
    for dtype in (np.uint16, np.int32, np.uint32, np.uint64):
        labels = np.array([[0, np.iinfo(dtype).max], [1, 0]], dtype)
        back = unpack_labels(pack_labels(labels))
        np.testing.assert_array_equal(back, labels, strict=True)
        back[0, 0] = 3


def test_rows_that_are_apart_in_memory_come_back() -> None:
    """Slices and transposed labels are packed as they look."""
    labels = nuclei_sample((40, 60))[1]
    for view in (labels.T, labels[::2, 5:], labels.astype(">i4")):
        np.testing.assert_array_equal(unpack_labels(pack_labels(view)), view)


def test_packed_labels_are_short() -> None:
    """A nucleus takes less than 100 bytes, a 50th of its pixels in uint16 or less."""
    labels = nuclei_sample((512, 512))[1].astype(np.uint16)
    text = pack_labels(labels)
    assert text.isascii()
    assert len(text) < min(100 * labels.max(), labels.nbytes / 50)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-9], id="cut"),
        pytest.param(lambda text: text[9:], id="no head"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: None, id="none"),
        pytest.param(lambda text: text.replace("4x5", "4x4"), id="too many pixels"),
        pytest.param(lambda text: text.replace("4x5", "4x-5"), id="negative side"),
        pytest.param(lambda text: text.replace("4x5", "4xfive"), id="no side"),
        pytest.param(lambda text: text.replace("int64", "float64"), id="real"),
        pytest.param(lambda text: text.replace("int64", "object"), id="objects"),
        pytest.param(lambda text: text.replace("labels1", "labels2"), id="newer"),
        pytest.param(lambda text: text[:20] + "%" + text[21:], id="no base64"),
        pytest.param(
            lambda text: packed(np.full((3, 2), 2**63, "<u8")), id="huge runs"
        ),
        pytest.param(
            lambda text: packed(np.full((3, 1), 2**62, "<u8")), id="more than memory"
        ),
    ],
)
def test_a_damaged_text_is_refused(damage) -> None:  # type: ignore[no-untyped-def]
    """In a sentence, and without asking for the memory it claims to need."""
    with pytest.raises(UneticError, match="Expected labels packed as text"):
        unpack_labels(damage(pack_labels(PREDICTED)))


def packed(runs: np.ndarray) -> str:
    """Return a text of the right form with any runs."""
    shuffled = runs.view(np.uint8).reshape(-1, 8).T.tobytes()
    return "labels1 int64 4x5 " + base64.b64encode(zlib.compress(shuffled)).decode()


def test_labels_that_are_none_are_not_packed() -> None:
    """Negative and real numbers are refused."""
    with pytest.raises(UneticError, match="got -1"):
        pack_labels(PREDICTED - 1)
    with pytest.raises(UneticError, match="float64"):
        pack_labels(PREDICTED / 2)


def as_lists(result: Touched) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return untouched, edited, added and erased."""
    return (
        result.untouched.tolist(),
        result.edited.tolist(),
        result.added.tolist(),
        result.erased.tolist(),
    )


def painted(*strokes: tuple[object, int]) -> np.ndarray:
    """Return the predicted labels after some strokes."""
    labels = PREDICTED.copy()
    for where, number in strokes:
        labels[where] = number
    return labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(painted(), ([1, 2, 3, 4], [], [], []), id="nothing"),
        pytest.param(painted(((0, 0), 0)), ([2, 3, 4], [1], [], []), id="smaller"),
        pytest.param(painted(((2, 0), 3)), ([1, 2, 4], [3], [], []), id="larger"),
        pytest.param(
            painted((PREDICTED == 2, 0)), ([1, 3, 4], [], [], [2]), id="erased"
        ),
        pytest.param(painted(((2, 2), 5)), ([1, 2, 3, 4], [], [5], []), id="added"),
        pytest.param(
            painted((PREDICTED == 4, 3), ((3, 2), 3)),
            ([1, 2], [3], [], [4]),
            id="two joined",
        ),
        pytest.param(
            painted((np.s_[:2, 4], 9)), ([1, 3, 4], [2], [9], []), id="one cut in two"
        ),
        pytest.param(
            painted((PREDICTED == 2, 8)), ([1, 3, 4, 8], [], [], []), id="renumbered"
        ),
        pytest.param(
            painted((PREDICTED == 1, 2), (PREDICTED == 2, 1)),
            ([1, 2, 3, 4], [], [], []),
            id="numbers swapped",
        ),
        pytest.param(
            painted((PREDICTED == 3, 0), ((2, 2), 3)),
            ([1, 2, 4], [], [3], [3]),
            id="moved away",
        ),
        pytest.param(
            painted((PREDICTED == 2, 7), ((2, 3), 7)),
            ([1, 3, 4], [], [7], [2]),
            id="drawn anew, larger",
        ),
        pytest.param(
            painted((PREDICTED == 2, 1)), ([3, 4], [1], [], [2]), id="given a number"
        ),
        pytest.param(PREDICTED * 0, ([], [], [], [1, 2, 3, 4]), id="all erased"),
    ],
)
def test_touched_objects_are_told(
    labels: np.ndarray, expected: tuple[list[int], ...]
) -> None:
    """Each way to correct an object has its one answer."""
    assert as_lists(touched(PREDICTED, labels)) == expected


def test_all_objects_are_told_once() -> None:
    """Whatever was done, each object now is untouched, edited or added, just once."""
    random = np.random.default_rng(0)
    for _ in range(50):
        predicted = random.integers(0, 6, (4, 7))
        labels = np.where(random.random((4, 7)) < 0.3, 8, predicted)
        labels[random.integers(4)] = 0
        result = touched(predicted, labels)
        now = [*result.untouched, *result.edited, *result.added]
        assert sorted(now) == [n for n in np.unique(labels) if n]
        assert set(result.erased) <= set(predicted.ravel().tolist())


def test_another_shape_is_refused() -> None:
    """Labels of another size have no pixel in common."""
    with pytest.raises(UneticError, match="shape"):
        touched(PREDICTED, PREDICTED.T)
