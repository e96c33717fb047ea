"""``python -m napari_unetic`` is the command ``unetic``."""

from __future__ import annotations

import sys

from napari_unetic.cli import main

if __name__ == "__main__":
    sys.exit(main())
