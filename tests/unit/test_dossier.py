"""What is put together about a package, and what is left of that where its upstream fails."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.dossier import Clerk, Dossier, releases
from pybuilder.errors import FetchError, PybuildError, ReviewError
from pybuilder.http import NotFoundError
from pybuilder.layout import Layout
from pybuilder.rejections import Rejection
from pybuilder.screening.account import remember
from pybuilder.screening.policy import Judged
from pybuilder.settings import Screen
from pybuilder.sources.fetch import Fetched
from pybuilder.stages import Source
from pybuilder.state import State
from pybuilder.upstream.files import File, Project
from tests.support.sdists import tar_bytes

SIX = NormalizedName("six")
DAY = datetime(2026, 1, 2, tzinfo=UTC)
METADATA = b"""\
Metadata-Version: 2.1
Name: six
Version: 1.0
Summary: x
Requires-Dist: one
Requires-Dist: two; extra == 'x'
"""


def file(filename: str, *, yanked: bool = False, reason: str = "", day: int | None = 2) -> File:
    return File(
        filename=filename,
        url="",
        sha256=None,
        size=None,
        requires_python="",
        yanked=yanked,
        yanked_reason=reason,
        upload_time=None if day is None else DAY.replace(day=day),
        has_metadata=False,
        metadata_sha256=None,
    )


def project(*files: File, status: str = "active", reason: str = "") -> Project:
    return Project(name=SIX, files=files, status=status, status_reason=reason)


class TestReleases:
    def test_newest_first_with_what_each_has(self) -> None:
        found = releases(
            project(
                file("six-1.9.tar.gz", day=5),
                file("six-1.10-py3-none-any.whl", day=9),
                file("six-1.10.tar.gz", day=8),
                file("six-1.10.zip", day=None),
                file("six-1.2-py2-none-any.whl", day=None),
                file("six-nonsense.tar.gz"),
                file("six-1.0.exe"),
            )
        )
        assert [(str(r.version), r.released and r.released.day, r.sdist, r.wheels) for r in found] == [
            ("1.10", 8, True, 1),
            ("1.9", 5, True, 0),
            ("1.2", None, False, 1),
        ]

    def test_a_version_is_yanked_when_all_of_it_is(self) -> None:
        wheel = "six-1.0-py3-none-any.whl"
        half = releases(project(file("six-1.0.tar.gz", yanked=True, reason="bad"), file(wheel)))
        whole = releases(
            project(file("six-1.0.tar.gz", yanked=True, reason="bad"), file(wheel, yanked=True, reason="worse"))
        )
        silent = releases(project(file("six-1.0.tar.gz", yanked=True)))
        assert [half[0].yanked, whole[0].yanked, silent[0].yanked] == [None, "bad; worse", ""]


NOTHING: Any = {"files": [], "unlisted": {}, "advisories": [], "dump_sha256": None}
POLICY = Screen(archive="review")


@dataclass
class Here:
    state: State
    layout: Layout
    answer: Project | PybuildError
    allowed: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()
    rejected: dict[str, Rejection] = field(default_factory=dict)
    archive: Path | None = None
    asked: list[str] = field(default_factory=list)

    def ask(self, requirement: str, by: str = "alpha 1.0") -> None:
        self.state.ask_review([("six", requirement, by)], now="2026-01-01T00:00:00Z")

    def project(self, name: str) -> Project:
        if isinstance(self.answer, PybuildError):
            raise self.answer
        return self.answer

    def metadata_inside(self, name: str, version: Version, tags: object) -> bytes:
        self.asked.append(f"inside {version}")
        return METADATA

    def prepare(self, name: str, version: Version) -> Any:
        if version == Version("6.6.6"):
            raise FetchError("its source is another than it was")
        remember(self.state, name, str(version), "ef" * 32, {**NOTHING, "unlisted": {"archive": int(version.major)}})
        return f"{name} {version}"

    def fetch(self, *_: object) -> Fetched:
        if self.archive is None:
            raise FetchError("it is down")
        origin = "https://localhost/x"
        return Fetched(sha256="ab" * 32, file=self.archive, filename=self.archive.name, origin=origin)

    def judge(self, source: Source) -> Judged:
        self.asked.append(f"screened {source.version}")
        stopped = ReviewError("it waits", wanted=(), cure="look")
        return Judged(account={**NOTHING, "unlisted": {"archive": 3}}, stopped=stopped)

    def dossier(self) -> Dossier:
        upstream = SimpleNamespace(
            project=self.project, metadata_beside=lambda *_: None, metadata_inside=self.metadata_inside
        )
        offered = {SpecifierSet(wanted): Version(version) for wanted, version in self.allowed.items()}
        world: Any = {
            "workspace": SimpleNamespace(
                spec=lambda name: None,
                spec_names=lambda: self.accepted,
                rejections=self.rejected,
                refusal=lambda name: "rejected: no" if name in self.rejected else "",
            ),
            "chooser": SimpleNamespace(offered=lambda name, wanted: [offered[wanted]] if wanted in offered else []),
            "sources": SimpleNamespace(upstream=upstream, fetch=self.fetch),
            "screener": SimpleNamespace(judged=self.judge, policy=POLICY),
            "prepare": self.prepare,
            "target": SimpleNamespace(tags=(), markers={"python_version": "3.11"}),
        }
        return Clerk(layout=self.layout, channel="host", state=self.state, **cast(Any, world)).dossier(SIX)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    layout = Layout(root=tmp_path)
    with closing(State.open(layout)) as state:
        yield Here(state=state, layout=layout, answer=project())


def version(found: Dossier) -> str:
    assert found.upstream
    return str(found.upstream.version)


ALL = project(*(file(f"six-{text}.tar.gz") for text in ("1.0", "2.0", "3.0")), file("six-4.0-py3-none-any.whl"))


class TestVersion:
    def test_what_a_build_would_take(self, here: Here) -> None:
        here.answer, here.allowed = ALL, {"<3,>=1": "2.0", "<3": "1.0"}
        here.ask("six>=1")
        here.ask("six<3", "beta 1.0")
        assert version(here.dossier()) == "2.0"

    def test_where_their_wishes_do_not_go_together_the_first_counts(self, here: Here) -> None:
        here.answer, here.allowed = ALL, {"<2": "1.0", ">=3": "3.0"}
        here.ask("six<2")
        here.ask("six>=3", "beta 1.0")
        assert version(here.dossier()) == "1.0"

    def test_what_the_rules_forbid_is_shown_all_the_same(self, here: Here) -> None:
        here.answer = ALL
        here.ask("six<3")
        assert version(here.dossier()) == "2.0"

    def test_one_with_a_source_comes_before_a_newer_one_without(self, here: Here) -> None:
        here.answer = ALL
        assert version(here.dossier()) == "3.0"
        here.answer = project(file("six-4.0-py3-none-any.whl"), file("six-3.0-py3-none-any.whl"))
        assert version(here.dossier()) == "4.0"

    def test_nothing_satisfies(self, here: Here) -> None:
        here.answer = ALL
        here.ask("six>9")
        assert version(here.dossier()) == "4.0"

    def test_a_new_version_is_itself(self, here: Here) -> None:
        here.answer, here.accepted = ALL, ("six",)
        here.ask("six==2.0", "update")
        here.ask("six==1.0", "update")
        found = here.dossier()
        assert (version(found), found.prepared) == ("2.0", "six 2.0")
        assert found.screened and found.screened["unlisted"] == {"archive": 2}
        here.ask("six==6.6.6", "update")
        found = here.dossier()
        assert found.prepared is None
        assert found.notes[-1] == "what taking it in comes to could not be found out: its source is another than it was"


class TestFailures:
    @pytest.mark.parametrize("error", [NotFoundError("the index has no project"), FetchError("it is down")])
    def test_without_upstream_there_are_those_who_want_it(self, here: Here, error: PybuildError) -> None:
        here.answer, here.accepted = error, ("sixx",)
        here.ask("six>=1")
        found = here.dossier()
        assert [entry.requirement for entry in found.waiting] == ["six>=1"]
        assert (found.standing, [each.name for each in found.alike]) == ("waiting", ["sixx"])
        assert (found.upstream, found.about, found.findings, found.screened) == (None, None, None, None)
        assert found.notes == (f"what upstream has of it could not be found out: {error.what}",)

    def test_a_project_without_a_file(self, here: Here) -> None:
        here.answer = project(status="quarantined", reason="malware")
        found = here.dossier()
        assert found.upstream and found.upstream.version is None and found.upstream.status == "quarantined: malware"
        assert found.notes == ()

    def test_a_source_that_cannot_be_had(self, here: Here) -> None:
        here.answer = ALL
        found = here.dossier()
        assert found.upstream and len(found.upstream.releases) == 4
        assert found.notes == ("its source could not be found out: it is down",)

    def test_a_plan_that_cannot_be_read(self, here: Here) -> None:
        path = here.layout.plan("host")
        path.parent.mkdir(parents=True)
        path.write_text("{")
        assert here.dossier().notes[0].startswith("why it is wanted could not be found out")


class TestNeeds:
    def test_of_a_wheel_where_there_is_no_source(self, here: Here) -> None:
        here.answer = project(file("six-1.0-py3-none-any.whl"))
        found = here.dossier()
        assert [(need.requirement, need.needed_to) for need in found.needs] == [("one", "install")]
        assert here.asked == ["inside 1.0"] and found.about and found.about.summary == "x"

    def test_no_wheel_is_opened_where_there_is_a_source(self, here: Here) -> None:
        here.answer = project(file("six-1.0-py3-none-any.whl"), file("six-1.0.tar.gz"))
        here.dossier()
        assert here.asked == []


class TestScreening:
    @pytest.fixture
    def here(self, here: Here) -> Here:
        here.answer = project(file("six-1.0.tar.gz"))
        here.archive = here.layout.root / "six-1.0.tar.gz"
        here.archive.write_bytes(
            gzip.compress(tar_bytes({"PKG-INFO": b"Summary: told by the source\n"}, top="six-1.0"))
        )
        return here

    def test_of_what_nobody_has_accepted(self, here: Here) -> None:
        found = here.dossier()
        assert found.screened == {**NOTHING, "unlisted": {"archive": 3}}
        assert found.stopped == "it waits" and f'sha256 = ["{"ab" * 32}"]' in found.allowing
        assert found.findings and found.findings.summary == "told by the source"

    def test_of_what_is_accepted_is_that_of_its_builds(self, here: Here) -> None:
        here.accepted = ("six",)
        assert here.dossier().screened is None
        remember(here.state, "six", "1.0", "cd" * 32, {**NOTHING, "unlisted": {"archive": 1}})
        found = here.dossier()
        assert found.screened and found.screened["unlisted"] == {"archive": 1} and found.stopped == ""
        assert f'sha256 = ["{"cd" * 32}"]' in found.allowing
        remember(here.state, "six", "1.1", "cd" * 32, {**NOTHING, "unlisted": {"compiled": 1}})
        assert here.dossier().allowing == ""
        assert here.asked == []


class TestStanding:
    def test_each(self, here: Here) -> None:
        assert here.dossier().standing == "new"
        here.ask("six")
        assert here.dossier().standing == "waiting"
        here.rejected = {"six": Rejection(reason="no")}
        found = here.dossier()
        assert (found.standing, found.rejection) == ("rejected", here.rejected["six"])
        here.accepted = ("six",)
        assert here.dossier().standing == "accepted"
