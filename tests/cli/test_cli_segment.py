"""``unetic segment``: labels, rows, exit codes, and what is never touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from napari_unetic import (
    SegmentSettings,
    nuclei_sample,
    read_image,
    segment,
    settings_from,
)
from napari_unetic.image.reading import read_labels


def test_a_file_becomes_labels_beside_it(unetic, images, threshold_model) -> None:
    """Labels are uint16, of the image's shape, as Python's own; the row says so."""
    ended = unetic("segment", images / "a.png", "--model", threshold_model)

    labels = read_labels(images / "a_labels.tif")
    expected = segment(read_image(images / "a.png"), threshold_model)
    assert ended.code == 0, ended.err
    assert labels.dtype == np.uint16
    assert labels.max() == 3
    np.testing.assert_array_equal(labels, expected)
    assert "3 objects" in ended.out.splitlines()[0]
    assert f"{images / 'a.png'} -> {images / 'a_labels.tif'}" in ended.out
    assert ended.out.splitlines()[-1].startswith("1 segmented, 3 objects in ")
    assert ended.err == ""


def test_a_folder_keeps_its_subfolders(unetic, images, threshold_model) -> None:
    """Every image of a folder is segmented, each below OUT where it was."""
    out = images.parent / "out"

    ended = unetic("segment", images, "-o", out, "--model", threshold_model)

    assert ended.code == 0, ended.err
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*"))
    assert written == ["a_labels.tif", "b_labels.tif", "sub/c_labels.tif"]
    assert not list(images.rglob("*_labels.tif"))
    assert "3 segmented, 9 objects" in ended.out


def test_results_are_kept_unless_overwrite(unetic, images, threshold_model) -> None:
    """An output that exists is skipped; --overwrite replaces it."""
    there = images / "a_labels.tif"
    there.write_text("kept")
    command = ("segment", images / "a.png", "--model", threshold_model)

    first = unetic(*command)
    assert first.code == 0
    assert "skipped" in first.out
    assert there.read_text() == "kept"

    second = unetic(*command, "--overwrite")
    assert second.code == 0
    assert read_labels(there).max() == 3


def test_skipping_needs_no_model(unetic, images) -> None:
    """Where nothing is to do the model is not even looked for."""
    (images / "a_labels.tif").write_text("kept")

    ended = unetic("segment", images / "a.png", "--model", "no-such-model")

    assert ended.code == 0
    assert "0 segmented, 0 objects, 1 skipped" in ended.out


def test_a_second_run_takes_no_results(unetic, images, threshold_model) -> None:
    """Labels beside the images are not images: a second run only skips."""
    command = ("segment", images, "--model", threshold_model)
    unetic(*command)

    ended = unetic(*command)

    assert ended.code == 0
    assert "3 skipped" in ended.out
    assert ended.err.startswith("note: 3 files named *_labels.tif or *_maps.tif are")
    assert len(list(images.rglob("*_labels.tif"))) == 3


def test_a_bad_image_does_not_stop_the_rest(unetic, images, threshold_model) -> None:
    """One unreadable image is one line and exit code 1; the others are segmented."""
    (images / "a.png").write_bytes(b"no picture")
    report = images.parent / "report.json"

    ended = unetic("segment", images, "--model", threshold_model, "--json", report)

    assert ended.code == 1
    assert not (images / "a_labels.tif").exists()
    assert (images / "b_labels.tif").exists()
    assert (images / "sub" / "c_labels.tif").exists()
    (line,) = ended.err.splitlines()
    assert line.startswith("unetic: error: ")
    assert str(images / "a.png") in line
    assert "2 segmented, 6 objects, 1 failed" in ended.out
    content = json.loads(report.read_text(encoding="utf-8"))
    assert (content["n_done"], content["n_skipped"], content["n_failed"]) == (2, 0, 1)
    bad, good = content["images"][:2]
    assert (bad["status"], bad["n_objects"]) == ("failed", None)
    assert str(images / "a.png") in bad["error"]
    assert (good["status"], good["n_objects"], good["axes"]) == ("done", 3, "YX")
    assert good["shape"] == [24, 32]
    assert good["seconds"] > 0
    assert good["provenance"]["model"] == "threshold"


def test_none_succeeded_is_exit_code_2(unetic, images, threshold_model) -> None:
    """Where every image fails the exit code is 2."""
    (images / "a.png").write_bytes(b"no picture")

    ended = unetic("segment", images / "a.png", "--model", threshold_model)

    assert ended.code == 2


def test_two_inputs_of_one_name_write_nothing(unetic, images, threshold_model) -> None:
    """A clash of names is found before any work."""
    (images / "a.tif").write_bytes((images / "b.tif").read_bytes())

    ended = unetic("segment", images, "--model", threshold_model)

    assert ended.code == 2
    assert "for both" in ended.err
    assert not list(images.rglob("*_labels.tif"))


def test_out_may_name_the_file(unetic, images, threshold_model) -> None:
    """-o NAME.tif is the file itself, in a folder that is made."""
    out = images.parent / "new" / "mine.tif"

    ended = unetic("segment", images / "a.png", "-o", out, "--model", threshold_model)

    assert ended.code == 0, ended.err
    assert read_labels(out).max() == 3


def test_axes_and_pixel_size_are_kept(unetic, tmp_path, squares, threshold_model):
    """A stack with channels gives a stack of labels with its axes and pixel size."""
    stack = np.zeros((2, 3, *squares.shape), np.uint16)
    stack[0, 1], stack[1, 1] = squares, squares[::-1]
    source = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        source,
        stack,
        metadata={
            "axes": "ZCYX",
            "PhysicalSizeX": 0.25,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeYUnit": "µm",
        },
    )

    ended = unetic("segment", source, "--channel", 1, "--model", threshold_model)

    assert ended.code == 0, ended.err
    written = tmp_path / "stack_labels.tif"
    image = read_image(written)
    assert image.axes == "ZYX"
    assert image.pixel_size.unit == "µm"
    assert image.pixel_size.sizes["X"] == pytest.approx(0.25)
    assert image.pixel_size.sizes["Y"] == pytest.approx(0.5)
    with tifffile.TiffFile(written) as tiff:
        assert tiff.is_ome
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    np.testing.assert_array_equal(
        np.asarray(image.data),
        segment(read_image(source), threshold_model, channel=1),
    )


def test_axes_can_be_given(unetic, tmp_path, squares, threshold_model) -> None:
    """--axes says what the file does not."""
    tifffile.imwrite(tmp_path / "t.tif", np.stack([squares] * 5), metadata=None)

    ended = unetic(
        "segment", tmp_path / "t.tif", "--axes", "TYX", "--model", threshold_model
    )

    assert ended.code == 0, ended.err
    assert read_image(tmp_path / "t_labels.tif").axes == "TYX"
    assert "15 objects" in ended.out


OPTIONS = {
    "axes": ["--axes", "YX"],
    "channel": ["--channel", "0"],
    "plane": ["--plane", "1"],
    "region": ["--region", "0,0,24,15"],
    "diameter": ["--diameter", "20"],
    "pixel_size": ["--pixel-size", "0.4"],
    "sensitivity": ["--sensitivity", "0.9"],
    "splitting": ["--splitting", "0.1"],
    "smallest": ["--smallest", "60"],
    "fill_holes": ["--no-fill-holes"],
    "drop_border": ["--drop-border"],
    "link": ["--link"],
    "device": ["--device", "cpu"],
    "precision": ["--precision", "bfloat16"],
    "tile": ["--tile", "64"],
}
"""An option for each setting, as one would type it."""


def test_every_setting_is_tried() -> None:
    """No option is left out of the test below."""
    assert list(OPTIONS) == list(SegmentSettings.model_fields)


@pytest.mark.parametrize("name", OPTIONS)
def test_settings_reach_the_core(
    unetic, tmp_path, squares, threshold_model, name: str
) -> None:
    """Each option gives the labels that the same keyword gives in Python."""
    image = np.maximum(squares, 4 * np.indices(squares.shape)[1].astype(np.uint8))
    image[4, 4] = 0
    if name in {"plane", "link"}:
        image = np.stack([image, squares])
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, image, metadata={"axes": "ZYX"[-image.ndim :]})
    model = threshold_model
    if name == "pixel_size":
        model = shutil.copytree(threshold_model, tmp_path / "sized")
        path = model / "model.json"
        described = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(described | {"pixel_size_um": 0.2}))

    ended = unetic("segment", source, "--model", model, *OPTIONS[name])

    assert ended.code == 0, ended.err
    typed = OPTIONS[name]
    value: object = typed[1] if len(typed) > 1 else not typed[0].startswith("--no-")
    expected = segment(read_image(source), model, **{name: value})
    np.testing.assert_array_equal(read_labels(tmp_path / "a_labels.tif"), expected)
    assert expected.any()


def test_settings_are_kept_in_the_file(unetic, images, threshold_model) -> None:
    """What was typed can be read from the labels, and gives them again."""
    command = ("segment", images / "b.tif", "--model", threshold_model)

    ended = unetic(*command, "--axes", "YX", "--region", "0,0,24,15", "--smallest", 9)

    assert ended.code == 0, ended.err
    with tifffile.TiffFile(images / "b_labels.tif") as tiff:
        text = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Description").text
    settings = settings_from(json.loads(text))
    assert settings.changed() == {
        "axes": "YX",
        "region": [0, 0, 24, 15],
        "smallest": 9,
    }
    np.testing.assert_array_equal(
        read_labels(images / "b_labels.tif"),
        segment(read_image(images / "b.tif"), threshold_model, **dict(settings)),
    )


def test_threads_change_no_labels(unetic, images, threshold_model) -> None:
    """Where torch is given another number, it has its own again afterwards."""
    before = torch.get_num_threads()

    ended = unetic(
        *("segment", images / "a.png", "--model", threshold_model),
        *("--threads", before + 1),
    )

    assert ended.code == 0, ended.err
    assert torch.get_num_threads() == before
    assert read_labels(images / "a_labels.tif").max() == 3


def test_maps_are_written_beside_the_labels(unetic, images, threshold_model) -> None:
    """As float32 channels with names, as Python's own; never taken as input."""
    command = ("segment", images, "--model", threshold_model, "--maps")

    ended = unetic(*command)

    assert ended.code == 0, ended.err
    written = images / "sub" / "c_maps.tif"
    image = read_image(written)
    _, expected = segment(
        read_image(images / "sub" / "c.tif"), threshold_model, keep_maps=True
    )
    assert image.axes == "CYX"
    np.testing.assert_array_equal(np.asarray(image.data), expected, strict=True)
    with tifffile.TiffFile(written) as tiff:
        assert "contact" in tiff.ome_metadata and "weights_sha256" in tiff.ome_metadata
    again = unetic(*command)
    assert "3 skipped" in again.out
    assert len(list(images.rglob("*_maps.tif"))) == 3


def test_maps_leave_labels_as_they_are(unetic, images, threshold_model) -> None:
    """Where labels exist and maps do not, the maps alone are written."""
    command = ("segment", images / "a.png", "--model", threshold_model)
    (images / "a_labels.tif").write_text("corrected by hand")

    ended = unetic(*command, "--maps")

    assert ended.code == 0, ended.err
    assert (images / "a_labels.tif").read_text() == "corrected by hand"
    assert read_image(images / "a_maps.tif").axes == "CYX"


def test_maps_of_a_named_file(unetic, images, threshold_model) -> None:
    """-o NAME.tif has its maps in NAME_maps.tif."""
    out = images.parent / "mine.tif"

    unetic("segment", images / "a.png", "-o", out, "--model", threshold_model, "--maps")

    assert (images.parent / "mine_maps.tif").exists()


def test_nothing_half_written_is_left(
    unetic, images, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing fails, neither a result nor a part of one remains."""

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", fail)

    ended = unetic("segment", images / "a.png", "--model", threshold_model)

    assert ended.code == 2
    assert "No space left on device" in ended.err
    assert {p.name for p in images.iterdir()} == {"a.png", "b.tif", "sub", "notes.txt"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--tile", "0"], "a tile of at least 64 pixels", id="tile"),
        pytest.param(["--diameter", "-3"], "a diameter above 0", id="diameter"),
        pytest.param(["--sensitivity", "2"], "a sensitivity of at most 1", id="bound"),
        pytest.param(["--smallest", "few"], "smallest to be a whole number", id="kind"),
        pytest.param(["--region", "9,9,1,1"], "y1 above y0", id="region"),
        pytest.param(["--region", "99,0,120,9"], "covers no pixel", id="outside"),
        pytest.param(["--plane", "1"], "Expected", id="plane"),
        pytest.param(
            ["--diameter", "9", "--pixel-size", "1"], "got both", id="two scales"
        ),
        pytest.param(["--device", "tpu"], "invalid choice: 'tpu'", id="device"),
        pytest.param(["--json", "no/x.json"], "in an existing folder", id="json"),
        pytest.param(["--model", "nucleii"], "got 'nucleii'", id="model"),
        pytest.param(["--axes", "QYX"], "got 'QYX'", id="axes"),
        pytest.param(["--channel", "7"], "7", id="channel"),
    ],
)
def test_bad_arguments_are_one_line(
    unetic, images, threshold_model, arguments: list[str], message: str
) -> None:
    """A bad argument ends with exit code 2 and one line that names it."""
    defaults = [] if "--model" in arguments else ["--model", threshold_model]

    ended = unetic("segment", images / "a.png", *defaults, *arguments)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("unetic: error: ")
    assert message in line
    assert not list(images.rglob("*_labels.tif"))


def test_an_interruption_keeps_what_is_complete(
    unetic, images, threshold_model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130 and a line; finished images and their rows remain."""
    from napari_unetic.image import writing

    write = writing.write_labels

    def interrupt_second(path: Path, *arguments: object, **keywords: object) -> None:
        if path.name.startswith("b"):
            raise KeyboardInterrupt
        write(path, *arguments, **keywords)

    monkeypatch.setattr(writing, "write_labels", interrupt_second)
    report = images.parent / "report.json"

    ended = unetic("segment", images, "--model", threshold_model, "--json", report)

    assert ended.code == 130
    assert ended.err.splitlines()[-1].startswith("unetic: error: interrupted")
    assert sorted(p.name for p in images.rglob("*_labels.tif")) == ["a_labels.tif"]
    assert json.loads(report.read_text(encoding="utf-8"))["n_done"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--axes", "QYX"], id="axes"),
        pytest.param(["--model", "nucleii"], id="model"),
        pytest.param(["--device", "mps"], id="device"),
    ],
)
def test_a_fault_of_the_arguments_is_said_once(
    unetic, images, threshold_model, arguments: list[str]
) -> None:
    """What would fail for every image is said once, before any."""
    if arguments[0] == "--device" and sys.platform == "darwin":
        pytest.skip("This machine may have the device.")
    ended = unetic("segment", images, "--model", threshold_model, *arguments)

    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""


@pytest.mark.skipif(sys.platform != "linux", reason="names there may be any bytes")
def test_names_that_are_no_text(unetic, images, threshold_model) -> None:
    """A file name that is no UTF-8 is segmented, and reported as far as it can be."""
    source = images / "sub" / os.fsdecode(b"\xff.tif")
    source.write_bytes((images / "b.tif").read_bytes())
    report = images / "report.json"

    ended = unetic(
        "segment", images / "sub", "--model", threshold_model, "--json", report
    )

    assert ended.code == 0, ended.err
    assert json.loads(report.read_text(encoding="utf-8"))["n_done"] == 2


def test_a_colour_image_says_what_became_of_alpha(
    unetic, tmp_path, squares: NDArray[np.uint8], threshold_model
) -> None:
    """A notice of the reader is one line on stderr."""
    from skimage.io import imsave

    alpha = np.where(squares > 0, 255, 128).astype(np.uint8)
    imsave(
        tmp_path / "rgba.png",
        np.stack([squares, squares, squares, alpha], axis=-1),
        check_contrast=False,
    )

    ended = unetic("segment", tmp_path / "rgba.png", "--model", threshold_model)

    assert ended.code == 0, ended.err
    notes = [line for line in ended.err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert "alpha" in notes[0]


@pytest.mark.parametrize("words", [[], ["--diameter", "usual"], ["--diameter", "60"]])
def test_objects_of_another_size(unetic, tmp_path, words: list[str]) -> None:
    """The diameter is found out as in Python, or is the one that is typed."""
    image, _ = nuclei_sample((330, 330), 1, n_nuclei=9, diameter=(68, 80), touching=0)
    tifffile.imwrite(tmp_path / "a.tif", image)

    ended = unetic("segment", tmp_path / "a.tif", *words, "--json", tmp_path / "a.json")

    assert ended.code == 0, ended.err
    labels = read_labels(tmp_path / "a_labels.tif")
    given = {"diameter": words[1]} if words else {}
    np.testing.assert_array_equal(labels, segment(image, **given))
    assert ("(reduced: the objects are larger, about" in ended.out) == (not words)
    (row,) = json.loads((tmp_path / "a.json").read_text())["images"]
    assert ("estimate_px" in row["provenance"]["diameter"]) == (not words)


def test_command_line_equals_python_on_a_real_image(
    unetic, tmp_path, data_folder: Path
) -> None:
    """On a real image the bundled model gives the same labels in shell and Python."""
    source = sorted((data_folder / "u2os_nuclei" / "images").glob("*.tif"))[0]

    ended = unetic("segment", source, "-o", tmp_path, "--diameter", 80)

    assert ended.code == 0, ended.err
    labels = read_labels(tmp_path / f"{source.stem}_labels.tif")
    assert labels.max() > 10
    np.testing.assert_array_equal(
        labels, segment(read_image(source), "nuclei", diameter=80)
    )
