"""Where the user's models, fetched data and remembered figures lie."""

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


def user_cache(part: str) -> Path:
    """Return the folder of what can be found out again, should it be deleted.

    Parameters
    ----------
    part : str
        ``precision``.

    Returns
    -------
    Path
        Below the platform's cache folder, or below ``UNETIC_HOME`` where that is set;
        not made here.
    """
    if os.environ.get("UNETIC_HOME"):
        return user_folder("cache") / part
    return Path(platformdirs.user_cache_dir("napari-unetic"), part)
