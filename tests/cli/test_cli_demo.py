"""``unetic demo``: figures, and files where there is no screen."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

from napari_unetic import read_image
from napari_unetic.cli import demo
from napari_unetic.doctor import Screen, probe_screen
from napari_unetic.image.reading import read_labels
from napari_unetic.samples import nuclei_sample

FILES = ["nuclei.tif", "nuclei_labels.tif", "nuclei_overlay.png"]


def screen(monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    """Let the child process that looks for a screen find this."""
    monkeypatch.setattr(
        "napari_unetic.doctor.probe_screen", lambda: Screen("Qt", "", problem)
    )


def test_the_bundled_model_finds_the_nuclei(unetic, tmp_path) -> None:
    """The demo prints objects, seconds and AP, and writes where it is told."""
    ended = unetic("demo", "--no-viewer", "--output", tmp_path / "out")

    image, truth = nuclei_sample()
    written = read_image(tmp_path / "out" / "nuclei.tif")
    labels = read_labels(tmp_path / "out" / "nuclei_labels.tif")
    picture = imread(tmp_path / "out" / "nuclei_overlay.png")
    assert ended.code == 0, ended.err
    assert f"512 × 512 pixels, {truth.max()} nuclei" in ended.out
    assert f"found            {labels.max()} objects in " in ended.out
    found = re.search(r"AP at IoU 0.50 +([\d.]+) against the truth", ended.out)
    assert found is not None
    assert float(found[1]) >= 0.8
    for name in FILES:
        assert f"written: {tmp_path / 'out' / name}" in ended.out
    np.testing.assert_array_equal(np.asarray(written.data), image)
    assert written.pixel_size.yx == pytest.approx(0.65)
    assert labels.shape == image.shape
    assert picture.shape == (*image.shape, 3)


def test_without_a_screen_files_are_written_here(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a screen the demo says why and writes into a folder of its own."""
    monkeypatch.chdir(tmp_path)
    screen(monkeypatch, "There is no screen.")

    ended = unetic("demo", "--model", threshold_model)

    assert ended.code == 0
    assert "note: There is no screen. The result is written instead." in ended.err
    assert sorted(p.name for p in (tmp_path / demo.OUTPUT).iterdir()) == FILES


def test_with_a_screen_the_viewer_gets_image_and_labels(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a screen napari is opened in a process of its own, with both files."""
    monkeypatch.chdir(tmp_path)
    screen(monkeypatch, "")
    seen: list[list[str]] = []

    def open_viewer(command: list[str]) -> int:
        seen.append(command)
        assert all(Path(path).is_file() for path in command[3:])
        return 0

    monkeypatch.setattr(demo, "_run_viewer", open_viewer)

    ended = unetic("demo", "--model", threshold_model)

    assert ended.code == 0
    (command,) = seen
    assert command[:3] == [sys.executable, "-m", "napari_unetic.widgets.viewer"]
    assert [Path(path).name for path in command[3:]] == FILES[:2]
    assert list(tmp_path.iterdir()) == []


def test_a_viewer_that_crashes_leaves_the_files(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where napari ends badly after all, the files are written and it is said."""
    screen(monkeypatch, "")
    monkeypatch.setattr(demo, "_run_viewer", lambda command: -6)

    ended = unetic("demo", "--model", threshold_model, "--output", tmp_path / "out")

    assert ended.code == 0
    assert "napari ended with exit code -6." in ended.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.gui
def test_napari_opens_with_image_and_labels(
    unetic, tmp_path, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real screen napari opens with both files and ends well."""
    problem = probe_screen().problem
    if problem:
        pytest.skip(problem)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "napari.yaml"))
    picture = tmp_path / "window.png"
    run_viewer = demo._run_viewer
    monkeypatch.setattr(
        demo,
        "_run_viewer",
        lambda command: run_viewer([*command, "--screenshot", str(picture)]),
    )

    ended = unetic("demo", "--model", threshold_model)

    assert ended.code == 0
    assert "note:" not in ended.err
    assert imread(picture).std() > 10
