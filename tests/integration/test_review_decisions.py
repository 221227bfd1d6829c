"""A person looks at what waits, says yes or no, and whoever asks next gets that answer."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pybuilder.files import sha256_file
from pybuilder.state import State
from tests.support.git import git, repository
from tests.support.indexes import make_wheel
from tests.support.upstream import Fault
from tests.support.workspaces import Bench, bench


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def commit_all(here: Bench) -> None:
    repository(here.workspace, {})
    git(here.workspace, "config", "user.name", "Ada")
    git(here.workspace, "config", "user.email", "ada@localhost")


def commits(here: Bench) -> list[tuple[str, list[str]]]:
    """The title of each commit and the files that it changed, the newest first."""
    told = git(here.workspace, "log", "--format=%x00%s", "--name-only")
    return [(title, files.split()) for title, _, files in (each.partition("\n") for each in told.split("\0")[1:])]


def review(here: Bench, *arguments: str, code: int = 0) -> Any:
    ran = here.pybuild("review", *arguments, "--json")
    assert ran.code == code, ran.stderr
    return ran.json


def queue(here: Bench) -> list[tuple[str, str, str]]:
    """What waits; the same is published."""
    entries = review(here, "list")["review"]
    assert json.loads((here.index.root / "review.json").read_bytes())["review"] == entries
    page = (here.index.root / "review.html").read_text()
    assert all(f"<td>{entry['name']}</td>" in page for entry in entries)
    return [(entry["name"], entry["requirement"], entry["wanted_by"]) for entry in entries]


def pins(here: Bench, name: str) -> list[str]:
    return list(tomllib.loads(here.spec_text(name))["versions"])


def test_from_the_first_wish_to_the_build(here: Bench) -> None:
    here.accept("alpha", requires=["stranger<2"], build_requires=["tool", "requests"])
    here.accept("requests")
    stated = ["Summary: Knocks \x1b[31mloudly", "License: MIT", "Project-URL: Source, https://localhost/stranger"]
    needs = ["requests", "reqeusts", "other", "unwanted; python_version < '3'", "extra; extra == 'x'"]
    for version in ("0.5", "1.0", "2.0"):
        here.sdist("stranger", version, metadata=stated, requires=needs if version == "1.0" else [])
    here.upstream.yanked["stranger-0.5.tar.gz"] = "broken"
    here.upstream.upload_times["stranger-0.5.tar.gz"] = "2020-05-06T00:00:00Z"
    for name in ("reqeusts", "other"):
        here.sdist(name)
    here.sdist(
        "tool",
        files={"tool.c": b"int x;\n", "setup.py": b"ext_modules = []\n", "lib.so": b"\x7fELF\x02\x01\x01" + bytes(57)},
    )
    commit_all(here)
    here.bootstrap("alpha", code=40)
    assert queue(here) == [
        ("other", "other", "stranger 1.0"),
        ("reqeusts", "reqeusts", "stranger 1.0"),
        ("stranger", "stranger<2", "alpha 1.0"),
        ("tool", "tool", "the build of alpha 1.0"),
    ]
    shown = review(here, "show", "stranger")
    assert (shown["standing"], shown["version"], shown["licence"]) == ("waiting", "1.0", "MIT")
    assert [(each["version"], each["yanked"]) for each in shown["releases"]] == [
        ("2.0", None),
        ("1.0", None),
        ("0.5", "broken"),
    ]
    assert (shown["first_release"], shown["compiled"]) == ("2020-05-06T00:00:00Z", False)
    assert shown["unpacked"] > shown["sdist"]["size"] > 0
    assert [(each["requirement"], each["standing"]) for each in shown["requires"]] == [
        ("requests", "accepted"),
        ("reqeusts", "waiting"),
        ("other", "waiting"),
    ]
    assert shown["why"] == ["stranger 1.0 is installed", "  asked for as alpha", "    alpha 1.0 installs stranger<2"]
    said = here.pybuild("review", "show", "stranger").stdout
    assert "Knocks \N{REPLACEMENT CHARACTER}[31mloudly" in said and "link: Source: https://localhost/stranger" in said
    assert "YANKED: broken" in said and "pybuild review approve stranger" in said
    near = review(here, "show", "reqeusts")["near"]
    assert near == [{"name": "requests", "how": "one letter differs", "standing": "accepted"}]
    tool = review(here, "show", "tool")
    assert tool["compiled"] is True and [file["path"] for file in tool["screening"]["files"]] == ["lib.so"]

    first_seen = sha256_file(here.upstream.directory / "other-1.0.tar.gz")
    here.sdist("other", module="AGAIN = 1\n")
    done = review(here, "approve", "stranger", "tool", "other", "reqeusts")
    assert [(each["name"], each["outcome"], each["versions"]) for each in done["decisions"]] == [
        ("stranger", "taken in", ["1.0"]),
        ("tool", "taken in", ["1.0"]),
        ("other", "taken in", ["1.0"]),
        ("reqeusts", "taken in", ["1.0"]),
    ]
    assert commits(here)[:4] == [
        ("Take in reqeusts 1.0", ["specs/reqeusts.toml"]),
        ("Take in other 1.0", ["specs/other.toml"]),
        ("Take in tool 1.0", ["specs/tool.toml"]),
        ("Take in stranger 1.0", ["specs/stranger.toml"]),
    ]
    assert "Wanted as stranger<2 by alpha 1.0" in git(here.workspace, "log", "-1", "--format=%b", "HEAD~3")
    assert done["decisions"][3]["commit"] == git(here.workspace, "rev-parse", "HEAD")
    assert pins(here, "stranger") == ["1.0"]
    assert git(here.workspace, "status", "--porcelain", "specs/stranger.toml") == ""
    # Not what upstream has put in its place since a person looked at it.
    assert pins(here, "other") == ["1.0"] and first_seen in here.spec_text("other")
    assert queue(here) == []
    assert here.bootstrap("alpha").json["review"] == []
    assert review(here, "approve", "alpha")["decisions"][0]["outcome"] == "accepted already"


def test_no_is_told_to_everybody_who_asks(here: Bench) -> None:
    here.accept("alpha", requires=["evil"])
    here.accept("beta")
    here.sdist("evil")
    commit_all(here)
    here.build("alpha", code=40)
    assert [name for name, _, _ in queue(here)] == ["evil"]
    reason = 'no "longer" maintained'
    assert review(here, "reject", "evil", "--reason", reason)["decisions"][0]["outcome"] == "rejected"
    assert commits(here)[0] == ("Reject evil", ["specs/rejected.toml"])
    entry = tomllib.loads((here.workspace / "specs" / "rejected.toml").read_text())["packages"]["evil"]
    assert (entry["reason"], entry["by"], entry["when"].utcoffset().total_seconds()) == (reason, "Ada", 0)
    assert queue(here) == []
    published = json.loads((here.index.root / "review.json").read_bytes())["rejected"]
    assert [(each["name"], each["reason"], each["by"]) for each in published] == [("evil", reason, "Ada")]

    for arguments in (["build", "alpha"], ["bootstrap", "--accept-new", "alpha"]):
        ran = here.pybuild(*arguments, "--json")
        assert ran.code == 40 and ran.json["failed"] == [], arguments
        [told] = ran.json["review"]
        assert told["name"] == "evil" and told["rejected"].endswith(f"by Ada: {reason}"), arguments
    for arguments in (
        ["bootstrap", "alpha"],
        ["new", "evil"],
        ["build", "evil"],
        ["bootstrap", "--plan", "--accept-new", "alpha"],
    ):
        ran = here.pybuild(*arguments)
        assert ran.code == 40 and reason in ran.stderr, (arguments, ran.stderr)
    assert reason in here.pybuild("review", "show", "evil").stdout
    assert not here.attempts("evil") and not here.workspace.joinpath("specs", "evil.toml").exists()
    assert queue(here) == []

    # The list of rejected packages is the spec of none.
    assert here.build("beta").built() == ["beta==1.0+pb.1"]
    for arguments in (["build", "rejected"], ["new", "rejected"], ["review", "reject", "rejected"]):
        ran = here.pybuild(*arguments)
        assert ran.code in (2, 40) and "specs/rejected.toml lists" in ran.stderr, (arguments, ran.stderr)
    assert here.pybuild("lint").code == 0

    done = review(here, "approve", "evil")["decisions"][0]
    assert (done["outcome"], done["versions"]) == ("taken in", ["1.0"])
    assert commits(here)[0] == ("Take in evil 1.0", ["specs/evil.toml", "specs/rejected.toml"])
    assert here.build("alpha").built() == ["evil==1.0+pb.1", "alpha==1.0+pb.1"]


def test_what_git_brings_settles_it_as_well(here: Bench) -> None:
    here.accept("alpha", requires=["one", "two", "three"])
    for name in ("one", "two", "three"):
        here.sdist(name)
    here.build("alpha", code=40)
    assert [name for name, _, _ in queue(here)] == ["one", "three", "two"]
    here.spec("one")
    (here.workspace / "specs" / "rejected.toml").write_text('[packages.two]\nreason = "no"\n')
    assert [name for name, _, _ in queue(here)] == ["three"]
    # Without git it is written all the same.
    ran = here.pybuild("review", "approve", "three")
    assert ran.code == 0 and "not committed: this workspace is in no git repository" in ran.stdout
    assert pins(here, "three") == ["1.0"] and queue(here) == []
    (here.workspace / "specs" / "rejected.toml").write_text('[packages.two]\nreasn = "no"\n')
    ran = here.pybuild("build", "alpha")
    assert ran.code == 3 and "specs/rejected.toml:2:1" in ran.stderr and "did you mean 'reason'" in ran.stderr
    lint = here.pybuild("lint")
    assert lint.code == 3 and "specs/rejected.toml:2:1" in lint.stdout
    (here.workspace / "specs" / "rejected.toml").write_text('[packages.one]\nreason = "no"\n')
    assert "one has a spec and is rejected" in here.pybuild("lint").stdout


def test_new_versions_and_what_upstream_does_not_have(here: Bench) -> None:
    here.accept("alpha", spec="# mine\n[update]\nmode = 'review'\n")
    commit_all(here)
    here.build("alpha")
    git(here.workspace, "commit", "--quiet", "--all", "--message=pins")
    here.sdist("alpha", "2.0")
    make_wheel(here.upstream.directory, "wheely", "1.0", requires_dist=("alpha",))
    with closing(State.open(here.layout)) as state:
        wanted = [
            ("alpha", "alpha==2.0", "update"),
            ("wheely", "wheely", "alpha 1.0"),
            ("gone", "gone>=3", "alpha 1.0"),
        ]
        state.ask_review(wanted, now="2026-01-01T00:00:00.000000Z")
    here.build("alpha")  # which does not take it out
    assert [name for name, _, _ in queue(here)] == ["alpha", "gone", "wheely"]
    shown = review(here, "show", "alpha")
    assert (shown["version"], shown["update"]["old"], shown["update"]["files"]) == ("2.0", "1.0", ["specs/alpha.toml"])
    said = here.pybuild("review", "show", "alpha").stdout
    assert "alpha==2.0, a new version" in said and "in place of 1.0" in said
    shown = review(here, "show", "wheely")
    assert (shown["version"], shown["sdist"], shown["compiled"]) == ("1.0", None, False)
    assert [each["standing"] for each in shown["requires"]] == ["accepted"]
    assert here.pybuild("review", "approve", "wheely").code == 30
    shown = review(here, "show", "gone")
    assert shown["releases"] is None and "no project 'gone'" in shown["notes"][0]
    here.upstream.faults["/"] = Fault(content=b"rubbish")
    assert review(here, "show", "gone")["review"][0]["requirement"] == "gone>=3"
    assert here.pybuild("review", "reject", "alpha==3.0").code == 2
    done = review(here, "reject", "alpha", "--reason", "breaks everything")["decisions"][0]
    assert (done["outcome"], done["versions"]) == ("ignored", ["2.0"])
    text = here.spec_text("alpha")
    assert '"2.0", # breaks everything' in text and "# mine" in text
    assert commits(here)[0] == ("Ignore alpha 2.0", ["specs/alpha.toml"])
    assert [name for name, _, _ in queue(here)] == ["gone", "wheely"]
    assert here.pybuild("review", "reject", "alpha").code == 2


def test_a_new_version_that_is_approved_is_pinned_as_by_an_update(here: Bench) -> None:
    here.accept("alpha", spec="[update]\nmode = 'review'\n")
    commit_all(here)
    here.build("alpha")
    git(here.workspace, "commit", "--quiet", "--all", "--message=pins")
    here.sdist("alpha", "2.0", requires=["beta"])
    with closing(State.open(here.layout)) as state:
        state.ask_review([("alpha", "alpha==2.0", "update")], now="2026-01-01T00:00:00.000000Z")
    done = review(here, "approve", "alpha")["decisions"][0]
    assert (done["outcome"], done["versions"]) == ("updated", ["2.0"])
    assert pins(here, "alpha") == ["1.0", "2.0"]
    assert done["commit"] == git(here.workspace, "rev-parse", "HEAD")
    assert commits(here)[0][1] == ["specs/alpha.toml"] and "2.0" in commits(here)[0][0]
    assert queue(here) == []
