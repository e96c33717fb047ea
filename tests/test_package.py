"""The package as a whole: what importing it loads, its names, its metadata."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, metadata, version
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import napari_unetic

BINDINGS = {"PyQt5", "PyQt6", "PySide2", "PySide6"}

HEAVY = {
    *BINDINGS,
    "magicgui",
    "matplotlib",
    "napari",
    "pyqtgraph",
    "qtpy",
    "superqt",
    "torch",
}
"""What must not be loaded before it is needed."""

COMMANDS = ("segment", "train", "evaluate", "score", "models", "demo", "doctor")

SAY_WHAT_IS_LOADED = """
import json, sys
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return the last line that it prints."""
    child = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()[-1]


def test_importing_the_package_is_light() -> None:
    """``import napari_unetic`` loads neither torch, napari, matplotlib nor Qt."""
    loaded = json.loads(run_python("import napari_unetic" + SAY_WHAT_IS_LOADED))

    assert "napari_unetic" in loaded
    assert HEAVY & set(loaded) == set()


@pytest.mark.parametrize(
    "arguments",
    [pytest.param((), id="unetic"), *(pytest.param((c,), id=c) for c in COMMANDS)],
)
def test_help_is_light(arguments: tuple[str, ...]) -> None:
    """``unetic --help`` and each command's load neither torch, napari nor Qt."""
    code = f"""
from napari_unetic.cli import main
try:
    main({[*arguments, "--help"]})
except SystemExit as end:
    assert not end.code, end.code
{SAY_WHAT_IS_LOADED}
"""
    loaded = json.loads(run_python(code))

    assert "napari_unetic" in loaded
    assert HEAVY & set(loaded) == set()


def test_the_package_runs_as_a_module() -> None:
    """``python -m napari_unetic`` is the command ``unetic``."""
    child = subprocess.run(
        [sys.executable, "-m", "napari_unetic", "--help"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert child.returncode == 0, child.stderr
    assert child.stdout.startswith("usage: unetic")


def test_the_command_can_be_called_again() -> None:
    """``napari_unetic.cli.main`` stays a function after it was called."""
    code = """
import contextlib
from napari_unetic import cli
for _ in range(2):
    with contextlib.suppress(SystemExit):
        cli.main(["--help"])
"""
    run_python(code)


def test_public_names_are_there() -> None:
    """Every public name but the one that needs napari can be loaded."""
    for name in set(napari_unetic.__all__) - {"segment_layer"}:
        assert getattr(napari_unetic, name) is not None


@pytest.mark.usefixtures("napari_layers")
def test_segment_layer_is_there() -> None:
    """The public function for napari's layers can be loaded."""
    assert callable(napari_unetic.segment_layer)


def test_public_names_are_listed() -> None:
    """dir() lists the public names before they are loaded."""
    assert set(napari_unetic.__all__) <= set(dir(napari_unetic))


def test_public_names_are_not_hidden_by_modules() -> None:
    """A public name means the same whatever module was imported before it.

    Importing ``package.name`` binds the module to the package, so that a public
    function must not be called like a module beside it.
    """
    code = """
import importlib, types
import napari_unetic
names = set(napari_unetic._HOMES) - {"segment_layer"}
for name in names:
    importlib.import_module(f"napari_unetic.{napari_unetic._HOMES[name]}")
print([
    name for name in names
    if isinstance(getattr(napari_unetic, name), types.ModuleType)
])
"""
    assert run_python(code) == "[]"


def test_unknown_names_are_refused() -> None:
    """A name that is not public raises AttributeError, as any module does."""
    with pytest.raises(AttributeError, match="has no attribute 'segmentt'"):
        _ = napari_unetic.segmentt


def test_version_is_that_of_the_distribution() -> None:
    """The version is read from the installed distribution."""
    assert napari_unetic.__version__ == version("napari-unetic")


def test_top_level_manifest_is_the_package_s(repository: Path) -> None:
    """The napari.yaml at the top is a link to the one inside the package."""
    link = repository / "napari.yaml"
    manifest = repository / "src" / "napari_unetic" / "napari.yaml"

    if not link.is_symlink():
        pytest.skip("This checkout has no symbolic links (Windows).")
    assert manifest.is_file()
    assert link.resolve() == manifest.resolve()


def test_manifest_is_found_without_importing_the_package() -> None:
    """napari finds the manifest through the entry point, inside the package."""
    (found,) = entry_points(group="napari.manifest", name="napari-unetic")
    package = Path(napari_unetic.__file__).parent

    assert found.value == "napari_unetic:napari.yaml"
    assert (package / "napari.yaml").is_file()


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers read the annotations of an installed package."""
    assert (Path(napari_unetic.__file__).parent / "py.typed").is_file()


def test_classifiers_name_napari() -> None:
    """The napari hub lists the distribution."""
    assert "Framework :: napari" in (
        metadata("napari-unetic").get_all("Classifier") or []
    )


def requirements(repository: Path) -> tuple[list[Requirement], list[Requirement]]:
    """Return what pyproject.toml requires always, and for its extras."""
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)["project"]
    extras = chain.from_iterable(table["optional-dependencies"].values())
    return [*map(Requirement, table["dependencies"])], [*map(Requirement, extras)]


def test_no_qt_binding_is_required(repository: Path) -> None:
    """Which Qt binding to use is the user's choice."""
    required, _ = requirements(repository)

    assert {one.name for one in required} & BINDINGS == set()
    assert not any(one.extras for one in required if one.name == "napari")


def test_constraints_pin_every_direct_requirement(repository: Path) -> None:
    """constraints.txt holds one exact version of all that pyproject.toml names."""
    required, optional = requirements(repository)
    named = {one.name.lower() for one in required + optional} - {"napari-unetic"}
    pins = [
        Requirement(line)
        for line in (repository / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    assert {pin.name.lower() for pin in pins} == named
    assert all(str(pin.specifier).startswith("==") for pin in pins)
