"""Keys, events and the frame of a layer that are somebody's for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from napari.layers import Layer


Bounds: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


class Hold:
    """Keeps keys, events and the frame of a layer until it is told to let go.

    It holds the layer and what it calls only so long. What the keys did before on that
    layer comes back.
    """

    def __init__(self) -> None:
        self._layer: Layer | None = None
        self._keys: dict[Any, tuple[Any, Any]] = {}
        self._framed: Layer | None = None
        self._events: list[tuple[Any, Callable[..., None]]] = []

    @property
    def has_keys(self) -> bool:
        """Whether keys are bound."""
        return self._layer is not None

    def bind(self, layer: Layer, actions: Mapping[str, Callable[[], None]]) -> None:
        """Let keys call something while a layer is the active one.

        Parameters
        ----------
        layer : napari.layers.Layer
            Which must not be bound already.
        actions : mapping of str to callable
            Key, as napari writes it, to what it does.
        """
        assert self._layer is None
        self._layer, before = layer, dict(layer.keymap)
        for key, action in actions.items():
            layer.bind_key(key, _calling(action), overwrite=True)
        for key, now in layer.keymap.items():
            if before.get(key) is not now:
                self._keys[key] = now, before.get(key)

    def unbind(self) -> None:
        """Give the keys back; events stay."""
        layer, keys = self._layer, self._keys
        self._layer, self._keys = None, {}
        for key, (ours, before) in keys.items():
            assert layer is not None
            if layer.keymap.get(key) is not ours:
                continue
            if before is None:
                del layer.keymap[key]
            else:
                layer.keymap[key] = before

    def listen(
        self, events: Any, names: Sequence[str], callback: Callable[..., None]
    ) -> None:
        """Call something at some of the events of a layer, or of anything else."""
        for name in names:
            event = getattr(events, name)
            event.connect(callback)
            self._events.append((event, callback))

    def frame(self, layer: Layer, bounds: Bounds | None) -> None:
        """Draw a frame on a layer, or none.

        Parameters
        ----------
        layer : napari.layers.Layer
            One at a time.
        bounds : tuple of tuple of float, optional
            Two corners, in the layer's two dimensions that are shown.
        """
        # There is no public way to draw on a layer but to add another one, which
        # everybody would find among the layers.
        box: Any = getattr(layer, "_overlays", {}).get("selection_box")
        if box is None:
            return
        if bounds is not None:
            box.bounds = bounds
        box.visible = bounds is not None
        self._framed = None if bounds is None else layer

    def release(self, sender: object = None) -> None:
        """Give everything back; nothing happens where there is nothing."""
        self.unbind()
        if self._framed is not None:
            self.frame(self._framed, None)
        events, self._events = self._events, []
        for event, callback in events:
            event.disconnect(callback)


def _calling(action: Callable[[], None]) -> Callable[[object], None]:
    """Return what napari calls with the layer."""

    def call(layer: object) -> None:
        action()

    return call
