"""What the tests that open a napari window share."""

from __future__ import annotations

import importlib
import os

import pytest

GL_USERS = (
    "napari._vispy.utils.gl",
    "napari._vispy.canvas",
    "napari._vispy.layers.base",
    "napari._vispy.layers.image",
    "napari._vispy.layers.labels",
)
GL_ANSWERS = {"get_gl_extensions": "", "get_max_texture_sizes": (2048, 2048)}


def has_screen() -> bool:
    """Return whether Qt has a screen, so that the canvas is really drawn."""
    return os.environ.get("QT_QPA_PLATFORM") != "offscreen"


@pytest.fixture(autouse=True)
def _no_gl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for OpenGL where there is none: without it napari cannot add an image."""
    if has_screen():
        return
    for name in GL_USERS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for function, answer in GL_ANSWERS.items():
            if hasattr(module, function):
                monkeypatch.setattr(module, function, lambda answer=answer: answer)


@pytest.fixture
def drawn_canvas() -> None:
    """For tests that look at drawn pixels: they are skipped where none are drawn."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that asks for `drawn_canvas`, before it opens a viewer.

    napari's own fixture fails in its end where a test is skipped after its start.
    """
    if "drawn_canvas" in getattr(item, "fixturenames", ()) and not has_screen():
        pytest.skip(
            "The canvas is blank without a screen; install the packages README names."
        )
