"""What all tests share, and what must happen before napari and Qt start."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

# Before torch is loaded, here and in processes that tests start. Networks this small
# run no faster on more threads, and many times slower where others want the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
GUI_TESTS = ROOT / "tests" / "gui"

OPEN_A_WINDOW = "from qtpy.QtWidgets import QApplication; QApplication([])"


@cache
def import_error(*modules: str) -> str:
    """Why one of the modules cannot be imported here, or an empty text.

    A missing system library is an ImportError from Qt and an OSError from OpenGL.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return str(error)
    return ""


NAPARI = ("napari.utils._testsupport",)
"""The modules without which napari has no layers."""

WINDOW = (*NAPARI, "qtpy.QtGui", "qtpy.QtTest", "qtpy.QtWidgets", "pytestqt.plugin")
"""The modules without which napari has no window."""

# These two are kept from loading themselves ("-p no:..." in pyproject.toml): where a
# system library is missing they end the whole run before the first test.
pytest_plugins = [
    *([] if import_error(*NAPARI) else ["napari.utils._testsupport"]),
    *([] if import_error(*WINDOW) else ["pytestqt.plugin"]),
]


@cache
def window_error() -> str:
    """Why no window can be opened, or an empty text where one can.

    Asked in a child process, because a missing library makes Qt abort the whole
    process. Where the screen does not do, Qt's own one without a screen is taken.
    """
    error = import_error(*WINDOW)
    if error or not sys.platform.startswith("linux"):
        return error
    for platform in (os.environ.get("QT_QPA_PLATFORM"), "offscreen"):
        environment = dict(os.environ)
        if platform is not None:
            environment["QT_QPA_PLATFORM"] = platform
        try:
            child = subprocess.run(
                [sys.executable, "-c", OPEN_A_WINDOW],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            error = "Qt did not start within a minute"
            continue
        if child.returncode == 0:
            os.environ.update(environment)
            return ""
        error = " ".join(child.stderr.split()) or f"exit code {child.returncode}"
    return error


def skip(what: str, why: str) -> NoReturn:
    """Skip a test or a module of tests, and say what to do about it."""
    pytest.skip(
        f"{what} does not start here ({why[:200]}); install the system packages that "
        "README names.",
        allow_module_level=True,
    )


class _Module(pytest.Module):
    """A module of tests that is skipped where napari's libraries are missing."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        name = self.path.relative_to(ROOT).as_posix()
        if GUI_TESTS in self.path.parents and (error := window_error()):
            skip(f"{name}: napari's window", error)
        try:
            return super().collect()
        except (self.CollectError, OSError):
            if error := import_error(*NAPARI):
                skip(f"{name}: napari", error)
            raise


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module:
    """Collect modules so that missing system libraries skip them."""
    module: _Module = _Module.from_parent(parent, path=module_path)
    return module


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark every test in ``tests/gui`` as one that opens a window."""
    if GUI_TESTS in item.path.parents:
        item.add_marker("gui")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Spare the garbage collector what was imported and stays to the end.

    napari's fixture collects several times a test, and went through all of torch each
    time.
    """
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the user's own settings and models out of the tests, and untouched."""
    folder = tempfile.TemporaryDirectory(prefix="unetic-tests-")
    config.add_cleanup(folder.cleanup)
    os.environ["NAPARI_CONFIG"] = str(Path(folder.name, "napari.yaml"))
    os.environ["UNETIC_HOME"] = str(Path(folder.name, "unetic"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images with ground truth; the test is skipped without it."""
    folder = Path(os.environ.get("UNETIC_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "dsb2018").is_dir():
        pytest.skip(f"real images are not here ({folder}); set UNETIC_DATA")
    return folder


@pytest.fixture(scope="session")
def napari_layers() -> None:
    """Napari's layers; the test is skipped where a system library is missing."""
    if error := import_error(*NAPARI):
        skip("napari", error)
