"""A part of an image, as polygons: the pixels of it, and the box around it.

A pixel belongs to a polygon if its centre does, which lies at whole numbers. Edges
above and to the left count as inside, edges below and to the right as outside, so that
a box covers the pixels that a slice of the same numbers covers, and boxes that share an
edge share no pixel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_unetic.errors import UneticError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vertex: TypeAlias = tuple[float, float]
Polygon: TypeAlias = tuple[Vertex, ...]

_HOW = (
    "give a box as y0,x0,y1,x1 or polygons as [[[y, x], [y, x], [y, x], ...], ...] in "
    "pixels"
)


@dataclass(frozen=True, slots=True)
class Region:
    """One or more polygons in an image; what lies in any of them lies in the region.

    Parameters
    ----------
    polygons : sequence of sequence of (float, float)
        Vertices (y, x) in pixels of the image, the centre of the first pixel at
        (0, 0); three or more each. Where a polygon crosses itself, parts that it
        goes around an even number of times are outside.

    Raises
    ------
    UneticError
        If there is no polygon, or a polygon has fewer than three vertices or
        coordinates that are no finite numbers.

    Examples
    --------
    >>> Region.box(1, 2, 3, 4).bounds((10, 10))
    (slice(1, 3, None), slice(2, 4, None))
    >>> Region(([(0, 0), (0, 4), (4, 0)],)).mask(slice(0, 3), slice(0, 3)).sum()
    np.int64(8)
    """

    polygons: tuple[Polygon, ...]

    def __post_init__(self) -> None:
        polygons = tuple(_polygon(points) for points in self.polygons)
        if not polygons:
            raise UneticError(f"Expected a region of polygons, got none; {_HOW}.")
        object.__setattr__(self, "polygons", polygons)

    @classmethod
    def box(cls, y0: float, x0: float, y1: float, x1: float) -> Region:
        """Return the region of rows from `y0` to `y1` and columns from `x0` to `x1`.

        It covers the pixels of ``image[y0:y1, x0:x1]``.

        Raises
        ------
        UneticError
            If the box is empty.
        """
        if not (y1 > y0 and x1 > x0):
            numbers = ",".join(_number(value) for value in (y0, x0, y1, x1))
            raise UneticError(
                f"Expected a box y0,x0,y1,x1 with y1 above y0 and x1 above x0, got "
                f"{numbers}; swap the numbers."
            )
        return cls((((y0, x0), (y0, x1), (y1, x1), (y1, x0)),))

    @classmethod
    def of(cls, value: object) -> Region:
        """Return the region that a text or nested sequences stand for.

        Parameters
        ----------
        value : Region, str or sequence
            Four numbers ``y0, x0, y1, x1`` for a box, one polygon as its vertices, or
            several; as a text, ``10,20,300,400`` or JSON. Arrays are taken, too.

        Returns
        -------
        Region

        Raises
        ------
        UneticError
            If it stands for no region.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.of(_parsed(value))
        try:
            depth, plain = _plain(value)
            if depth == 1 and len(plain) == 4:
                return cls.box(*(float(v) for v in plain))
            if depth in (2, 3):
                return cls(
                    tuple(_polygon(p) for p in (plain if depth == 3 else [plain]))
                )
        except (TypeError, ValueError) as error:
            if isinstance(error, UneticError):
                raise
        raise UneticError(f"Expected a region, got {_short(value)}; {_HOW}.")

    def bounds(self, shape_yx: tuple[int, int], margin: int = 0) -> tuple[slice, slice]:
        """Return the box around the region's pixels, with a margin, in the image.

        Parameters
        ----------
        shape_yx : tuple of int
            Rows and columns of the image.
        margin : int
            Pixels more on each side, as far as the image goes.

        Returns
        -------
        tuple of slice
            Rows and columns.

        Raises
        ------
        UneticError
            If the region has no pixel in the image.
        """
        box = []
        for axis, size in enumerate(shape_yx):
            values = [vertex[axis] for points in self.polygons for vertex in points]
            # A centre belongs to the edge below it, not to the one above it.
            start, stop = math.ceil(min(values)), math.ceil(max(values))
            if max(start, 0) >= min(stop, size):
                raise UneticError(
                    f"Expected a region in an image of {shape_yx[0]} rows and "
                    f"{shape_yx[1]} columns, got {self.text(60)}, which covers no "
                    "pixel of it; move or enlarge the region."
                )
            box.append(slice(max(start - margin, 0), min(stop + margin, size)))
        return box[0], box[1]

    def mask(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Return which pixels of a window lie in the region.

        Parameters
        ----------
        rows, columns : slice
            The window, with start and stop.

        Returns
        -------
        ndarray of shape (rows, columns), bool
        """
        import numpy as np

        shape = rows.stop - rows.start, columns.stop - columns.start
        inside = np.zeros(shape, np.bool_)
        for polygon in self.polygons:
            points = np.asarray(polygon)
            (top, left), (bottom, right) = points.min(axis=0), points.max(axis=0)
            own_rows = _overlap(rows, top, bottom)
            own_columns = _overlap(columns, left, right)
            part = inside[
                own_rows.start - rows.start : own_rows.stop - rows.start,
                own_columns.start - columns.start : own_columns.stop - columns.start,
            ]
            part |= _inside(points, own_rows, own_columns)
        return inside

    @property
    def is_box(self) -> bool:
        """Whether it is just what `box` makes."""
        if len(self.polygons) > 1 or len(self.polygons[0]) != 4:
            return False
        (y0, x0), _, (y1, x1), _ = self.polygons[0]
        return y1 > y0 and x1 > x0 and self == Region.box(y0, x0, y1, x1)

    def to_json(self) -> list[Any]:
        """Return lists of numbers that `of` takes: ``y0, x0, y1, x1`` for a box."""
        if self.is_box:
            (y0, x0), _, (y1, x1), _ = self.polygons[0]
            return [_whole(value) for value in (y0, x0, y1, x1)]
        return [[[_whole(y), _whole(x)] for y, x in points] for points in self.polygons]

    def text(self, longest: int | None = None) -> str:
        """Return the text that `of` takes, cut after `longest` letters where given."""
        text = (
            ",".join(_number(value) for value in self.to_json())
            if self.is_box
            else json.dumps(self.to_json(), separators=(",", ":"))
        )
        return text if longest is None or len(text) <= longest else text[:longest] + "…"


def _polygon(points: Iterable[Sequence[float]]) -> Polygon:
    """Return vertices as pairs of finite numbers, without the repeated first one."""
    try:
        vertices = tuple((float(y), float(x)) for y, x in points)
    except (TypeError, ValueError) as error:
        raise UneticError(
            f"Expected vertices of two numbers, y and x, got {_short(points)}; {_HOW}."
        ) from error
    if len(vertices) > 1 and vertices[0] == vertices[-1]:
        vertices = vertices[:-1]
    if len(vertices) < 3 or not all(map(math.isfinite, sum(vertices, ()))):
        raise UneticError(
            f"Expected a polygon of three or more finite points, got {_short(points)}; "
            "draw it anew."
        )
    return vertices


def _plain(value: Any) -> tuple[int, list[Any]]:
    """Return how deep sequences are nested, and the outer one as a list."""
    items = list(value)
    if not items:
        return 1, items
    if isinstance(items[0], str) or not hasattr(items[0], "__len__"):
        return 1, items
    return 1 + _plain(items[0])[0], items


def _parsed(text: str) -> Any:
    """Return the numbers that a text holds: JSON, or some with commas between."""
    try:
        return json.loads(text if text.lstrip().startswith("[") else f"[{text}]")
    except ValueError as error:
        raise UneticError(f"Expected a region, got {_short(text)}; {_HOW}.") from error


def _overlap(window: slice, low: float, high: float) -> slice:
    """Return the part of a window between two coordinates, perhaps an empty one."""
    start = min(max(math.ceil(low), window.start), window.stop)
    return slice(start, max(start, min(math.ceil(high), window.stop)))


def _inside(
    points: NDArray[np.float64], rows: slice, columns: slice
) -> NDArray[np.bool_]:
    """Return which pixels one polygon goes around an odd number of times."""
    import numpy as np

    shape = rows.stop - rows.start, columns.stop - columns.start
    after = np.roll(points, -1, axis=0)
    upward = points[:, :1] > after[:, :1]
    low, high = np.where(upward, after, points), np.where(upward, points, after)
    first = np.clip(np.ceil(low[:, 0]), rows.start, rows.stop).astype(np.intp)
    n_rows = np.clip(np.ceil(high[:, 0]), rows.start, rows.stop).astype(np.intp) - first
    # One entry for each edge and each row that it crosses.
    edge = np.repeat(np.arange(len(points)), n_rows)
    before = np.cumsum(n_rows) - n_rows
    y = first[edge] + np.arange(edge.size) - before[edge]
    slope = (high[edge, 1] - low[edge, 1]) / (high[edge, 0] - low[edge, 0])
    x = np.ceil(low[edge, 1] + (y - low[edge, 0]) * slope) - columns.start
    turns = np.zeros((shape[0], shape[1] + 1), np.uint8)
    at = np.clip(x, 0, shape[1]).astype(np.intp)
    # Only whether a number is odd matters, so that it may wrap around.
    np.add.at(turns, (y - rows.start, at), 1)
    np.add.accumulate(turns, axis=1, out=turns)
    return (turns[:, :-1] & 1).astype(np.bool_)


def _whole(value: float) -> float | int:
    """Return an int where the number is one."""
    return int(value) if value == int(value) else value


def _number(value: float) -> str:
    return str(_whole(value)) if math.isfinite(value) else str(value)


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:60] + "…"
