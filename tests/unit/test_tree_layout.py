from __future__ import annotations

import itertools
import random

import pytest

from pybuilder.tree_layout import Arrow, Box, Layout, Stroke, arrange


def arrows(*pairs: tuple[int, int], channel: int = 0) -> list[Arrow]:
    return [Arrow(start=start, end=end, channel=channel) for start, end in pairs]


def random_graph(seed: int) -> tuple[list[float], list[Arrow]]:
    """Up to forty boxes with circles among them, and two arrows between some pairs."""
    dice = random.Random(seed)
    count = dice.randrange(1, 40)
    pairs = sorted({(dice.randrange(count), dice.randrange(count)) for _ in range(count * 2)})
    return (
        [float(dice.randrange(40, 300)) for _ in range(count)],
        [Arrow(start=a, end=b, channel=dice.randrange(2)) for a, b in pairs if a != b],
    )


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def path(layout: Layout, index: int) -> list[Stroke]:
    """The pieces of an arrow from left to right."""
    return sorted((each for each in layout.strokes if index in each.arrows), key=lambda each: each.points[0][0])


@pytest.mark.parametrize("seed", range(40))
def test_boxes_do_not_overlap_and_are_in_the_picture(seed: int) -> None:
    widths, given = random_graph(seed)
    layout = arrange(widths, given)
    assert len(layout.boxes) == len(widths)
    for index, box in enumerate(layout.boxes):
        assert box.width >= widths[index] - 1e-6
        assert box.x >= 0 and box.y >= -1e-6
        assert box.x + box.width <= layout.width + 1e-6 and box.y + box.height <= layout.height + 1e-6
        assert not any(overlap(box, other) for other in layout.boxes[index + 1 :])


@pytest.mark.parametrize("seed", range(40))
def test_every_arrow_runs_unbroken_from_its_box_to_the_other(seed: int) -> None:
    widths, given = random_graph(seed)
    layout = arrange(widths, given)
    for index, arrow in enumerate(given):
        pieces = path(layout, index)
        assert [piece.first for piece in pieces] == [True] + [False] * (len(pieces) - 1)
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        start, end = layout.boxes[arrow.start], layout.boxes[arrow.end]
        if pieces[0].turned:
            start, end = end, start
        (x, y), (to_x, to_y) = pieces[0].points[0], pieces[-1].points[-1]
        assert x == start.x + start.width and start.y < y < start.y + start.height
        assert to_x == end.x and end.y < to_y < end.y + end.height
        for piece, following in itertools.pairwise(pieces):
            assert piece.points[-1] == following.points[0]


@pytest.mark.parametrize("seed", range(40))
def test_no_arrow_crosses_a_box(seed: int) -> None:
    layout = arrange(*random_graph(seed))
    for stroke in layout.strokes:
        *level, (x, _), (to_x, _) = stroke.points
        # A curve stays between layers; the level line before it runs through one, between the boxes.
        assert not any(box.x < to_x and x < box.x + box.width for box in layout.boxes)
        for _, y in level:
            assert not any(
                box.x <= level[0][0] < box.x + box.width and box.y < y < box.y + box.height for box in layout.boxes
            )


def test_only_what_closes_a_circle_is_turned() -> None:
    layout = arrange([50.0] * 3, arrows((0, 1), (1, 2), (2, 0), (0, 2)))
    assert sorted(stroke.arrows for stroke in layout.strokes if stroke.turned) == [(2,), (2,)]
    assert layout.boxes[0].x < layout.boxes[1].x < layout.boxes[2].x


def test_arrows_to_one_box_share_their_way() -> None:
    # 0 -> 1 -> 2 -> 3 makes three layers before 3, and 0, 4 and 5 lead to 3 over them.
    layout = arrange([50.0] * 6, arrows((0, 1), (1, 2), (2, 3), (0, 3), (0, 4), (0, 5), (4, 3), (5, 3)))
    shared = [stroke for stroke in layout.strokes if stroke.arrows == (3, 6, 7)]
    assert len(shared) == 1
    assert shared[0].last


def test_arrows_of_two_kinds_between_two_boxes_are_two_lines() -> None:
    given = [Arrow(start=0, end=1, channel=0), Arrow(start=0, end=1, channel=1)]
    one, other = arrange([50.0, 50.0], given).strokes
    assert all(abs(a[1] - b[1]) >= 8 for a, b in zip(one.points, other.points, strict=True))


def test_a_tree_has_no_crossings_and_a_chain_is_straight() -> None:
    # A binary tree whose leaves are given in a bad order.
    layout = arrange([50.0] * 7, arrows((0, 1), (0, 2), (1, 5), (2, 4), (1, 3), (2, 6)))
    rows = sorted((layout.boxes[leaf].y, leaf) for leaf in (3, 4, 5, 6))
    assert {frozenset(leaf for _, leaf in rows[:2]), frozenset(leaf for _, leaf in rows[2:])} == {
        frozenset({3, 5}),
        frozenset({4, 6}),
    }
    chain = arrange([50.0] * 4, arrows((0, 1), (1, 2), (2, 3)))
    assert len({box.y for box in chain.boxes}) == 1


def test_nothing_is_a_picture_without_extent() -> None:
    assert arrange([], []) == Layout(boxes=(), strokes=(), width=0.0, height=0.0)


def test_a_long_chain_needs_no_recursion() -> None:
    count = 1200
    layout = arrange([50.0] * count, arrows(*((box, box + 1) for box in range(count - 1))))
    assert layout.boxes[-1].x > layout.boxes[0].x


def test_the_same_graph_gives_the_same_picture() -> None:
    assert arrange(*random_graph(7)) == arrange(*random_graph(7))
