"""A training in a process of its own: started, followed through its log, stopped.

The process outlives the window if a person wants it to; all that is known of it lies in
the run folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

import psutil
from qtpy.QtCore import QObject, QTimer

from napari_unetic.widgets.choices import is_alive
from napari_unetic.widgets.run_log import RunNews
from napari_unetic.widgets.run_words import n_threads

if TYPE_CHECKING:
    from napari_unetic.training.run import Run

OUTPUT_FILE = "output.txt"
"""What the process prints: its errors, if it has any."""

POLL_MS = 300
_OUTPUT_BYTES = 4000
_NICENESS = 5

_PROCESSES: list[subprocess.Popen[bytes]] = []
"""Those that were started; kept, since they may outlive their docks."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of a run ended.

    Parameters
    ----------
    how : {"finished", "stopped", "failed"}
        With a verdict; before it, as it was asked to; or by an error.
    reason : str
        Of a failure, in a sentence.
    """

    how: Literal["finished", "stopped", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run is trained with.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
        Where.
    threads : int, optional
        Of the CPU; all but one if None.
    workers : int, optional
        Processes that make patches ahead; one if None.
    """

    device: str = "auto"
    threads: int | None = None
    workers: int | None = None


def train_command(folder: Path, machine: Machine, spent: float = 0.0) -> list[str]:
    """Return the command that trains a run.

    Parameters
    ----------
    folder : Path
        The run.
    machine : Machine
        What with.
    spent : float
        Seconds of the budget that went by before.
    """
    command = [sys.executable, "-m", "napari_unetic", "train", str(folder)]
    options: dict[str, object] = {
        "device": machine.device,
        "threads": machine.threads or n_threads(),
        "spent": round(spent, 2),
    }
    if machine.workers is not None:
        options["workers"] = machine.workers
    return [*command, *(f"--{name}={value}" for name, value in options.items())]


def start_process(
    folder: Path, machine: Machine, spent: float = 0.0
) -> subprocess.Popen[bytes]:
    """Start training a run in a process that no console and no signal belongs to.

    Parameters
    ----------
    folder, machine, spent
        As `train_command`.

    Raises
    ------
    OSError
        If there is no such program, or the run cannot be written to.
    """
    flags = 0
    if sys.platform == "win32":
        flags = (
            subprocess.CREATE_NO_WINDOW
            | subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        )
    _PROCESSES[:] = [one for one in _PROCESSES if one.poll() is None]
    # A file, not a pipe: the process must not end when the window does.
    with (folder / OUTPUT_FILE).open("wb") as output:
        process = subprocess.Popen(
            train_command(folder.resolve(), machine, spent),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            creationflags=flags,
            start_new_session=sys.platform != "win32",
        )
    _PROCESSES.append(process)
    if sys.platform != "win32":
        # The window goes first where both want a core.
        with suppress(psutil.Error, OSError):
            psutil.Process(process.pid).nice(_NICENESS)
    return process


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process at once, with those that make patches for it."""
    with suppress(psutil.Error, OSError):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.terminate()
    process.terminate()


def is_followed(folder: Path) -> bool:
    """Whether a dock in this process follows a run."""
    alive = [one for one in _TRAININGS if is_alive(one)]
    return any(one.run is not None and one.run.folder == folder for one in alive)


class Training(QObject):
    """One run at a time, from the start of its process to its end.

    Parameters
    ----------
    parent : QObject
        The dock.
    figures : sequence of str
        Which scores of the log are shown; see `RunNews`.
    on_news : callable
        Called when the log has something new, or the picture may have.
    on_end : callable
        Called once with how it ended.
    """

    def __init__(
        self,
        parent: QObject,
        figures: Sequence[str],
        on_news: Callable[[], None],
        on_end: Callable[[Ended], None],
    ) -> None:
        super().__init__(parent)
        self._figures = figures
        self._on_news = on_news
        self._on_end = on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._run: Run | None = None
        self._asked: Literal["", "finish", "stop"] = ""
        self.news: RunNews | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)
        _TRAININGS.add(self)

    @property
    def running(self) -> bool:
        """Whether a run is being followed."""
        return self._run is not None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return bool(self._asked)

    @property
    def run(self) -> Run | None:
        """The run that is followed."""
        return self._run

    def start(self, run: Run, machine: Machine, spent: float = 0.0) -> None:
        """Train a run.

        Parameters
        ----------
        run, machine, spent
            As `train_command`.

        Raises
        ------
        OSError
            If no process can be started.
        """
        assert not self.running
        self._process = start_process(run.folder, machine, spent)
        self._follow(run)

    def watch(self, run: Run) -> None:
        """Follow a run that a process trains already."""
        assert not self.running
        self._follow(run)

    def _follow(self, run: Run) -> None:
        self._run, self._asked = run, ""
        self.news = RunNews(run.folder, self._figures)
        self._timer.start()

    def stop(self) -> None:
        """Ask it to end with the step at hand: judged, if it has learnt anything."""
        if self._run is None or self.news is None:
            return
        self._asked = "finish" if self.news.has_learnt else "stop"
        self._ask()

    def halt(self) -> None:
        """Ask it to end with the step at hand; it can be gone on with."""
        if self._run is None:
            return
        self._asked = "stop"
        self._ask()
        if self._process is not None and not (self.news and self.news.has_learnt):
            # It may not listen yet, and has nothing to keep.
            end_process(self._process)

    def let_go(self) -> None:
        """Follow it no more; it goes on by itself."""
        self._forget()

    def _ask(self) -> None:
        # Again and again: a process that has just begun clears away earlier wishes.
        if self._run is not None and self._asked:
            with suppress(OSError):
                ask = self._run.request_stop
                (self._run.request_finish if self._asked == "finish" else ask)()

    def _poll(self) -> None:
        run, news = self._run, self.news
        if run is None or news is None:
            return
        self._ask()
        # First whether it has ended, so that nothing it wrote before is missed.
        ended = self._has_ended(run)
        while news.read() and ended:
            pass
        self._on_news()
        if ended:
            how = self._how(run)
            self._forget()
            self._on_end(how)

    def _has_ended(self, run: Run) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return run.trainer is None

    def _how(self, run: Run) -> Ended:
        if run.is_finished:
            return Ended("finished")
        code = None if self._process is None else self._process.returncode
        if code == 0 or self._asked == "stop":
            return Ended("stopped")
        return Ended("failed", failure(run.folder, code))

    def _forget(self) -> None:
        self._timer.stop()
        self._process, self._run, self._asked = None, None, ""


_TRAININGS: WeakSet[Training] = WeakSet()


def failure(folder: Path, code: int | None) -> str:
    """Say why the process of a run died, in a sentence.

    Parameters
    ----------
    folder : Path
        The run.
    code : int or None
        The exit code; negative for a signal, None where it is not known.
    """
    said = _last_words(folder)
    go_on = "what was learnt is kept, go on with it"
    if said:
        return f"The training ended early: {said}"
    if code is not None and code < 0:
        return (
            f"The training was ended from outside (signal {-code}), perhaps because "
            f"the memory ran out; {go_on}, or take smaller patches."
        )
    return f"The training ended early without a word; {go_on}."


def _last_words(folder: Path) -> str:
    """Return the last line that the process printed of an error, or nothing."""
    try:
        with (folder / OUTPUT_FILE).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _OUTPUT_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    # Lines of progress are no reason.
    said = [line for line in said if not line.startswith(("train: ", "note: "))]
    return said[-1].removeprefix("unetic: error: ") if said else ""
