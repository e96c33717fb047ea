"""Which pairs: lists of ids in JSON files, and what is held out of training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unetic.errors import UneticError
from napari_unetic.image.guards import as_text

if TYPE_CHECKING:
    from napari_unetic.pairs.pair import Pairs

_MARK = ".json:"


def read_ids(text: str) -> frozenset[str]:
    """Return the ids that ``FILE.json:KEY`` names.

    Parameters
    ----------
    text : str
        FILE ends at the last ``.json:``, so a drive letter does no harm. KEY names a
        list in FILE; or FILE maps ids to texts, and KEY is the text.

    Returns
    -------
    frozenset of str
        The ids.

    Raises
    ------
    UneticError
        If the text has another form, FILE cannot be read, or KEY is not in it.
    """
    at = text.lower().rfind(_MARK)
    if at < 0:
        raise UneticError(
            f"Expected ids as FILE.json:KEY, got {text!r}; name a JSON file and a list "
            "in it."
        )
    end = at + len(_MARK) - 1
    file, key = Path(text[:end]), text[end + 1 :]
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, RecursionError, ValueError) as error:
        raise UneticError(
            f"Expected a readable JSON file of ids, got {as_text(file)}; check the "
            "path and the file."
        ) from error
    if not isinstance(content, dict):
        raise UneticError(
            f"Expected a JSON object that holds lists of ids, got "
            f"{type(content).__name__} in {file}; write {{'train': [...]}}."
        )
    listed = content.get(key)
    if isinstance(listed, list):
        if all(isinstance(one, str | int) for one in listed):
            return frozenset(str(one) for one in listed)
        raise UneticError(
            f"Expected a list of ids under {key!r} in {file}, got other things in it; "
            "list the ids as texts."
        )
    ids = frozenset(one for one, value in content.items() if value == key)
    if not ids:
        raise UneticError(
            f"Expected one of {', '.join(_keys(content))} in {file}, got {key!r}; "
            "choose a list that is there."
        )
    return ids


def expand_ids(texts: str | Iterable[str] | None) -> frozenset[str]:
    """Return ids out of texts, each an id or ``FILE.json:KEY`` (see `read_ids`)."""
    if texts is None:
        return frozenset()
    texts = [texts] if isinstance(texts, str) else texts
    found: frozenset[str] = frozenset()
    for text in texts:
        found |= read_ids(text) if _MARK in text.lower() else {text}
    return found


def split(
    pairs: Pairs,
    *,
    val_ids: str | Sequence[str] | None = None,
    val_fraction: float = 0.1,
    seed: int = 0,
) -> tuple[Pairs, Pairs]:
    """Return the pairs to train on and the pairs to validate on; none is in both.

    Parameters
    ----------
    pairs : Pairs
        All of them.
    val_ids : str or sequence of str, optional
        Ids to validate on, or ``FILE.json:KEY`` texts that name them. They are never
        among the pairs to train on.
    val_fraction : float
        Share of the pairs to validate on where `val_ids` is None, at least one pair
        of two or more; 0 for none.
    seed : int
        Chooses among the ways to split by share. The choice depends on the ids alone,
        not on their order.

    Returns
    -------
    train, val : Pairs
        In the order of `pairs`.

    Raises
    ------
    UneticError
        If `val_ids` names none of the pairs, the share is not within 0 and 1, or
        nothing is left to train on.
    """
    if val_ids is not None:
        held = expand_ids(val_ids)
        n_lacking = len(held - set(pairs.ids))
        if n_lacking == len(held):
            raise UneticError(
                f"Expected validation ids out of {pairs.source}, got {len(held)} of "
                "which none is there; check the list."
            )
        notices = (_lacking_notice("validation ids", n_lacking),) if n_lacking else ()
    else:
        if not 0 <= val_fraction < 1:
            raise UneticError(
                f"Expected a validation share of 0 to below 1, got {val_fraction}; "
                "give for example 0.1."
            )
        ranked = sorted(pairs.ids, key=lambda one: _rank(seed, one))
        n_val = round(val_fraction * len(ranked))
        if val_fraction > 0 and len(ranked) > 1:
            n_val = min(max(n_val, 1), len(ranked) - 1)
        held, notices = frozenset(ranked[:n_val]), ()
    train = pairs.where(lambda pair: pair.id not in held)
    val = pairs.where(lambda pair: pair.id in held, *notices)
    if not train:
        raise UneticError(
            f"Expected pairs to train on in {pairs.source}, got only validation ids; "
            "hold fewer out."
        )
    return train, val


def select(
    pairs: Pairs,
    ids: str | Sequence[str] | None,
    exclude_ids: str | Sequence[str] | None,
    *,
    known: Collection[str] | None = None,
) -> Pairs:
    """Return the pairs with `ids` (all if None), less those with `exclude_ids`.

    Ids that are not `known` (those of the pairs, if None) are counted in a notice.
    """
    excluded = expand_ids(exclude_ids)
    if ids is None:
        return pairs.where(lambda pair: pair.id not in excluded)
    wanted = expand_ids(ids) - excluded
    n_lacking = len(wanted.difference(pairs.ids if known is None else known))
    notices = (_lacking_notice("chosen ids", n_lacking),) if n_lacking else ()
    return pairs.where(lambda pair: pair.id in wanted, *notices)


def _lacking_notice(what: str, n_lacking: int) -> str:
    return f"{what.capitalize()} left out because the data set lacks them: {n_lacking}."


def _rank(seed: int, one: str) -> bytes:
    """Return what orders ids at random: a hash of the seed and the id."""
    return hashlib.sha256(f"{seed}|{one}".encode("utf-8", "surrogatepass")).digest()


def _keys(content: dict[str, Any]) -> list[str]:
    """Return what could have been asked of a JSON file of ids."""
    lists = [key for key, value in content.items() if isinstance(value, list)]
    texts = sorted({value for value in content.values() if isinstance(value, str)})
    return [repr(key) for key in (lists + texts)[:10]] or ["a list"]
