"""Lists of ids, and what is held out of training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_unetic.errors import UneticError
from napari_unetic.pairs.entries import Entry
from napari_unetic.pairs.pair import Pair, Pairs
from napari_unetic.pairs.selection import expand_ids, read_ids, select, split


def pairs_of(ids: str) -> Pairs:
    """Return pairs with one-letter ids and no files."""
    entry = Entry("nowhere.tif")
    return Pairs(tuple(Pair(one, entry, (entry,)) for one in ids), "a set")


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A file in which the validation ids are inside the training ids."""
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": list("abcd"), "val": ["b", "c"], "n": [1]}))
    return path


def test_key_names_a_list(lists: Path) -> None:
    """KEY is a list of ids in FILE; numbers are ids like texts."""
    assert read_ids(f"{lists}:val") == {"b", "c"}
    assert read_ids(f"{lists}:n") == {"1"}


def test_key_is_the_text_that_ids_map_to(tmp_path: Path) -> None:
    """FILE may map each id to a text, with commas and slashes in it."""
    kinds = {"a": "colour, pink/purple", "b": "grey", "c": "colour, pink/purple"}
    (tmp_path / "kind.json").write_text(json.dumps(kinds))
    assert read_ids(f"{tmp_path / 'kind.json'}:colour, pink/purple") == {"a", "c"}


def test_file_ends_at_the_last_json_and_colon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive letter, colons in KEY and .json in a folder's name do no harm."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.json").write_text(json.dumps({"k:1": ["a"]}))
    assert read_ids("b.json:k:1") == {"a"}
    with pytest.raises(UneticError, match=r"JSON file of ids, got C:\\x\.json;"):
        read_ids(r"C:\x.json:test")
    with pytest.raises(UneticError, match=r"JSON file of ids, got a\.json:b\.json;"):
        read_ids("a.json:b.json:test")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        pytest.param("{", "readable JSON", id="damaged"),
        pytest.param("[1]", "got list", id="list"),
        pytest.param('{"key": [["a"]]}', "list of ids", id="list of lists"),
        pytest.param('{"train": []}', "one of 'train'", id="key that is not there"),
        pytest.param("{}", "a list in", id="nothing"),
    ],
)
def test_what_holds_no_ids_is_refused(tmp_path: Path, content: str, match: str) -> None:
    """The sentence says what is there to choose from."""
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UneticError, match=match):
        read_ids(f"{tmp_path / 'a.json'}:key")


@pytest.mark.parametrize("text", ["a.json", "a.txt:key", "key", ""])
def test_text_without_key_is_refused(text: str) -> None:
    """Ids come as FILE.json:KEY."""
    with pytest.raises(UneticError, match=r"FILE\.json:KEY"):
        read_ids(text)


def test_ids_and_lists_may_be_mixed(lists: Path) -> None:
    """Where ids are given in Python, each is an id or a list of them."""
    assert expand_ids(["x", f"{lists}:val"]) == {"b", "c", "x"}
    assert expand_ids(f"{lists}:val") == {"b", "c"}
    assert expand_ids("x") == {"x"}
    assert expand_ids(None) == frozenset()


def test_chosen_ids_less_the_excluded(lists: Path) -> None:
    """What is excluded is out whatever else says; what lacks is counted."""
    chosen = select(pairs_of("abx"), f"{lists}:train", ["b"])
    assert chosen.ids == ("a",)
    assert chosen.notices == (
        "Chosen ids left out because the data set lacks them: 2.",
    )
    assert select(pairs_of("abx"), None, f"{lists}:val").ids == ("a", "x")
    assert select(pairs_of("abx"), None, None).ids == ("a", "b", "x")


def test_validation_ids_are_never_trained_on(lists: Path) -> None:
    """Also where they stand inside the list of training ids."""
    pairs = select(pairs_of("abcdef"), f"{lists}:train", None)
    train, val = split(pairs, val_ids=[f"{lists}:val"])
    assert (train.ids, val.ids) == (("a", "d"), ("b", "c"))


def test_lacking_validation_ids_are_counted() -> None:
    """One of two is enough to validate on; none is a mistake."""
    train, val = split(pairs_of("abc"), val_ids=["c", "z"])
    assert (train.ids, val.ids) == (("a", "b"), ("c",))
    assert "data set lacks them: 1" in val.notices[0]
    with pytest.raises(UneticError, match="none is there"):
        split(pairs_of("abc"), val_ids=["z"])


def test_validation_ids_must_leave_something_to_train_on() -> None:
    """All ids held out is a mistake."""
    with pytest.raises(UneticError, match="only validation ids"):
        split(pairs_of("ab"), val_ids=["a", "b"])


def test_share_depends_on_seed_and_ids_alone() -> None:
    """The same ids and seed give the same split in any order; another seed another."""
    ids = "abcdefghijklmnopqrst"
    train, val = split(pairs_of(ids), val_fraction=0.25, seed=3)
    assert len(val) == 5
    assert set(train.ids) | set(val.ids) == set(ids)
    assert not set(train.ids) & set(val.ids)
    _, reverse = split(pairs_of(ids[::-1]), val_fraction=0.25, seed=3)
    assert set(reverse.ids) == set(val.ids)
    _, other = split(pairs_of(ids), val_fraction=0.25, seed=4)
    assert set(other.ids) != set(val.ids)


@pytest.mark.parametrize(
    ("n", "share", "n_val"),
    [(10, 0.0, 0), (10, 0.1, 1), (10, 0.01, 1), (2, 0.9, 1), (1, 0.5, 0)],
)
def test_share_leaves_both_sides_something(n: int, share: float, n_val: int) -> None:
    """Two pairs are one each; a single pair is trained on."""
    train, val = split(pairs_of("abcdefghij"[:n]), val_fraction=share)
    assert (len(train), len(val)) == (n - n_val, n_val)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_share_out_of_range_is_refused(share: float) -> None:
    """A share is 0 to below 1."""
    with pytest.raises(UneticError, match="validation share"):
        split(pairs_of("abc"), val_fraction=share)


def test_real_lists(data_folder: Path) -> None:
    """The published lists: validation inside training, the test ids apart."""
    lists = data_folder / "dsb2018" / "stardist_split.json"
    train, test = read_ids(f"{lists}:train"), read_ids(f"{lists}:test")
    val = read_ids(f"{lists}:val_of_train_seed42")
    assert (len(train), len(test), len(val)) == (447, 50, 67)
    assert val < train
    assert not train & test
    kinds = data_folder / "dsb2018" / "modality.json"
    assert len(read_ids(f"{kinds}:fluorescence, grey on dark")) == 546
