"""The list of collected pairs, in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unetic.axes import PixelSize
from napari_unetic.finetuning import CollectedPair, collect_pairs
from napari_unetic.image.source import as_image
from napari_unetic.widgets.pairs_list import PairsList

LABELS = np.zeros((40, 60), np.int32)
LABELS[5:15, 5:15], LABELS[5:15, 30:40] = 1, 2


def pair(name: str, seed: int, labels: Any = LABELS, **more: Any) -> CollectedPair:
    """Return a plane of noise with its labels."""
    image = np.random.default_rng(seed).integers(0, 255, LABELS.shape, np.uint8)
    (found,) = collect_pairs(image, labels, name=name, **more)
    return found


def rows(pairs_list: PairsList) -> list[tuple[str, str]]:
    """Return what the list shows."""
    items = [
        pairs_list.list.topLevelItem(k)
        for k in range(pairs_list.list.topLevelItemCount())
    ]
    return [(item.text(0), item.text(1)) for item in items if item is not None]


@pytest.fixture
def pairs_list(viewer: Any) -> PairsList:
    """An empty list in a dock."""
    found = PairsList(viewer)
    viewer.window.add_dock_widget(found, name="pairs")
    return found


def test_pairs_of_one_plane_take_its_place(pairs_list: PairsList, qtbot: Any) -> None:
    """Whatever they are called; those of other planes stay where they are."""
    with qtbot.waitSignal(pairs_list.changed):
        pairs_list.put([pair("a", 0), pair("b", 1)])
    pairs_list.put([pair("a again", 0, np.where(LABELS == 2, 0, LABELS))])
    pairs_list.put([pair("c", 2)])
    assert rows(pairs_list) == [("a again", "1"), ("b", "2"), ("c", "2")]
    assert [one.id for one in pairs_list.pairs] == ["a again", "b", "c"]


def test_selected_pairs_are_removed(pairs_list: PairsList, qtbot: Any) -> None:
    """By the button, or by the key; with none selected the buttons are off."""
    pairs_list.put([pair(name, k) for k, name in enumerate("abcd")])
    assert not pairs_list.remove.isEnabled() and not pairs_list.jump.isEnabled()
    pairs_list.list.setCurrentItem(pairs_list.list.topLevelItem(1))
    with qtbot.waitSignal(pairs_list.changed):
        pairs_list.remove.click()
    assert [one.id for one in pairs_list.pairs] == ["a", "c", "d"]
    QTest.keyClick(pairs_list.list, Qt.Key.Key_Delete)
    assert [one.id for one in pairs_list.pairs] == ["a", "d"]
    pairs_list.list.selectAll()
    assert not pairs_list.jump.isEnabled()
    pairs_list.remove.click()
    assert pairs_list.pairs == [] and rows(pairs_list) == []
    pairs_list.remove_selected()


def test_a_pair_is_shown_in_its_layer(viewer: Any, pairs_list: PairsList) -> None:
    """The plane comes into view, also after the layer was given another name."""
    stack = np.random.default_rng(0).integers(0, 255, (4, 40, 60), np.uint8)
    layer = viewer.add_image(stack, name="stack", scale=(3, 0.5, 0.5))
    labels = np.zeros(stack.shape, np.uint8)
    labels[2, 5:9, 5:9] = 1
    pairs_list.put(collect_pairs(stack, labels, name="stack", axes="ZYX"))
    layer.name, layer.visible = "other", False
    viewer.add_image(stack + 1, name="stack")
    viewer.dims.set_current_step(0, 0)
    viewer.scene.camera.zoom = 0.01
    pairs_list.list.setCurrentItem(pairs_list.list.topLevelItem(0))
    pairs_list.jump.click()
    assert viewer.dims.point[0] == 2 * 3
    assert layer.visible and viewer.layers.selection.active == layer
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (9.75, 14.75))
    size = 30 * viewer.scene.camera.zoom / min(viewer.canvas.size)
    assert size == pytest.approx(0.9)
    assert len(viewer.layers) == 2


def test_a_pair_whose_layer_is_gone_is_opened(
    viewer: Any, pairs_list: PairsList
) -> None:
    """Image, labels and what was reviewed, in place; colours and channels too."""
    grey = as_image(
        np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8),
        pixel_size=PixelSize({"Y": 0.5, "X": 0.25}, "um"),
    )
    colour = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    two = np.random.default_rng(2).integers(0, 255, (2, 40, 60), np.uint8)
    layer = viewer.add_image(grey.data, name="grey")
    pairs_list.put(collect_pairs(grey, LABELS, name="grey", reviewed=LABELS > 0))
    pairs_list.put(collect_pairs(colour, LABELS, name="colour", axes="YXC"))
    pairs_list.put(collect_pairs(two, LABELS, name="two", axes="CYX"))
    viewer.layers.remove(layer)
    shown = []
    for k in range(3):
        pairs_list.list.setCurrentItem(pairs_list.list.topLevelItem(k))
        pairs_list.show_selected()
        shown.append([one.name for one in viewer.layers])
        if k == 0:
            np.testing.assert_array_equal(viewer.layers[0].scale, (0.5, 0.25))
            np.testing.assert_array_equal(viewer.layers[-1].data, LABELS)
        if k == 1:
            assert viewer.layers[0].rgb
        viewer.layers.clear()
    assert shown == [
        ["grey", "grey reviewed", "grey labels"],
        ["colour", "colour labels"],
        ["two", "two [1]", "two labels"],
    ]
