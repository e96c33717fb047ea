"""Before and after on the image: what two models find, outlined, switched by a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject

from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.jobs import Job
from napari_unetic.widgets.layers import layer_source
from napari_unetic.widgets.levels import best_level, settings_on_level
from napari_unetic.widgets.places import current_plane, letters_of, view_region

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer
    from napari.viewer import Viewer

    from napari_unetic.settings import SegmentSettings
    from napari_unetic.steps import Steps
    from napari_unetic.widgets.relay import Outcome
    from napari_unetic.widgets.report import Report

KEY: Final = "C"

COMPARING: Final = "napari_unetic_comparing"
"""Key in the metadata of a layer that is there only while models are compared."""

BEFORE_COLOUR: Final = "#e69f00"
AFTER_COLOUR: Final = "#56b4e9"
"""Orange and sky blue, which everybody can tell."""

LARGE: Final = 4_000_000
"""Pixels of a plane above which only what the window shows is compared."""

STATES: Final = (
    ("before", (True, False)),
    ("after", (False, True)),
    ("both", (True, True)),
)

_CONTOUR_PX = 1


def compare_steps(
    layer: ImageLayer, models: tuple[str | Path, str | Path], settings: SegmentSettings
) -> Steps[tuple[Labels, Labels]]:
    """Segment the same part of an image with two models.

    Parameters
    ----------
    layer : napari.layers.Image
        The image.
    models : tuple of str or Path
        The one before and the one after.
    settings : SegmentSettings
        In pixels of level 0; for both alike.

    Yields
    ------
    Step
        Progress.

    Returns
    -------
    tuple of napari.layers.Labels
        Outlines; only the thread of the viewer may add them.
    """
    before = yield from _outline_steps(
        layer, models[0], settings, "before", BEFORE_COLOUR
    )
    after = yield from _outline_steps(layer, models[1], settings, "after", AFTER_COLOUR)
    return before, after


def _outline_steps(
    layer: ImageLayer,
    model: str | Path,
    settings: SegmentSettings,
    name: str,
    colour: str,
) -> Steps[Labels]:
    from napari_unetic.model.registry import load_model
    from napari_unetic.predict import segment_steps

    loaded = load_model(model)
    level = best_level(layer, loaded.description, settings)
    source = layer_source(layer, settings.axes, level)
    offsets = source.offsets()
    on_level = settings_on_level(
        settings, loaded.description, source.factors_yx, (offsets["Y"], offsets["X"])
    )
    found = yield from segment_steps(source.image(), loaded, **dict(on_level))
    start = {
        axis: part.start for axis, part in zip(found.axes, found.extent, strict=True)
    }
    outline = Labels(
        source.arrange(found.labels),
        name=f"{name}: {found.n_objects:,} objects",
        colormap=DirectLabelColormap(color_dict={None: colour, 0: "transparent"}),
        opacity=1,
        # Neither to be corrected nor to be measured: it is there only to be looked at.
        metadata={COMPARING: True},
        **source.placement(start, offsets),
    )
    outline.contour = _CONTOUR_PX
    outline.editable = False
    return outline


class Compare(QObject):
    """Shows what two models find on the image; nothing of it stays.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer, or napari's proxy of it.
    parent : QObject
        The dock.
    report : Report
        Where to say how far it is.
    on_change : callable
        Called with what is compared and how to switch; with an empty text at the end.
    """

    def __init__(
        self,
        viewer: Viewer,
        parent: QObject,
        report: Report,
        on_change: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._report = report
        self._on_change = on_change
        self._job = Job(self, report.step, self._ended)
        self._layers: tuple[Labels, ...] = ()
        self._selected: list[Any] = []
        self._covering: Labels | None = None
        self._state = 0
        viewer.layers.events.removed.connect(self._removed)

    @property
    def running(self) -> bool:
        """Whether the models are at work."""
        return self._job.running

    @property
    def layers(self) -> tuple[Labels, ...]:
        """The two layers, while they are shown."""
        return self._layers

    @property
    def state(self) -> str:
        """What is shown: ``before``, ``after`` or ``both``."""
        return STATES[self._state][0]

    def start(
        self,
        layer: ImageLayer,
        labels: Labels | None,
        models: tuple[str | Path, str | Path],
        diameter: float,
        channel: int | None,
    ) -> None:
        """Segment what is in view with both models, and outline what they find.

        Parameters
        ----------
        layer : napari.layers.Image
            The image.
        labels : napari.layers.Labels, optional
            Hidden meanwhile, since it covers the image.
        models : tuple of str or Path
            The one before and the one after.
        diameter : float
            Of the objects, in pixels of level 0.
        channel : int, optional
            Of the image.

        Raises
        ------
        UneticError
            If the image cannot be understood, or the view shows nothing of it.
        """
        from napari_unetic.settings import segment_settings

        self.end()
        source = layer_source(layer)
        letters = letters_of(layer, source.axes)
        sizes = source.sizes
        region = None
        if sizes["Y"] * sizes["X"] > LARGE:
            region = view_region(self._viewer, layer, letters)
        has_planes = any(letter in sizes for letter in "TZ")
        settings = segment_settings(
            plane=current_plane(self._viewer, layer, letters) if has_planes else None,
            region=region,
            channel=channel,
            diameter=diameter,
        )
        self._covering = labels if labels is not None and labels.visible else None
        self._report.begin("Comparing")
        self._job.start(compare_steps(layer, models, settings))

    def end(self) -> None:
        """Remove the outlines, and stop what runs."""
        self._job.stop()
        layers, self._layers = self._layers, ()
        if not layers:
            return
        self._viewer.bind_key(KEY, None)
        for layer in layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        if self._covering is not None:
            self._covering.visible = True
        there = [layer for layer in self._selected if layer in self._viewer.layers]
        self._select(there)
        self._on_change("")

    def switch(self, viewer: object = None) -> None:
        """Show the next of before, after and both."""
        self._show((self._state + 1) % len(STATES))

    def _ended(self, outcome: Outcome) -> None:
        self._report.end()
        if outcome.error is not None:
            self._report.fail(outcome.error, outcome.trace)
            self._on_change("")
        elif outcome.stopped:
            self._on_change("")
        else:
            self._add(outcome.value)

    def _add(self, layers: tuple[Labels, Labels]) -> None:
        self._selected = list(self._viewer.layers.selection)
        for layer in layers:
            self._viewer.add_layer(layer)
        self._layers = layers
        if self._covering is not None:
            self._covering.visible = False
        self._select(self._selected)
        self._viewer.bind_key(KEY, self.switch, overwrite=True)
        self._show(len(STATES) - 1)

    def _show(self, state: int) -> None:
        self._state = state
        name, visible = STATES[state]
        for layer, shown in zip(self._layers, visible, strict=True):
            layer.visible = shown
        said = {
            "before": "the old model’s, orange",
            "after": "the new model’s, blue",
            "both": "the old model’s, orange, and the new model’s, blue",
        }[name]
        self._on_change(
            f"Outlines: {said}. Press {KEY} over the image for before, after, both."
        )

    def _select(self, layers: list[Any]) -> None:
        self._viewer.layers.selection.clear()
        self._viewer.layers.selection.update(layers)
        if len(layers) == 1:
            self._viewer.layers.selection.active = layers[0]

    def _removed(self, event: Any) -> None:
        """End comparing where a person has removed one of the layers."""
        if is_alive(self) and event.value in self._layers:
            self.end()
