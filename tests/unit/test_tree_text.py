from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pybuilder.errors import UsageError
from pybuilder.tree_text import duration, plan_lines, totals, why
from tests.support.planned import CIRCLE, LANGCHAIN, REQUESTS, SMALL, expected, guessed, planned


def test_a_plan_says_what_installs_in_which_order_it_is_built_and_what_waits() -> None:
    tree = planned("a[x]>=1", 'a 1: b; c>=2 @ extra == "x": s\nb 1: c: s\nc 2: d: s>=1\nd 1: : \ns 1')
    a, b, c, d, s = tree.nodes
    statuses = {s: "cached", d: "cached", c: "new", b: "waits", a: "depends"}
    lines = plan_lines(tree, statuses, {a: 1.25, b: 90.0, s: 4.0}, wall=95.4, cpu=4000)  # type: ignore[arg-type]
    assert (
        "\n".join(lines)
        == """\
for cp311-linux_x86_64, Python 3.11.7

installs:
  a 1  [a[x]>=1]
    b 1  [b]
      c 2  [c]
        d 1  [d]
    c 2  [c>=2; extra == "x"]  (see above)

build order:
  level 1
    d 1  cached
    s 1  cached
  level 2
    c 2  new
  level 3
    b 1  waits for review, 1 min 30 s
  level 4
    a 1  depends, 1.2 s

waits for review:
  b 1: a 1 installs b

5 packages: 2 cached, 1 new, 1 depend on these, 1 wait for review; about 1 min 35 s, 1 h 6 min of cpu time"""
    )


def test_each_package_is_in_the_order_once_and_what_it_needs_is_shown_once() -> None:
    lines = plan_lines(LANGCHAIN, expected(LANGCHAIN), guessed(LANGCHAIN), wall=1, cpu=1)
    order = lines[lines.index("build order:") : lines.index("waits for review:")]
    named = [tuple(line.split()[:2]) for line in order if line.startswith("    ")]
    assert sorted(named) == sorted((name, str(version)) for name, version in LANGCHAIN.nodes)
    tree = [line for line in lines[: lines.index("build order:")] if " idna " in line]
    assert len(tree) == 2
    shown = [line for line in lines[: lines.index("build order:")] if line.lstrip().startswith("requests ")]
    assert [line.endswith("(see above)") for line in shown] == [False] + [True] * (len(shown) - 1)


def test_a_circle_of_install_requirements_ends() -> None:
    lines = plan_lines(CIRCLE, expected(CIRCLE), {}, wall=0, cpu=0)
    assert sum(line.strip().startswith("sphinx 7.3.7") for line in lines[: lines.index("build order:")]) == 3


def test_a_chain_of_thousands_needs_no_recursion() -> None:
    rows = "\n".join(f"p{number} 1: p{number + 1}:" for number in range(1200))
    tree = planned("p0", f"{rows}\np1200 1")
    assert len(plan_lines(tree, dict.fromkeys(tree.nodes, "new"), {}, wall=0, cpu=0)) > 2400


def test_nothing_waits_and_nothing_is_said_of_it() -> None:
    lines = plan_lines(SMALL, dict.fromkeys(SMALL.nodes, "cached"), guessed(SMALL), wall=0, cpu=0)
    assert "waits for review:" not in lines
    assert lines[-1].startswith("5 packages: 5 cached, 0 new, 0 depend on these, 0 wait for review; about 0.0 s")
    assert not any(re.search(r"\d s$", line) for line in lines[:-1])


def test_upstream_s_wheel_is_marked() -> None:
    tree = planned("a", "a 1")
    (node,) = tree
    tree = replace(tree, nodes={node.package: replace(node, prebuilt=True)})
    assert "    a 1  new, upstream's wheel" in plan_lines(tree, {node.package: "new"}, {}, wall=0, cpu=0)


def test_one_package_is_one() -> None:
    (package,) = planned("a", "a 1").nodes
    assert totals({package: "new"}, wall=0.44, cpu=59.6).startswith("1 package: 0 cached, 1 new")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (265, "4 min 25 s"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_why_names_the_shortest_way_for_each_version() -> None:
    assert why(LANGCHAIN, "Cython") == [
        "cython 0.29.37 is needed to build",
        "  asked for as langchain==0.1.11",
        "    langchain 0.1.11 installs PyYAML>=5.3",
        "      pyyaml 6.0.1 builds with Cython<3.0",
        "cython 3.0.10 is needed to build",
        "  asked for as langchain==0.1.11",
        "    langchain 0.1.11 installs SQLAlchemy<3,>=1.4",
        "      sqlalchemy 2.0.31 builds with Cython>=3",
        "  3 other requirements lead to it: frozenlist 1.4.1 builds with Cython,"
        " numpy 1.26.4 builds with Cython<3.1,>=0.29.34, yarl 1.9.4 builds with Cython",
    ]


def test_why_of_a_top_is_that_it_was_asked_for() -> None:
    assert why(REQUESTS, "requests") == ["requests 2.32.3 is installed", "  asked for as requests[socks]==2.32.3"]


def test_why_names_the_first_few_of_many() -> None:
    (line,) = [line for line in why(LANGCHAIN, "setuptools") if "lead to it" in line]
    count = int(line.split()[0])
    assert line.endswith(f", {count - 5} more")
    assert line.count(" builds with ") + line.count(" installs ") == 5


def test_why_of_what_is_not_there_names_what_is() -> None:
    with pytest.raises(UsageError, match="requets is not in the tree") as caught:
        why(REQUESTS, "Requets")
    assert caught.value.cure == "did you mean requests?"
    with pytest.raises(UsageError) as caught:
        why(REQUESTS, "zzz")
    assert caught.value.cure == "the whole tree: pybuild graph show"
    with pytest.raises(UsageError, match="no package name"):
        why(REQUESTS, "a b")


def test_words_of_strangers_move_no_cursor() -> None:
    tree = planned("a", 'a 1: b @ os_name != "\x1b[2J": \nb 1')
    for line in (*plan_lines(tree, dict.fromkeys(tree.nodes, "new"), {}, wall=0, cpu=0), *why(tree, "b")):
        assert line.isprintable()
