"""Models in zips: read in place, once every member of the zip is harmless.

Nothing is unpacked: of a zip only the two files of a model are read, into memory.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from napari_unetic.errors import ModelError
from napari_unetic.model.parts import DESCRIPTION_FILE, missing, too_large
from napari_unetic.model.weights import shortened
from napari_unetic.pairs.entries import is_shown

MAX_MEMBERS: Final = 100_000
MAX_BYTES: Final = 8_000_000_000
"""Most that the members of a zip may hold together, unpacked."""

MAX_RATIO: Final = 200
"""Most that a zip of more than `_SMALL_BYTES` may shrink to; deflate reaches 1032."""

_SMALL_BYTES = 64_000_000
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGED = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class ZipSource:
    """The folder of a model inside a zip.

    Parameters
    ----------
    path : Path
        The zip.
    members : dict of str to ZipInfo
        Name of each file in the folder to its entry in the zip.
    """

    path: Path
    members: dict[str, zipfile.ZipInfo]

    @property
    def place(self) -> str:
        """The zip's path."""
        return str(self.path)

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's bytes; as `napari_unetic.model.parts.Source.read`."""
        info = self.members.get(name)
        if info is None:
            raise missing(name, self.place, self.members)
        if info.file_size > limit:
            raise too_large(name, self.place, info.file_size, limit)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(info) as file:
                # The declared size may be a lie.
                data = file.read(limit + 1)
        except _DAMAGED as error:
            raise _damaged(self.path, error) from error
        if len(data) != info.file_size:
            raise _damaged(self.path, ValueError(f"{name} has another size than said"))
        return data


def open_zip(path: Path) -> ZipSource:
    """Look for the model in a zip of a model folder or of a run.

    Parameters
    ----------
    path : Path
        The zip. The files may lie at its top or in one folder, a run's model in
        ``model`` below that.

    Returns
    -------
    ZipSource

    Raises
    ------
    ModelError
        If the file is no zip, holds no model or several, or if any of its members is
        encrypted, a link or a device, leaves the zip's folder, has the name of
        another, or if it would grow beyond all measure.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        packed = path.stat().st_size
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    _check_size(path, infos, packed)
    files: dict[tuple[str, ...], zipfile.ZipInfo] = {}
    for info in infos:
        problem = _problem(info)
        # "a//b" and "a/./b" are "a/b" to whoever unpacks them.
        parts = tuple(p for p in info.filename.split("/") if p not in ("", "."))
        if not problem and not info.is_dir() and parts in files:
            problem = "is there twice"
        if problem:
            raise ModelError(
                f"Expected a harmless zip, got {path}, whose member "
                f"{shortened(info.orig_filename)!r} {problem}; zip the model folder "
                "again, or unpack it with care and add the folder."
            )
        if not info.is_dir() and is_shown(parts):
            files[parts] = info
    top = _top(path, files)
    return ZipSource(
        path, {parts[-1]: info for parts, info in files.items() if parts[:-1] == top}
    )


def _check_size(path: Path, infos: list[zipfile.ZipInfo], packed: int) -> None:
    """Refuse a zip that would grow beyond all measure."""
    total = sum(info.file_size for info in infos)
    if len(infos) > MAX_MEMBERS:
        problem = f"at most {MAX_MEMBERS:,} members in {path}, got {len(infos):,}"
    elif total > MAX_BYTES:
        problem = f"at most {MAX_BYTES:,} bytes in {path}, got {total:,}"
    elif total > _SMALL_BYTES and total > MAX_RATIO * packed:
        problem = (
            f"a zip of a model, got {path}, whose {packed:,} bytes would grow to "
            f"{total:,}"
        )
    else:
        return
    raise ModelError(f"Expected {problem}; add the model folder itself.")


def _problem(info: zipfile.ZipInfo) -> str:
    """Say what is wrong with a member, or return an empty text."""
    # zipfile cuts names at NUL and on Windows turns backslashes; this is as stored.
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if "\0" in name or not name.strip("/"):
        return "has no proper name"
    if name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
        return "lies outside the zip's own folder"
    if "\\" in name:
        return "has a backslash in its name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & _ENCRYPTED:
        return "needs a password"
    if info.compress_type not in _METHODS:
        return "is packed in an unusual way"
    return ""


def _top(path: Path, files: dict[tuple[str, ...], zipfile.ZipInfo]) -> tuple[str, ...]:
    """Return the folder in the zip that holds the model."""
    found = [parts[:-1] for parts in files if parts[-1] == DESCRIPTION_FILE]
    nearest = min((len(top) for top in found), default=0)
    found = [top for top in found if len(top) == nearest]
    if len(found) > 1:
        # In a run, another model (the one it started from) may lie beside its own.
        found = [top for top in found if top[-1] == "model"] or found
    # The top of the zip, one folder in it, and that folder's "model".
    if not found or nearest > 2 or (nearest == 2 and found[0][-1] != "model"):
        raise missing(DESCRIPTION_FILE, str(path), (parts[-1] for parts in files))
    if len(found) > 1:
        names = ", ".join(shortened(top[0], 30) for top in found[:3])
        raise ModelError(
            f"Expected one model in {path}, got {len(found)} ({names}); zip one alone."
        )
    return found[0]


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"Expected a folder or a readable zip, got {path} ({shortened(str(error))}); "
        "check the path or fetch the zip again."
    )
