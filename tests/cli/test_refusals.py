"""Every bad input ends in one sentence, with exit code 2 and no file touched.

The table is also that of ``docs/refusals.md``; ``python tests/cli/test_refusals.py``
writes it there.
"""

from __future__ import annotations

import builtins
import errno
import hashlib
import importlib.util
import io
import json
import os
import re
import shlex
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile

GREY = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)
OBJECTS = np.zeros((24, 32), np.uint16)
OBJECTS[4:12, 4:12] = 1
OBJECTS[14:22, 16:28] = 2

PAGE = Path(__file__).resolve().parents[2] / "docs" / "refusals.md"
START, END = "<!-- table: start -->\n", "<!-- table: end -->\n"


@dataclass(frozen=True)
class Refusal:
    """A row: what is bad, the command that meets it, and what it says.

    "…" in `said` stands for what differs between machines.
    """

    bad: str
    command: str
    said: str
    make: Callable[[], None] = lambda: None
    fault: int = 0
    lacking: str = ""


def image(path: str, array: Any = GREY, **keywords: Any) -> Callable[[], None]:
    """Return what writes a TIFF or PNG."""

    def make() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".png"):
            PIL.Image.fromarray(array).save(path)
        else:
            tifffile.imwrite(path, array, **keywords)

    return make


def cut(path: str, share: float = 0.5, **keywords: Any) -> Callable[[], None]:
    """Return what writes an image of which the end is missing."""

    def make() -> None:
        image(path, **keywords)()
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: int(len(data) * share)])

    return make


def text(path: str, content: str = "This is no image.\n") -> Callable[[], None]:
    """Return what writes a file of text."""

    def make() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")

    return make


def folder(path: str) -> Callable[[], None]:
    """Return what makes an empty folder."""
    return lambda: Path(path).mkdir(parents=True)


def pairs(n: int = 2, **others: Any) -> Callable[[], None]:
    """Return what makes a data set; `others` replace the first image or labels."""

    def make() -> None:
        for k in range(n):
            for kind, array in (("images", GREY), ("labels", OBJECTS)):
                one = others.get(kind, array) if k == 0 else array
                image(f"data/{kind}/{'ab'[k]}.tif", one)()

    return make


def both(*makers: Callable[[], None]) -> Callable[[], None]:
    """Return what makes several things, in order."""

    def make() -> None:
        for one in makers:
            one()

    return make


def unknown_packing(path: str) -> Callable[[], None]:
    """Return what writes a TIFF whose compression Pillow and tifffile cannot unpack."""

    def make() -> None:
        tifffile.imwrite(path, GREY, compression="zlib")
        with tifffile.TiffFile(path, mode="r+") as file:
            page: Any = file.pages[0]
            page.tags["Compression"].overwrite(int(tifffile.COMPRESSION.LERC))

    return make


def no_pixels(path: str) -> Callable[[], None]:
    """Return what writes a TIFF of no rows."""

    def make() -> None:
        with pytest.warns(UserWarning, match="zero-size"):
            tifffile.imwrite(path, GREY[:0])

    return make


def huge_png(path: str) -> Callable[[], None]:
    """Return what writes a small PNG that says it is 12,000 pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    return lambda: void(Path(path).write_bytes(data))


def void(_: object) -> None:
    """Take a value and return none."""


def zipped(path: str, *names: str, share: float = 1.0) -> Callable[[], None]:
    """Return what writes a zip of small TIFF files, or the beginning of one."""

    def make() -> None:
        stream = io.BytesIO()
        tifffile.imwrite(stream, OBJECTS)
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, stream.getvalue())
        data = Path(path).read_bytes()
        Path(path).write_bytes(data[: int(len(data) * share)])

    return make


def broken_model(path: str) -> Callable[[], None]:
    """Return what copies the model without the end of its weights."""

    def make() -> None:
        shutil.copytree("model", path)
        weights = Path(path, "weights.safetensors")
        weights.write_bytes(weights.read_bytes()[:-20])

    return make


SEGMENT = "unetic segment"
TRAIN = "unetic train data --out run --steps 1 --preset unetic-16 --patch 32 --batch 1"
EVALUATE = "unetic evaluate data --model model"
NO_TIFF = (
    "Expected a readable TIFF, got cells.tif, which is damaged or something else; "
    "open and save it in another program, or fetch it again."
)
NO_PNG = NO_TIFF.replace("TIFF", "PNG or JPEG").replace(".tif", ".png")
NO_ZIP = (
    "Expected a folder or a zip, got data.zip, which is not a readable zip; check the "
    "path or fetch the zip again."
)
NO_PAIRS = (
    "Expected ID/images with ID/masks, or images/ with labels/ or masks/ of the same "
    "names, got data without them; name the folder of labels, or arrange the files."
)
NO_VALUES = (
    "Expected an image with finite values, got none in cells.tif; choose another image "
    "or channel."
)
NOT_WHOLE = (
    "Expected labels as whole numbers, got fractions or not-a-numbers in …a.tif; save "
    "a label image, not a probability map."
)
NEGATIVE = (
    "Expected labels of 0 (background) and more, got -1 in …a.tif; replace negative "
    "numbers."
)
SHAPES = (
    "Expected labels of shape (24, 32) as the image of a, got shape (20, 32); give "
    "labels drawn on this image, or its axes."
)
FRACTIONS = OBJECTS.astype(np.float32) / 2
MINUS = OBJECTS.astype(np.int16) - 1
NAN = np.full((24, 32), np.nan, np.float32)
PLANES = np.stack([GREY] * 4)
GREYS = {"photometric": "minisblack"}
STAINS = np.zeros((5, 24, 32), np.uint8)

TABLE = [
    Refusal(
        "a path that does not exist",
        f"{SEGMENT} nowhere.tif",
        "Expected an image, a folder or a pattern, got nowhere.tif, which does not "
        "exist; check the path.",
    ),
    Refusal(
        "a pattern that matches nothing",
        f"{SEGMENT} '*.tif'",
        "Expected a pattern that matches images (.png .tif .tiff .jpg .jpeg), got "
        "*.tif, which matches none; check it.",
    ),
    Refusal(
        "an empty folder",
        f"{SEGMENT} empty",
        "Expected images (.png .tif .tiff .jpg .jpeg) in the folder empty, got none; "
        "check the path.",
        folder("empty"),
    ),
    Refusal(
        "a file that is no image",
        f"{SEGMENT} notes.txt --model model",
        "Expected a file ending in one of .png, .tif, .tiff, .jpg, .jpeg, got "
        "notes.txt; convert it to TIFF or PNG.",
        text("notes.txt"),
    ),
    Refusal(
        "a PNG that is cut off",
        f"{SEGMENT} cells.png --model model",
        NO_PNG,
        cut("cells.png"),
    ),
    Refusal(
        "a TIFF that is cut off",
        f"{SEGMENT} cells.tif --model model",
        NO_TIFF,
        cut("cells.tif"),
    ),
    Refusal(
        "a TIFF of several pages that is cut off",
        f"{SEGMENT} cells.tif --model model",
        NO_TIFF,
        cut("cells.tif", 0.8, array=PLANES, compression="zlib", **GREYS),
    ),
    Refusal(
        "text named .tif",
        f"{SEGMENT} cells.tif --model model",
        NO_TIFF,
        text("cells.tif"),
    ),
    Refusal(
        "a compression that needs another package",
        f"{SEGMENT} cells.tif --model model",
        "Expected a TIFF whose compression can be read, got cells.tif, which uses "
        "LERC; install imagecodecs (python -m pip install imagecodecs) or save it "
        "uncompressed.",
        unknown_packing("cells.tif"),
        lacking="imagecodecs",
    ),
    Refusal(
        "a file that declares more than it can hold",
        f"{SEGMENT} cells.png --model model",
        "Expected a file as large as what it holds, got cells.png, whose … bytes "
        "declare 144,000,000; it is damaged, so fetch it again.",
        huge_png("cells.png"),
    ),
    Refusal(
        "an image without pixels",
        f"{SEGMENT} cells.tif --model model",
        "Expected an image with pixels, got cells.tif of shape (0, 32); choose another "
        "image.",
        no_pixels("cells.tif"),
    ),
    Refusal(
        "an image that is not-a-number throughout",
        f"{SEGMENT} cells.tif --model model",
        NO_VALUES,
        image("cells.tif", NAN),
    ),
    Refusal(
        "an image that is infinite throughout",
        f"{SEGMENT} cells.tif --model model",
        NO_VALUES,
        image("cells.tif", np.full_like(NAN, np.inf)),
    ),
    Refusal(
        "an image of complex numbers",
        f"{SEGMENT} cells.tif --model model",
        "Expected a TIFF of integers or real numbers, got dtype complex64 in "
        "cells.tif; convert it first.",
        image("cells.tif", GREY.astype(np.complex64)),
    ),
    Refusal(
        "channels that the model does not take",
        f"{SEGMENT} cells.tif --axes CYX --model model",
        "Expected 1 channel for this model, got 5 in cells.tif; pick one with channel, "
        "or correct the axes.",
        image("cells.tif", STAINS, **GREYS),
    ),
    Refusal(
        "a channel that the image has not",
        f"{SEGMENT} cells.tif --channel 7 --model model",
        "Expected a channel from 0 to 0 of cells.tif, got 7; counting starts at 0.",
        image("cells.tif"),
    ),
    Refusal(
        "axes that there are not",
        f"{SEGMENT} cells.tif --axes QYX --model model",
        "Expected axes as letters out of TZCYX, each once and with Y and X, got 'QYX'; "
        "give them in the order of the array, for example ZYX.",
        image("cells.tif"),
    ),
    Refusal(
        "a diameter below 0",
        f"{SEGMENT} cells.tif --diameter -3",
        "Expected a diameter above 0, got '-3'; correct diameter.",
        image("cells.tif"),
    ),
    Refusal(
        "a diameter that is no number",
        f"{SEGMENT} cells.tif --diameter big",
        "Expected diameter to be a number of pixels, 'auto' or 'usual', got 'big'; "
        "correct diameter.",
        image("cells.tif"),
    ),
    Refusal(
        "a model that is not known",
        f"{SEGMENT} cells.tif --model nucleii",
        "Expected the name of a model (…) …, got 'nucleii'; …",
        image("cells.tif"),
    ),
    Refusal(
        "a model that is damaged",
        f"{SEGMENT} cells.tif --model broken",
        "Expected … in …broken…, got …; …",
        both(image("cells.tif"), broken_model("broken")),
    ),
    Refusal(
        "a result that would replace its image",
        f"{SEGMENT} cells.tif -o cells.tif --overwrite",
        "Expected outputs apart from the inputs, got cells.tif for the labels, which "
        "is the image cells.tif; choose another -o.",
        image("cells.tif"),
    ),
    Refusal(
        "no right to write",
        f"{SEGMENT} cells.tif -o new/deep --model model",
        "cells.tif: Expected to be able to write new/deep/cells_labels.tif, got "
        "Permission denied; choose another folder or make room.",
        image("cells.tif"),
        fault=errno.EACCES,
    ),
    Refusal(
        "a full disk",
        f"{SEGMENT} cells.tif -o new --model model",
        "cells.tif: Expected to be able to write new/cells_labels.tif, got No space "
        "left on device; choose another folder or make room.",
        image("cells.tif"),
        fault=errno.ENOSPC,
    ),
    Refusal(
        "a full disk, scores as JSON",
        f"{EVALUATE} --json scores.json",
        "Expected to be able to write scores.json, got No space left on device; choose "
        "another folder or make room.",
        both(pairs(), text("scores.json", "old")),
        fault=errno.ENOSPC,
    ),
    Refusal(
        "a full disk, to train",
        TRAIN,
        "…No space left on device…",
        pairs(),
        fault=errno.ENOSPC,
    ),
    Refusal(
        "a run that exists",
        TRAIN,
        "Expected a new folder for the run, got run, which exists; …",
        both(pairs(), folder("run")),
    ),
    Refusal(
        "a budget below 0",
        "unetic train data --out run --minutes -5",
        "argument --minutes: expected a number above 0, got '-5' (see 'unetic train "
        "--help').",
        pairs(),
    ),
    Refusal(
        "a budget of no steps",
        "unetic train data --out run --steps 0",
        "argument --steps: expected a whole number of at least 1, got '0' (see 'unetic "
        "train --help').",
        pairs(),
    ),
    Refusal(
        "a data set that does not exist",
        TRAIN,
        "Expected a folder or a zip, got data, which does not exist; check the path.",
    ),
    Refusal("a data set that is empty", TRAIN, NO_PAIRS, folder("data")),
    Refusal(
        "images without masks",
        TRAIN,
        NO_PAIRS,
        both(image("data/a/images/a.png"), image("data/b/images/b.png")),
    ),
    Refusal(
        "images and labels with no common name",
        TRAIN,
        NO_PAIRS,
        both(image("data/images/a.tif"), image("data/labels/b.tif", OBJECTS)),
    ),
    Refusal("labels of another shape", TRAIN, SHAPES, pairs(labels=OBJECTS[:20])),
    Refusal(
        "labels of another shape, to evaluate",
        EVALUATE,
        SHAPES,
        pairs(labels=OBJECTS[:20]),
    ),
    Refusal("labels with fractions", TRAIN, NOT_WHOLE, pairs(labels=FRACTIONS)),
    Refusal("labels below 0", TRAIN, NEGATIVE, pairs(labels=MINUS)),
    Refusal("labels below 0, to evaluate", EVALUATE, NEGATIVE, pairs(labels=MINUS)),
    Refusal(
        "a class mask with soft edges",
        f"{TRAIN} --classes cell",
        "Expected a mask of 0 and 1, of 0 and 255, or numbers of objects in a, got 255 "
        "and 1 greys beside it; threshold it, or save numbers of objects with 16 bits.",
        pairs(labels=(OBJECTS * 127 + (OBJECTS > 1)).astype("u1")),
    ),
    Refusal(
        "a class mask with more classes",
        f"{TRAIN} --classes cell,edge",
        "Expected class indices from 0 (background) to 2 in a, got 4; number the "
        "classes so, or name as many classes as there are.",
        pairs(labels=OBJECTS * 2),
    ),
    Refusal(
        "a class that is nowhere",
        f"{TRAIN} --classes cell,edge,halo",
        "Expected pixels of every class in the training masks, got none of halo; label "
        "some, or leave the class out.",
        pairs(),
    ),
    Refusal(
        "a loss for classes, of objects",
        f"{TRAIN} --loss dice",
        "Expected the loss 'instances' for a model of objects, got 'dice'; leave it "
        "out, or name classes to learn.",
        pairs(),
    ),
    Refusal(
        "labels as JPEG",
        "unetic score pred.jpg true.tif",
        "Expected labels as PNG or TIFF, got pred.jpg, whose numbers JPEG has altered; "
        "save the labels in another format.",
        both(text("pred.jpg"), image("true.tif", OBJECTS)),
    ),
    Refusal(
        "labels in colours",
        "unetic score pred.png true.tif",
        "Expected labels with one number a pixel, got pred.png, which has 3 differing "
        "channels; save the labels as a grey image.",
        both(
            image("pred.png", np.dstack([OBJECTS, OBJECTS * 2, OBJECTS]).astype("u1")),
            image("true.tif", OBJECTS),
        ),
    ),
    Refusal(
        "labels without objects",
        TRAIN,
        "Expected objects in the training labels, got none; check the labels.",
        both(
            image("data/images/a.tif"),
            image("data/images/b.tif"),
            image("data/labels/a.tif", OBJECTS * 0),
            image("data/labels/b.tif", OBJECTS * 0),
        ),
    ),
    Refusal(
        "one pair to train and to validate on",
        TRAIN,
        "Expected at least one pair to validate on, got none; give more pairs, or "
        "other ids.",
        pairs(1),
    ),
    Refusal(
        "a model to start from that is not known",
        "unetic train data --out run --steps 1 --from nucleii",
        "Expected the name of a model (…) …, got 'nucleii'; …",
        pairs(),
    ),
    Refusal(
        "an image of the data set that is damaged",
        TRAIN,
        "Expected a readable TIFF, got data/images/a.tif, which is damaged or "
        "something else; open and save it in another program, or fetch it again.",
        both(pairs(), text("data/images/a.tif")),
    ),
    Refusal(
        "a zip that is cut off",
        TRAIN.replace("data", "data.zip"),
        NO_ZIP,
        zipped("data.zip", "images/a.tif", "labels/a.tif", share=0.6),
    ),
    Refusal(
        "text named .zip", TRAIN.replace("data", "data.zip"), NO_ZIP, text("data.zip")
    ),
    Refusal(
        "a zip with names that lead out of it",
        TRAIN.replace("data", "data.zip"),
        "Expected a zip whose names stay inside it, got 'images/../../a.tif' in "
        "data.zip; unpack it with care and name the folder.",
        zipped("data.zip", "images/../../a.tif", "labels/a.tif"),
    ),
    Refusal(
        "a list of ids that does not exist",
        f"{EVALUATE} --ids split.json:test",
        "Expected a readable JSON file of ids, got split.json; check the path and the "
        "file.",
        pairs(),
    ),
    Refusal(
        "a list of ids without this key",
        f"{EVALUATE} --ids split.json:test",
        "Expected one of 'train' in split.json, got 'test'; choose a list that is "
        "there.",
        both(pairs(), text("split.json", json.dumps({"train": ["a"]}))),
    ),
    Refusal(
        "ids that the data set lacks",
        f"{EVALUATE} --ids split.json:test",
        "Expected pairs of image and labels in data, got 2 images, 2 of them with "
        "labels, and none of these chosen; check the labels and the ids.",
        both(pairs(), text("split.json", json.dumps({"test": ["c"]}))),
    ),
    Refusal(
        "labels to score that do not exist",
        "unetic score pred.tif true.tif",
        "Expected an image file, got pred.tif, which does not exist; check the path.",
        image("true.tif", OBJECTS),
    ),
]


@pytest.fixture
def here(
    tmp_path: Path, threshold_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder that holds nothing but the folder of a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNETIC_HOME", str(tmp_path / "home"))
    shutil.copytree(threshold_model, "model")
    return tmp_path


class _FailingFile(io.FileIO):
    """A file to which no byte can be written."""

    def write(self, data: Any, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.name)


def break_disk(monkeypatch: pytest.MonkeyPatch, place: Path, number: int) -> None:
    """Make every attempt to write below `place` fail, at opening or at writing."""
    really_open = io.open

    def failing_open(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        inside = not isinstance(file, int) and place in Path(file).absolute().parents
        if not inside or not set(mode) & set("wax+"):
            return really_open(file, mode, *rest, **more)
        if number == errno.EACCES:
            raise PermissionError(number, os.strerror(number), str(file))
        raw = _FailingFile(os.fspath(file), mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered)

    for module in (builtins, io):
        monkeypatch.setattr(module, "open", failing_open)


def tree(place: Path) -> dict[str, str]:
    """Return all files and folders below a place with a hash of their content."""
    return {
        path.relative_to(place).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        )
        for path in sorted(place.rglob("*"))
    }


def pattern(said: str) -> str:
    """Return the regular expression of a sentence with its "…"."""
    return "unetic: error: " + ".*".join(re.escape(part) for part in said.split("…"))


@pytest.mark.parametrize("row", [pytest.param(r, id=r.bad) for r in TABLE])
def test_refusal(unetic, here, row: Refusal, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, exit code 2, and the folder is as it was."""
    if row.lacking and importlib.util.find_spec(row.lacking):
        pytest.skip(f"{row.lacking} is installed, which reads this.")
    row.make()
    before = tree(here)
    with monkeypatch.context() as patch:
        if row.fault:
            break_disk(patch, here, row.fault)
        ended = unetic(*shlex.split(row.command)[1:])

    errors = [line for line in ended.err.splitlines() if "unetic: error" in line]
    assert ended.code == 2, ended
    assert len(errors) == 1, ended
    assert re.fullmatch(pattern(row.said), errors[0].replace(os.sep, "/")), ended.err
    assert "Traceback" not in ended.err + ended.out
    assert tree(here) == before


def test_one_bad_image_does_not_stop_a_batch(unetic, here: Path) -> None:
    """The others are segmented; the summary names the bad ones; the code is 1."""
    for name in ("a", "c"):
        image(f"in/{name}.tif")()
    cut("in/b.tif")()
    text("in/d.png")()

    ended = unetic("segment", "in", "-o", "out", "--model", "model")

    assert ended.code == 1
    assert sorted(os.listdir("out")) == ["a_labels.tif", "c_labels.tif"]
    assert len(ended.err.splitlines()) == 2
    *_, totals, failed = ended.out.splitlines()
    assert totals.startswith("2 segmented")
    assert "2 failed" in totals
    names = [Path("in", name) for name in ("b.tif", "d.png")]
    assert failed == f"failed: {names[0]}, {names[1]}"


def test_nothing_that_succeeds_is_exit_code_2(unetic, here: Path) -> None:
    """Where every image of a batch is bad, nothing appears, not even the folder."""
    cut("in/a.tif")()
    text("in/b.tif")()
    before = tree(here)

    ended = unetic("segment", "in", "-o", "out/deep", "--model", "model")

    assert ended.code == 2
    assert tree(here) == before


def test_a_few_bad_pixels_are_background(unetic, here: Path) -> None:
    """Not-a-number and infinite pixels are said once, and the rest is segmented."""
    pixels = (OBJECTS > 0).astype(np.float32)
    pixels[0, :3] = np.nan, np.inf, -np.inf
    image("cells.tif", pixels)()

    ended = unetic("segment", "cells.tif", "--model", "model")

    assert ended.code == 0, ended.err
    assert ended.err == (
        "note: cells.tif: not-a-number and infinite values are read as background.\n"
    )
    assert "2 objects" in ended.out


def page() -> str:
    """Return the table as the docs hold it."""
    rows = ["| what is bad | for example | what is said |", "|---|---|---|"]
    for row in TABLE:
        said = row.said.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
        rows.append(f"| {row.bad} | `{row.command}` | {said} |")
    return "\n".join(rows) + "\n"


def test_the_docs_hold_this_table() -> None:
    """What the page says is what is tested; run this file to write it anew."""
    content = PAGE.read_text(encoding="utf-8")
    assert content.partition(START)[2].partition(END)[0] == page()


if __name__ == "__main__":
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(head + START + page() + END + rest.partition(END)[2], "utf-8")
