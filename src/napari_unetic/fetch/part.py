"""The file in which a download grows, beside the one it is to become."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from email.message import Message
from pathlib import Path

from napari_unetic.errors import UneticError


class Part:
    """The file in which a download grows, and what is known of the server's version.

    Parameters
    ----------
    target : Path
        What it is to become.
    url : str
        Where it comes from. A part from elsewhere is not continued.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target = target
        self.url = url
        self.path = target.with_name(f"{target.name}.part")
        self._notes = target.with_name(f"{target.name}.part.json")
        self.version: dict[str, str] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = self._notes.read_text("utf-8") if self._notes.exists() else "{}"
            noted = json.loads(text)
        except ValueError:
            noted = None
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if isinstance(noted, dict) and noted.get("url", url) == url:
            self.version = {k: v for k, v in noted.items() if isinstance(v, str)}
        else:
            self.remove()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def headers(self) -> dict[str, str]:
        """Return what to ask for: the rest, if it is of the same version."""
        if not (size := self.size):
            return {}
        headers = {"Range": f"bytes={size}-"}
        etag = self.version.get("ETag", "")
        # A weak tag does not promise the same bytes (RFC 9110, section 13.1.5).
        strong = "" if etag.startswith("W/") else etag
        if version := strong or self.version.get("Last-Modified"):
            headers["If-Range"] = version
        return headers

    def is_other_version(self, headers: Message) -> bool:
        """Whether these are the headers of another file than that begun here."""
        return any(
            name in headers and headers[name] != value
            for name, value in self.version.items()
            if name != "url"
        )

    def note_version(self, headers: Message) -> None:
        """Keep what tells this version of the file from others."""
        self.version |= {"url": self.url} | {
            name: headers[name] for name in ("ETag", "Last-Modified") if name in headers
        }
        try:
            self._notes.write_text(json.dumps(self.version), "utf-8")
        except OSError as error:
            raise cannot_write(self._notes, error) from error

    def remove(self) -> None:
        """Remove what was downloaded."""
        self.version = {}
        for path in (self.path, self._notes):
            with suppress(FileNotFoundError):
                path.unlink()

    def finish(self) -> int:
        """Give the file its name and return its size in bytes."""
        try:
            os.replace(self.path, self.target)
        except OSError as error:
            raise cannot_write(self.target, error) from error
        self.remove()
        return self.target.stat().st_size


def cannot_write(path: Path, error: OSError, verb: str = "write") -> UneticError:
    """Return the error for a file that cannot be written."""
    return UneticError(
        f"Expected to be able to {verb} {path}, got {error.strerror or error}; choose "
        "another folder or make room, and fetch again."
    )
