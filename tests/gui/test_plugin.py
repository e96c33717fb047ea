"""napari knows the plugin and opens everything that it contributes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3
import pytest
import tifffile
from npe2 import PluginManager
from qtpy.QtCore import QThreadPool

from napari_unetic.errors import UneticError
from napari_unetic.fetch.example import read_example
from napari_unetic.samples import nuclei_sample
from napari_unetic.widgets import samples
from napari_unetic.widgets.finetune import FinetuneWidget
from napari_unetic.widgets.segment import SegmentWidget
from napari_unetic.widgets.train import TrainWidget

NAME = "napari-unetic"
DOCKS = ("segment", "finetune", "train")


@pytest.fixture
def viewer(make_napari_viewer_proxy: Callable[..., Any], qtbot: Any) -> Any:
    """A viewer, for which napari has looked for plugins."""
    yield make_napari_viewer_proxy()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(20)


@pytest.mark.usefixtures("viewer")
def test_listed() -> None:
    """napari lists the plugin, and the test below opens all that it has."""
    manifest = PluginManager.instance().get_manifest(NAME)
    assert manifest.display_name == "Unetic"
    contributions = manifest.contributions
    widgets = [widget.display_name for widget in contributions.widgets]
    assert widgets == ["Segment", "Fine-tune", "Train"]
    samples = {sample.key for sample in contributions.sample_data}
    assert samples == {"nuclei", "nuclei_stack", "nuclei_timelapse", "dsb2018"}
    kinds = contributions.model_dump(exclude_none=True, exclude_defaults=True)
    assert set(kinds) == {
        *("commands", "menus", "readers", "sample_data", "widgets", "writers")
    }


def test_dock_and_generated_sample(viewer: Any, qtbot: Any) -> None:
    """The dock and the generated sample open through napari, as its menus do it."""
    _, dock = viewer.window.add_plugin_dock_widget(NAME, "Segment")
    assert isinstance(dock, SegmentWidget)
    qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)
    truth, image = viewer.open_sample(NAME, "nuclei")
    assert image.units == truth.units and str(image.units[0]) == "micrometer"
    assert truth.data.max() > 50 and not truth.visible
    assert "512 × 512 pixels of 0.65 µm" in dock.plan.toolTip()


def test_dock_to_fine_tune(viewer: Any, qtbot: Any) -> None:
    """It opens through napari, as its menus do it."""
    _, dock = viewer.window.add_plugin_dock_widget(NAME, "Fine-tune")
    assert isinstance(dock, FinetuneWidget)
    qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)
    assert dock.plan.text().startswith("No image")


def test_dock_to_train(viewer: Any, qtbot: Any) -> None:
    """It opens through napari, as its menus do it."""
    _, dock = viewer.window.add_plugin_dock_widget(NAME, "Train")
    assert isinstance(dock, TrainWidget)
    qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)
    assert dock.plan.text().startswith("No labelled image")


@pytest.mark.parametrize(
    ("sample", "step"),
    [("nuclei_stack", "2 micrometer"), ("nuclei_timelapse", "5 minute")],
)
def test_generated_stacks(viewer: Any, sample: str, step: str) -> None:
    """Planes and frames open through napari's menu, with their size and unit."""
    truth, image = viewer.open_sample(NAME, sample)
    assert f"{image.scale[0]:g} {image.units[0]}" == step
    assert list(image.scale[1:]) == [0.65, 0.65]
    assert image.units == truth.units and image.data.shape == truth.data.shape
    assert not truth.visible


def test_fetched_sample(
    viewer: Any, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetched sample opens where it has been fetched."""
    zipped = data_folder / "dsb2018" / "stage1_train.zip"
    monkeypatch.setattr(samples, "read_example", partial(read_example, zipped))
    truth, image = viewer.open_sample(NAME, "dsb2018")
    assert truth.data.shape == image.data.shape[:2]
    assert truth.data.max() > 0 and not truth.visible


def test_sample_that_was_not_fetched(
    viewer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it has not been fetched, a sentence names the command that does it."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    with pytest.raises(UneticError, match="unetic fetch"):
        viewer.open_sample(NAME, "dsb2018")


def test_menus(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    """The dock opens from Layers > Segment and the plugin menu, and closes there."""
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    app = get_app_model()
    for menu in ("napari/layers/segment", "napari/plugins/napari-unetic"):
        items = [
            item.command.id
            for item in app.menus.get_menu(menu)
            if hasattr(item, "command")
        ]
        assert {f"napari-unetic.{name}" for name in DOCKS} <= set(items)
    app.commands.execute_command("napari-unetic.segment").result()
    dock = viewer.window.dock_widgets["Segment (Unetic)"]
    qtbot.waitUntil(lambda: not dock.busy, timeout=20_000)


@pytest.mark.usefixtures("drawn_canvas")
@pytest.mark.slow
def test_viewer_of_the_demo(tmp_path: Path) -> None:
    """In a process of its own, image and labels are shown with the dock, and drawn."""
    image, labels = nuclei_sample((64, 80))
    tifffile.imwrite(tmp_path / "image.tif", image)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    picture = tmp_path / "window.png"
    subprocess.run(
        [
            *(sys.executable, "-m", "napari_unetic.widgets.viewer"),
            *(tmp_path / "image.tif", tmp_path / "labels.tif"),
            *("--title", "Demo", "--screenshot", picture),
        ],
        check=True,
        timeout=100,
    )
    assert imageio.v3.imread(picture).shape[:2] == (900, 1400)


@pytest.mark.slow
def test_script_that_ends_at_once(tmp_path: Path) -> None:
    """A script may end while the dock still loads PyTorch, without being aborted."""
    script = tmp_path / "script.py"
    script.write_text(
        "import napari\n"
        "from napari_unetic.widgets.segment import SegmentWidget\n"
        "viewer = napari.Viewer(show=False)\n"
        "viewer.window.add_dock_widget(SegmentWidget(viewer))\n"
        "viewer.close()\n",
        encoding="utf-8",
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=100)


def test_the_buttons_of_both_docks_are_in_sight(viewer: Any, qtbot: Any) -> None:
    """One above the other, as the menus open them, in a window of 1280 × 800."""
    viewer.window.resize(1280, 800)
    viewer.window.show()
    docks = [
        viewer.window.add_plugin_dock_widget(NAME, name)[1]
        for name in ("Segment", "Fine-tune")
    ]
    for dock in docks:
        qtbot.waitUntil(lambda dock=dock: not dock.busy, timeout=20_000)
        qtbot.waitUntil(lambda dock=dock: not dock.button.visibleRegion().isEmpty())
