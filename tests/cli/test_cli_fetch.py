"""``unetic fetch``, from a server on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from napari_unetic.cli import fetch
from napari_unetic.fetch import DATASETS, datasets

CONTENT = bytes(range(256)) * 8


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture(autouse=True)
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a server that the data sets come from, and a home of its own."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    ) as server:
        known = {
            name: dataclasses.replace(
                dataset,
                url=f"http://127.0.0.1:{server.server_port}/{dataset.file}",
                sha256=hashlib.sha256(CONTENT).hexdigest(),
            )
            for name, dataset in DATASETS.items()
        }
        monkeypatch.setattr(datasets, "DATASETS", known)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_fetched_once(
    unetic, tmp_path: Path, served: Path, name: str
) -> None:
    """It is kept in the user's folder, and said to be there the second time."""
    (served / f"{name}.zip").write_bytes(CONTENT)
    path = tmp_path / "home" / "data" / f"{name}.zip"

    first, second = unetic("fetch", name), unetic("fetch", name)

    size = "(0.0 MB, SHA-256 is right)"
    assert (first.code, first.out) == (0, f"fetched: {path} {size}\n")
    assert (second.code, second.out) == (0, f"already there: {path} {size}\n")
    assert f"note: {DATASETS[name].title}; CC0; cite " in first.err
    assert path.read_bytes() == CONTENT


def test_out_names_the_folder(unetic, tmp_path: Path, served: Path) -> None:
    """--out DIR keeps the zip there, and makes the folder."""
    (served / "dsb2018.zip").write_bytes(CONTENT)

    ended = unetic("fetch", "dsb2018", "--out", tmp_path / "a" / "b")

    assert ended.code == 0
    assert (tmp_path / "a" / "b" / "dsb2018.zip").read_bytes() == CONTENT
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("dsb2018", None, "got status 404 (Not Found)", id="missing"),
        pytest.param("dsb2018", CONTENT[1:], "Expected SHA-256", id="other"),
        pytest.param("dsb2019", None, "(dsb2018, dsb2018-stardist)", id="name"),
    ],
)
def test_failures_are_one_sentence(
    unetic, tmp_path: Path, served: Path, name: str, content: bytes | None, said: str
) -> None:
    """Exit code 2, one line, and no file."""
    if content is not None:
        (served / f"{name}.zip").write_bytes(content)

    ended = unetic("fetch", name)

    assert ended.code == 2
    assert ended.out == ""
    line = ended.err.splitlines()[-1]
    assert line.startswith("unetic: error: Expected ")
    assert said in line
    assert not list(tmp_path.glob("home/**/*.*"))


def test_help_names_all_data_sets() -> None:
    """The names in the help are those that there are."""
    assert fetch.NAMES.split("|") == list(DATASETS)
