"""Whatever is in a file, a reader returns what it promises or says one sentence."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import psutil
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import read_image, read_labels
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.pairs.selection import read_ids

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLOUR = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)
DEEP = GREY.astype(np.uint16) * 900
SECONDS = 5.0
MEGABYTES = 300

quick = settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def picture(array: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """Return the bytes of a file as Pillow writes it."""
    stream = io.BytesIO()
    made = PIL.Image.fromarray(array)
    (made.convert(mode) if mode else made).save(stream, kind, **options)
    return stream.getvalue()


def tiff(array: Any, **options: Any) -> bytes:
    """Return the bytes of a file as tifffile writes it."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def zipped(packing: int) -> bytes:
    """Return a data set of one image and its labels in a zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        archive.writestr("set/images/a.tif", tiff(GREY))
        archive.writestr("set/labels/a.tif", tiff(GREY % 3))
    return stream.getvalue()


PICTURES = [
    ("a.png", picture(GREY, "PNG")),
    ("a.png", picture(COLOUR, "PNG", "P", transparency=b"\x01\x02")),
    ("a.png", picture(DEEP, "PNG")),
    ("a.png", picture(COLOUR, "PNG", "LA")),
    ("a.jpg", picture(COLOUR, "JPEG")),
    ("a.jpg", picture(COLOUR, "JPEG", "CMYK")),
    ("a.jpg", picture(GREY, "JPEG", progressive=True)),
]
TIFFS = [
    ("a.tif", tiff(GREY)),
    ("a.tif", tiff(COLOUR, photometric="rgb")),
    ("a.tif", tiff(DEEP, bigtiff=True)),
    ("a.tif", tiff(GREY.astype(np.float32), compression="lzma")),
    ("a.tif", tiff(np.zeros((64, 64), np.uint16), tile=(16, 16), compression="zlib")),
    (
        "a.tif",
        tiff(
            np.zeros((3, 6, 8), np.uint16),
            ome=True,
            metadata={"axes": "ZYX", "PhysicalSizeX": 0.1},
        ),
    ),
    (
        "a.tif",
        tiff(
            np.zeros((2, 3, 6, 8), np.uint16),
            imagej=True,
            metadata={"axes": "ZCYX", "unit": "um", "spacing": 1.5},
        ),
    ),
    ("a.tif", picture(GREY, "TIFF", compression="tiff_lzw")),
]
ZIPS = [("a.zip", zipped(zipfile.ZIP_STORED)), ("a.zip", zipped(zipfile.ZIP_DEFLATED))]
IDS = [
    json.dumps({"train": ["a", "b"], "test": [1]}).encode(),
    json.dumps({"a": "train", "b": "test"}).encode(),
]

BYTES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\1")
WORDS = (b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\0\0\1\0")


@st.composite
def mutated(draw: st.DrawFn, files: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Draw a file with a few bytes changed, taken out or put in, or its end cut."""
    name, original = draw(st.sampled_from(files))
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        # The beginning and the end hold what tells what the rest is.
        last = max(0, len(data) - 1)
        near = draw(st.integers(0, min(last, 300)))
        at = draw(st.sampled_from((near, last - near, draw(st.integers(0, last)))))
        change = draw(st.sampled_from(("flip", "byte", "word", "cut", "out", "in")))
        if change == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "byte":
            data[at : at + 1] = draw(st.sampled_from(BYTES))
        elif change == "word":
            data[at : at + 4] = draw(st.sampled_from(WORDS))
        elif change == "cut":
            del data[at:]
        elif change == "out":
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:at] = draw(st.binary(max_size=8))
    return name, bytes(data)


def survives(read: Callable[[], object]) -> None:
    """Check that a reader ends soon, takes little memory, and raises its own error.

    Warnings are errors in these tests, so that none can come out either.
    """
    process = psutil.Process()
    before, started = process.memory_info().rss, time.perf_counter()
    try:
        read()
    except UneticError as error:
        assert "\n" not in str(error).strip()
        assert str(error).endswith(".")
    assert time.perf_counter() - started < SECONDS
    assert process.memory_info().rss - before < MEGABYTES * 1_000_000


@pytest.mark.parametrize("read", [read_image, read_labels])
@pytest.mark.parametrize("files", [PICTURES, TIFFS], ids=["PNG and JPEG", "TIFF"])
def test_images(files: list[tuple[str, bytes]], read: Callable[..., object]) -> None:
    """Damaged pictures give a picture or a sentence, read as image or as labels."""

    @quick
    @given(mutated(files))
    def check(file: tuple[str, bytes]) -> None:
        survives(lambda: read(io.BytesIO(file[1]), name=file[0]))

    check()


@quick
@given(file=mutated([*ZIPS, *TIFFS]))
def test_zips(tmp_path: Path, file: tuple[str, bytes]) -> None:
    """Damaged zips of pairs, and what is no zip, give pairs or a sentence."""
    path = tmp_path / "a.zip"
    path.write_bytes(file[1])

    def read() -> None:
        for pair in read_pairs(path):
            pair.read()

    survives(read)


@quick
@given(file=mutated(PICTURES + TIFFS))
def test_files_on_disk(tmp_path: Path, file: tuple[str, bytes]) -> None:
    """A file on disk, which may be mapped, is as safe as a stream."""
    path = tmp_path / file[0]
    path.write_bytes(file[1])
    survives(lambda: np.asarray(read_image(path).data))


@quick
@given(file=mutated([("ids.json", data) for data in IDS]), key=st.text(max_size=5))
def test_lists_of_ids(tmp_path: Path, file: tuple[str, bytes], key: str) -> None:
    """Damaged JSON, and any key, give ids or a sentence."""
    path = tmp_path / file[0]
    path.write_bytes(file[1])
    for one in (key, "train", "test"):
        survives(lambda one=one: read_ids(f"{path}:{one}"))  # type: ignore[misc]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"9" * 10_000, id="long number"),
        pytest.param(b'{"a": ' * 50_000, id="deep object"),
        pytest.param(b"\xff\xfe{", id="not UTF-8"),
    ],
)
def test_json_that_is_a_trap(tmp_path: Path, content: bytes) -> None:
    """Depth and length that Python refuses are a sentence, too."""
    (tmp_path / "ids.json").write_bytes(content)
    with pytest.raises(UneticError, match="readable JSON"):
        read_ids(f"{tmp_path / 'ids.json'}:train")


def test_pages_in_a_circle(tmp_path: Path) -> None:
    """A TIFF whose last page points to its first is refused, not read for ever."""
    data = bytearray(tiff(np.zeros((3, 6, 8), np.uint8), metadata=None))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets = [page.offset for page in file.pages]
        n_tags = len(file.pages[-1].tags)  # type: ignore[union-attr]
    at = offsets[-1] + 2 + 12 * n_tags
    assert data[at : at + 4] == b"\0" * 4
    data[at : at + 4] = offsets[0].to_bytes(4, "little")
    with pytest.raises(UneticError, match="damaged"):
        read_image(io.BytesIO(data), name="a.tif")


def test_zip_that_explodes(tmp_path: Path) -> None:
    """A member that unpacks to more than it declares is refused before it does."""
    path = tmp_path / "a.zip"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/a.tif", b"\0" * 30_000_000)
        archive.writestr("labels/a.tif", tiff(GREY % 3))
    data = stream.getvalue()
    said = (30_000_000).to_bytes(4, "little")
    assert data.count(said) == 2
    path.write_bytes(data.replace(said, (1_000).to_bytes(4, "little")))
    with pytest.raises(UneticError, match="damaged"):
        read_pairs(path)[0].image()
    path.write_bytes(data.replace(said, (2_000_000_000).to_bytes(4, "little")))
    with pytest.raises(UneticError, match="declare 2,000,000,000"):
        read_pairs(path)[0].image()


def test_image_larger_than_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot fit is refused before memory is taken for it."""
    data = tiff(np.zeros((9_000, 9_000), np.uint8), compression="zlib")
    free = psutil.virtual_memory()._replace(available=10_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UneticError, match=r"0\.0 GB.*takes 0\.1 GB"):
        read_image(io.BytesIO(data), name="a.tif")


def test_faults_are_notices() -> None:
    """What a decoder only warns of is said to the user with the picture."""
    data = tiff(
        np.zeros((3, 6, 8), np.uint16), ome=True, metadata={"axes": "ZYX"}
    ).replace(b'SizeZ="3"', b'SizeZ="5"')
    image = read_image(io.BytesIO(data), name="a.tif")
    (notice,) = image.notices
    assert notice.startswith("a.tif: the file has faults and may not be read whole (")
