"""``pybuild rebuild WHEEL``: the plan of a wheel, found from the wheel alone and built again."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.workspaces import Bench, bench

MODULE = "ONE = 1\nTWO = 2\n"


def published(here: Bench, package: str, number: int = 1) -> Path:
    """The published wheel of a package."""
    [wheel] = (here.state / "index" / "host" / "files").glob(f"{package}-*+pb.{number}-*.whl")
    return wheel


def same(here: Bench, wheel: str | Path, *options: str) -> Any:
    """What is told of a wheel that came out the same."""
    ran = here.pybuild(*options, "rebuild", "--json", str(wheel))
    assert ran.code == 0, ran.stderr
    document = ran.json
    assert document["ok"] is True
    assert document["built"] == document["cached"] == document["failed"] == document["review"] == []
    [proven] = document["proven"]
    return proven


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    """A package that is built with a tool, a patch and a setting."""
    with bench(tmp_path) as made:
        made.accept("tool", module="FLAG = 1\n")
        made.accept(
            "alpha",
            build_requires=["tool"],
            module=MODULE,
            act="import os, tool; FACTS['module'] += f'FLAGS = {os.environ[\"FLAG\"], tool.FLAG}\\n'",
            spec='[build]\nenv = { FLAG = "1" }\n',
        )
        made.patch("alpha", "tiny.json", "TWO = 2", "TWO = 3")
        made.build("alpha")
        yield made


class TestTheSame:
    def test_from_the_index_that_it_lies_in(self, here: Bench) -> None:
        wheel = published(here, "alpha")
        before = sorted(path for path in here.state.rglob("*") if "/index/" in str(path))
        proven = same(here, wheel)
        assert proven["wheel"] == wheel.name
        assert proven["fetched"] == []
        assert "/index/host/records/" in proven["record"]
        # It is a proof, not a release: no number, no attempt, nothing in the index, nothing left.
        assert sorted(path for path in here.state.rglob("*") if "/index/" in str(path)) == before
        assert here.published("alpha") == ["1.0+pb.1"]
        assert here.outcomes("alpha") == ["succeeded"]
        here.check_sound()

    def test_for_people(self, here: Bench) -> None:
        ran = here.pybuild("rebuild", str(published(here, "alpha")))
        assert ran.code == 0
        assert "the same payload came out" in ran.stdout
        assert "nothing is published and no number is taken: this is a proof, not a release" in ran.stdout
