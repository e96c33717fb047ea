"""Which files are segmented, and where each result goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_unetic.cli.inputs import plan, result_name
from napari_unetic.errors import UneticError

SUFFIXES = (".png", ".tif", ".tiff", ".jpg")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def planned(inputs: list[str], out: str | None = None) -> list[tuple[str, str]]:
    """Return inputs and outputs of a plan as texts with forward slashes."""
    return [
        (job.source.as_posix(), job.output.as_posix())
        for job in plan(inputs, out, SUFFIXES).jobs
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("cells.png", "cells_labels.tif", id="png"),
        pytest.param("cells.ome.tif", "cells_labels.tif", id="ome"),
        pytest.param("cells.v2.tif", "cells.v2_labels.tif", id="dots"),
        pytest.param(".ome.tif", ".ome_labels.tif", id="only ome"),
    ],
)
def test_results_are_named_after_the_image(name: str, expected: str) -> None:
    """NAME.png becomes NAME_labels.tif; the double ending of OME-TIFF counts as one."""
    assert result_name(Path(name)) == expected


def test_result_goes_beside_the_input(here: Path) -> None:
    """Without -o the labels go where the image is."""
    touch("d/a.png")

    assert planned(["d/a.png"]) == [("d/a.png", "d/a_labels.tif")]


def test_folders_are_searched_with_subfolders_kept(here: Path) -> None:
    """A folder stands for all images in it, in a settled order, their places kept."""
    touch("d/b.tif", "d/a.PNG", "d/x/y/c.jpg", "d/notes.txt", "d/.hidden/e.tif")
    touch("d/._a.tif")

    assert planned(["d"], "out") == [
        ("d/a.PNG", "out/a_labels.tif"),
        ("d/b.tif", "out/b_labels.tif"),
        ("d/x/y/c.jpg", "out/x/y/c_labels.tif"),
    ]


def test_patterns_keep_what_is_below_their_fixed_part(here: Path) -> None:
    """A quoted pattern works as in a shell; folders after its wildcard are kept."""
    touch("d/x/a.tif", "d/y/a.tif", "d/y/b.png", "d/a.tif")

    assert planned(["d/*/*.tif"], "out") == [
        ("d/x/a.tif", "out/x/a_labels.tif"),
        ("d/y/a.tif", "out/y/a_labels.tif"),
    ]
    assert planned(["d/**/a.*"], "out") == [
        ("d/a.tif", "out/a_labels.tif"),
        ("d/x/a.tif", "out/x/a_labels.tif"),
        ("d/y/a.tif", "out/y/a_labels.tif"),
    ]


def test_patterns_may_match_folders(here: Path) -> None:
    """A folder that a pattern matches is searched, and its name is kept."""
    touch("plate/w1/a.tif", "plate/w2/a.tif")

    assert planned(["plate/w*"], "out") == [
        ("plate/w1/a.tif", "out/w1/a_labels.tif"),
        ("plate/w2/a.tif", "out/w2/a_labels.tif"),
    ]


def test_names_with_brackets_are_files_first(here: Path) -> None:
    """A file that exists is taken, though its name reads as a pattern."""
    touch("a[1].tif", "a1.tif")

    assert planned(["a[1].tif"]) == [("a[1].tif", "a[1]_labels.tif")]


def test_results_are_never_inputs(here: Path) -> None:
    """Files named like results are left out and counted, however they are named."""
    touch("d/a.png", "d/a_labels.tif", "d/b_LABELS.TIF")

    for inputs in (["d"], ["d/*"], ["d/a.png", "d/a_labels.tif", "d/b_LABELS.TIF"]):
        found = plan(inputs, None, SUFFIXES)
        assert [job.source.name for job in found.jobs] == ["a.png"]
        assert found.n_results_left_out == 2


def test_only_results_are_refused(here: Path) -> None:
    """A folder of results alone has nothing to segment."""
    touch("d/a_labels.tif")

    with pytest.raises(UneticError, match=r"got only results \(.*\) in d;"):
        plan(["d"], None, SUFFIXES)


def test_a_file_named_twice_is_one_job(here: Path) -> None:
    """An image that two arguments name is segmented once."""
    touch("d/a.png", "d/b.png")

    assert planned(["d/b.png", "d"]) == [
        ("d/b.png", "d/b_labels.tif"),
        ("d/a.png", "d/a_labels.tif"),
    ]


def test_out_that_ends_in_tif_is_a_file(here: Path) -> None:
    """-o x.tif names the one result itself."""
    touch("a.png")

    assert planned(["a.png"], "new/x.tif") == [("a.png", "new/x.tif")]


def test_one_file_for_many_images_is_refused(here: Path) -> None:
    """-o x.tif with two images is an error that names the number."""
    touch("a.png", "b.png")

    with pytest.raises(UneticError, match=r"for the one file -o x\.tif, got 2"):
        plan(["a.png", "b.png"], "x.tif", SUFFIXES)


@pytest.mark.parametrize(
    ("inputs", "out"),
    [
        pytest.param(["a.png", "a.tif"], None, id="two suffixes"),
        pytest.param(["x/a.tif", "y/a.tif"], "out", id="two folders"),
        pytest.param(["x", "y"], "out", id="folders"),
    ],
)
def test_one_output_for_two_inputs_is_refused(
    here: Path, inputs: list[str], out: str | None
) -> None:
    """Two inputs with one output name are refused with both names."""
    touch("a.png", "a.tif", "x/a.tif", "y/a.tif")

    with pytest.raises(UneticError, match=r"got .*a_labels.tif for both .*a\.\w+ and "):
        plan(inputs, out, SUFFIXES)


def test_output_over_an_input_is_refused(here: Path) -> None:
    """An image is never overwritten by its labels."""
    touch("a.tif")

    with pytest.raises(UneticError, match=r"which is the image a\.tif"):
        plan(["a.tif"], "a.tif", SUFFIXES)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_output_over_an_input_through_a_link_is_refused(here: Path) -> None:
    """Nor through a link to the image's folder."""
    touch("d/a.tif")
    Path("link").symlink_to("d")

    with pytest.raises(UneticError, match=r"which is the image d/a\.tif"):
        plan(["d/a.tif"], "link/a.tif", SUFFIXES)


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        pytest.param(["no.tif"], None, "no.tif, which does not exist", id="missing"),
        pytest.param(["no*.tif"], None, "which matches none", id="no match"),
        pytest.param(["empty"], None, "in the folder empty, got none", id="empty"),
        pytest.param(["a.png"], "b.txt", "an existing file of another", id="text"),
        pytest.param(["a.png"], "t.tif", "since it ends in .tif, got a fol", id="dir"),
    ],
)
def test_inputs_and_outputs_that_cannot_be(
    here: Path, inputs: list[str], out: str | None, message: str
) -> None:
    """Each mistake is a sentence that names what came."""
    touch("a.png", "b.txt", "empty/notes.txt", "t.tif/x")

    with pytest.raises(UneticError, match=message):
        plan(inputs, out, SUFFIXES)
