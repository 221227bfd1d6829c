"""docs/layers.md names every module that the contract in pyproject.toml knows."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def contract() -> set[str]:
    """The modules of the contract about layers."""
    [layers, _] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {module for layer in layers["layers"] for module in re.findall(r"\w+", layer)}


def documented() -> list[str]:
    """The modules of the table, or patterns of them; the parts of ``stages`` stand for it."""
    rows = [line for line in (CHECKOUT / "docs/layers.md").read_text().splitlines() if line.startswith("| ")]
    named = [row for row in rows if not row.startswith("| stages ")]
    assert len(named) == len(rows) - 1
    quoted = (words for row in named for words in re.findall("`([^`]+)`", row.split("|")[2]))
    return ["stages", *(name for words in quoted for name in words.split())]


def test_each_module_is_named_once() -> None:
    found = {module: [each for each in documented() if fnmatchcase(module, each)] for module in contract()}
    assert {module: names for module, names in found.items() if len(names) != 1} == {}


def test_nothing_is_named_that_is_no_module() -> None:
    assert [each for each in documented() if not any(fnmatchcase(module, each) for module in contract())] == []
