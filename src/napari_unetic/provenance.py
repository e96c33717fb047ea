"""What a result was made with: versions of the software involved."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("napari-unetic", "torch", "numpy", "scipy", "scikit-image", "tifffile")


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on."""
    versions = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version(), **versions}


@cache
def processor_name() -> str:
    """Return the name of the processor; Linux keeps it in a file."""
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
