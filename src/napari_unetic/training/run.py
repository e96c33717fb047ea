"""The run: a folder that holds a whole training.

``run.json``      what is trained on what, complete before the first step
``checkpoints/``  the state, to go on from
``log.jsonl``     one JSON object a line
``curves.png``    the learning curves, at the end
``model/``        the best model so far
``lock``          who trains it now
``stop``          makes the training end with its current step
``finish``        the same, and then tune and judge as if the budget were spent
``finished``      there once all is done
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_unetic.errors import UneticError
from napari_unetic.model.description import ModelDescription
from napari_unetic.pairs.entries import Entry
from napari_unetic.pairs.pair import Pair
from napari_unetic.training.settings import TrainSettings

RUN_FORMAT: Final = "napari-unetic run"
RUN_FORMAT_VERSION: Final = 1

PLAN_FILE = "run.json"

PAIRS = "pairs"
"""The folder of the pairs of a run that holds them."""


class PairRecord(BaseModel):
    """Where the files of a pair lie, and the hash of its image's pixels.

    Paths are absolute, or relative to the run folder for pairs that are in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    image: dict[str, str | int]
    labels: tuple[dict[str, str | int], ...]
    one_file_an_object: bool
    axes: str | None
    reviewed: dict[str, str | int] | None = None
    sha256: str
    labels_sha256: str = Field(
        "", description="Of labels and reviewed area, for pairs inside the run."
    )

    @classmethod
    def of(cls, pair: Pair, inside: Path | None = None) -> PairRecord:
        """Describe a pair; its image is read for the hash.

        Parameters
        ----------
        pair : Pair
            As it lies now.
        inside : Path, optional
            A folder that will be the `PAIRS` of the run.
        """
        reviewed = pair.reviewed_entry
        return cls(
            id=pair.id,
            image=_placed(pair.image_entry, inside),
            labels=tuple(_placed(entry, inside) for entry in pair.label_entries),
            one_file_an_object=pair.one_file_an_object,
            axes=pair.axes,
            reviewed=None if reviewed is None else _placed(reviewed, inside),
            sha256=pair.image_hash(),
        )

    def pair(self, folder: Path) -> Pair:
        """Return the pair.

        Parameters
        ----------
        folder : Path
            Of the run.

        Raises
        ------
        UneticError
            If the image is not the one that was described.
        """
        pair = Pair(
            self.id,
            _entry(self.image, folder),
            tuple(_entry(entry, folder) for entry in self.labels),
            self.one_file_an_object,
            self.axes,
            _entry(self.reviewed, folder) if self.reviewed else None,
        )
        if pair.image_hash() != self.sha256:
            raise UneticError(
                f"Expected the image of {self.id} as it was when the training began, "
                f"got another in {pair.image_entry.name}; put it back, or start a new "
                "run."
            )
        return pair


def _placed(entry: Entry, inside: Path | None) -> dict[str, str | int]:
    path = Path(entry.path).resolve()
    if inside is not None and path.is_relative_to(inside.resolve()):
        path = Path(PAIRS, path.relative_to(inside.resolve()))
        return {**asdict(entry), "path": path.as_posix()}
    return {**asdict(entry), "path": str(path)}


def _entry(values: dict[str, str | int], folder: Path) -> Entry:
    # Joined to a folder, an absolute path stays itself.
    said: dict[str, Any] = {**values, "path": str(folder / str(values["path"]))}
    return Entry(**said)


class PlaneRecord(BaseModel):
    """Of a pair inside a fine-tuning: where it comes from, what of it is held out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("", description="Image that the plane was taken from.")
    plane: tuple[int, ...] = ()
    range: tuple[tuple[float, float], ...] | None = Field(
        None, description="Intensities of each channel that become 0 and 1."
    )
    held_out: tuple[int, ...] = Field(
        (), description="Numbers of the objects that are only judged by."
    )


class FinetunePlan(BaseModel):
    """What a fine-tuning has beside a training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent_name: str = Field(description="Name of the model it starts from.")
    diameter_px: float = Field(
        gt=0, description="Median of the objects to learn from, in their images."
    )
    planes: tuple[PlaneRecord, ...] = Field(description="One for each training pair.")
    notices: tuple[str, ...] = ()


class RunPlan(BaseModel):
    """What a run trains on what; ``run.json`` holds just this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["napari-unetic run"] = RUN_FORMAT
    format_version: Literal[1] = RUN_FORMAT_VERSION
    settings: TrainSettings
    description: ModelDescription = Field(
        description="The model to be, as far as it is known before training."
    )
    parent: str = Field("", description="Weights' SHA-256 of the model it starts from.")
    train: tuple[PairRecord, ...]
    validation: tuple[PairRecord, ...]
    finetune: FinetunePlan | None = Field(
        None, description="Of a fine-tuning, which validates on held-out objects."
    )
    created: str
    software: dict[str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder.

    Parameters
    ----------
    folder : Path
        Where it is.
    plan : RunPlan
        What ``run.json`` says.
    """

    folder: Path
    plan: RunPlan

    @classmethod
    def create(
        cls, folder: Path, plan: RunPlan, prepare: Callable[[Path], None]
    ) -> Run:
        """Make a run folder; it appears whole.

        Parameters
        ----------
        folder : Path
            Must not exist.
        plan : RunPlan
            To be written.
        prepare : callable
            Called with the folder before it gets its name, to write the first
            checkpoint.

        Raises
        ------
        UneticError
            If the folder exists or cannot be made.
        """
        refuse_existing(folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        except OSError as error:
            raise UneticError(
                f"Expected to write the run {folder}, got {error.strerror}; choose "
                "another folder."
            ) from error
        try:
            part.chmod(0o755)
            text = plan.model_dump_json(indent=1) + "\n"
            (part / PLAN_FILE).write_text(text, encoding="utf-8")
            prepare(part)
            refuse_existing(folder)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return cls(folder, plan)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a run folder.

        Raises
        ------
        UneticError
            If it is none, damaged or too new.
        """
        path = folder / PLAN_FILE
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise UneticError(
                f"Expected a run folder with a readable {PLAN_FILE}, got {folder} "
                f"({error}); start a new run."
            ) from error
        if not isinstance(content, dict) or content.get("format") != RUN_FORMAT:
            raise UneticError(
                f"Expected the run format {RUN_FORMAT!r} in {path}, got another file; "
                "give a folder that unetic train made."
            )
        if content.get("format_version") != RUN_FORMAT_VERSION:
            raise UneticError(
                f"Expected run format version {RUN_FORMAT_VERSION} in {path}, got "
                f"{content.get('format_version')!r}; update napari-unetic."
            )
        try:
            return cls(folder, RunPlan.model_validate(content))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise UneticError(
                f"Expected a valid plan in {path}, got a wrong {field!r} "
                f"({first['msg']}); start a new run."
            ) from error

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """Folder of the best model so far."""
        return self.folder / "model"

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.folder / "finished").exists()

    @property
    def trainer(self) -> str | None:
        """The process that trains it now, by its number; None if there is none."""
        return _holder(self.folder / "lock")

    def set_finished(self) -> None:
        """Mark the run as done."""
        (self.folder / "finished").touch()

    def request_stop(self) -> None:
        """Make the training end with its current step."""
        (self.folder / "stop").touch()

    @property
    def is_stop_requested(self) -> bool:
        """Whether the training was told to end."""
        return (self.folder / "stop").exists()

    def tidy(self) -> None:
        """Remove what a killed training left half written."""
        for path in self.folder.glob(".*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(".lock-"):
                path.unlink(missing_ok=True)

    def request_finish(self) -> None:
        """Make the training end with its current step, and tune and judge."""
        (self.folder / "finish").touch()

    @property
    def is_finish_requested(self) -> bool:
        """Whether the training was told that it is enough."""
        return (self.folder / "finish").exists()

    def clear_stop(self) -> None:
        """Take back a request to stop or to finish."""
        (self.folder / "stop").unlink(missing_ok=True)
        (self.folder / "finish").unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run against a second writer.

        The lock of a process that is gone is taken over.

        Raises
        ------
        UneticError
            If another process trains the run.
        """
        lock = self.folder / "lock"
        while not _take(lock):
            holder = _holder(lock)
            if holder is not None:
                raise UneticError(
                    f"Expected a run that nobody trains, got {self.folder}, which "
                    f"process {holder} trains; wait for it, or stop it."
                )
            lock.unlink(missing_ok=True)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that is there already."""
    if folder.exists():
        raise UneticError(
            f"Expected a new folder for the run, got {folder}, which exists; choose "
            "another name, or go on with it (unetic train RUN)."
        )


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "pid": process.pid,
        "started": process.create_time(),
        "host": socket.gethostname(),
    }


def _take(lock: Path) -> bool:
    """Make the lock file with our name in it, in one step; False if it is there."""
    part = lock.with_name(f".lock-{os.getpid()}")
    part.write_text(json.dumps(_me()), encoding="utf-8")
    try:
        os.link(part, lock)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links: not in one step, but still exclusive.
        try:
            with lock.open("x", encoding="utf-8") as file:
                file.write(json.dumps(_me()))
        except FileExistsError:
            return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _holder(lock: Path) -> str | None:
    """Name the process that holds the lock, or None if it is gone."""
    try:
        said = json.loads(lock.read_bytes())
        pid, started, host = int(said["pid"]), float(said["started"]), said["host"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        # Somebody may be writing it at this very moment on a file system without
        # links; a lock that stays unreadable is nobody's.
        return None
    if host != socket.gethostname():
        return f"{pid} on {host}"
    try:
        is_same = abs(psutil.Process(pid).create_time() - started) < 1
    except psutil.Error:
        return None
    return str(pid) if is_same else None
