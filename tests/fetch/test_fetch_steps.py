"""Downloads from a server on this machine that breaks off, stalls and lies."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from napari_unetic.errors import UneticError
from napari_unetic.fetch import (
    DATASETS,
    Dataset,
    Fetched,
    download,
    fetch_steps,
    fetched_path,
    find_dataset,
    user_data_folder,
)
from napari_unetic.steps import Step, drain

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
HALF = 150_000
DATE = "Tue, 27 Feb 2018 21:28:00 GMT"

Answer = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Gives its answers one by one, and honest ones when they are used up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.version: dict[str, str] = {"ETag": '"one"'}
        self.answers: list[Answer] = []
        self.asked: list[dict[str, str]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.zip"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where the client has left."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        answers = self.server.answers
        (answers.pop(0) if answers else honest)(self)

    def head(self, status: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def rest(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body that an honest server would send."""
        content, version = self.server.content, self.server.version
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or (condition and condition not in version.values()):
            return 200, version, content
        start = int(asked[1])
        if start >= len(content):
            return 416, {"Content-Range": f"bytes */{len(content)}"}, b""
        where = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return 206, version | {"Content-Range": where}, content[start:]


def honest(handler: Handler) -> None:
    status, headers, body = handler.rest()
    handler.head(status, headers | {"Content-Length": len(body)})
    handler.wfile.write(body)


def breaks_off(after: int) -> Answer:
    def answer(handler: Handler) -> None:
        status, headers, body = handler.rest()
        handler.head(status, headers | {"Content-Length": len(body)})
        handler.wfile.write(body[:after])

    return answer


def stalls(after: int) -> Answer:
    def answer(handler: Handler) -> None:
        breaks_off(after)(handler)
        handler.wfile.flush()
        handler.server.closing.wait(10)

    return answer


def drips(handler: Handler) -> None:
    """Send a byte now and then, so that no single wait is long."""
    breaks_off(0)(handler)
    for byte in CONTENT:
        if handler.server.closing.wait(0.05):
            return
        handler.wfile.write(bytes([byte]))


def says_nothing(handler: Handler) -> None:
    handler.server.closing.wait(10)


def hangs_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def sends(status: int, body: bytes, **headers: Any) -> Answer:
    def answer(handler: Handler) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.head(status, {"Content-Length": len(body)} | named)
        handler.wfile.write(body)

    return answer


def moved(url: str) -> Answer:
    return sends(302, b"", Location=url)


def endless(handler: Handler) -> None:
    handler.head(200, {})
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1000))


def ends_in_a_chunk(handler: Handler) -> None:
    """Send no length but chunks, and not the last of them."""
    handler.head(200, {"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"%x\r\n%b" % (HALF, CONTENT[: HALF // 2]))


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine, on a port of its own."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but this machine is contacted, and tries follow at once."""
    connect = socket.create_connection

    def guarded(address: tuple[str, int], *args: Any, **keywords: Any) -> socket.socket:
        assert address[0] == "127.0.0.1", f"{address} would be contacted"
        return connect(address, *args, **keywords)

    monkeypatch.setattr(socket, "create_connection", guarded)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSES", (0.0,) * 4)


@pytest.fixture
def dataset(server: Server) -> Dataset:
    """A data set on the server."""
    return Dataset("tiny", "A", server.url, hashlib.sha256(CONTENT).hexdigest(), "CC0")


def fetch(dataset: Dataset, folder: Path, timeout: float = 5) -> Fetched:
    return drain(fetch_steps(dataset, folder, timeout=timeout))


def notices(dataset: Dataset, folder: Path, timeout: float = 5) -> list[str]:
    """Fetch and return what was said."""
    steps: list[Step] = []
    fetched = drain(fetch_steps(dataset, folder, timeout=timeout), steps.append)
    assert fetched.path.read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["tiny.zip"]
    return [step.notice for step in steps if step.notice]


def interrupt(dataset: Dataset, folder: Path) -> int:
    """Stop a download in its middle and return the size of what is kept."""
    steps = fetch_steps(dataset, folder)
    while next(steps).done < 0.1:
        pass
    steps.close()
    assert not (folder / "tiny.zip").exists()
    return (folder / "tiny.zip.part").stat().st_size


def refusal(dataset: Dataset, folder: Path, timeout: float = 5) -> str:
    """Fetch in vain and return the sentence."""
    with pytest.raises(UneticError) as error:
        fetch(dataset, folder, timeout)
    sentence = str(error.value)
    assert sentence.startswith("Expected ") and ", got " in sentence
    assert "\n" not in sentence
    assert not (folder / "tiny.zip").is_file()
    return sentence


def test_a_data_set_arrives(dataset: Dataset, tmp_path: Path) -> None:
    """The file appears under its name, and steps count up to its size, then again."""
    steps: list[Step] = []
    fetched = drain(fetch_steps(dataset, tmp_path / "a" / "b"), steps.append)
    assert fetched == Fetched(tmp_path / "a" / "b" / "tiny.zip", 300_000, False)
    assert fetched.path.read_bytes() == CONTENT
    arrived = [step.done for step in steps if step.what == "fetching"]
    assert arrived == sorted(arrived) and arrived[-1] == 0.3
    assert {step.total for step in steps} == {0.3}
    assert steps[-1].what == "checking" and steps[-1].done == 0.3
    assert steps[0].values["MB"] == steps[0].done


def test_what_is_there_is_checked_and_kept(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """The second time nothing is asked of the server, and the file is checked."""
    fetch(dataset, tmp_path)
    assert fetch(dataset, tmp_path) == Fetched(tmp_path / "tiny.zip", 300_000, True)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(CONTENT[:-1], id="short"),
        pytest.param(CONTENT[::-1], id="other"),
        pytest.param(b"", id="empty"),
    ],
)
def test_another_file_in_its_place_is_left_alone(
    server: Server, dataset: Dataset, tmp_path: Path, content: bytes
) -> None:
    """A damaged or other file of this name is refused and not overwritten."""
    (tmp_path / "tiny.zip").write_bytes(content)
    with pytest.raises(UneticError, match=r"tiny.zip to have the SHA-256 .* move it"):
        fetch(dataset, tmp_path)
    assert (tmp_path / "tiny.zip").read_bytes() == content
    assert not server.asked


def test_a_folder_in_its_place(dataset: Dataset, tmp_path: Path) -> None:
    """A folder of the file's name is refused."""
    (tmp_path / "tiny.zip").mkdir()
    assert "got a folder" in refusal(dataset, tmp_path)


@pytest.mark.parametrize(
    ("version", "condition"),
    [
        pytest.param({"ETag": '"one"'}, '"one"', id="tag"),
        pytest.param({"Last-Modified": DATE}, DATE, id="date"),
        pytest.param({"ETag": 'W/"1"', "Last-Modified": DATE}, DATE, id="weak tag"),
        pytest.param({"ETag": 'W/"1"'}, None, id="weak tag alone"),
        pytest.param({}, None, id="none"),
    ],
)
def test_an_interrupted_download_goes_on(
    server: Server,
    dataset: Dataset,
    tmp_path: Path,
    version: dict[str, str],
    condition: str | None,
) -> None:
    """Only the rest is asked for, if it is of the version that was begun."""
    server.version = version
    size = interrupt(dataset, tmp_path)
    assert 100_000 <= size < 300_000
    (notice,) = notices(dataset, tmp_path)
    assert notice.startswith("Going on at 0.")
    assert server.asked[1]["Range"] == f"bytes={size}-"
    assert server.asked[1].get("If-Range") == condition


def test_a_file_that_changed_starts_over(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """Halves of two versions are never put together."""
    server.content, server.version = OTHER, {"ETag": '"other"'}
    interrupt(dataset, tmp_path)
    server.content, server.version = CONTENT, {"ETag": '"one"'}
    (notice,) = notices(dataset, tmp_path)
    assert "from its start" in notice


def test_a_changed_weak_tag_starts_over(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """A weak tag cannot be a condition, but tells that the rest is another file's."""
    server.content, server.version = OTHER, {"ETag": 'W/"other"'}
    interrupt(dataset, tmp_path)
    server.content, server.version = CONTENT, {"ETag": 'W/"one"'}
    (notice,) = notices(dataset, tmp_path)
    assert "another part came" in notice


def test_a_server_without_ranges_starts_over(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """A server that ignores Range sends all, which replaces what was there."""
    interrupt(dataset, tmp_path)
    server.answers = [sends(200, CONTENT)]
    (notice,) = notices(dataset, tmp_path)
    assert "cannot be continued" in notice


@pytest.mark.parametrize("notes", ['{"url": "http://elsewhere"}', "{", "[]", "\0"])
def test_a_part_of_unknown_origin_is_not_continued(
    server: Server, dataset: Dataset, tmp_path: Path, notes: str
) -> None:
    """A part from another address, or with damaged notes, is downloaded anew."""
    (tmp_path / "tiny.zip.part").write_bytes(OTHER[:HALF])
    (tmp_path / "tiny.zip.part.json").write_text(notes)
    assert notices(dataset, tmp_path) == []
    assert "Range" not in server.asked[0]


def test_a_part_without_notes_is_judged_by_the_checksum(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """It is continued, refused when the sum is wrong, removed, and right next time."""
    (tmp_path / "tiny.zip.part").write_bytes(OTHER[:HALF])
    assert "SHA-256" in refusal(dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert notices(dataset, tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param(breaks_off(HALF), "150,000 of 300,000 bytes", id="breaks off"),
        pytest.param(breaks_off(0), "0 of 300,000 bytes", id="breaks off at once"),
        pytest.param(stalls(HALF), "it stalled (no bytes in 0.3 s)", id="stalls"),
        pytest.param(says_nothing, "no answer in time", id="says nothing"),
        pytest.param(hangs_up, "Remote end closed connection", id="hangs up"),
        pytest.param(ends_in_a_chunk, "it ended too early", id="chunk"),
        pytest.param(drips, "it stalled (", id="drips"),
        pytest.param(sends(503, b"busy"), "503 (Service Unavailable)", id="busy"),
        pytest.param(sends(429, b""), "429 (Too Many Requests)", id="too many"),
        pytest.param(
            sends(206, OTHER[9:], Content_Range="bytes 9-299999/300000"),
            "another part came",
            id="part not asked for",
        ),
        pytest.param(
            sends(206, OTHER, Content_Range="all"), "another part", id="nonsense"
        ),
        pytest.param(sends(416, b""), "did not fit", id="nothing left"),
    ],
)
def test_a_fault_is_told_and_the_download_goes_on(
    server: Server, dataset: Dataset, tmp_path: Path, fault: Answer, said: str
) -> None:
    """After any passing fault the file is whole, and the user knows what it was."""
    server.answers = [fault]
    first = notices(dataset, tmp_path, timeout=0.3)[0]
    assert first.startswith("The download broke off at 0.")
    assert said in first
    assert first.endswith("trying again in 0 s (1 of 4).")


def test_every_try_brings_something(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """Pieces are put together, each where the one before ended."""
    server.answers = [breaks_off(70_000)] * 4
    notices(dataset, tmp_path)
    starts = [asked.get("Range") for asked in server.asked]
    assert starts == [None, *(f"bytes={n}0000-" for n in (7, 14, 21, 28))]


@pytest.mark.parametrize("fault", [breaks_off(HALF // 10), stalls(HALF // 10)])
def test_a_server_that_never_gets_there_is_given_up(
    server: Server, dataset: Dataset, tmp_path: Path, fault: Answer
) -> None:
    """After five tries it ends with a sentence, and what came is kept for later."""
    server.answers = [fault] * 5
    sentence = refusal(dataset, tmp_path, timeout=0.2)
    assert "what there is (0.1 MB) is kept and continued" in sentence
    assert str(tmp_path / "tiny.zip") in sentence
    assert len(server.asked) == 5
    (notice,) = notices(dataset, tmp_path)
    assert notice.startswith("Going on at 0.1 MB of 0.3 MB")


def test_worthwhile_tries_do_not_count(
    server: Server, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad line that brings much each time is not given up."""
    monkeypatch.setattr(download, "_WORTHWHILE", 20_000)
    server.answers = [breaks_off(20_000)] * 12
    assert len(notices(dataset, tmp_path)) == 12 * 2


def test_a_length_that_is_too_long(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """The server has nothing beyond the end, so the file is whole after all."""
    server.answers = [sends(200, CONTENT, Content_Length=300_100)]
    (notice,) = notices(dataset, tmp_path)
    assert "300,000 of 300,100 bytes" in notice


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(sends(200, OTHER), id="other content"),
        pytest.param(sends(200, CONTENT, Content_Length=299_999), id="too short"),
        pytest.param(sends(200, b""), id="empty"),
        pytest.param(sends(200, CONTENT + b"!"), id="too much"),
    ],
)
def test_wrong_content_is_refused_and_removed(
    server: Server, dataset: Dataset, tmp_path: Path, lie: Answer
) -> None:
    """The checksum decides; nothing right can become of such a file."""
    server.answers = [lie]
    sentence = refusal(dataset, tmp_path)
    assert f"Expected SHA-256 {dataset.sha256} from {server.url}, got " in sentence
    assert "fetch it again" in sentence
    assert list(tmp_path.iterdir()) == []
    assert notices(dataset, tmp_path) == []


def test_a_length_that_is_unknown(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """Without a length the end of the connection is the end of the file."""

    def answer(handler: Handler) -> None:
        handler.head(200, {})
        handler.wfile.write(CONTENT)

    server.answers = [answer]
    assert notices(dataset, tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(sends(404, b"no"), "got status 404 (Not Found)", id="404"),
        pytest.param(sends(403, b"no"), "got status 403 (Forbidden)", id="403"),
        pytest.param(sends(204, b""), "got status 204", id="204"),
        pytest.param(
            sends(200, b"<html>", Content_Type="text/html; charset=utf-8"),
            "got a web page",
            id="login page",
        ),
        pytest.param(moved("file:///etc/passwd"), "lead nowhere", id="file"),
        pytest.param(moved("ftp://127.0.0.1/x"), "got ftp://127.0.0.1/x", id="ftp"),
        pytest.param(
            sends(200, b"", Content_Length=3_000_000_000), "3,000,000,000", id="large"
        ),
    ],
)
def test_what_cannot_get_better_is_not_tried_again(
    server: Server, dataset: Dataset, tmp_path: Path, answer: Answer, said: str
) -> None:
    """One request, one sentence; a part that was there stays."""
    size = interrupt(dataset, tmp_path)
    server.answers = [answer]
    assert said in refusal(dataset, tmp_path)
    assert len(server.asked) == 2
    assert (tmp_path / "tiny.zip.part").stat().st_size == size


def test_redirects_are_followed(
    server: Server, dataset: Dataset, tmp_path: Path
) -> None:
    """Range and condition go with a redirect; one without end is a sentence."""
    size = interrupt(dataset, tmp_path)
    server.answers = [moved(server.url + "?signed"), moved("/elsewhere.zip")]
    notices(dataset, tmp_path)
    assert [asked.get("Range") for asked in server.asked[1:]] == [f"bytes={size}-"] * 3
    server.answers = [moved(server.url)] * 20
    assert "got redirects that lead nowhere" in refusal(dataset, tmp_path / "again")


def test_https_does_not_become_http(server: Server) -> None:
    """A redirect from a safe address to an unsafe one is refused."""
    from urllib.request import Request

    with pytest.raises(UneticError, match="address with https, got http://127"):
        download._Redirects().redirect_request(
            Request("https://127.0.0.1/"), open(__file__, "rb"), 302, "", {}, server.url
        )


def test_an_endless_file_is_refused(
    server: Server, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that does not end does not fill the disk."""
    monkeypatch.setattr(download, "LARGEST", 400_000)
    server.answers = [endless]
    assert "got more than 400,000 bytes" in refusal(dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_server(dataset: Dataset, tmp_path: Path) -> None:
    """Where nobody answers, it is said at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/data.zip"
    begun = time.monotonic()
    sentence = refusal(dataclasses.replace(dataset, url=url), tmp_path)
    assert "check the network" in sentence and "by other means" in sentence
    assert time.monotonic() - begun < 3


def test_no_room(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The free space is compared before the first byte is written."""
    usage = type("Usage", (), {"free": 200_000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    assert "room for 0.3 MB" in refusal(dataset, tmp_path)


def test_no_folder_can_be_made(dataset: Dataset, tmp_path: Path) -> None:
    """A file where the folder should be is a sentence."""
    (tmp_path / "file").write_text("")
    sentence = refusal(dataset, tmp_path / "file")
    assert "choose another folder" in sentence


def test_two_at_once_do_not_mix(dataset: Dataset, tmp_path: Path) -> None:
    """A download notices that another one writes into its file."""
    steps = fetch_steps(dataset, tmp_path)
    next(steps)
    with open(tmp_path / "tiny.zip.part", "ab") as other:
        other.write(b"!")
    with pytest.raises(UneticError, match="another program that writes it"):
        drain(steps)


def test_the_known_data_sets() -> None:
    """Names, addresses and checksums are those that were published."""
    assert list(DATASETS) == ["dsb2018", "dsb2018-stardist"]
    for name, dataset in DATASETS.items():
        assert find_dataset(name) is dataset and dataset.name == name
        assert dataset.url.startswith("https://") and dataset.url.endswith(".zip")
        assert re.fullmatch("[0-9a-f]{64}", dataset.sha256)
    with pytest.raises(UneticError, match=r"\(dsb2018, dsb2018-stardist\), got 'x'"):
        find_dataset("x")


def test_where_data_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """UNETIC_HOME moves the folder; the first data set that is there is found."""
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path))
    assert user_data_folder() == tmp_path / "data"
    with pytest.raises(UneticError, match="run `unetic fetch dsb2018` once"):
        fetched_path()
    (tmp_path / "data").mkdir()
    for name in reversed(DATASETS):
        (tmp_path / "data" / f"{name}.zip").write_bytes(b"")
        assert fetched_path().name == f"{name}.zip"
    monkeypatch.delenv("UNETIC_HOME")
    assert user_data_folder().is_absolute()


def test_the_notes_of_a_part_are_readable(dataset: Dataset, tmp_path: Path) -> None:
    """What is kept beside a part tells address and version."""
    interrupt(dataset, tmp_path)
    notes = json.loads((tmp_path / "tiny.zip.part.json").read_text())
    assert notes == {"url": dataset.url, "ETag": '"one"'}
