"""A download that goes on where it broke off."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from typing import IO, Any, NoReturn
from urllib.parse import urlsplit

from napari_unetic.errors import UneticError
from napari_unetic.fetch.part import Part, cannot_write
from napari_unetic.steps import Step, Steps

STALL_SECONDS = 30.0
"""Usual time without data after which a server counts as stalled."""

LEAST_RATE = 1000
"""Bytes a second, over the stall time, below which a server counts as stalled."""

LARGEST = 2_000_000_000
"""Bytes of the largest file that is accepted."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before trying again; after the last of them, no more."""

_BLOCK = 1 << 16
# A try that brings this much is no reason to give up.
_WORTHWHILE = 1_000_000
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)


class _BrokenError(Exception):
    """A try that failed and may be repeated.

    Parameters
    ----------
    message : str
        What happened.
    answered : bool
        Whether the server was there at all.
    """

    def __init__(self, message: str, *, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


def download(part: Part, *, timeout: float = STALL_SECONDS) -> Steps[None]:
    """Download until the server says that it is all, trying again after breaks.

    Parameters
    ----------
    part : Part
        What to go on with; its file is whole at the end, but not checked.
    timeout : float
        Seconds without data, or nearly so, after which the server counts as stalled.

    Yields
    ------
    Step
        Megabytes so far; a notice for each break.

    Raises
    ------
    UneticError
        If there is no way to go on. What there is of the file is kept.
    """
    n_failed = 0
    first = part.size
    while True:
        before = part.size
        try:
            yield from _try(part, timeout)
            return
        except _BrokenError as error:
            if part.size - before >= _WORTHWHILE:
                n_failed = 0
            unreachable = not error.answered and part.size == first
            if unreachable or n_failed == len(PAUSES):
                raise _gave_up(part, error) from error
            pause = PAUSES[n_failed]
            n_failed += 1
            size = part.size / 1e6
            yield Step(
                size,
                0,
                "waiting",
                notice=f"The download broke off at {size:.1f} MB: {error}; trying "
                f"again in {pause:g} s ({n_failed} of {len(PAUSES)}).",
            )
        time.sleep(pause)


def _gave_up(part: Part, error: _BrokenError) -> UneticError:
    done = f"what there is ({part.size / 1e6:.1f} MB) is kept and continued"
    return UneticError(
        f"Expected {part.url} to arrive, got this: {error}; check the network and "
        f"fetch again{f' ({done})' if part.size else ''}, or download it by other "
        f"means to {part.target}."
    )


def _refuse(part: Part, what: str, advice: str) -> NoReturn:
    raise UneticError(f"Expected a file from {part.url}, got {what}; {advice}.")


def _try(part: Part, timeout: float) -> Steps[None]:
    """Ask for what is missing and append what comes."""
    response = _open(part, timeout)
    if response is None:
        return
    with response:
        total = _check_answer(part, response)
        if notice := _begin(part, response, total):
            yield Step(part.size / 1e6, total / 1e6, "fetching", notice=notice)
        yield from _append(part, response, total, timeout)
    if part.size > LARGEST:
        part.remove()
        _refuse(part, f"more than {LARGEST:,} bytes", "report this")
    if total and part.size < total:
        raise _BrokenError(f"it ended after {part.size:,} of {total:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that stay on the web, and on its safe side if they began there."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("https", "http")
        if urlsplit(newurl).scheme not in allowed:
            fp.close()
            raise UneticError(
                f"Expected {req.full_url} to lead to an address with {allowed[0]}, got "
                f"{newurl}; check the network, which may have its own login page."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(part: Part, timeout: float) -> http.client.HTTPResponse | None:
    """Return the server's answer, or None if it has nothing beyond the part."""
    request = urllib.request.Request(
        part.url,
        headers={"User-Agent": "napari-unetic", "Accept-Encoding": "identity"}
        | part.headers(),
    )
    opener = urllib.request.build_opener(_Redirects)
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        _check_failure(part, error)
        return None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            _refuse(
                part,
                f"a wrong certificate ({error.reason.verify_message})",
                "check the clock and the network, or download it by other means to "
                f"{part.target}",
            )
        raise _BrokenError(_reason(error.reason), answered=False) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_reason(error)) from error
    return response


def _check_failure(part: Part, error: urllib.error.HTTPError) -> None:
    """Return where the part is all there is, else raise what the status means."""
    status = f"status {error.code} ({http.client.responses.get(error.code, 'unknown')})"
    if error.code == 416:
        if error.headers.get("Content-Range", "") == f"bytes */{part.size}":
            return
        part.remove()
        raise _BrokenError("it did not fit what was there, which was removed")
    if error.code in _TEMPORARY:
        raise _BrokenError(status)
    if 300 <= error.code < 400:
        _refuse(
            part, "redirects that lead nowhere", "check the network and fetch again"
        )
    _refuse(
        part,
        status,
        f"look for a newer version of this program, or download it to {part.target}",
    )


def _check_answer(part: Part, response: http.client.HTTPResponse) -> int:
    """Return the length of the whole file, 0 if unknown, once the answer makes sense.

    Raises
    ------
    UneticError
        If it is no file, or too large.
    _BrokenError
        If it is the rest of something else; the part is removed.
    """
    headers = response.headers
    if response.status not in (200, 206):
        _refuse(part, f"status {response.status}", "fetch again later")
    if headers.get_content_type() == "text/html":
        _refuse(
            part,
            "a web page",
            "check the network, which may want a login, and fetch again",
        )
    start, total = 0, response.length or 0
    if response.status == 206:
        start = part.size
        found = re.fullmatch(
            r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "")
        )
        if not found or int(found[1]) != start or part.is_other_version(headers):
            part.remove()
            raise _BrokenError("another part came than was asked for; all is removed")
        total = start + total if total else 0
        if found[3] != "*":
            total = int(found[3])
    if total > LARGEST:
        _refuse(part, f"{total:,} bytes", f"at most {LARGEST:,} are accepted")
    free = shutil.disk_usage(part.path.parent).free
    if total - start > free:
        raise UneticError(
            f"Expected room for {(total - start) / 1e6:.1f} MB in {part.path.parent}, "
            f"got {free / 1e6:.1f} MB free; make room or choose another folder."
        )
    return total


def _begin(part: Part, response: http.client.HTTPResponse, total: int) -> str:
    """Make the part ready for what comes, and return what the user should know."""
    notice = ""
    size = part.size
    if response.status == 200:
        if size:
            notice = (
                "The server sends the file from its start: it has changed, or cannot "
                "be continued."
            )
        part.remove()
    elif size:
        notice = f"Going on at {size / 1e6:.1f} MB of {total / 1e6:.1f} MB."
    part.note_version(response.headers)
    return notice


def _append(
    part: Part, response: http.client.HTTPResponse, total: int, timeout: float
) -> Steps[None]:
    """Append what the server sends until it ends."""
    size = first = part.size
    begun = since = time.monotonic()
    recent = 0
    try:
        file = open(part.path, "ab", buffering=0)
    except OSError as error:
        raise cannot_write(part.path, error) from error
    with file:
        while block := _read(response, timeout):
            try:
                file.write(block)
            except OSError as error:
                raise cannot_write(part.path, error) from error
            size += len(block)
            recent += len(block)
            if os.fstat(file.fileno()).st_size != size:
                raise UneticError(
                    f"Expected to write {part.path} alone, got another program that "
                    "writes it too; end that one and fetch again."
                )
            if size > LARGEST:
                break
            now = time.monotonic()
            yield Step(
                size / 1e6, total / 1e6, "fetching", _figures(size, first, total, begun)
            )
            if now - since > timeout:
                if recent < LEAST_RATE * timeout:
                    raise _BrokenError(
                        f"it stalled ({recent:,} bytes in {now - since:.0f} s)"
                    )
                since, recent = now, 0


def _read(response: http.client.HTTPResponse, timeout: float) -> bytes:
    """Return the next bytes, none at the end."""
    try:
        return response.read1(_BLOCK)
    except TimeoutError as error:
        raise _BrokenError(f"it stalled (no bytes in {timeout:g} s)") from error
    except http.client.IncompleteRead as error:
        if not response.chunked:
            # The caller compares the length, which not every Python does.
            return b""
        raise _BrokenError("it ended too early") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_reason(error)) from error


def _figures(size: int, first: int, total: int, begun: float) -> dict[str, float]:
    """Return what is worth showing."""
    rate = (size - first) / max(time.monotonic() - begun, 1e-3)
    figures = {"MB": size / 1e6, "MB_per_second": rate / 1e6}
    if total:
        figures["seconds_left"] = (total - size) / rate
    return figures


def _reason(error: BaseException | str) -> str:
    """Return what went wrong on the way, as a phrase."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
