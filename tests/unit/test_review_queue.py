"""What an entry of the queue is, which versions those who wait would take, and what settles it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.version import Version

from pybuilder.layout import Layout
from pybuilder.processes import run
from pybuilder.review_queue import Waiting, renew, waiting, wanted_specifiers
from pybuilder.screening.account import remember
from pybuilder.state import State
from pybuilder.workspace import Workspace


def entry(requirement: str, wanted_by: str = "alpha 1.0") -> Waiting:
    return Waiting(name="six", requirement=requirement, wanted_by=wanted_by, first_seen="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("wanted_by", "update", "screening"),
    [
        ("update", True, False),
        ("update 1.0", False, False),
        ("the build of update 1.0", False, False),
        ("the screening of its source, which has 1 archive: x.zip", False, True),
    ],
)
def test_what_kind_it_is(wanted_by: str, update: bool, screening: bool) -> None:
    made = entry("six==1.0", wanted_by)
    assert (made.is_update, made.is_screening) == (update, screening)
    assert made.as_json["wanted_by"] == wanted_by and made.version == Version("1.0")


def test_all_that_is_wanted_together_comes_first() -> None:
    entries = [entry("six>=1"), entry("six[fast]<3; python_version > '3'"), entry("six"), entry("six==9", "update")]
    assert [str(each) for each in wanted_specifiers(entries)] == ["<3,>=1", ">=1", "<3", ""]


def test_nobody_wants_anything_of_the_version() -> None:
    assert [str(each) for each in wanted_specifiers([])] == [""]


SHA = "ab" * 32
SCREENED = "the screening of its source, which has 1 archive: x.zip"
REJECTED = {"specs/rejected.toml": "[packages.six]\n"}
ALLOWED = {"pybuild.toml": f'[[screen.exceptions]]\npackage = "six"\nsha256 = ["{SHA}"]\nreason = "data"\n'}
HELD = {"pybuild.toml": '[screen]\narchive = "review"\n'}


def spec(text: str = "") -> dict[str, str]:
    return {"specs/six.toml": f'name = "six"\n{text}'}


@pytest.mark.parametrize(
    ("wanted_by", "files", "waits"),
    [
        ("alpha 1.0", {}, True),
        ("alpha 1.0", spec(), False),
        ("alpha 1.0", REJECTED, False),
        ("update", spec(), True),
        ("update", spec('[update]\nignore = ["1.0"]'), True),
        ("update", spec('[update]\nignore = ["2.*"]'), False),
        ("update", spec(f'[versions]\n"2" = {{ file = "six-2.0.tar.gz", sha256 = "{SHA}" }}'), False),
        ("update", spec("nonsense = 1"), True),
        ("update", {}, False),
        (SCREENED, HELD, True),
        (SCREENED, HELD | REJECTED, False),
        (SCREENED, HELD | REJECTED | spec(), True),
        (SCREENED, ALLOWED, False),
    ],
)
def test_what_the_workspace_says_settles_an_entry(
    tmp_path: Path, wanted_by: str, files: dict[str, str], waits: bool
) -> None:
    (tmp_path / "specs").mkdir()
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    published: list[tuple[list[str], list[str]]] = []
    index = SimpleNamespace(
        write_review=lambda left, refused: published.append(
            ([each["name"] for each in left], [each["name"] for each in refused])
        )
    )
    account = {
        "files": [{"kind": "archive", "path": "x.zip", "sha256": "cd" * 32, "accepted": ""}],
        "unlisted": {},
        "advisories": [],
    }
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        remember(state, "six", "2.0", SHA, account)
        state.ask_review([("six", "six==2.0", wanted_by)], now="2026-01-01T00:00:00Z")
        left = renew(state, Workspace(root=tmp_path, run=run), [cast(Any, index)])
        assert left == waiting(state)
    assert [each.wanted_by for each in left] == [wanted_by] * waits
    assert published == [(["six"] * waits, ["six"] * ("specs/rejected.toml" in files))]


def test_a_source_that_nobody_has_screened_is_not_allowed(tmp_path: Path) -> None:
    with closing(State.open(Layout(root=tmp_path / "state"))) as state:
        state.ask_review([("six", "six==2.0", SCREENED)], now="2026-01-01T00:00:00Z")
        assert len(renew(state, Workspace(root=tmp_path, run=run), [])) == 1
