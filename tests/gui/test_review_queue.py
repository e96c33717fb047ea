"""The review of doubtful objects, in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_unetic.instances.record import pack_labels
from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.collecting import what_is_there
from napari_unetic.widgets.layers import METADATA_KEY
from napari_unetic.widgets.review_queue import ReviewQueue
from napari_unetic.widgets.touching import watch

SCORES = [0.9, 0.4, 0.8, 0.2, 0.7]
"""Of objects 1 to 5: the review goes 4, 2, 5, 3, 1."""

ORDER = [4, 2, 5, 3, 1]


def result(labels: Any, axes: str = "YX", **keywords: Any) -> Labels:
    """Return labels as a segmentation leaves them."""
    record = {
        "model": "toy",
        "weights_sha256": "0" * 64,
        "settings": {},
        "predicted": pack_labels(labels),
        "layer": {"axes": axes, "start": [0] * labels.ndim, "shape": labels.shape},
    }
    features = {"index": np.arange(1, 6), "score": SCORES}
    return Labels(
        labels.copy(), features=features, metadata={METADATA_KEY: record}, **keywords
    )


def squares() -> Any:
    """Return five squares in a row."""
    labels = np.zeros((60, 100), np.uint8)
    for number in range(1, 6):
        labels[20:32, 18 * number - 12 : 18 * number] = number
    return labels


@pytest.fixture
def open_queue(viewer: Any, idle: Any) -> Callable[..., ReviewQueue]:
    """Dock a queue and follow an image and labels."""

    def open_one(labels: Labels, **keywords: Any) -> ReviewQueue:
        image = viewer.add_image(np.zeros(labels.data.shape, np.uint8), **keywords)
        viewer.add_layer(labels)
        queue = ReviewQueue(viewer)
        viewer.window.add_dock_widget(queue, name="review")
        queue.follow(image, labels)
        return queue

    return open_one


@pytest.fixture
def queue(open_queue: Any, idle: Any) -> ReviewQueue:
    """A review that has been started."""
    found: ReviewQueue = open_queue(result(squares(), name="result"))
    found.button.click()
    idle(found)
    return found


def labels_of(viewer: Any) -> Any:
    layer = viewer.layers["result"]
    return getattr(layer, "__wrapped__", layer)


def press(
    viewer: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    """Press a key as a person does, with the canvas in focus."""
    window = next(
        w
        for w in QApplication.topLevelWidgets()
        if w.__class__.__name__ == "_QtMainWindow"
    )
    QTest.keyClick(window, key, modifier)


def numbers(queue: ReviewQueue) -> int:
    assert queue.current is not None
    return queue.current.number


def test_objects_come_in_the_order_of_doubt(viewer: Any, queue: ReviewQueue) -> None:
    """The least sure first; its plane, place and number are taken up."""
    assert queue.text.text() == "1 of 5, score .20"
    seen = []
    for _ in range(5):
        seen.append(numbers(queue))
        assert labels_of(viewer).selected_label == seen[-1]
        centre = viewer.scene.camera.center
        np.testing.assert_allclose(centre[-2:], (25.5, 18 * seen[-1] - 6.5))
        queue.next.click()
    assert seen == ORDER
    assert queue.text.text() == "All 5 have been seen."
    assert not queue.next.isEnabled() and not queue.accept.isEnabled()
    queue.previous.click()
    assert queue.text.text() == "5 of 5, score .90"


def test_keys_accept_and_go_on(viewer: Any, queue: ReviewQueue, qtbot: Any) -> None:
    """A accepts and goes on, N goes on, Shift+N goes back; A takes back."""
    labels = labels_of(viewer)
    with qtbot.waitSignal(queue.reviewed):
        press(viewer, Qt.Key.Key_A)
    assert numbers(queue) == 2
    press(viewer, Qt.Key.Key_N)
    assert numbers(queue) == 5
    press(viewer, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    press(viewer, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert queue.text.text() == "1 of 5, score .20, accepted"
    assert what_is_there(viewer.layers[0], labels, "touched").accepted == 1
    press(viewer, Qt.Key.Key_A)
    assert queue.text.text() == "1 of 5, score .20"
    assert what_is_there(viewer.layers[0], labels, "touched").accepted == 0


def test_the_keys_are_free_in_napari() -> None:
    """Neither the viewer nor a layer of labels has them."""
    from napari.utils.shortcuts import default_shortcuts

    # Of the viewer and of layers of labels; a key of another kind of layer is free.
    names = ("dims", "layer_", "layers", "visibility", "label", "grid", "axes", "view")
    taken = {
        str(key)
        for action, keys in default_shortcuts.items()
        for key in keys
        if any(name in action for name in names)
    }
    assert not taken & {"A", "N", "Shift+N"}
    assert {"M", "V", "1"} <= taken


def test_keys_go_back_when_the_review_ends(viewer: Any, queue: ReviewQueue) -> None:
    """And while it is out of sight."""
    labels = labels_of(viewer)
    queue.window().show()
    assert len(labels.keymap) == 3
    queue.hide()
    assert not labels.keymap
    queue.show()
    assert len(labels.keymap) == 3
    queue.button.click()
    assert not labels.keymap and queue.current is None
    before = numbers_of_callbacks(labels)
    queue.button.click()
    queue.button.click()
    assert numbers_of_callbacks(labels) == before


def numbers_of_callbacks(layer: Any) -> list[int]:
    names = ("data", "features", "metadata", "paint")
    return [len(getattr(layer.events, name).callbacks) for name in names]


def test_a_key_of_somebody_else_comes_back(viewer: Any, open_queue: Any) -> None:
    """What a person has bound to that layer works again afterwards."""
    labels = result(squares(), name="result")
    pressed = []
    labels.bind_key("A", pressed.append)
    queue = open_queue(labels)
    queue.button.click()
    queue.button.click()
    press(viewer, Qt.Key.Key_A)
    assert pressed


def test_touched_and_accepted_objects_are_skipped(
    viewer: Any, queue: ReviewQueue, idle: Any
) -> None:
    """Also those that were touched before a second review of the same labels."""
    labels = labels_of(viewer)
    queue.accept.click()  # object 4
    labels.data_setitem((np.array([40]), np.array([24])), 2)  # object 2 is edited
    labels.data_setitem(np.nonzero(labels.data == 5), 0)  # object 5 is erased
    assert numbers(queue) == 2
    queue.next.click()
    assert numbers(queue) == 3
    queue.button.click()
    queue.button.click()
    idle(queue)
    assert queue.text.text() == "1 of 2, score .80"


def test_painting_and_undo_after_acceptance(viewer: Any, queue: ReviewQueue) -> None:
    """A painted object is edited, not accepted; undone, it is accepted again."""
    labels, image = labels_of(viewer), viewer.layers[0]
    queue.accept.click()
    labels.data_setitem((np.array([40]), np.array([70])), 4)
    found = what_is_there(image, labels, "touched")
    assert (found.accepted, found.edited) == (0, 1)
    labels.undo()
    found = what_is_there(image, labels, "touched")
    assert (found.accepted, found.edited) == (1, 0)
    queue.previous.click()
    assert queue.text.text().endswith("accepted")


def test_replaced_data_are_listed_again(
    viewer: Any, queue: ReviewQueue, idle: Any, qtbot: Any
) -> None:
    """What is gone is not asked for; the review stays where it was."""
    queue.next.click()
    labels = labels_of(viewer)
    labels.data = np.where(labels.data == 4, 0, labels.data)
    assert queue.busy
    idle(queue)
    assert queue.text.text() == "1 of 4, score .40"


def test_labels_without_a_prediction_are_refused(
    viewer: Any, open_queue: Any, idle: Any
) -> None:
    """The sentence says what to do; nothing stays bound."""
    labels = Labels(squares(), name="result")
    queue = open_queue(labels)
    queue.button.click()
    idle(queue)
    assert "segment the image with this plugin first" in queue.text.text()
    assert not queue.active and not labels.keymap


def test_a_stack_is_reviewed_plane_by_plane(
    viewer: Any, open_queue: Any, idle: Any
) -> None:
    """The slider goes to the plane of the object, whatever the scale."""
    stack = np.zeros((3, 60, 100), np.uint8)
    for number in range(1, 6):
        plane = number % 3
        stack[plane, 20:32, 18 * number - 12 : 18 * number] = number
    place = {"scale": (4.0, 0.5, 0.5), "translate": (10, 0, 0)}
    queue = open_queue(result(stack, "ZYX", name="result", **place), **place)
    queue.button.click()
    idle(queue)
    for number in ORDER:
        assert numbers(queue) == number
        assert viewer.dims.current_step[0] == number % 3
        np.testing.assert_allclose(
            viewer.scene.camera.center[-2:], (12.75, (18 * number - 6.5) / 2)
        )
        queue.accept.click()
    found = what_is_there(viewer.layers[0], viewer.layers[1], "touched")
    assert (found.accepted, found.n_planes) == (5, 3)


def test_a_removed_layer_ends_the_review(viewer: Any, queue: ReviewQueue) -> None:
    """Nothing is bound, nothing can be started, and the labels can be forgotten."""
    labels = labels_of(viewer)
    viewer.layers.remove("result")
    assert not queue.active and not queue.button.isEnabled()
    assert not labels.keymap
    viewer.layers.clear()
    queue.follow(None, None)
    queue.accept_current()
    queue.go_on()


def test_a_closed_dock_leaves_nothing_behind(
    viewer: Any, open_queue: Any, idle: Any
) -> None:
    """No key, no frame, no event; the layer goes on as before."""
    labels = result(squares(), name="result")
    watch(labels)
    queue = open_queue(labels)
    before = numbers_of_callbacks(labels)
    queue.button.click()
    idle(queue)
    assert labels.keymap and numbers_of_callbacks(labels) != before
    viewer.window.remove_dock_widget(queue)
    queue.deleteLater()
    QApplication.sendPostedEvents(queue, QEvent.Type.DeferredDelete.value)
    assert not is_alive(queue)
    assert not labels.keymap and numbers_of_callbacks(labels) == before
    assert not labels._overlays["selection_box"].visible
    labels.data = np.zeros_like(labels.data)
    viewer.layers.remove("result")


def test_a_frame_is_drawn_around_the_object(
    viewer: Any, open_queue: Any, idle: Any
) -> None:
    """In its plane alone, and only while the review goes on."""
    stack = np.stack([squares() * 0, squares()])
    labels = result(stack, "ZYX", name="result")
    queue = open_queue(labels)
    queue.button.click()
    idle(queue)
    box = labels._overlays["selection_box"]
    assert box.visible and box.bounds == ((18.5, 58.5), (32.5, 72.5))
    viewer.dims.set_current_step(0, 0)
    assert not box.visible
    queue.next.click()
    assert box.visible and box.bounds == ((18.5, 22.5), (32.5, 36.5))
    viewer.dims.ndisplay = 3
    assert not box.visible
    viewer.dims.ndisplay = 2
    assert box.visible
    queue.button.click()
    assert not box.visible


def test_the_zoom_suits_the_object(viewer: Any, queue: ReviewQueue) -> None:
    """It changes only where the object would be too small or too large."""
    camera, window = viewer.scene.camera, min(viewer.canvas.size)
    camera.zoom = 0.001
    queue.next.click()
    assert 12 * camera.zoom / window == pytest.approx(1 / 8)
    camera.zoom *= 1.5
    before = camera.zoom
    queue.next.click()
    assert camera.zoom == before
