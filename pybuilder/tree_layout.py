"""Where boxes and arrows go in a picture: layers from left to right, after Sugiyama, Tagawa and Toda (1981).

Arrows that would close a circle are turned round; each box stands one layer right of the last that points to it; an
arrow over several layers goes through *slots* between their boxes, so it crosses none. Arrows of one channel to one box
share their slots, so that many that lead to it run together like a cable. Rows within a layer are ordered by
the mean of their neighbours' rows; heights are the least squares of the bends that this order allows.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BOX_HEIGHT = 40.0
_ROW_GAP = 14.0
_SLOT_HEIGHT = 4.0
_SWEEPS = 24
# How much more a bend of a cable hurts than one at a box.
_CABLE = 6.0

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrow:
    """A line to draw, between boxes by their index.

    Attributes:
        start: From where.
        end: To where; another box.
        channel: 0 or 1; arrows of one channel to one box run together, and come in beside those of the other.
    """

    start: int
    end: int
    channel: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle, in pixels; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Stroke:
    """A piece of one or more arrows, from left to right.

    Attributes:
        points: Two or three: the last two are the ends of a curve that is level at both; before it a level line.
        arrows: The arrows that it is a piece of, by their index.
        channel: Theirs.
        turned: Whether they really point to the left, as one in each circle must.
        first: Whether it begins at a box.
        last: Whether it ends at a box.
    """

    points: tuple[Point, ...]
    arrows: tuple[int, ...]
    channel: int
    turned: bool
    first: bool
    last: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A picture without words: boxes in the order in which they were given, and what runs between them."""

    boxes: tuple[Box, ...]
    strokes: tuple[Stroke, ...]
    width: float
    height: float


def arrange(widths: Sequence[float], arrows: Sequence[Arrow]) -> Layout:
    """Lay boxes out; the same boxes and arrows in the same order give the same picture.

    Args:
        widths: How wide each box must be at least.
        arrows: What to draw between them.
    """
    return _Arrangement(widths, arrows).layout()


# Two slots with the channel of what runs from the first to the second, and whether it is turned.
_Link = tuple[int, int, int, bool]


class _Arrangement:
    """A layout in the making. A slot is a place in a layer: first come the boxes, then those of cables."""

    def __init__(self, widths: Sequence[float], arrows: Sequence[Arrow]) -> None:
        self.widths = widths
        self.arrows = arrows
        self.turned = _closing(len(widths), arrows)
        ends = [(a.end, a.start) if turned else (a.start, a.end) for a, turned in zip(arrows, self.turned, strict=True)]
        self.layer = _layers(len(widths), ends)
        self.links: dict[_Link, list[int]] = {}
        self._lay_cables(ends)
        self.left: list[list[int]] = [[] for _ in self.layer]
        self.right: list[list[int]] = [[] for _ in self.layer]
        for start, end, _, _ in self.links:
            self.right[start].append(end)
            self.left[end].append(start)

    def _lay_cables(self, ends: Sequence[tuple[int, int]]) -> None:
        slots: dict[tuple[int, int, int, bool], int] = {}
        for index, (start, end) in enumerate(ends):
            channel, turned = self.arrows[index].channel, self.turned[index]
            at = start
            for layer in range(self.layer[start] + 1, self.layer[end]):
                key = (end, layer, channel, turned)
                if key not in slots:
                    slots[key] = len(self.layer)
                    self.layer.append(layer)
                self.links.setdefault((at, slots[key], channel, turned), []).append(index)
                at = slots[key]
            self.links.setdefault((at, end, channel, turned), []).append(index)

    def layout(self) -> Layout:
        rows = self._ordered()
        middles = self._heights(rows)
        lefts, rights = self._columns(rows, middles)
        boxes = tuple(
            Box(
                x=lefts[self.layer[box]],
                y=middles[box] - BOX_HEIGHT / 2,
                width=rights[self.layer[box]] - lefts[self.layer[box]],
                height=BOX_HEIGHT,
            )
            for box in range(len(self.widths))
        )
        height = max((middle + self._height(slot) / 2 for slot, middle in enumerate(middles)), default=0.0)
        return Layout(
            boxes=boxes,
            strokes=tuple(self._stroke(link, middles, lefts, rights) for link in self.links),
            width=max(rights, default=0.0),
            height=height,
        )

    def _is_box(self, slot: int) -> bool:
        return slot < len(self.widths)

    def _height(self, slot: int) -> float:
        return BOX_HEIGHT if self._is_box(slot) else _SLOT_HEIGHT

    def _ordered(self) -> list[list[int]]:
        """The slots of each layer from top to bottom, with few crossings."""
        rows: list[list[int]] = [[] for _ in range(max(self.layer, default=-1) + 1)]
        for slot in self._walk():
            rows[self.layer[slot]].append(slot)
        best, fewest = [list(row) for row in rows], self._crossings(rows)
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            forwards = sweep % 2 == 0
            for row in rows[1:] if forwards else rows[-2::-1]:
                self._sort(row, rows, forwards)
            if (crossings := self._crossings(rows)) < fewest:
                best, fewest = [list(row) for row in rows], crossings
        return best

    def _walk(self) -> list[int]:
        """All slots, each after the one that first led to it: what belongs together stands together from the start."""
        seen: dict[int, None] = {}
        todo = [slot for slot in reversed(range(len(self.layer))) if not self.left[slot]]
        while todo:
            slot = todo.pop()
            if slot not in seen:
                seen[slot] = None
                todo += reversed(self.right[slot])
        return list(seen)

    def _sort(self, row: list[int], rows: list[list[int]], forwards: bool) -> None:
        neighbours = self.left if forwards else self.right
        if not row:
            return
        beside = rows[self.layer[row[0]] + (-1 if forwards else 1)]
        place = {slot: index / max(len(beside) - 1, 1) for index, slot in enumerate(beside)}
        own = {slot: index / max(len(row) - 1, 1) for index, slot in enumerate(row)}

        def mean(slot: int) -> float:
            near = neighbours[slot]
            return sum(place[each] for each in near) / len(near) if near else own[slot]

        row.sort(key=mean)

    def _crossings(self, rows: list[list[int]]) -> int:
        place = {slot: index for row in rows for index, slot in enumerate(row)}
        between: list[list[tuple[int, int]]] = [[] for _ in rows]
        for start, end, _, _ in self.links:
            between[self.layer[start]].append((place[start], place[end]))
        crossings = 0
        for links in between:
            passed: list[int] = []
            for _, end in sorted(links):
                crossings += len(passed) - bisect_right(passed, end)
                insort(passed, end)
        return crossings

    def _heights(self, rows: list[list[int]]) -> list[float]:
        """The middle of each slot, in pixels from the top."""
        middles = [0.0] * len(self.layer)
        for row in rows:
            for slot, middle in zip(row, self._spread(row), strict=True):
                middles[slot] = middle
        for sweep in range(_SWEEPS):
            last = sweep >= _SWEEPS - 2
            for row in rows if sweep % 2 == 0 else reversed(rows):
                near = [self._near(slot, sweep % 2 == 0, last) for slot in row]
                wanted = [self._mean(slot, each, middles) for slot, each in zip(row, near, strict=True)]
                for slot, middle in zip(row, self._separated(row, wanted), strict=True):
                    middles[slot] = middle
        top = min((middle - self._height(slot) / 2 for slot, middle in enumerate(middles)), default=0.0)
        return [middle - top for middle in middles]

    def _near(self, slot: int, forwards: bool, both: bool) -> list[int]:
        if both:
            return self.left[slot] + self.right[slot]
        return (self.left if forwards else self.right)[slot] or [slot]

    def _mean(self, slot: int, near: Sequence[int], middles: Sequence[float]) -> float:
        weights = [1.0 if self._is_box(slot) or self._is_box(each) else _CABLE for each in near]
        total = sum(weights)
        return sum(w * middles[each] for w, each in zip(weights, near, strict=True)) / total if near else middles[slot]

    def _spread(self, row: Sequence[int]) -> list[float]:
        """The row with its slots as close as may be, the first at 0."""
        middles = [0.0]
        for above, below in pairwise(row):
            middles.append(middles[-1] + (self._height(above) + self._height(below)) / 2 + _ROW_GAP)
        return middles[: len(row)]

    def _separated(self, row: Sequence[int], wanted: Sequence[float]) -> list[float]:
        """The heights nearest to the wanted ones that keep the row's order and gaps.

        Less what the gaps take, heights may not fall from one slot to the next: isotonic regression, by pooling
        adjacent violators.
        """
        spread = self._spread(row)
        pools: list[tuple[float, float, int]] = []
        for slot, want, offset in zip(row, wanted, spread, strict=True):
            weight = 1.0 if self._is_box(slot) else _CABLE
            value, count = want - offset, 1
            while pools and pools[-1][0] > value:
                above, heavy, number = pools.pop()
                value = (above * heavy + value * weight) / (heavy + weight)
                weight, count = weight + heavy, count + number
            pools.append((value, weight, count))
        level = [value for value, _, count in pools for _ in range(count)]
        return [value + offset for value, offset in zip(level, spread, strict=True)]

    def _columns(self, rows: list[list[int]], middles: Sequence[float]) -> tuple[list[float], list[float]]:
        """Where each layer begins and ends; where arrows climb far there is more room between layers."""
        climbs = [0.0] * len(rows)
        for start, end, _, _ in self.links:
            climbs[self.layer[start]] = max(climbs[self.layer[start]], abs(middles[start] - middles[end]))
        lefts, rights, x = [], [], 0.0
        for row, climb in zip(rows, climbs, strict=True):
            lefts.append(x)
            x += max((self.widths[slot] for slot in row if self._is_box(slot)), default=0.0)
            rights.append(x)
            x += min(56.0 + climb / 6, 150.0)
        return lefts, rights

    def _stroke(self, link: _Link, middles: Sequence[float], lefts: Sequence[float], rights: Sequence[float]) -> Stroke:
        start, end, channel, turned = link
        y = middles[start] + self._port(start, channel, turned)
        level = [] if self._is_box(start) else [(lefts[self.layer[start]], y)]
        curve = [
            (rights[self.layer[start]], y),
            (lefts[self.layer[end]], middles[end] + self._port(end, channel, turned)),
        ]
        return Stroke(
            points=(*level, *curve),
            arrows=tuple(self.links[link]),
            channel=channel,
            turned=turned,
            first=self._is_box(start),
            last=self._is_box(end),
        )

    def _port(self, slot: int, channel: int, turned: bool) -> float:
        """How far below a box's middle arrows go in and out, so that those of two kinds are two lines."""
        if not self._is_box(slot):
            return 0.0
        return 13.0 if turned else (-6.0, 6.0)[channel]


def _closing(count: int, arrows: Sequence[Arrow]) -> list[bool]:
    """Which arrows close a circle, for a walk that goes into the depth."""
    out: list[list[int]] = [[] for _ in range(count)]
    for index, arrow in enumerate(arrows):
        out[arrow.start].append(index)
    closing = [False] * len(arrows)
    state = [0] * count  # 1 while the walk is below it, 2 afterwards
    for root in range(count):
        if state[root]:
            continue
        state[root] = 1
        work = [(root, iter(out[root]))]
        while work:
            box, rest = work[-1]
            for index in rest:
                end = arrows[index].end
                closing[index] = state[end] == 1
                if not state[end]:
                    state[end] = 1
                    work.append((end, iter(out[end])))
                    break
            else:
                state[box] = 2
                work.pop()
    return closing


def _layers(count: int, ends: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each box: one right of the last that points to it."""
    out: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for start, end in ends:
        out[start].append(end)
        missing[end] += 1
    layer = [0] * count
    todo = [box for box in range(count) if not missing[box]]
    while todo:
        box = todo.pop()
        for end in out[box]:
            layer[end] = max(layer[end], layer[box] + 1)
            missing[end] -= 1
            if not missing[end]:
                todo.append(end)
    return layer
