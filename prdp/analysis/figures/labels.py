"""Labels beside points, placed so that no label covers another, a point or a line."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

# In points: the distances of a label from its point, and the room around a label.
_DISTANCES = (4.0, 8.0, 13.0, 19.0, 26.0, 34.0, 44.0)
_ROOM = 0.8
# Right, left, above, below, then between them.
_ANGLES = tuple(math.radians(a) for a in (0, 180, 90, 270, *(30 * i for i in range(1, 12) if i % 3)))
# From this distance on, a line connects label and point.
_LINE_FROM = 8.0
# How far a label may extend above the panel, because points may lie on its edge.
_ABOVE = 5.0
# Distance between the points that represent a line.
_STEP = 1.5
_SIZE = 6.5

Point = tuple[float, float]


class Label(NamedTuple):
    """The label of a point.

    Attributes:
        x: of the point, in data coordinates.
        y: likewise.
        text: the label; empty for a point without label, which is kept free.
        colour: of the text.
        bold: whether it is bold.
    """

    x: float
    y: float
    text: str
    colour: str = "black"
    bold: bool = False


class _Place(NamedTuple):
    """A place for a label, in points from the corner of the figure, and the line to its point."""

    box: Bbox
    line: np.ndarray


def label_points(
    ax: Axes, labels: Sequence[Label], curve: Sequence[Point] = (), radius: float = 3.0
) -> list[str]:
    """Label the points of a panel, the first points first; return the labels without room.

    The panel must have its final position and limits: see `Figure.draw_without_rendering`.

    Args:
        ax: the panel.
        labels: all of its points.
        curve: corners of a line in data coordinates, which is kept free.
        radius: of the points, in points.
    """
    scale = _points_per_pixel(ax)
    inside = Bbox(ax.get_window_extent().get_points() * scale + [[0, 0], [0, _ABOVE]])
    points = [_centre(ax, label, scale) for label in labels]
    taken = [_box(point, 2 * radius, 2 * radius) for point in points]
    lines = _along(ax.transData.transform(np.reshape(curve, (-1, 2))) * scale)
    left_out = []
    for label, point in zip(labels, points, strict=True):
        if not label.text:
            continue
        places = _places(point, *_extent(ax, label, scale), radius)
        # The first boxes are those of the points, which lines may cross.
        chosen = next((p for p in places if _is_free(p, inside, taken, taken[len(points) :], lines)), None)
        if chosen is None:
            left_out.append(label.text)
            continue
        _put(ax, label, point, chosen)
        taken.append(chosen.box)
        lines = np.vstack([lines, chosen.line])
    return left_out


def _points_per_pixel(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return 72 / figure.dpi


def _centre(ax: Axes, label: Label, scale: float) -> Point:
    x, y = ax.transData.transform((label.x, label.y)) * scale
    return float(x), float(y)


def _extent(ax: Axes, label: Label, scale: float) -> Point:
    text = ax.text(0, 0, label.text, size=_SIZE, weight="bold" if label.bold else "normal")
    extent = text.get_window_extent()
    text.remove()
    return extent.width * scale + 2 * _ROOM, extent.height * scale + 2 * _ROOM


def _box(centre: Point, width: float, height: float) -> Bbox:
    x, y = centre
    return Bbox.from_extents(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _places(point: Point, width: float, height: float, radius: float) -> Iterator[_Place]:
    for distance in _DISTANCES:
        for angle in _ANGLES:
            along = np.array([math.cos(angle), math.sin(angle)])
            centre = np.array(point) + along * (distance + radius / 2 + np.array([width, height]) / 2)
            box = _box((float(centre[0]), float(centre[1])), width, height)
            end = np.clip(point, box.min, box.max)
            line = _along(np.array([point, end]))
            yield _Place(box, line if distance >= _LINE_FROM else line[:0])


def _along(corners: np.ndarray) -> np.ndarray:
    """Return points along a line, close to each other."""
    parts = [np.empty((0, 2))]
    for a, b in pairwise(corners):
        steps = np.linspace(0, 1, 2 + int(np.linalg.norm(b - a) / _STEP))
        parts.append(a + steps[:, None] * (b - a))
    return np.vstack(parts)


def _is_free(place: _Place, inside: Bbox, taken: list[Bbox], names: list[Bbox], lines: np.ndarray) -> bool:
    box = place.box
    within = bool(np.all(box.min >= inside.min) and np.all(box.max <= inside.max))
    if not within or box.count_overlaps(taken) or _touches(lines, box):
        return False
    return not any(_touches(place.line, name) for name in names) and not _meet(place.line, lines)


def _touches(line: np.ndarray, box: Bbox) -> bool:
    return bool(np.any(np.all((line >= box.min) & (line <= box.max), axis=1)))


def _meet(line: np.ndarray, others: np.ndarray) -> bool:
    # A line may begin on the Pareto front.
    away = line[np.linalg.norm(line - line[:1], axis=1) > 2 * _STEP]
    return bool(np.any(np.linalg.norm(away[:, None] - others[None], axis=2) < _STEP))


def _put(ax: Axes, label: Label, point: Point, place: _Place) -> None:
    x, y = (np.array(place.box.min) + np.array(place.box.max)) / 2 - np.array(point)
    text = ax.annotate(
        label.text,
        (label.x, label.y),
        xytext=(float(x), float(y)),
        textcoords="offset points",
        ha="center",
        va="center",
        size=_SIZE,
        color=label.colour,
        weight="bold" if label.bold else "normal",
        zorder=6,
    )
    text.set_in_layout(False)
    if len(place.line):
        pixels = place.line[[0, -1]] / _points_per_pixel(ax)
        ends = np.asarray(ax.transData.inverted().transform(pixels))
        ax.plot(ends[:, 0], ends[:, 1], color=label.colour, linewidth=0.4, alpha=0.6, zorder=1)
