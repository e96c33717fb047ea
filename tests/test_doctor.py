"""The report on an installation, and whether a window can be opened."""

from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from napari_unetic import doctor
from napari_unetic.doctor import probe_screen, report


def test_the_report_names_what_a_helper_would_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Versions, device and why no GPU, Qt, screen, memory and models are there."""
    monkeypatch.setattr(
        doctor, "probe_screen", lambda: doctor.Screen("PyQt6 6", "", "no screen")
    )

    found = {check.name: check for check in report()}

    assert {"Python", "napari-unetic", "torch", "processor", "memory", "GPU"} <= set(
        found
    )
    assert found["torch"].text == version("torch")
    assert "GB free" in found["memory"].text
    assert "nuclei" in found["models"].text
    assert found["Qt"].text == "PyQt6 6"
    assert (found["screen"].text, found["screen"].status) == ("no screen", "note")
    assert len(found["GPU"].text) > len("none: ")


def test_a_package_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A required package that is missing is a problem, the viewer only a note."""
    monkeypatch.setattr(doctor, "_version", lambda name: "")

    status = {check.name: check.status for check in doctor._versions()}

    assert status["torch"] == "problem"
    assert status["napari"] == "note"


def test_qt_without_a_screen_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offscreen platform of Qt is no screen."""
    pytest.importorskip("qtpy")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")

    found = probe_screen()

    assert found.screen == ""
    assert found.problem.endswith(".")
    if found.qt:
        assert "'offscreen'" in found.problem


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can lack a display")
def test_a_missing_display_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt ends its process where there is no display; ours goes on and says so."""
    pytest.importorskip("qtpy")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)

    found = probe_screen()

    assert found.screen == ""
    if found.qt:
        assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in found.problem


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that never answers ends after its time."""
    monkeypatch.setattr(doctor, "_PROBE", "import time; time.sleep(60)")

    assert "did not answer within 0.2 seconds" in probe_screen(0.2).problem


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param("", "No Qt could be loaded", id="no Qt"),
        pytest.param("qt,platform=wayland,screen", "has no OpenGL", id="no OpenGL"),
        pytest.param(
            "qt,platform=xcb,screen,opengl", "napari could not be", id="no napari"
        ),
        pytest.param("qt,platform=xcb", "has no screen", id="no screen"),
        pytest.param("qt,platform=xcb,screen,opengl,napari", "", id="all"),
    ],
)
def test_what_was_reached_decides(
    monkeypatch: pytest.MonkeyPatch, said: str, problem: str
) -> None:
    """The first stage that is not reached is the reason; with all there is none."""
    stages = [stage.partition("=") for stage in said.split(",") if stage]
    code = "\n".join(f"print({a!r}, {c or '1'!r}, sep='\\t')" for a, _, c in stages)
    monkeypatch.setattr(doctor, "_PROBE", code)

    found = probe_screen()

    assert problem in found.problem
    assert bool(found.problem) == bool(problem)
    assert bool(found.screen) == (not problem)
