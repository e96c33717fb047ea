"""Files in folders and zips by name."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from napari_unetic.errors import UneticError
from napari_unetic.pairs.entries import Entry, list_entries


def content(entry: Entry) -> bytes:
    """Return the bytes of an entry."""
    source = entry.open()
    if isinstance(source, str):
        return Path(source).read_bytes()
    return source.read()


def test_folder_and_zip_list_the_same(tmp_path: Path) -> None:
    """Hidden files and what the macOS archiver adds are left out of both."""
    files = ["a.png", "sub/b.png", ".DS_Store", "__MACOSX/._a.png", "sub/.c.png"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.mkdir("sub")
        for name in files:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            archive.write(path, name)
    for source in (tmp_path / "set", tmp_path / "set.zip"):
        found = list_entries(source)
        assert list(found) == ["a.png", "sub/b.png"]
        assert {name: content(e).decode() for name, e in found.items()} == {
            name: name for name in found
        }


@pytest.mark.parametrize(
    "method",
    [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA],
    ids=["stored", "deflated", "bzip2", "lzma"],
)
def test_every_packing_of_a_zip_is_read(tmp_path: Path, method: int) -> None:
    """A zip is read in place however it is packed, also after other bytes."""
    data = b"pixels " * 1000
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("x/a.tif", b"first")
        archive.writestr("x/bé.tif", data)
    plain = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(b"#!self-extracting\n" + plain)
    for name in ("a.zip", "b.zip"):
        found = list_entries(tmp_path / name)
        assert content(found["x/bé.tif"]) == data


def test_entry_survives_pickling_and_opens_nothing(tmp_path: Path) -> None:
    """Worker processes get entries; the zip can be removed, so none is held open."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.TIF", b"pixels")
    (entry,) = list_entries(tmp_path / "a.zip").values()
    again = pickle.loads(pickle.dumps(entry))
    assert again == entry
    assert content(again) == b"pixels"
    assert again.suffix == ".tif"
    assert again.name == f"{tmp_path / 'a.zip'}/a.TIF"


def test_changed_zip_is_one_sentence(tmp_path: Path) -> None:
    """A zip that was damaged, cut or removed after it was listed is refused."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.tif", b"pixels")
    (entry,) = list_entries(path).values()
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixles"))
    with pytest.raises(UneticError, match=r"readable member a\.tif"):
        entry.open()
    path.write_bytes(b"PK")
    with pytest.raises(UneticError, match=r"readable member a\.tif"):
        entry.open()
    path.unlink()
    with pytest.raises(UneticError, match=r"readable member a\.tif"):
        entry.open()


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    """A missing path and a file of another kind are named in one sentence."""
    with pytest.raises(UneticError, match="which does not exist"):
        list_entries(tmp_path / "nowhere")
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(UneticError, match="not a readable zip"):
        list_entries(tmp_path / "a.zip")


def test_zip_with_a_password_is_refused(tmp_path: Path) -> None:
    """There is nowhere to give a password."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.tif", b"pixels")
    data = bytearray(path.read_bytes())
    # The flags stand 8 bytes into the entry of the central directory.
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UneticError, match="without a password"):
        list_entries(path)
