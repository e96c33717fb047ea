"""What this installation can do: versions, device, Qt, screen, memory."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from napari_unetic.provenance import processor_name

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "tifffile",
    "torch",
    "safetensors",
    "napari",
    "qtpy",
)
"""Distributions whose versions matter when something goes wrong."""

PROBE_SECONDS = 60.0
"""How long the child process may take that looks for Qt and a screen."""

# Each stage says that it went well before the next is tried, since the next may end
# the process without a word.
_PROBE = """
def say(stage, text):
    print(stage, text, sep="\\t", flush=True)

from qtpy import API_NAME, QT_VERSION
from qtpy.QtWidgets import QApplication
say("qt", f"{API_NAME} {QT_VERSION}")
app = QApplication([])
say("platform", app.platformName())
screen = app.primaryScreen()
size = screen.size() if screen else None
say("screen", f"{size.width()} x {size.height()}" if size else "")
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
surface = QOffscreenSurface()
surface.create()
context = QOpenGLContext()
if context.create() and context.makeCurrent(surface):
    say("opengl", ".".join(str(n) for n in context.format().version()))
    context.doneCurrent()
import napari
say("napari", napari.__version__)
"""

_NO_SCREEN_PLATFORMS = ("offscreen", "minimal", "minimalegl", "vnc", "linuxfb")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Parameters
    ----------
    name : str
        What was looked at.
    text : str
        What was found.
    status : {"ok", "note", "problem"}
        A note limits what can be done; a problem prevents segmenting.
    """

    name: str
    text: str
    status: Literal["ok", "note", "problem"] = "ok"


@dataclass(frozen=True, slots=True)
class Screen:
    """What a child process found out about Qt and the screen.

    Parameters
    ----------
    qt : str
        Binding and version of Qt; empty where it could not be loaded.
    screen : str
        The screen and its OpenGL, where a napari window can be opened.
    problem : str
        Why no napari window can be opened, in a sentence; empty where one can.
    """

    qt: str
    screen: str
    problem: str


def report() -> list[Check]:
    """Return what can be said about this installation, one check a line."""
    return [*_versions(), *_devices(), _memory(), _models(), *_screen_checks()]


def probe_screen(timeout: float = PROBE_SECONDS) -> Screen:
    """Find out whether a napari window can be opened.

    Asked in a child process, since a missing library makes Qt end the process.

    Parameters
    ----------
    timeout : float
        Seconds to wait for the answer.

    Returns
    -------
    Screen
    """
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Screen("", "", f"Qt did not answer within {timeout:g} seconds.")
    found = dict(
        line.split("\t", 1) for line in child.stdout.splitlines() if "\t" in line
    )
    problem = _screen_problem(found, child.stderr)
    shown = f"{found.get('screen')} pixels ({found.get('platform')}), OpenGL "
    return Screen(
        qt=found.get("qt", ""),
        screen="" if problem else shown + found["opengl"],
        problem=problem,
    )


def _screen_problem(found: dict[str, str], stderr: str) -> str:
    """Return what the stages that were reached say, as a sentence."""
    said = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "qt" not in found:
        last = f" ({said[-1]})" if said else ""
        return f"No Qt could be loaded{last}; install one: pip install 'napari[all]'."
    if "platform" not in found:
        if sys.platform.startswith("linux"):
            if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                return "There is no screen: neither DISPLAY nor WAYLAND_DISPLAY is set."
            missing = missing_libraries()
            if missing:
                return (
                    f"Qt lacks system libraries: {', '.join(missing)}; README names "
                    "the packages to install."
                )
        return f"Qt could not open the screen ({said[0] if said else 'no message'})."
    if found["platform"] in _NO_SCREEN_PLATFORMS or not found.get("screen"):
        return f"Qt has no screen (its platform is {found['platform']!r})."
    if "opengl" not in found:
        return "The screen has no OpenGL, which napari draws with; update its driver."
    if "napari" not in found:
        return f"napari could not be loaded ({said[-1] if said else 'no message'})."
    return ""


def missing_libraries() -> list[str]:
    """Return the system libraries that Qt's X11 plugin lacks, by name (Linux only)."""
    if not sys.platform.startswith("linux") or shutil.which("ldd") is None:
        return []
    missing: set[str] = set()
    for binding in ("PyQt6", "PySide6"):
        spec = importlib.util.find_spec(binding)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for pattern in ("**/platforms/libqxcb.so", "**/lib/libQt6XcbQpa.so.6"):
                for library in Path(place).glob(pattern):
                    missing |= _not_found(library)
    return sorted(missing)


def _not_found(library: Path) -> set[str]:
    """Return what ``ldd`` does not find for a library."""
    child = subprocess.run(
        ["ldd", str(library)], capture_output=True, text=True, check=False
    )
    return {
        line.split("=>")[0].strip()
        for line in child.stdout.splitlines()
        if "not found" in line
    }


def _versions() -> list[Check]:
    """Return the versions of Python, this package and those it stands on."""
    checks = [
        Check("napari-unetic", _version("napari-unetic") or "not installed"),
        Check("Python", f"{platform.python_version()} on {platform.platform()}"),
    ]
    for name in PACKAGES:
        found = _version(name)
        optional = name in ("napari", "qtpy")
        checks.append(
            Check(name, found)
            if found
            else Check(name, "not installed", "note" if optional else "problem")
        )
    return checks


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _devices() -> list[Check]:
    """Return the processor, and the GPU or why there is none."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Check("torch", f"could not be loaded: {error}", "problem")]
    checks = [
        Check(
            "processor",
            f"{processor_name()}, {os.cpu_count()} cores, torch uses "
            f"{torch.get_num_threads()} threads",
        )
    ]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            checks.append(
                Check(
                    "GPU",
                    f"{torch.cuda.get_device_name(index)}, {_gigabytes(free)} of "
                    f"{_gigabytes(total)} free (cuda)",
                )
            )
    elif torch.backends.mps.is_available():
        checks.append(Check("GPU", "Apple GPU (mps)"))
    else:
        checks.append(Check("GPU", f"none: {_why_no_gpu()}", "note"))
    return checks


def _why_no_gpu() -> str:
    """Return why torch has no GPU, and what a driver on this machine says to that."""
    import torch

    from napari_unetic.networks.device import why_no_gpu

    reason = f"{why_no_gpu()} (torch {torch.__version__})"
    if sys.platform == "darwin":
        return reason
    if shutil.which("nvidia-smi") is None:
        return f"{reason}, and there is no NVIDIA driver"
    return f"{reason}, though there is an NVIDIA driver; README names builds of torch"


def _memory() -> Check:
    """Return how much memory is free."""
    import psutil

    memory = psutil.virtual_memory()
    return Check(
        "memory",
        f"{_gigabytes(memory.available)} of {_gigabytes(memory.total)} free",
        "ok" if memory.available > 1e9 else "note",
    )


def _models() -> Check:
    """Return the models that can be named."""
    try:
        from napari_unetic.model.registry import DEFAULT_MODEL, list_models
    except (ImportError, OSError) as error:
        return Check("models", f"could not be listed: {error}", "problem")
    names = [entry.name for entry in list_models()]
    if DEFAULT_MODEL not in names:
        return Check(
            "models", f"{DEFAULT_MODEL} is missing: install this again", "problem"
        )
    return Check("models", ", ".join(names))


def _screen_checks() -> list[Check]:
    """Return Qt and the screen."""
    found = probe_screen()
    return [
        Check("Qt", found.qt or "none", "ok" if found.qt else "note"),
        Check("screen", found.problem, "note")
        if found.problem
        else Check("screen", found.screen),
    ]


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
