"""New versions whose patches change are built from the spec as it will be, which only one of a package can be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.version import Version

from pybuilder.cron.agenda import Goal
from pybuilder.cron.log import Log
from pybuilder.cron.taking import take_up
from pybuilder.names import normalize
from pybuilder.spec import Pin
from pybuilder.uptake import PatchNews, Prepared
from pybuilder.workspace.edits import Change


def prepared(name: str, version: str, *patches: PatchNews) -> Prepared:
    return Prepared(
        name=normalize(name),
        version=Version(version),
        old=None,
        pin=Pin(file="x-1.0.tar.gz", sha256="ab" * 32),
        review="",
        changes=(Change(file=f"specs/{name}.toml", before=b"", after=f'name = "{name}"\n'.encode()),),
        patches=patches,
        requirements=(),
        notes=(),
        needed_by=0,
    )


def test_of_several_of_a_package_one_at_a_time(tmp_path: Path) -> None:
    merged = PatchNews(file="a.patch", fate="merged", until="<9")
    there = [
        prepared("six", "1.1", merged),
        prepared("six", "2.1", merged),
        prepared("six", "3.1", PatchNews(file="b.patch", fate="applies")),
        prepared("seven", "1.1", merged),
    ]
    known = {(each.name, each.version): each for each in there}
    goals = [Goal(name=name, version=version, why="update", detail="", needed_by=0, mark="") for name, version in known]
    proposed: list[str] = []
    site = SimpleNamespace(
        uptake=SimpleNamespace(prepare=lambda name, version: known[name, version]),
        workspace=SimpleNamespace(propose=lambda name, files: proposed.append(name)),
    )
    log = Log()
    taken = take_up(cast(Any, site), goals, log, scratch=tmp_path)
    assert list(map(str, taken.goals)) == ["six==1.1", "six==3.1", "seven==1.1"]
    assert proposed == ["six", "seven"] and taken.failed == {} and taken.waits == frozenset()
    assert (log.untried, log.postponed, log.troubles) == ({"six==2.1"}, 1, [])


def test_what_waits_for_a_person_is_asked_for_and_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        "pybuilder.cron.taking.ask", lambda state, workspace, indexes, wanted, now: asked.extend(wanted)
    )
    there = prepared("six", "2.1")
    goal = Goal(name=there.name, version=there.version, why="update", detail="", needed_by=0, mark="")
    site = SimpleNamespace(
        uptake=SimpleNamespace(prepare=lambda name, version: replace(there, review="a patch does not apply")),
        workspace=None,
        adapters=SimpleNamespace(state=None, index=None, now=lambda: None),
    )
    log = Log()
    taken = take_up(cast(Any, site), [goal], log, scratch=tmp_path)
    assert (taken.goals, taken.failed, taken.waits) == ((), {}, frozenset([goal]))
    assert asked == [("six", "six==2.1", "update")] and log.troubles == []
