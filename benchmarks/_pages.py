"""What writes tables of results into pages shares.

A page has places ``<!-- NAME -->`` … ``<!-- end -->``; no figure in them is typed by
hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Result = dict[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that count, without a leading zero."""
    text = f"{value:.{digits}g}"
    if "e" in text:
        text = f"{value:,.0f}"
    return text[1:] if text.startswith("0.") else text


def about(result: Result) -> str:
    """Return what machine it was, and how fast it then was."""
    machine = result["machine"]
    flags = ", ".join(machine["cpu_flags"])
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    text = f"{machine['date']}, {machine['cpu']} ({flags}), {versions}"
    product = result.get("matrix_product")
    if isinstance(product, dict):
        product = product.get("1 threads", product)
    if product:
        text += f"; a product of two 2048² matrices took {number(product['s'])} s"
    return text + "."


def fill(text: str, name: str, made: str) -> str:
    """Return a page with what stands in one of its places replaced."""
    whole = f"<!-- {name} -->\n\n{made}\n\n<!-- end -->"
    pattern = rf"<!-- {re.escape(name)} -->.*?<!-- end -->"
    text, n = re.subn(pattern, lambda _: whole, text, flags=re.DOTALL)
    if n != 1:
        raise SystemExit(f"Expected one place for {name!r} in the page, got {n}.")
    return text
