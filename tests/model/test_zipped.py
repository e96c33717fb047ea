"""Zips of models: what could do harm is refused before anything is written."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unetic.errors import ModelError
from napari_unetic.model import zipped
from napari_unetic.model.folder import build_model
from napari_unetic.model.parts import read_parts
from napari_unetic.model.store import add_model

FILES = ["model.json", "weights.safetensors"]


def _zip(
    folder: Path, path: Path, *more: zipfile.ZipInfo | str, prefix: str = ""
) -> Path:
    """Zip a model folder with more members, which hold one byte."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # Duplicate names are warned of.
        for name in FILES:
            archive.write(folder / name, prefix + name)
        for member in more:
            archive.writestr(member, b"x")
    return path


def _special(kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("special")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        pytest.param("/etc/passwd", "outside", id="absolute"),
        pytest.param("../up", "outside", id="up"),
        pytest.param("a/../../up", "outside", id="up inside"),
        pytest.param("C:/x", "outside", id="drive"),
        pytest.param("c:x", "outside", id="drive without slash"),
        pytest.param("..\\up", "backslash", id="backslashes"),
        pytest.param("a\\b", "backslash", id="a backslash"),
        pytest.param("model.json", "is there twice", id="duplicate"),
        pytest.param("./model.json", "is there twice", id="duplicate in disguise"),
        pytest.param(_special(stat.S_IFLNK), "link or a device", id="link"),
        pytest.param(_special(stat.S_IFCHR), "link or a device", id="device"),
        pytest.param(_special(stat.S_IFIFO), "link or a device", id="pipe"),
    ],
)
def test_harmful_members(
    model_folder: Path,
    store: Path,
    tmp_path: Path,
    member: zipfile.ZipInfo | str,
    problem: str,
) -> None:
    """One such member, wherever it lies, and the zip is refused."""
    path = _zip(model_folder, tmp_path / "m.zip", member)
    with pytest.raises(ModelError, match=rf"^Expected a harmless zip, .*{problem}"):
        add_model(path)
    assert not store.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["given", "m.zip"]


def test_a_backslash_is_seen_on_every_system(model_folder: Path) -> None:
    """The name is taken as it is stored, not as Windows would read it."""
    info = zipfile.ZipInfo("a")
    info.orig_filename = "..\\up"
    assert "backslash" in zipped._problem(info)


def test_encrypted_zips(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """A password is not asked for."""
    path = _zip(model_folder, tmp_path / "m.zip")
    data = bytearray(path.read_bytes())
    flags = data.index(b"PK\x01\x02") + 8
    data[flags] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="needs a password"):
        add_model(path)


def test_unusual_packing(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """Only stored and deflated members are read: LZMA can ask for gigabytes."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_LZMA) as archive:
        for name in FILES:
            archive.write(model_folder / name, name)
    with pytest.raises(ModelError, match="packed in an unusual way"):
        add_model(tmp_path / "m.zip")


def test_a_zip_that_explodes(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """A zip that says it grows 200-fold is not unpacked, whatever grows in it."""
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(model_folder / name, name)
        archive.writestr("zeros", bytes(70_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelError, match="would grow to 70,0"):
        add_model(path)
    assert not store.exists()


def test_too_much_or_too_many(
    model_folder: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of members and their sum are limited."""
    path = _zip(model_folder, tmp_path / "m.zip")
    monkeypatch.setattr(zipped, "MAX_BYTES", 1000)
    with pytest.raises(ModelError, match=r"at most 1,000 bytes"):
        add_model(path)
    monkeypatch.setattr(zipped, "MAX_MEMBERS", 1)
    with pytest.raises(ModelError, match=r"at most 1 members .* got 2"):
        add_model(path)


def test_weights_larger_than_the_network(
    model_folder: Path, store: Path, tmp_path: Path
) -> None:
    """Weights are read up to the size that the network can have."""
    (model_folder / FILES[1]).write_bytes(bytes(2_000_000))
    path = _zip(model_folder, tmp_path / "m.zip")
    for source in (path, model_folder):
        with pytest.raises(ModelError, match=r"at most 1,0.* bytes in weights"):
            add_model(source)


def test_a_lie_about_the_size(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """A member that grows beyond what it says is a damaged zip."""
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILES[0], b" " * 10_000_000)
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    with pytest.raises(ModelError, match="Expected a folder or a readable zip"):
        add_model(path)


def test_several_models(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """Which one is meant cannot be guessed; a run's own model can."""
    path = _zip(model_folder, tmp_path / "a.zip", "b/model.json", prefix="a/")
    with pytest.raises(ModelError, match=r"Expected one model in .*got 2 \(a, b\)"):
        add_model(path)
    path = _zip(model_folder, tmp_path / "b.zip", "run/start/model.json", prefix="r/")
    assert zipped.open_zip(path).members.keys() == set(FILES)
    path = _zip(
        model_folder, tmp_path / "c.zip", "run/start/model.json", prefix="run/model/"
    )
    add_model(path)


def test_what_macos_adds_is_left_out(
    model_folder: Path, store: Path, tmp_path: Path
) -> None:
    """Hidden files and __MACOSX hold no model."""
    more = ("__MACOSX/tiny/._model.json", "__MACOSX/model.json", ".x/model.json")
    add_model(_zip(model_folder, tmp_path / "m.zip", *more, prefix="tiny/"))


def test_a_model_too_deep(model_folder: Path, store: Path, tmp_path: Path) -> None:
    """A model three folders down is not looked for."""
    path = _zip(model_folder, tmp_path / "m.zip", prefix="a/b/c/")
    with pytest.raises(ModelError, match=r"got no model\.json"):
        add_model(path)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_mutated_zips(model_folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes change or are cut, a model or our own error comes out."""
    whole = _zip(model_folder, tmp_path / "m.zip").read_bytes()
    changed = bytearray(whole)
    # The directory at the end and the headers are where harm can be done.
    places = st.integers(0, len(whole) - 1) | st.integers(len(whole) - 300, len(whole))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(places)
        changed[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
    if data.draw(st.booleans()):
        del changed[data.draw(st.integers(0, len(changed))) :]
    path = tmp_path / "changed.zip"
    path.write_bytes(changed)
    try:
        build_model(read_parts(zipped.open_zip(path)))
    except ModelError as error:
        assert "\n" not in str(error)
