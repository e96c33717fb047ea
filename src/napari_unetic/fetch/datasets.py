"""The data sets that can be fetched, where they are kept, and how they are checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from napari_unetic.errors import UneticError
from napari_unetic.fetch.download import STALL_SECONDS, download
from napari_unetic.fetch.part import Part, cannot_write
from napari_unetic.home import user_folder
from napari_unetic.steps import Step, Steps

_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Dataset:
    """A zip on a public server.

    Parameters
    ----------
    name : str
        What it is asked for by; also the name of the file, before ``.zip``.
    title : str
        What is in it.
    url : str
        Where it is.
    sha256 : str
        Published checksum, 64 hexadecimal digits.
    about : str
        Licence, and what to cite.
    """

    name: str
    title: str
    url: str
    sha256: str
    about: str

    @property
    def file(self) -> str:
        """The name of the file."""
        return f"{self.name}.zip"


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        dataset.name: dataset
        for dataset in (
            Dataset(
                "dsb2018",
                "Data Science Bowl 2018, stage 1 training set (BBBC038)",
                "https://data.broadinstitute.org/bbbc/BBBC038/stage1_train.zip",
                "dcb6edc2690f137406638b2309581a71522c4dff19157d118453b448dcddcb68",
                "CC0; cite Caicedo et al., Nature Methods 16, 1247 (2019)",
            ),
            Dataset(
                "dsb2018-stardist",
                "StarDist's subset of it, fluorescence, 447 + 50 images",
                "https://github.com/stardist/stardist/releases/download/0.1.0/"
                "dsb2018.zip",
                "e44921950edce378063aa4457e625581ba35b4c2dbd9a07c19d48900129f386f",
                "CC0; cite also Schmidt et al., MICCAI 2018",
            ),
        )
    }
)
"""The data sets by name, the one to take first in front."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set on disk, whose checksum was compared.

    Parameters
    ----------
    path : Path
        The zip.
    n_bytes : int
        Its size.
    was_there : bool
        Whether it was there before.
    """

    path: Path
    n_bytes: int
    was_there: bool


def user_data_folder() -> Path:
    """Return the folder of fetched data; ``UNETIC_HOME`` moves it."""
    return user_folder("data")


def find_dataset(name: str) -> Dataset:
    """Return a data set by name.

    Raises
    ------
    UneticError
        If there is none of this name.
    """
    if name not in DATASETS:
        raise UneticError(
            f"Expected the name of a data set ({', '.join(DATASETS)}), got {name!r}; "
            "choose one of these."
        )
    return DATASETS[name]


def fetched_path() -> Path:
    """Return the first of the data sets that has been fetched.

    A file has its name only once its checksum was right, so it is not checked again.

    Raises
    ------
    UneticError
        If there is none yet.
    """
    folder = user_data_folder()
    for dataset in DATASETS.values():
        if (folder / dataset.file).is_file():
            return folder / dataset.file
    first = next(iter(DATASETS))
    raise UneticError(
        f"Expected the data set {first} in {folder}, got none yet; run `unetic fetch "
        f"{first}` once, which downloads it."
    )


def fetch_steps(
    dataset: str | Dataset,
    folder: str | os.PathLike[str] | None = None,
    *,
    timeout: float = STALL_SECONDS,
) -> Steps[Fetched]:
    """Download a data set and check it; go on with a download that was interrupted.

    Parameters
    ----------
    dataset : str or Dataset
        Name out of `DATASETS`, or where else to take what.
    folder : path, optional
        Where to keep it; `user_data_folder` if None.
    timeout : float
        Seconds without data, or nearly so, after which the server counts as stalled.

    Yields
    ------
    Step
        Megabytes fetched, then megabytes checked.

    Returns
    -------
    Fetched
        The zip, with the published SHA-256.

    Raises
    ------
    UneticError
        If the server cannot be reached or does not have it, if it keeps breaking off,
        if the file cannot be written, or if its checksum is wrong.

    Notes
    -----
    The download grows in ``NAME.zip.part``, with a note on the server's version in
    ``NAME.zip.part.json``. Both are kept when it is interrupted, and removed when it
    ended with the wrong checksum: nothing right can become of it. A file that is
    already there is checked and left alone, right or wrong; so a zip that came by
    another way can be put there.
    """
    if isinstance(dataset, str):
        dataset = find_dataset(dataset)
    target = Path(folder or user_data_folder()).expanduser() / dataset.file
    if target.exists():
        return (yield from _check_existing(dataset, target))
    part = Part(target, dataset.url)
    yield from download(part, timeout=timeout)
    found = yield from _sha256(part.path)
    if found != dataset.sha256:
        n_bytes = part.size
        part.remove()
        raise UneticError(
            f"Expected SHA-256 {dataset.sha256} from {dataset.url}, got {found} "
            f"({n_bytes:,} bytes), which was removed; fetch it again, and if this "
            "stays, report it."
        )
    return Fetched(target, part.finish(), was_there=False)


def _check_existing(dataset: Dataset, target: Path) -> Steps[Fetched]:
    """Compare the checksum of the file that is already there."""
    if not target.is_file():
        raise UneticError(
            f"Expected a file or nothing at {target}, got a folder; move it away."
        )
    found = yield from _sha256(target)
    if found != dataset.sha256:
        raise UneticError(
            f"Expected {target} to have the SHA-256 {dataset.sha256}, got {found}: it "
            "is damaged or another file; move it away and fetch again."
        )
    return Fetched(target, target.stat().st_size, was_there=True)


def _sha256(path: Path) -> Steps[str]:
    """Return the checksum of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    done = 0
    try:
        total = path.stat().st_size
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                done += len(block)
                yield Step(done / 1e6, total / 1e6, "checking")
    except OSError as error:
        raise cannot_write(path, error, "read") from error
    return digest.hexdigest()
