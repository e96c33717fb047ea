"""What stands between a file and its decoders: errors, sizes, warnings, logs."""

from __future__ import annotations

import logging
import lzma
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import PIL.Image
import psutil
import tifffile

from napari_unetic.errors import UneticError

DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tifffile.TiffFileError,
    zlib.error,
)
"""What Pillow, tifffile, zipfile and the unpackers raise at a damaged file."""

# Small enough for any machine, so that nothing small is ever refused.
_HARMLESS_BYTES = 64 * 2**20
# Deflate packs 1,032 to 1 at best, a JPEG 1,536 to 1 (one bit a block of 8 × 8).
PICTURE_RATIO = 2_000
# Zstandard and LZMA pack an empty image better than that.
TIFF_RATIO = 40_000

# Filters of warnings belong to the process: two readers at once would mix theirs up.
_one_at_a_time = threading.RLock()


def as_text(name: str | os.PathLike[str]) -> str:
    r"""Return a file's name as text that can be written anywhere.

    Bytes of a name that are no UTF-8 come as ``\udcff`` instead of as what no file
    of text can hold.
    """
    return os.fspath(name).encode("utf-8", "backslashreplace").decode("utf-8")


def n_bytes_of(source: str | os.PathLike[str] | BinaryIO) -> int:
    """Return the size of a file or a stream in bytes."""
    if isinstance(source, str | os.PathLike):
        return os.stat(source).st_size
    here = source.tell()
    size = source.seek(0, os.SEEK_END)
    source.seek(here)
    return size


def check_size(n_bytes: int, n_packed: int, name: str, *, ratio: int) -> None:
    """Refuse what a file declares before memory is taken for it.

    Parameters
    ----------
    n_bytes : int
        Bytes that the unpacked content shall take.
    n_packed : int
        Bytes that it takes in the file.
    name : str
        For messages.
    ratio : int
        How many times its size a file can hold.

    Raises
    ------
    UneticError
        If the file cannot hold as much, or the memory cannot.
    """
    if n_bytes <= _HARMLESS_BYTES:
        return
    if n_bytes > ratio * n_packed:
        raise UneticError(
            f"Expected a file as large as what it holds, got {name}, whose "
            f"{n_packed:,} bytes declare {n_bytes:,}; it is damaged, so fetch it again."
        )
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise UneticError(
            f"Expected an image that fits into the free memory ({free / 1e9:.1f} GB), "
            f"got {name}, which takes {n_bytes / 1e9:.1f} GB; save it as TIFF without "
            "compression, which is read in parts, or cut it."
        )


@contextmanager
def decoding(kind: str, name: str) -> Iterator[list[str]]:
    """Turn whatever goes wrong while a file is decoded into one sentence.

    Parameters
    ----------
    kind : str
        What the file should be ("TIFF").
    name : str
        Of the file, for the sentence.

    Yields
    ------
    list of str
        What decoders warned of or logged, filled when the block ends.

    Raises
    ------
    UneticError
        Where the block raised one of `DAMAGED`, or found too little memory.
    """
    try:
        with _one_at_a_time, _listening() as said:
            yield said
    except UneticError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise UneticError(
            f"Expected a {kind} of less than {2 * (PIL.Image.MAX_IMAGE_PIXELS or 0):,} "
            f"pixels, got {name}; convert it to TIFF without compression."
        ) from error
    except MemoryError as error:
        raise UneticError(
            f"Expected an image that fits into memory, got {name}, which does not; "
            "save it as TIFF without compression, which is read in parts, or cut it."
        ) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UneticError(
                f"Expected a {kind} that can be read, got {name}: {error.strerror}; "
                "check its rights and its disk."
            ) from error
        raise UneticError(
            f"Expected a readable {kind}, got {name}, which is damaged or something "
            "else; open and save it in another program, or fetch it again."
        ) from error


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect warnings and tifffile's log instead of printing them."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING and len(said) < 10:
            said.append(record.getMessage())
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(keep)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            # What warns of the use of a library is for developers, as ever.
            for category in (DeprecationWarning, PendingDeprecationWarning):
                warnings.simplefilter("ignore", category)
            # `check_size` knows better than a fixed number of pixels.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            yield said
    finally:
        log.removeFilter(keep)
        said.extend(str(warning.message) for warning in warned)


def fault_notice(name: str, said: list[str]) -> tuple[str, ...]:
    """Return a notice of what decoders complained about, if they did."""
    if not said:
        return ()
    reason = " ".join(said[0].split())
    reason = reason if len(reason) < 160 else reason[:157] + "..."
    return (f"{name}: the file has faults and may not be read whole ({reason}).",)
