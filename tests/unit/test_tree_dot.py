from __future__ import annotations

import re
from dataclasses import replace

from pybuilder.tree import Need
from pybuilder.tree_dot import tree_dot
from tests.support.planned import LANGCHAIN, SMALL, expected, planned

# A node or an edge, with quoted names and quoted attributes.
QUOTED = r'"(?:[^"\\]|\\.)*"'
STATEMENT = re.compile(rf"  {QUOTED}(?: -> {QUOTED})? \[\w+={QUOTED}(?:, \w+={QUOTED})*\];")


def test_a_tree_in_graphviz_s_language() -> None:
    lines = tree_dot(SMALL, expected(SMALL)).splitlines()
    assert (lines[0], lines[-1]) == ("digraph tree {", "}")
    assert (
        '  "jinja2==3.1.4" [label="jinja2\\n3.1.4", fillcolor="#ddf4ff", style="rounded,filled", tooltip="new"];'
        in lines
    )
    assert '  "jinja2==3.1.4" -> "markupsafe==2.1.5" [style="solid", tooltip="MarkupSafe>=2.0"];' in lines
    assert '  "wheel==0.43.0" -> "flit-core==3.9.0" [style="dashed", tooltip="flit_core>=3.8,<4"];' in lines


def test_every_line_is_a_statement() -> None:
    lines = tree_dot(LANGCHAIN, expected(LANGCHAIN)).splitlines()
    assert len([line for line in lines if " -> " not in line and STATEMENT.fullmatch(line)]) == len(LANGCHAIN.nodes)
    assert all(STATEMENT.fullmatch(line) for line in lines[3:-1])


def test_words_of_strangers_stay_words() -> None:
    tree = planned("a", "a 1: b: \nb 1")
    a, b = tree.nodes
    hostile = '"]; evil [label="x\\N\\" &lt; &\n\x00\ud800'
    node = replace(tree.nodes[a], installs=(Need(requirement=hostile, package=b),))
    text = tree_dot(replace(tree, nodes={a: node, b: tree.nodes[b]}), expected(tree))
    text.encode()
    assert all(STATEMENT.fullmatch(line) for line in text.splitlines()[3:-1])
    assert '\\"]; evil [label=\\"x\\\\N\\\\\\" &amp;lt; &amp;\\n\ufffd\ufffd"' in text
