"""Files of a data set, in a folder or inside a zip, by their names."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from napari_unetic.errors import UneticError
from napari_unetic.image.guards import DAMAGED, as_text, check_size

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1
# Deflate packs 1,032 to 1 at best.
_DEFLATE_RATIO = 1_100
# LZMA and the like.
_OTHER_RATIO = 40_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a folder, or a member of a zip that is read in place.

    Parameters
    ----------
    path : str
        The file, or the zip.
    member : str
        Name inside the zip; empty for a plain file.
    offset : int
        Where the member's local header starts in the zip.
    packed : int
        Size of the member in the zip, in bytes.
    method : int
        Compression method of the member.
    crc : int
        Checksum of the unpacked member.
    size : int
        Size of the unpacked member, in bytes.

    Notes
    -----
    Nothing is kept open: an entry can be pickled, and processes that were forked can
    read the same zip at once without sharing a file position.
    """

    path: str
    member: str = ""
    offset: int = 0
    packed: int = 0
    method: int = 0
    crc: int = 0
    size: int = 0

    @property
    def name(self) -> str:
        """The path for messages: ``zip/member`` for a member."""
        return as_text(f"{self.path}/{self.member}" if self.member else self.path)

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot."""
        return os.path.splitext(self.member or self.path)[1].lower()

    def open(self) -> str | BinaryIO:
        """Return what a reader takes: the path, or a stream of the member's bytes."""
        return BytesIO(self._unpack()) if self.member else self.path

    def _unpack(self) -> bytes:
        ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _DEFLATE_RATIO}
        most = ratio.get(self.method, _OTHER_RATIO)
        check_size(self.size, self.packed, self.name, ratio=most)
        try:
            data = self._read()
        except (*DAMAGED, zipfile.BadZipFile, MemoryError) as error:
            raise self._damaged() from error
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise self._damaged()
        return data

    def _read(self) -> bytes:
        """Return the unpacked bytes, never many more than were declared."""
        with open(self.path, "rb") as file:
            if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                with zipfile.ZipFile(file) as archive, archive.open(self.member) as one:
                    return one.read(self.size + 1)
            if self.packed > os.fstat(file.fileno()).st_size:
                raise zipfile.BadZipFile("member larger than its zip")
            file.seek(self.offset)
            header = file.read(_LOCAL_HEADER.size)
            _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
            file.seek(name_length + extra_length, os.SEEK_CUR)
            data = file.read(self.packed)
        if self.method == zipfile.ZIP_STORED:
            return data
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)

    def _damaged(self) -> UneticError:
        return UneticError(
            f"Expected a readable member {self.member} in {self.path}, got a damaged, "
            "changed or unusually packed zip; fetch it again, or unpack it and name "
            "the folder."
        )


def list_entries(source: str | os.PathLike[str]) -> dict[str, Entry]:
    """Return the files of a folder or a zip by their relative names.

    Parameters
    ----------
    source : path
        Folder or zip.

    Returns
    -------
    dict of str to Entry
        Relative name with ``/`` to entry, sorted by name. Hidden files and folders
        and ``__MACOSX`` are left out.

    Raises
    ------
    UneticError
        If there is no such folder, or it cannot be read, or the file is no zip, or
        the zip is encrypted or has names that lead out of it.
    """
    path = Path(source)
    if path.is_dir():
        found = _list_folder(path)
    elif path.is_file():
        found = _list_zip(path)
    else:
        raise UneticError(
            f"Expected a folder or a zip, got {as_text(path)}, which does not exist; "
            "check the path."
        )
    return dict(sorted(found.items()))


def is_shown(parts: Iterable[str]) -> bool:
    """Whether no part of a name is hidden or made by the macOS archiver."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _list_folder(folder: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for place, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if is_shown([name])]
        inside = Path(place).relative_to(folder).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        for name in files:
            if is_shown([name]):
                found[as_text(prefix + name)] = Entry(os.path.join(place, name))
    return found


def _unreadable(error: OSError) -> None:
    raise UneticError(
        f"Expected a folder that can be read, got {as_text(error.filename)}: "
        f"{error.strerror}; check its rights."
    ) from error


def _list_zip(path: Path) -> dict[str, Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (*DAMAGED, zipfile.BadZipFile, MemoryError) as error:
        raise UneticError(
            f"Expected a folder or a zip, got {as_text(path)}, which is not a readable "
            "zip; check the path or fetch the zip again."
        ) from error
    found: dict[str, Entry] = {}
    for info in members:
        parts = info.filename.split("/")
        if ".." in parts or info.filename.startswith("/"):
            raise UneticError(
                f"Expected a zip whose names stay inside it, got {info.filename!r} in "
                f"{as_text(path)}; unpack it with care and name the folder."
            )
        if info.is_dir() or not is_shown(parts):
            continue
        if info.flag_bits & _ENCRYPTED:
            raise UneticError(
                f"Expected a zip without a password, got {path}; unpack it first."
            )
        found[info.filename] = Entry(
            str(path),
            info.filename,
            info.header_offset,
            info.compress_size,
            info.compress_type,
            info.CRC,
            info.file_size,
        )
    return found
