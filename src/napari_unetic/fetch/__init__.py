"""Public data sets: what they are, how they are downloaded, and a picture out of them.

Only `fetch_steps` contacts another computer, and only when it is called.
"""

from __future__ import annotations

from napari_unetic.fetch.datasets import (
    DATASETS,
    Dataset,
    Fetched,
    fetch_steps,
    fetched_path,
    find_dataset,
    user_data_folder,
)

__all__ = [
    "DATASETS",
    "Dataset",
    "Fetched",
    "fetch_steps",
    "fetched_path",
    "find_dataset",
    "user_data_folder",
]
