"""Where the user's models and fetched data lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def user_folder(part: str) -> Path:
    """Return the folder of one kind of things that belong to the user.

    Parameters
    ----------
    part : str
        ``models`` or ``data``.

    Returns
    -------
    Path
        Below the platform's data folder, or below ``UNETIC_HOME`` where that is set;
        not made here.
    """
    home = os.environ.get("UNETIC_HOME")
    if home:
        return Path(os.path.expanduser(home), part)
    return Path(platformdirs.user_data_dir("napari-unetic"), part)
