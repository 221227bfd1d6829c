from __future__ import annotations

from collections.abc import Mapping

import pytest

from pybuilder.graph import closures, components, describe_cycle, reachable

Edges = Mapping[str, tuple[str, ...]]


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ({}, []),
        ({"a": ()}, [("a",)]),
        ({"a": ("b",), "b": ("c",), "c": ()}, [("c",), ("b",), ("a",)]),
        ({"a": ("b", "c"), "b": ("d",), "c": ("d",), "d": ()}, [("d",), ("b",), ("c",), ("a",)]),
        ({"a": ("a",)}, [("a",)]),
        ({"a": ("b",), "b": ("a",)}, [("a", "b")]),
        ({"a": ("b",), "b": ("c", "d"), "c": ("b",), "d": ()}, [("d",), ("b", "c"), ("a",)]),
        ({"a": ("b",), "b": ("a", "c"), "c": ("d",), "d": ("c",)}, [("c", "d"), ("a", "b")]),
    ],
    ids=["nothing", "one", "chain", "diamond", "itself", "pair", "cycle below", "two cycles"],
)
def test_what_others_need_comes_first(edges: Edges, expected: list[tuple[str, ...]]) -> None:
    assert components(edges) == expected


def test_a_chain_deeper_than_the_stack() -> None:
    edges = {n: (n + 1,) for n in range(20_000)} | {20_000: ()}
    assert components(edges) == [(n,) for n in range(20_000, -1, -1)]


def test_components_of_any_graph_are_in_order() -> None:
    """Of 200 random graphs: every edge leads into the same component or an earlier one, and nothing is lost."""
    import random

    chance = random.Random(7)
    for _ in range(200):
        size = chance.randrange(1, 12)
        edges = {n: tuple({chance.randrange(size) for _ in range(chance.randrange(4))}) for n in range(size)}
        found = components(edges)
        place = {node: index for index, group in enumerate(found) for node in group}
        assert sorted(place) == sorted(edges)
        for node, needs in edges.items():
            assert all(place[need] <= place[node] for need in needs)
            together = {other for other in reachable(edges, node) if node in reachable(edges, other)}
            assert together == set(found[place[node]])


def test_reachable_includes_itself() -> None:
    edges = {"a": ("b",), "b": ("c", "a"), "c": (), "d": ("a",)}
    assert reachable(edges, "a") == {"a", "b", "c"}
    assert reachable(edges, "c") == {"c"}


def test_a_cycle_in_words() -> None:
    assert describe_cycle(["a 1", "b 2", "a 1"]) == "a 1 needs b 2 needs a 1"


class TestClosures:
    def test_everything_that_is_needed_in_the_order_of_the_graph(self) -> None:
        edges = {"a": ("b",), "b": ("d", "c"), "c": (), "d": ("b",), "e": ("a",)}
        assert closures(edges) == {
            "a": ("a", "b", "c", "d"),
            "b": ("b", "c", "d"),
            "c": ("c",),
            "d": ("b", "c", "d"),
            "e": ("a", "b", "c", "d", "e"),
        }
        assert closures({}) == {}

    def test_of_any_graph_they_are_what_is_reachable(self) -> None:
        import random

        chance = random.Random(8)
        for _ in range(200):
            size = chance.randrange(1, 12)
            edges = {n: [k for k in range(size) if chance.random() < 0.2] for n in range(size)}
            assert closures(edges) == {n: tuple(sorted(reachable(edges, n))) for n in edges}
