"""Freed memory is kept by the processes of the command line, and only by those."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from napari_unetic.cli import heap, main

FAULTS = """
import resource
from napari_unetic.cli.heap import keep_freed_memory

def fill() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * (16 << 20) for _ in range(4)]
    del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fill()
usual = fill()
assert keep_freed_memory()
fill()
print(usual, fill())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_freed_memory_is_used_again() -> None:
    """Four blocks of 16 MB, freed and asked for again, cost hardly a page fault."""
    child = subprocess.run(
        [sys.executable, "-c", FAULTS], check=True, capture_output=True, timeout=60
    )
    usual, kept = map(int, child.stdout.split())
    assert kept < usual / 10


@pytest.mark.parametrize("platform_name", ["win32", "darwin"])
def test_other_systems_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, platform_name: str
) -> None:
    """No library is even looked for."""
    monkeypatch.setattr(sys, "platform", platform_name)
    monkeypatch.setattr(ctypes, "CDLL", None)
    assert not heap.keep_freed_memory()


def _without_mallopt(name: object) -> object:
    return SimpleNamespace()


def _not_loaded(name: object) -> object:
    raise OSError("no such library")


@pytest.mark.parametrize("library", [_without_mallopt, _not_loaded])
def test_another_c_library_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, library: object
) -> None:
    """Nothing is raised where there is no mallopt."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not heap.keep_freed_memory()


def test_a_process_of_another_program_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the command itself does it, not who calls `main` with arguments."""
    calls: list[int] = []
    monkeypatch.setattr(heap, "keep_freed_memory", lambda: calls.append(1))
    with pytest.raises(SystemExit):
        main(["--version"])
    assert not calls
    monkeypatch.setattr(sys, "argv", ["unetic", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert calls == [1]
