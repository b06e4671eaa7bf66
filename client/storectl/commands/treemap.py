"""A treemap: boxes whose areas are values, as near to squares as can be. Pure.

Source of the algorithm: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``x`` and ``y`` are those of its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Width times height."""
        return self.width * self.height

    def within(self, left: float, top: float, right: float, bottom: float) -> "Box":
        """The box without these margins; it may be empty, never less."""
        width, height = max(0.0, self.width - left - right), max(0.0, self.height - top - bottom)
        return Box(self.x + left, self.y + top, width, height)


def squarified(values: Sequence[float], box: Box) -> list[Box]:
    """A box for each value, in their order. They fill the given box. Values are above 0, the largest comes first."""
    total = sum(values)
    areas = [value * box.area / total for value in values]
    boxes: list[Box] = []
    while areas:
        count = _best_row(areas, min(box.width, box.height))
        row, box = _laid(areas[:count], box)
        boxes += row
        areas = areas[count:]
    return boxes


def _best_row(areas: Sequence[float], side: float) -> int:
    """How many of these areas make the best row along the side: one more would be further from squares."""
    best, total = float("inf"), 0.0
    for count, area in enumerate(areas, 1):
        total += area
        # The first is the largest, this one the smallest of the row: one of the two is the furthest from a square.
        worst = max(side * side * areas[0] / (total * total), total * total / (side * side * area)) if side else 1.0
        if worst > best:
            return count - 1
        best = worst
    return len(areas)


def _laid(row: Sequence[float], box: Box) -> tuple[list[Box], Box]:
    """The boxes of a row along the shorter side of the box, and what is left of it."""
    total = sum(row)
    if box.width >= box.height:
        depth = total / box.height if box.height else 0.0
        boxes, y = [], box.y
        for area in row:
            height = area / depth if depth else 0.0
            boxes.append(Box(box.x, y, depth, height))
            y += height
        return boxes, Box(box.x + depth, box.y, max(0.0, box.width - depth), box.height)
    turned, rest = _laid(row, Box(box.y, box.x, box.height, box.width))
    return [_turned(each) for each in turned], _turned(rest)


def _turned(box: Box) -> Box:
    return Box(box.y, box.x, box.height, box.width)
