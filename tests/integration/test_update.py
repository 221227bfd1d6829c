"""What is new upstream: each kind of upstream on loopback, asked politely, and everything that they may do wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.processes import run
from pybuilder.state import State
from pybuilder.update import Finder, Finding, Reupload
from pybuilder.upstream import Upstream
from pybuilder.upstream.pages import parse_project
from pybuilder.workspace import Workspace
from tests.support import git
from tests.support.forges import COMMIT, Knower, knower
from tests.support.workspaces import bench

GIT = '[source]\ntype = "git"\nurl = "{url}"\ntag = "v{{version}}"\n'


@dataclass
class World:
    root: Path
    state: State
    server: Knower
    now: datetime = datetime(2026, 1, 10, tzinfo=UTC)
    waited: list[float] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)

    def spec(self, name: str, text: str = "", **pins: str) -> None:
        """A spec; pins are sha256 by version."""
        versions = "".join(
            f'"{version}" = {{ file = "{name}-{version}.tar.gz", sha256 = "{digest}" }}\n'
            for version, digest in pins.items()
        )
        (self.root / "specs").mkdir(exist_ok=True)
        (self.root / "specs" / f"{name}.toml").write_text(f'name = "{name}"\n{text}\n[versions]\n{versions}')

    def find(self, *names: str) -> tuple[Finding, ...]:
        with Client(sleep=self.waited.append, jitter=lambda: 0.0, timeout=2) as client:
            finder = Finder(
                workspace=Workspace(root=self.root, run=run),
                state=self.state,
                upstream=Upstream(client=client, url=f"{self.server.root}/simple/", environ={}),
                buildroot="host",
                variant="",
                pythons=("3.11.7",),
                tags=("py3-none-any",),
                now=lambda: self.now,
                environ=self.environ,
            )
            return finder.find(names)

    def one(self, name: str = "six") -> Finding:
        [finding] = self.find(name)
        return finding

    def news(self, name: str = "six") -> list[str]:
        finding = self.one(name)
        assert finding.error is None, finding.error
        return [str(version) for version in finding.news]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "pybuild.toml").touch()
    with closing(State.open(Layout(root=tmp_path / "state"))) as state, knower() as server:
        yield World(root=tmp_path, state=state, server=server)


A, B = "a" * 64, "b" * 64


def fates(finding: Finding) -> dict[str, str]:
    return {one.found.text: one.fate for one in finding.judged.candidates}


class TestKinds:
    """Everybody who may know versions."""

    def test_the_index(self, world: World) -> None:
        world.spec("six", **{"1.0": A})
        world.server.sdists("six", "1.0", "1.1", "2.0rc1")
        assert world.news() == ["1.1"]
        [taken] = [one for one in world.one().judged.candidates if one.fate == "taken"]
        assert taken.found.file == "six-1.1.tar.gz"

    def test_what_is_replaced_is_of_the_same_series(self, world: World) -> None:
        world.spec("six", "[update]\nseries = ['1.*', '2.*', '3.*']", **{"1.0": A, "2.0": A})
        world.server.sdists("six", "1.0", "1.1", "2.0", "2.1", "3.0")
        finding = world.one()
        replaced = {str(version): str(finding.replaced(version)) for version in finding.news}
        assert replaced == {"1.1": "1.0", "2.1": "2.0", "3.0": "None"}

    def test_another_name_on_the_index(self, world: World) -> None:
        world.spec("six", "[update]\nid = 'Six_Next'")
        world.server.sdists("six-next", "1.1")
        assert world.news() == ["1.1"]

    def test_wheels_that_are_used(self, world: World) -> None:
        world.spec("six", "[prebuilt]\nreason = 'why'")
        names = ("six-1.0-py3-none-any.whl", "six-2.0-cp39-cp39-win_amd64.whl", "six-3.0.tar.gz")
        world.server.index("six", *({"filename": name} for name in names))
        assert world.news() == ["1.0"]

    def test_an_index_without_sdists_for_a_source_from_elsewhere(self, world: World) -> None:
        world.spec("six", GIT.format(url="https://127.0.0.1/six"))
        world.server.index("six", {"filename": "six-1.0-cp39-cp39-win_amd64.whl"}, {"filename": "six-1.0.zip"})
        assert world.news() == ["1.0"]

    def test_git(self, world: World, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        commits = [git.repository(repository, {"x": text}, tag=tag) for text, tag in ((b"1", "v1.0"), (b"2", "v1.1"))]
        git.git(repository, "tag", "light")
        url = repository.as_uri()
        world.spec("six", f"{GIT.format(url=url)}[update]\nsource = 'git'\ntag-prefix = 'v'")
        finding = world.one()
        assert finding.news == (Version("1.1"),)
        # Of an annotated tag the commit, and not the tag's own name.
        taken = finding.judged.taken(Version("1.1"))
        assert (taken.ref, taken.commit) == ("v1.1", commits[1])
        assert fates(finding)["light"] == "not selected"

    @pytest.mark.parametrize("identity", ["", "id = '{root}/o/six'", "id = '{root}/o/six.git/tags'"])
    def test_github_tags_on_several_pages(self, world: World, identity: str) -> None:
        source = GIT.format(url=f"{world.server.root}/o/six.git")
        world.spec("six", f"{source}[update]\nsource = 'github'\n{identity.format(root=world.server.root)}")
        world.server.github_tags("o/six", ["v1.0", "nightly"], ["v1.2"], ["v1.1"])
        finding = world.one()
        assert finding.news == (Version("1.2"),)
        assert finding.judged.taken(Version("1.2")).commit == COMMIT

    def test_github_releases(self, world: World) -> None:
        source = GIT.format(url=f"{world.server.root}/o/six")
        update = f"[update]\nsource = 'github'\nid = '{world.server.root}/o/six/releases'\ncooldown = '3d'"
        world.spec("six", source + update)
        world.server.github_releases(
            "o/six",
            {"tag_name": "v4.0", "draft": True, "published_at": None},
            {"tag_name": "v3.0", "published_at": "2026-01-09T00:00:00Z"},
            {"tag_name": "v2.0", "published_at": "2025-12-09T00:00:00Z"},
        )
        finding = world.one()
        assert fates(finding) == {"v3.0": "too young", "v2.0": "taken"}
        assert finding.judged.taken(Version("2.0")).ref == "v2.0"

    def test_gitlab_tags_and_releases(self, world: World) -> None:
        world.server.gitlab_tags("group/sub/six", "v1.0", "v2.0")
        made = {"created_at": "2025-01-01T00:00:00.000Z", "commit": {"id": COMMIT}}
        future = {"tag_name": "v3.0", "upcoming_release": True, **made}
        world.server.gitlab_releases("group/sub/six", {"tag_name": "v1.0", **made}, future)
        for page, newest in (("", "2.0"), ("/-/tags", "2.0"), ("/-/releases", "1.0")):
            update = f"[update]\nsource = 'gitlab'\nid = '{world.server.root}/group/sub/six{page}'"
            world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
            assert world.news() == [newest]
            assert world.one().judged.taken(Version(newest)).commit == COMMIT
        # When it was released its author says, and may say what they like.
        young = {"created_at": "2026-01-09T00:00:00.000Z", "released_at": "2025-01-01T00:00:00.000Z"}
        world.server.gitlab_releases("group/sub/six", {"tag_name": "v1.0", **made, **young})
        world.spec("six", f"{GIT.format(url='https://127.0.0.1/six')}{update}\ncooldown = '3d'")
        assert fates(world.one()) == {"v1.0": "too young"}

    def test_anitya(self, world: World) -> None:
        update = f"[update]\nsource = 'anitya'\nid = '{world.server.root}/project/42/'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        world.server.anitya(42, "2.0", "1.0")
        assert world.news() == ["2.0"]

    def test_a_regular_expression_over_a_page(self, world: World) -> None:
        update = f"[update]\nsource = 'url'\nid = '{world.server.root}/pub/'\ninclude = 'six-([0-9.]+)[.]tar'\n"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update + "exclude = '^1[.]1'")
        world.server.put("/pub/", "<a href=six-1.0.tar.gz>six-1.0.tar.gz</a> six-1.1.tar.gz five-9.0.tar.gz")
        finding = world.one()
        assert fates(finding) == {
            "1.0": "taken",
            "1.1": "not selected",
        }

    def test_a_version_that_the_index_has_not_yet(self, world: World) -> None:
        """Others know it, but it would be built from an sdist; and what the index says of one counts."""
        world.spec("six", f"[update]\nsource = 'github'\nid = '{world.server.root}/o/six'", **{"0.9": A})
        world.server.github_tags("o/six", ["v4.0", "v3.0", "v2.0"])
        yanked = {"filename": "six-3.0.tar.gz", "yanked": "broken"}
        pinned = {"filename": "six-0.9.tar.gz", "hashes": {"sha256": B}}
        world.server.index("six", yanked, pinned, {"filename": "six-2.0.tar.gz"})
        finding = world.one()
        assert fates(finding) == {"v4.0": "no source", "v3.0": "yanked", "v2.0": "taken"}
        assert finding.judged.taken(Version("2.0")).file == "six-2.0.tar.gz"
        assert [each.offered for each in finding.reuploads] == [B]

    def test_nobody_is_asked_about_the_workspaces_own(self, world: World) -> None:
        world.spec("six", "[source]\ntype = 'path'\npath = 'src'")
        finding = world.one()
        assert (finding.error, finding.judged.candidates, world.server.log) == (None, (), [])


class TestTokens:
    def spec(self, world: World, kind: str) -> None:
        update = f"[update]\nsource = '{kind}'\nid = '{world.server.root}/o/six'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        world.server.github_tags("o/six", ["v1.0"], ["v1.1"])
        world.server.gitlab_tags("o/six", "v1.1")

    @pytest.mark.parametrize(
        ("kind", "naming", "token"),
        [
            ("github", "GH_HOST", "GITHUB_TOKEN"),
            ("github", "GH_HOST", "GH_TOKEN"),
            ("gitlab", "GITLAB_HOST", "GITLAB_TOKEN"),
        ],
    )
    def test_are_for_the_host_that_somebody_named(self, world: World, kind: str, naming: str, token: str) -> None:
        self.spec(world, kind)
        world.environ = {token: "secret"}
        assert world.news() == ["1.1"]
        assert [one.headers.get("authorization") for one in world.server.log] == [None] * len(world.server.log)
        world.environ[naming] = world.server.host
        assert world.news() == ["1.1"]
        assert world.server.log[-1].headers["authorization"] == "Bearer secret"

    def test_no_other_host_gets_one_by_the_way_of_a_next_page(self, world: World) -> None:
        self.spec(world, "github")
        world.environ = {"GITHUB_TOKEN": "secret", "GH_HOST": world.server.host}
        with knower() as other:
            for stolen in (f"{other.root}/stolen", f"https://{world.server.host}/stolen"):
                link = f'<{stolen}>; rel="next"'
                world.server.put("/api/v3/repos/o/six/tags?per_page=100", "[]" + " " * len(stolen), Link=link)
                error = world.one().error
                assert error and f"the next page is said to be at {stolen}" in error.what
            assert other.log == []

    @pytest.mark.parametrize("status", ["refused", "missing"])
    def test_what_is_refused_says_which_variable_helps_and_tells_no_token(self, world: World, status: str) -> None:
        self.spec(world, "gitlab")
        world.server.pages.clear()
        assert "GITLAB_TOKEN and GITLAB_HOST" in str(world.one().error)
        world.environ = {"GITLAB_TOKEN": "secret", "GITLAB_HOST": world.server.host}
        assert "what the token may do" in str(world.one().error)
        assert "secret" not in str(world.one().error)


class TestPoliteness:
    def test_at_most_eight_at_once_and_those_side_by_side(self, world: World) -> None:
        for number in range(40):
            world.spec(f"p{number}", **{"1.0": A})
            world.server.sdists(f"p{number}", "1.0")
        world.server.delay = 0.1
        assert all(finding.error is None for finding in world.find())
        assert 4 <= world.server.busiest <= 8
        assert len(world.server.log) == 40

    @pytest.mark.parametrize("conditional", [True, False])
    def test_a_page_that_is_as_it_was_is_parsed_once(
        self, world: World, conditional: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the server knows no conditions, its bytes say so."""
        world.server.conditional = conditional
        parsed: list[str] = []
        monkeypatch.setattr(
            "pybuilder.upstream.pages.parse_project",
            lambda page, name, **more: parsed.append(name) or parse_project(page, name, **more),
        )
        world.spec("six", **{"1.0": A})
        world.spec("idna", **{"1.0": A})
        for name in ("six", "idna"):
            world.server.sdists(name, "1.0", "1.1", hashes={"sha256": B})
        first = world.find()
        assert world.find() == first
        assert world.server.statuses() == [200, 200, *([304, 304] if conditional else [200, 200])]
        world.server.sdists("six", "1.0", "1.1", "1.2", hashes={"sha256": A})
        assert [finding.news for finding in world.find()] == [(Version("1.1"),), (Version("1.2"),)]
        assert sorted(parsed) == ["idna", "six", "six"]

    def test_every_page_of_tags_has_its_own_condition(self, world: World) -> None:
        update = f"[update]\nsource = 'github'\nid = '{world.server.root}/o/six'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        world.server.github_tags("o/six", ["v1.0"], ["v1.1"])
        assert world.news() == world.news() == ["1.1"]
        assert world.server.statuses() == [200, 200, 304, 304]
        world.server.github_tags("o/six", ["v1.0"], ["v1.1", "v1.2"])
        assert world.news() == ["1.2"]
        assert world.server.statuses()[4:] == [304, 200]

    def test_a_server_that_gives_no_answer_is_left_alone(self, world: World) -> None:
        for number in range(30):
            world.spec(f"p{number}")
        update = f"[update]\nsource = 'url'\nid = '{world.root.as_uri()}/page'\ninclude = '[0-9.]+'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        (world.root / "page").write_text("1.0 2.0")
        world.server.down = True
        findings = {finding.name: finding for finding in world.find()}
        # Eight find out, beside whom seven others may have begun; each tries three times.
        assert len(world.server.log) <= 15 * 3
        errors = [findings[f"p{number}"].error for number in range(30)]
        assert all(errors) and findings["six"].news == (Version("2.0"),)
        assert len([error for error in errors if error and "gave no answer 8 times" in error.what]) >= 15
        world.server.down = False
        world.server.sdists("p1", "1.0")
        assert world.news("p1") == ["1.0"]


class TestWrong:
    """An error is one finding's; the others go on."""

    def check(self, world: World, *, match: str, code: int = 30) -> Finding:
        world.spec("idna", **{"1.0": A})
        world.server.sdists("idna", "1.0", "1.1")
        good, bad = world.find("six", "idna")
        assert [str(version) for version in good.news] == ["1.1"]
        assert bad.error is not None, bad
        assert match in str(bad.error)
        assert bad.error.exit_code == code
        assert bad.news == ()
        return bad

    def test_a_spec_that_is_broken(self, world: World) -> None:
        world.spec("six", "nonsense = 1")
        assert self.check(world, match="specs/six.toml:2:1", code=3).spec is None

    @pytest.mark.parametrize(
        ("update", "match"),
        [
            ("source = 'github'", "no project on github.com is named"),
            ("source = 'github'\nid = 'six'", "'six' is no GitHub repository"),
            ("source = 'github'\nid = 'ftp://x/o/six'", "is no URL"),
            ("source = 'gitlab'\nid = 'six'", "'six' is no GitLab project"),
            ("source = 'anitya'\nid = 'six'", "'six' is no project of Anitya's"),
            ("source = 'git'", "no repository is named"),
            ("source = 'git'\nid = 'ext::sh'", "is no URL"),
            ("source = 'url'", "no page is named"),
            ("source = 'url'\nid = 'https://127.0.0.1/'", "nothing says what a version looks like"),
            ("id = 'no name'", "is no package name"),
        ],
    )
    def test_a_spec_that_does_not_say_whom_to_ask(self, world: World, update: str, match: str) -> None:
        world.spec("six", f"[update]\n{update}")
        error = self.check(world, match=match, code=3).error
        assert error and error.where.startswith("specs/six.toml:")

    def test_where_updates_are_off_nobody_waits_for_an_answer(self, world: World) -> None:
        world.spec("six", "[update]\nmode = 'off'\nreason = 'upstream is dead'")
        assert (world.one().problems, world.one().mode) == ((), "off")
        world.spec("six", "[update]\nmode = 'off'\nreason = 'dead'\nsource = 'github'")
        assert [problem.exit_code for problem in world.one().problems] == [3]

    def test_nobody_has_accepted_it(self, world: World) -> None:
        self.check(world, match="nobody has accepted six", code=40)

    def test_no_such_project(self, world: World) -> None:
        world.spec("six")
        self.check(world, match="the index has no project 'six'")

    @pytest.mark.parametrize("body", [b"<html>log in</html>", b"{", b"[]", b"{}", b"\xff\xfe", b"", b'{"files": 7}'])
    def test_an_index_that_talks_rubbish(self, world: World, body: bytes) -> None:
        world.spec("six", **{"1.0": A})
        world.server.put("/simple/six/", body)
        self.check(world, match="this is no page of a package index")
        # It has not been remembered for what upstream says.
        world.server.sdists("six", "1.1")
        assert world.news() == ["1.1"]

    @pytest.mark.parametrize("body", [b"<html>log in</html>", b"{}", b"[1]", b'[{"name": 1}]', b'[{"name": "v1"}]'])
    def test_a_forge_that_talks_rubbish(self, world: World, body: bytes) -> None:
        update = f"[update]\nsource = 'github'\nid = '{world.server.root}/o/six'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        world.server.put("/api/v3/repos/o/six/tags?per_page=100", body)
        self.check(world, match="no list of tags or releases")

    def test_a_page_with_nothing_on_it(self, world: World) -> None:
        update = f"[update]\nsource = 'url'\nid = '{world.server.root}/pub'\ninclude = 'six-([0-9.]+)'"
        world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
        world.server.put("/pub", "moved")
        self.check(world, match="include finds nothing on the page")

    def test_a_repository_that_is_not_there(self, world: World) -> None:
        url = (world.root / "none").as_uri()
        world.spec("six", f"{GIT.format(url=url)}[update]\nsource = 'git'")
        self.check(world, match="the tags can't be listed")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"X_PyPI_Last_Serial": "20"}, {"X_PyPI_Last_Serial": "19"}),
            (
                {"Last_Modified": "Thu, 08 Jan 2026 10:00:00 GMT"},
                {"Last_Modified": "Wed, 07 Jan 2026 10:00:00 GMT"},
            ),
        ],
    )
    def test_a_mirror_that_goes_backwards(self, world: World, before: dict[str, str], after: dict[str, str]) -> None:
        world.spec("six", **{"1.0": A})
        page = self.page(world, "1.0", "1.1")
        world.server.put("/simple/six/", page, **before)
        assert world.news() == ["1.1"]
        world.server.put("/simple/six/", self.page(world, "1.0"), **after)
        for _ in range(2):
            self.check(world, match="older than the one it gave before; 1.1 would be missing")
        world.server.put("/simple/six/", page, **before)
        assert world.news() == ["1.1"]

    def test_a_version_that_upstream_deleted(self, world: World) -> None:
        """Newer than what it was before, so it is believed; who acts on it waits (``yanks``)."""
        world.spec("six", **{"1.0": A, "1.1": A})
        world.server.put("/simple/six/", self.page(world, "1.0", "1.1"), X_PyPI_Last_Serial="20")
        assert world.one().gone == ()
        world.server.put("/simple/six/", self.page(world, "1.0"), X_PyPI_Last_Serial="21")
        finding = world.one()
        assert (finding.error, finding.gone, finding.news) == (None, (Version("1.1"),), ())
        # Another archive of it is there.
        files = ({"filename": name} for name in ("six-1.0.tar.gz", "six-1.1.zip"))
        world.server.index("six", *files)
        assert world.one().gone == ()

    def test_an_index_that_has_lost_everything(self, world: World) -> None:
        world.spec("six", **{"1.0": A})
        world.server.sdists("six", "1.0")
        assert world.news() == []
        world.server.index("six")
        self.check(world, match="lists nothing any more; 1.0 would be missing")

    def page(self, world: World, *versions: str) -> bytes:
        world.server.sdists("six", *versions)
        return world.server.pages["/simple/six/"][0]

    def test_a_version_that_was_uploaded_again(self, world: World) -> None:
        world.spec("six", **{"1.0": A, "1.1": A})
        again = {"filename": "six-1.0.tar.gz", "hashes": {"sha256": B}}
        world.server.index("six", again, {"filename": "six-1.1.tar.gz", "hashes": {"sha256": A}})
        finding = world.one()
        assert finding.reuploads == (Reupload(version=Version("1.0"), file="six-1.0.tar.gz", pinned=A, offered=B),)
        [problem] = finding.problems
        assert problem.exit_code == 30
        assert A in problem.what and B in problem.what and problem.where.startswith("specs/six.toml:3")

    def test_an_archive_from_elsewhere_is_not_that_of_the_index(self, world: World) -> None:
        text = "[source]\ntype = 'url'\nurl = 'https://127.0.0.1/six-{version}.tar.gz'\n"
        world.spec("six", text, **{"0.9": A, "1.0": A})
        world.server.index("six", {"filename": "six-1.0.tar.gz", "hashes": {"sha256": B}})
        finding = world.one()
        assert (finding.problems, finding.gone) == ((), ())


def test_a_cooldown_counts_from_the_first_sight_of_a_tag(world: World) -> None:
    update = f"[update]\nsource = 'gitlab'\nid = '{world.server.root}/o/six'\ncooldown = '3d'"
    world.spec("six", GIT.format(url="https://127.0.0.1/six") + update)
    world.server.gitlab_tags("o/six", "v1.0")
    assert world.news() == []
    world.now += timedelta(days=2)
    world.server.gitlab_tags("o/six", "v1.0", "v1.1")
    assert world.news() == []
    world.now += timedelta(days=1)
    assert world.news() == ["1.0"]
    # A clock that ran ahead for a moment holds nothing back.
    world.now += timedelta(days=2)
    assert world.news() == ["1.1"]


def test_on_the_command_line(tmp_path: Path) -> None:
    with bench(tmp_path) as here:
        for version in ("1.0", "1.1", "2.0rc1"):
            here.sdist("six", version)
        here.accept("idna", "1.0")
        here.spec(
            "six", f'[update]\nmode = "review"\n[versions]\n"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{A}" }}\n'
        )
        ran = here.pybuild("update")
        assert ran.code == 30
        assert ran.stdout.splitlines() == [
            "idna 1.0 is new, nothing is pinned yet",
            "six 1.1 is new, 1.0 is pinned; it waits for review",
        ]
        assert "2 packages: 2 new" in ran.stderr
        assert "six 1.0: upstream has uploaded six-1.0.tar.gz again" in ran.stderr
        ran = here.pybuild("update", "six", "--explain")
        assert ran.stdout.splitlines()[1:] == [
            "  2.0rc1  2024-01-02  prerelease  prereleases do not count",
            "  1.1     2024-01-02  taken       the newest",
            "  1.0     2024-01-02  pinned      in the spec",
        ]
        here.spec("local", '[source]\ntype = "path"\npath = "local"\n')
        assert here.pybuild("update", "local", "--explain").stdout == "local: no version is known\n"
        ran = here.pybuild("update", "idna", "--explain", "--json")
        [package] = ran.json["packages"]
        assert (ran.code, ran.json["ok"], package["news"]) == (0, True, [{"version": "1.0", "replaces": None}])
        assert package["candidates"][0]["fate"] == "taken"
