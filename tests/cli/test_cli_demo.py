"""``unetic demo``: figures, and files where there is no screen."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from napari_unetic import read_image
from napari_unetic.cli import demo
from napari_unetic.doctor import Screen, probe_screen
from napari_unetic.image.reading import read_labels
from napari_unetic.pairs import read_pairs
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


@pytest.mark.slow
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


@pytest.fixture
def bowl(tmp_path: Path, squares: np.ndarray) -> Path:
    """A folder in the layout of DSB2018: grey ``a`` and coloured ``b``."""
    folder = tmp_path / "bowl"
    grey = np.dstack([squares, squares, squares, np.full_like(squares, 255)])
    for name, image in (("a", grey), ("b", grey[..., :3] // np.uint8([1, 2, 3]))):
        (folder / name / "images").mkdir(parents=True)
        (folder / name / "masks").mkdir()
        imsave(folder / name / "images" / f"{name}.png", image, check_contrast=False)
        for i, top_left in enumerate([(2, 2), (2, 20), (14, 10)]):
            mask = np.zeros_like(squares)
            mask[tuple(slice(at, at + 7) for at in top_left)] = 255
            imsave(folder / name / "masks" / f"{i}.png", mask, check_contrast=False)
    return folder


@pytest.mark.parametrize(("seed", "rgb"), [(0, False), (1, True)])
def test_real_nuclei_from_a_path(
    unetic, tmp_path, threshold_model, bowl: Path, seed: int, rgb: bool
) -> None:
    """--dsb2018 with a path shows an image from there; what is written is the image."""
    ended = unetic(
        *("demo", "--dsb2018", bowl, "--seed", seed, "--model", threshold_model),
        *("--no-viewer", "--output", tmp_path / "out"),
    )

    assert ended.code == 0, ended.err
    assert "real image       24 × 32 pixels, 3 nuclei" in ended.out
    assert "found            3 objects in " in ended.out
    assert "/images/" + "ab"[seed] + ".png" in ended.err.replace("\\", "/")
    assert "trained on this image" not in ended.err
    written = read_image(tmp_path / "out" / "nuclei.tif")
    assert (written.rgb, written.shape_yx) == (rgb, (24, 32))
    assert written.pixel_size.yx is None


def test_real_nuclei_that_were_fetched(
    unetic, tmp_path, threshold_model, bowl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--dsb2018 alone takes what was fetched, and names the command if nothing was."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    command = ("demo", "--dsb2018", "--model", threshold_model, "--no-viewer")

    missing = unetic(*command, "--output", tmp_path / "out")

    assert missing.code == 2
    assert missing.err.count("\n") == 1
    assert "run `unetic fetch dsb2018` once" in missing.err
    assert not (tmp_path / "out").exists()

    shutil.make_archive(str(tmp_path / "home" / "data" / "dsb2018"), "zip", bowl)
    ended = unetic(*command, "--output", tmp_path / "out")

    assert ended.code == 0, ended.err
    assert "real image       24 × 32 pixels, 3 nuclei" in ended.out


def test_training_on_the_shown_image_is_told(
    unetic, tmp_path, threshold_model, bowl: Path
) -> None:
    """A score on an image that the model was trained on does not go unremarked."""
    shown = read_pairs(bowl)[0]
    model = tmp_path / "model"
    shutil.copytree(threshold_model, model)
    description = json.loads((model / "model.json").read_text("utf-8"))
    description["training"] = {
        "images": {"x": shown.image_hash()},
        "settings": {},
        "steps": 1,
        "minutes": 1,
        "software": {},
    }
    (model / "model.json").write_text(json.dumps(description), "utf-8")

    ended = unetic(
        *("demo", "--dsb2018", bowl, "--model", model),
        *("--no-viewer", "--output", tmp_path / "out"),
    )

    assert ended.code == 0, ended.err
    assert "note: the model was trained on this image" in ended.err
