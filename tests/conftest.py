"""What all tests share, and what must happen before napari and Qt start."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

# Before torch is loaded, here and in processes that tests start. Networks this small
# run no faster on more threads, and many times slower where others want the cores.
THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))

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


@pytest.fixture
def class_model() -> Callable[..., str]:
    """Put a model of one class or two among the user's own, and return its name.

    Thresholds of brightness stand in for a network: brightness b (0 to 1) becomes
    logits, 40 b - 12 for the first class, which so begins at .3, and 80 b - 44 for the
    second, which is above the first from .8 on.
    """
    import torch

    from napari_unetic.home import user_folder
    from napari_unetic.model.description import ModelDescription
    from napari_unetic.model.folder import save_model
    from napari_unetic.networks.spec import NetworkSpec
    from napari_unetic.networks.unet import UNet
    from napari_unetic.semantic.decode import ClassDecodeSpec
    from napari_unetic.semantic.targets import semantic_target

    def save(name: str, *classes: str) -> str:
        target = semantic_target(classes)
        spec = NetworkSpec(
            in_channels=1,
            out_channels=target.n_maps,
            widths=(1,),
            convolutions=1,
            norm="none",
        )
        network = UNet(spec)
        factors, offsets = [40.0], [-12.0]
        if len(classes) == 2:
            factors, offsets = [0.0, 40.0, 80.0], [0.0, -12.0, -44.0]
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            convolution, head = network.bottom[0], network.head
            assert isinstance(convolution, torch.nn.Conv2d)
            assert head.bias is not None
            convolution.weight[0, 0, 1, 1] = 1
            head.weight[:, 0, 0, 0] = torch.tensor(factors)
            head.bias.copy_(torch.tensor(offsets))
        description = ModelDescription(
            name=name,
            network=spec,
            channels=("grey",),
            target=target,
            decoding=ClassDecodeSpec(),
            working_diameter_px=20,
        )
        save_model(user_folder("models") / name, description, network.state_dict())
        return name

    return save


@pytest.fixture(scope="session")
def whole_package() -> None:
    """All modules that need no viewer, loaded.

    For fixtures that put something else in a function's place: a module loaded only
    while it stands there would keep it for good, and which tests come first is chance
    where several processes share them.
    """
    import napari_unetic

    for module in pkgutil.walk_packages(napari_unetic.__path__, "napari_unetic."):
        if not module.name.startswith(("napari_unetic.widgets", "napari_unetic.__")):
            importlib.import_module(module.name)


@pytest.fixture(autouse=True)
def _threads_stay() -> Iterator[None]:
    """A command that sets torch's threads sets them for no other test."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != THREADS:
        torch.set_num_threads(THREADS)
