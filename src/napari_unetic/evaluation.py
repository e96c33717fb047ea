"""Score label images against ground truth, and a model against pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from napari_unetic.errors import UneticError
from napari_unetic.image.reading import IMAGE_SUFFIXES, read_labels
from napari_unetic.kinds import AnyScores, ClassKind, Kind, ObjectKind, Row
from napari_unetic.pairs.assemble import Annotation
from napari_unetic.pairs.entries import Entry, list_entries
from napari_unetic.pairs.label_files import image_name, label_files, match_names
from napari_unetic.pairs.pair import Pairs
from napari_unetic.pairs.readers import read_pairs
from napari_unetic.pairs.selection import expand_ids
from napari_unetic.semantic.targets import semantic_target
from napari_unetic.steps import Step, Steps, drain

if TYPE_CHECKING:
    from napari_unetic.image.source import ArrayLike, Image
    from napari_unetic.model.folder import Model
    from napari_unetic.predict import Segmentation

Location: TypeAlias = str | os.PathLike[str]
Reader: TypeAlias = Callable[[], Annotation]


def score(
    pred: Location | ArrayLike,
    truth: Location | ArrayLike,
    *,
    labels: Location | None = None,
    ids: str | Sequence[str] | None = None,
    exclude_ids: str | Sequence[str] | None = None,
    classes: str | Sequence[str] | None = None,
) -> AnyScores:
    """Score label images against true ones.

    Parameters
    ----------
    pred : array, file, folder or zip
        Predicted labels.
    truth : array, file, folder or zip
        True labels of the same kind (array or file, or folder or zip); or a data set
        with its images, as `napari_unetic.pairs.read_pairs` takes it.
    labels : path, optional
        Where the truth is a data set: take its labels from here instead, by id.
    ids, exclude_ids : str or sequence of str, optional
        Score these only, or leave these out: ids or ``FILE.json:KEY`` texts.
    classes : str or sequence of str, optional
        The images show classes of pixels, not objects: names of class 1, 2, ... Masks
        are read by the rule of `napari_unetic.semantic.masks`.

    Returns
    -------
    Scores, or ClassScores with `classes`
        One row an image, in the order of the names.

    Raises
    ------
    UneticError
        If a file cannot be read, shapes differ, or a true image has no prediction.

    Notes
    -----
    Names match without suffix and without ``_labels``, ``_masks`` or the like; where a
    folder has files with such an ending, its other files are taken for images.
    Subfolders count only where the names alone would match twice. Binary masks are
    taken apart into connected pieces.

    Examples
    --------
    >>> import numpy as np
    >>> score(np.array([[1, 1, 0]]), np.array([[5, 5, 5]])).pooled("ap")["0.65"]
    1.0
    """
    return drain(
        score_steps(
            pred,
            truth,
            labels=labels,
            ids=ids,
            exclude_ids=exclude_ids,
            classes=classes,
        )
    )


def score_steps(
    pred: Location | ArrayLike,
    truth: Location | ArrayLike,
    *,
    labels: Location | None = None,
    ids: str | Sequence[str] | None = None,
    exclude_ids: str | Sequence[str] | None = None,
    classes: str | Sequence[str] | None = None,
) -> Steps[AnyScores]:
    """Yield steps and return what `score` returns; see there for the parameters."""
    kind: Kind = ObjectKind()
    if classes is not None:
        names = [classes] if isinstance(classes, str) else classes
        kind = ClassKind(semantic_target(names))
    if _is_folder(pred) and _is_folder(truth):
        true, notices = _true_readers(kind, truth, labels, ids, exclude_ids)
        files = label_files(pred)
        found = match_names(files.by_name, true, pred)
        notices.extend(files.notices)
        n_extra = len(files.by_name) - len(found)
        if n_extra and ids is None and exclude_ids is None:
            notices.append(
                f"Predictions left out because they have no truth: {n_extra}."
            )
        work = {key: (_entry_reader(kind, found[key]), true[key]) for key in true}
    elif _is_folder(pred) or _is_folder(truth):
        raise UneticError(
            "Expected two arrays or files, or two folders or zips, got one of each; "
            "name the same kind for prediction and truth."
        )
    else:
        both = _reader(kind, pred), _reader(kind, truth)
        work, notices = {_name(truth): both}, []
    for notice in notices:
        yield Step(0, len(work), "scoring", notice=notice)
    rows: list[Row] = []
    total: Row | None = None
    for name, (read_pred, read_truth) in work.items():
        predicted, true_one = read_pred(), read_truth()
        rows.append(_score_one(kind, true_one.labels, predicted.labels, name))
        total = kind.add(total, rows[-1])
        said = predicted.notices + true_one.notices
        notices.extend(said)
        for notice in said:
            yield Step(len(rows), len(work), "scoring", notice=notice)
        yield Step(len(rows), len(work), "scoring", kind.so_far(total))
    return kind.scores(rows, notices=tuple(dict.fromkeys(notices)))


def evaluate(
    pairs: Pairs | Location,
    model: Model | str | Path = "nuclei",
    *,
    channel: int | None = None,
    diameter: float | str | None = "auto",
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
    threads: int | None = None,
) -> AnyScores:
    """Segment the images of pairs with a model and score the result.

    Parameters
    ----------
    pairs : Pairs or path
        Images with labels; a path is read by `napari_unetic.pairs.read_pairs`.
    model : Model, str or path
        A model, or the name or folder of one.
    channel, diameter, pixel_size, device, tile
        As in `napari_unetic.predict.segment`.
    threads : int, optional
        CPU threads of the network while this runs; torch's own number if None.

    Returns
    -------
    Scores, or ClassScores where the model tells classes
        One row a pair, with the seconds from normalising to labels and the number of
        threads.

    Raises
    ------
    UneticError
        If a file, the model or a setting does not fit.
    """
    return drain(
        evaluate_steps(
            pairs,
            model,
            channel=channel,
            diameter=diameter,
            pixel_size=pixel_size,
            device=device,
            tile=tile,
            threads=threads,
        )
    )


def evaluate_steps(
    pairs: Pairs | Location,
    model: Model | str | Path = "nuclei",
    *,
    channel: int | None = None,
    diameter: float | str | None = "auto",
    pixel_size: float | None = None,
    device: str = "auto",
    tile: int | None = None,
    threads: int | None = None,
) -> Steps[AnyScores]:
    """Yield steps and return what `evaluate` returns; see there for the parameters."""
    from napari_unetic.model.registry import load_model

    loaded = load_model(model)
    if not isinstance(pairs, Pairs):
        as_classes = loaded.description.kind.noun == "classes"
        pairs = read_pairs(pairs, as_classes=as_classes)
    settings: dict[str, Any] = {
        "channel": channel,
        "diameter": diameter,
        "pixel_size": pixel_size,
        "device": device,
        "tile": tile,
    }
    notices = list(pairs.notices)
    for notice in notices:
        yield Step(0, len(pairs), "evaluating", notice=notice)
    kind = loaded.description.kind
    rows: list[Row] = []
    total: Row | None = None
    seconds: list[float] = []
    with _threads(threads) as n_threads:
        for pair in pairs:
            image, labels = kind.read(pair)
            at = (len(rows), len(pairs))
            # Read now, so that reading is no part of the seconds.
            image = replace(image, data=np.asarray(image.data))
            result = yield from _segment(image, loaded, at, settings)
            reviewed = pair.reviewed(labels.shape)
            rows.append(_score_one(kind, labels, result.labels, pair.id, reviewed))
            total = kind.add(total, rows[-1])
            seconds.append(result.seconds)
            notices.extend(result.notices)
            yield Step(len(rows), len(pairs), "evaluating", kind.so_far(total))
    return kind.scores(
        rows,
        seconds=tuple(seconds),
        threads=n_threads,
        notices=tuple(dict.fromkeys(notices)),
    )


def _segment(
    image: Image, model: Model, at: tuple[int, int], settings: Mapping[str, Any]
) -> Steps[Segmentation]:
    """Relay the steps of one image as parts of its step among all images."""
    from napari_unetic.predict import segment_steps

    (done, total), part = at, 0.0
    steps = segment_steps(image, model, **settings)
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                result: Segmentation = end.value
                return result
            # An image that is run again at another size begins anew.
            part = max(part, min(step.done / step.total, 1) if step.total else 0)
            yield Step(done + part, total, "evaluating", notice=step.notice)
    finally:
        steps.close()


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Set torch's number of CPU threads for a while, and tell it."""
    import torch

    before = torch.get_num_threads()
    if wanted is not None:
        if wanted < 1:
            raise UneticError(
                f"Expected at least 1 thread, got {wanted}; leave it out for all."
            )
        torch.set_num_threads(wanted)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _score_one(
    kind: Kind,
    truth: NDArray[Any],
    pred: NDArray[Any],
    name: str,
    reviewed: NDArray[np.bool_] | None = None,
) -> Row:
    try:
        return kind.score(truth, pred, reviewed, name=name)
    except UneticError as error:
        raise UneticError(f"{name}: {error}") from error


def _is_folder(source: Location | ArrayLike) -> TypeGuard[Location]:
    """Whether a source is a folder or a zip rather than one label image."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    return path.is_dir() or path.suffix.lower() not in IMAGE_SUFFIXES


def _name(source: Location | ArrayLike) -> str:
    if isinstance(source, str | os.PathLike):
        return image_name(Path(source).name)[0]
    return "image"


def _reader(kind: Kind, source: Location | ArrayLike) -> Reader:
    """Return what reads one label image; an array is taken as it is."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return lambda: kind.take(read_labels(path), Path(path).name)
    array = np.asarray(source)
    return lambda: Annotation(array)


def _entry_reader(kind: Kind, entry: Entry) -> Reader:
    name = entry.name
    return lambda: kind.take(read_labels(entry.open(), name=name), name)


def _true_readers(
    kind: Kind,
    truth: Location,
    labels: Location | None,
    ids: str | Sequence[str] | None,
    exclude_ids: str | Sequence[str] | None,
) -> tuple[dict[str, Reader], list[str]]:
    """Return what reads the true labels, by name, and notices."""
    if labels is not None or _is_data_set(list_entries(truth)):
        pairs = read_pairs(
            truth,
            labels=labels,
            ids=ids,
            exclude_ids=exclude_ids,
            as_classes=kind.noun == "classes",
        )
        by_id: dict[str, Reader] = {
            pair.id: partial(kind.annotation, pair) for pair in pairs
        }
        return by_id, list(pairs.notices)
    files = label_files(truth)
    wanted = set(files.by_name) if ids is None else expand_ids(ids)
    chosen = sorted((files.by_name.keys() & wanted) - expand_ids(exclude_ids))
    if not chosen:
        raise UneticError(
            f"Expected true labels of the chosen ids in {truth}, got none of them; "
            "check the ids."
        )
    found = {key: _entry_reader(kind, files.by_name[key]) for key in chosen}
    return found, list(files.notices)


def _is_data_set(entries: Mapping[str, Entry]) -> bool:
    """Whether there are images beside labels, as `read_pairs` knows them."""
    folders = {part for name in entries for part in PurePosixPath(name).parts[:-1]}
    return "images" in folders and bool({"labels", "masks"} & folders)
