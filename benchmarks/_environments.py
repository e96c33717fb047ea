"""Environments of their own for what benchmarks compare the package with."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path


def python_of(requirements: Path, folder: Path) -> Path:
    """Return the Python of an environment, which is made where it is not there yet.

    Parameters
    ----------
    requirements : Path
        What it holds, as pip takes it. Where that has changed, it is made anew.
    folder : Path
        Where it is.
    """
    windows = os.name == "nt"
    python = folder / ("Scripts/python.exe" if windows else "bin/python")
    wanted = requirements.read_text(encoding="utf-8")
    done = folder / "installed.txt"
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {requirements.stem} into {folder}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True
    )
    done.write_text(wanted, encoding="utf-8")
    return python
