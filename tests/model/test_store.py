"""The store: models come and go whole, under plain names, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_unetic.errors import ModelError
from napari_unetic.model import folder as model_folder_module
from napari_unetic.model.folder import load_model_folder
from napari_unetic.model.registry import (
    damaged_models,
    find_model,
    list_models,
    load_model,
)
from napari_unetic.model.store import add_model, check_model_name, remove_model

FILES = ["model.json", "weights.safetensors"]


def _files(folder: Path) -> list[str]:
    """Relative names of all that lies in a folder, hidden or not."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def _zip(folder: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(folder / name, prefix + name)
    return path


def test_an_added_folder_has_a_name(model_folder: Path, store: Path) -> None:
    """It is found, listed and loaded by the name in its description."""
    entry = add_model(model_folder)

    assert entry.name == "tiny" and not entry.bundled
    assert find_model("tiny") == entry.path == store / "tiny"
    assert _files(store / "tiny") == FILES
    assert [e.name for e in list_models() if not e.bundled] == ["tiny"]
    given, added = load_model(model_folder), load_model("tiny")
    assert added.description == given.description


def test_a_given_name_becomes_its_own(model_folder: Path, store: Path) -> None:
    """The name in the description changes too; the weights stay as they are."""
    add_model(str(model_folder), name="mine é")

    description = load_model("mine é").description
    assert description.name == "mine é"
    weights = (store / "mine é" / FILES[1]).read_bytes()
    assert weights == (model_folder / FILES[1]).read_bytes()


def test_a_run_stands_for_its_model(model_folder: Path, store: Path) -> None:
    """Of a run, only the two files of its model are copied."""
    run = model_folder.parent / "run"
    shutil.copytree(model_folder, run / "model")
    (run / "log.jsonl").write_text("{}\n")
    (run / "model" / "notes.txt").write_text("mine")

    add_model(run)

    assert _files(store) == ["tiny", *(f"tiny/{name}" for name in FILES)]


@pytest.mark.parametrize("prefix", ["", "tiny/", "model/", "run/model/", "./m/"])
def test_a_zip_stands_for_what_is_in_it(
    model_folder: Path, store: Path, tmp_path: Path, prefix: str
) -> None:
    """Zips of a model folder's content, of the folder, or of a run are read."""
    add_model(_zip(model_folder, tmp_path / "m.zip", prefix))

    assert _files(store / "tiny") == FILES
    assert load_model("tiny").name == "tiny"


def test_a_name_in_use_is_kept(model_folder: Path, store: Path) -> None:
    """A model is replaced only if asked, and nothing is left beside it."""
    add_model(model_folder, name="a")
    changed = json.loads((model_folder / FILES[0]).read_text())
    (model_folder / FILES[0]).write_text(json.dumps({**changed, "summary": "new"}))

    with pytest.raises(ModelError, match=r"got 'a', which is in use; .*--overwrite"):
        add_model(model_folder, name="a")
    assert load_model("a").description.summary == ""

    add_model(model_folder, name="a", overwrite=True)
    assert load_model("a").description.summary == "new"
    assert os.listdir(store) == ["a"]


@pytest.mark.parametrize("name", ["nuclei", "Nuclei"])
def test_bundled_names_are_taken(model_folder: Path, store: Path, name: str) -> None:
    """A bundled model cannot be hidden by another, nor be removed."""
    with pytest.raises(ModelError, match="the name of a bundled model"):
        add_model(model_folder, name=name, overwrite=True)
    with pytest.raises(ModelError, match="which is bundled"):
        remove_model(name)
    assert not store.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", ".hidden", "a/b", "/a", "..\\a", "a\\b", "C:", "C:a"),
        *("a\0b", "a\nb", "\ud800", "a.", "a ", " a", "-a", "__pycache__", "a*", "a?"),
        *("nul", "NUL.txt", "Com1", "lpt9.model", "con ", "com¹", "CONIN$"),
        *("x" * 101, "é" * 101, "😀" * 60),
    ],
)
def test_names_that_are_no_plain_folder_names(
    model_folder: Path, store: Path, name: str
) -> None:
    """They are refused, for adding and for removing, on every system."""
    with pytest.raises(ModelError, match=r"^Expected a plain name .*; choose one of"):
        add_model(model_folder, name=name)
    with pytest.raises(ModelError, match=r"^Expected a plain name"):
        remove_model(name)
    assert not store.exists()


def test_plain_names() -> None:
    """Letters of any script, digits, spaces and dots inside are fine."""
    for name in ("a", "nuclei 2", "v1.2", "核", "console", "com", "com10", "x" * 100):
        assert check_model_name(name) == name


def test_a_bad_name_in_the_description(model_folder: Path, store: Path) -> None:
    """The name that a model brings is checked like one that is given."""
    content = json.loads((model_folder / FILES[0]).read_text())
    (model_folder / FILES[0]).write_text(json.dumps({**content, "name": "../../x"}))

    with pytest.raises(ModelError, match=r"got '\.\./\.\./x'"):
        add_model(model_folder)
    assert add_model(model_folder, name="x").path == store / "x"


@pytest.mark.parametrize("file", ["net.pt", "net.PTH", "archive/data.pkl"])
def test_pickles_are_never_opened(store: Path, tmp_path: Path, file: str) -> None:
    """A folder, a zip or a file that holds a pickle is refused, and why is said."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / Path(file).name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr(file, b"cos\nsystem\n")

    for source in (folder, folder / Path(file).name, tmp_path / "foreign.zip"):
        with pytest.raises(ModelError, match=r"^Expected model\.json and .* a pickle"):
            add_model(source)
    with pytest.raises(ModelError, match="a pickle"):
        find_model(folder)
    assert not store.exists()


def test_a_description_with_a_pickle_for_weights(model_folder: Path) -> None:
    """Weights in a pickle are not taken for the missing ones."""
    (model_folder / FILES[1]).rename(model_folder / "weights.pth")
    with pytest.raises(ModelError, match=r"got 'weights\.pth', a pickle"):
        load_model(model_folder)


def test_what_is_no_model_is_refused(store: Path, tmp_path: Path) -> None:
    """Missing paths, other folders and other files are told apart."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    sources = {
        "nothing": "which does not exist",
        "a\0b": "which does not exist",
        "~nobody-of-this-name/x": "which does not exist",
        "x" * 300: "Expected a model folder, a run or a zip|does not exist",
        "empty": r"got no model\.json",
        "text.zip": "Expected a folder or a readable zip",
    }
    for name, message in sources.items():
        with pytest.raises(ModelError, match=message):
            add_model(tmp_path / name)
    assert not store.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_not_waited_for(model_folder: Path) -> None:
    """A pipe in place of a file is no file."""
    (model_folder / FILES[1]).unlink()
    os.mkfifo(model_folder / FILES[1])
    with pytest.raises(ModelError, match=r"got no weights\.safetensors"):
        load_model_folder(model_folder)


def test_a_broken_model_leaves_nothing(model_folder: Path, store: Path) -> None:
    """The model is loaded before anything is written."""
    content = json.loads((model_folder / FILES[0]).read_text())
    content["network"]["widths"] = [2, 6]
    (model_folder / FILES[0]).write_text(json.dumps(content))
    with pytest.raises(ModelError, match="Expected weights that fit"):
        add_model(model_folder)
    assert not store.exists()


def test_a_full_disk_is_one_sentence(
    model_folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there stays, and no half of a model does."""
    add_model(model_folder)

    def full(self: Path, *args: object, **kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ModelError, match=r"No space left on device; .*make room"):
        add_model(model_folder, overwrite=True)
    monkeypatch.undo()
    assert _files(store) == ["tiny", *(f"tiny/{name}" for name in FILES)]


def test_a_failed_replacement_brings_the_old_one_back(
    model_folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new folder cannot take its place, the old one returns."""
    add_model(model_folder)
    replace = os.replace

    def stubborn(source: Path, target: Path) -> None:
        if source.name.startswith(".unetic-new"):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(model_folder_module.os, "replace", stubborn)
    with pytest.raises(ModelError, match="got Permission denied"):
        add_model(model_folder, overwrite=True)
    assert os.listdir(store) == ["tiny"]


def test_the_store_may_be_unusable(model_folder: Path, store: Path) -> None:
    """A file in place of the store is one sentence."""
    store.parent.mkdir()
    store.write_text("a file")
    with pytest.raises(ModelError, match="Expected to be able to write the model"):
        add_model(model_folder)
    assert [e.name for e in list_models() if not e.bundled] == []


def test_many_may_add_at_once(model_folder: Path, store: Path) -> None:
    """Of those who add the same name one succeeds, or each where that is allowed."""

    def add(overwrite: bool) -> str:
        try:
            return add_model(model_folder, name="same", overwrite=overwrite).name
        except ModelError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(add, [False] * 16))
        assert results.count("same") == 1
        assert all("Expected a" in r for r in results if r != "same")
        assert list(pool.map(add, [True] * 16)) == ["same"] * 16
    assert os.listdir(store) == ["same"]
    load_model_folder(store / "same")


@pytest.mark.slow
def test_processes_may_add_at_once(model_folder: Path, store: Path) -> None:
    """The same holds between processes."""
    code = (
        "import sys; from napari_unetic.model.store import add_model\n"
        "for _ in range(5): add_model(sys.argv[1], name='same', overwrite=True)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(model_folder)])
        for _ in range(2)
    ]
    assert [child.wait(100) for child in children] == [0, 0]
    assert os.listdir(store) == ["same"]
    load_model_folder(store / "same")


def test_a_removed_model_is_gone(model_folder: Path, store: Path) -> None:
    """Its folder is gone, its name free, and others stay."""
    add_model(model_folder)
    add_model(model_folder, name="other")
    load_model("tiny")

    assert remove_model("tiny") == store / "tiny"

    assert os.listdir(store) == ["other"]
    with pytest.raises(ModelError, match="got 'tiny'"):
        load_model("tiny")
    with pytest.raises(ModelError, match=r"your own models \(other\), got 'tiny'"):
        remove_model("tiny")


def test_a_damaged_model_can_be_removed(model_folder: Path, store: Path) -> None:
    """It is named among the damaged, not among the models."""
    add_model(model_folder)
    (store / "tiny" / FILES[0]).write_text("{")

    assert [e.name for e in list_models() if not e.bundled] == []
    assert "Expected JSON" in damaged_models()["tiny"]
    remove_model("tiny")
    assert os.listdir(store) == []


def test_what_is_no_model_is_not_removed(store: Path) -> None:
    """A folder that somebody put into the store stays."""
    (store / "photos").mkdir(parents=True)
    (store / "photos" / "a.png").write_bytes(b"")
    with pytest.raises(ModelError, match="remove it by hand"):
        remove_model("photos")
    assert (store / "photos" / "a.png").exists()


def test_a_link_is_removed_and_not_followed(model_folder: Path, store: Path) -> None:
    """A model elsewhere that is linked into the store stays where it is."""
    store.mkdir(parents=True)
    try:
        (store / "linked").symlink_to(model_folder, target_is_directory=True)
        (store / "replaced").symlink_to(model_folder, target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert load_model("linked").name == "tiny"

    remove_model("linked")
    add_model(model_folder, name="replaced", overwrite=True)

    assert _files(model_folder) == FILES
    assert _files(store) == ["replaced", *(f"replaced/{name}" for name in FILES)]
    assert not (store / "replaced").is_symlink()


def test_unfinished_folders_are_hidden_and_swept(
    model_folder: Path, store: Path
) -> None:
    """What a killed process left is never listed, and goes after a day."""
    fresh, stale = store / ".unetic-new-1", store / ".unetic-removed-2"
    for left in (fresh, stale):
        shutil.copytree(model_folder, left)
    os.utime(stale, (0, 0))

    assert [e.name for e in list_models() if not e.bundled] == []
    with pytest.raises(ModelError):
        find_model(fresh.name)
    add_model(model_folder)

    assert sorted(os.listdir(store)) == [fresh.name, "tiny"]


def test_home_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """UNETIC_HOME may begin with ~."""
    from napari_unetic.model.registry import user_models_folder

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("UNETIC_HOME", "~/unetic")
    assert user_models_folder() == tmp_path / "unetic" / "models"
