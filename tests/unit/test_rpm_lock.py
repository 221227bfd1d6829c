"""Locking over made-up repositories: what is chosen, what stays, what is said where nothing can be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import rpm_rs

from pybuilder.buildroot import Buildroot, complete, parse_buildroot
from pybuilder.errors import ConfigError, EngineError, FetchError, UsageError
from pybuilder.http import Client
from pybuilder.layout import Layout
from pybuilder.lockfile import Lock
from pybuilder.rpm.lock import EVERYTHING, Locker
from pybuilder.rpm.packages import archive_url
from pybuilder.rpm.requests import Request, requests
from pybuilder.spec import parse_spec
from pybuilder.store import Store
from tests.support import repositories as fakes
from tests.support.repositories import Fake, metalink_xml, serve, updateinfo_xml, write_repository


@dataclass
class Bench:
    """A state directory and repositories below one temporary directory."""

    home: Path
    reports: list[str] = field(default_factory=list)

    def repository(
        self, packages: Sequence[Fake], name: str = "fedora", packed: str = ".gz", updateinfo: str = ""
    ) -> Path:
        return write_repository(self.home / name, packages, packed=packed, updateinfo=updateinfo)

    def definition(self, packages: Sequence[str], repositories: str = "") -> Buildroot:
        here = (self.home / "fedora").as_uri()
        text = f"""
name = "f45"
distribution = "fedora"
release = "45"
arch = "x86_64"
pythons = ["3.14"]
packages = {list(packages)!r}
{repositories or f'[repositories.fedora]{chr(10)}baseurl = "{here}"{chr(10)}gpgcheck = false'}
"""
        return complete(parse_buildroot(text, "buildroots/f45.toml"), python="3.11", arch="x86_64")

    @property
    def layout(self) -> Layout:
        return Layout(root=self.home / "state")

    def lock(
        self,
        *packages: str,
        repositories: str = "",
        old: Lock | None = None,
        update: Sequence[str] = (),
        more: Sequence[Request] = (),
    ) -> Lock:
        definition = self.definition(packages, repositories)
        with Client(sleep=lambda _: None, timeout=1) as client:
            locker = Locker(
                layout=self.layout,
                store=Store(self.layout),
                client=client,
                home=self.home,
                report=self.reports.append,
            )
            return locker.lock(definition, (*requests(definition, ()), *more), old=old, update=update).lock


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def versions(lock: Lock) -> Mapping[str, str]:
    return {name: rpm.evra for name, rpm in lock.rpms.items()}


GLIBC = "glibc-2-1.src.rpm"
SMALL = [
    Fake(name="gcc", evr="15-1", requires=["glibc-devel >= 2"], recommends=["annobin"]),
    Fake(name="annobin"),
    Fake(
        name="glibc-devel", evr="2-1", requires=["glibc = 2-1"], provides=["pkgconfig(c)"], source="glibc-2-1.src.rpm"
    ),
    Fake(name="glibc", evr="2-1", source=GLIBC, files=["/usr/bin/ldd"]),
]
NEWER = [
    *SMALL,
    Fake(name="gcc", evr="16-1", requires=["glibc-devel >= 2"]),
    Fake(name="glibc-devel", evr="3-1", requires=["glibc = 3-1"], source="glibc-3-1.src.rpm"),
    Fake(name="glibc", evr="3-1", source="glibc-3-1.src.rpm"),
    Fake(name="cmake", evr="4-1", requires=["glibc"]),
    Fake(name="meson", evr="1-1", requires=["glibc >= 3"]),
]


@pytest.mark.parametrize("packed", ["", ".gz", ".xz", ".zst"])
def test_a_set_is_closed_without_weak_dependencies(bench: Bench, packed: str) -> None:
    bench.repository(SMALL, packed=packed)
    lock = bench.lock("gcc")
    assert versions(lock) == {"gcc": "15-1.x86_64", "glibc": "2-1.x86_64", "glibc-devel": "2-1.x86_64"}
    gcc = lock.rpms["gcc"]
    assert (gcc.sha256, gcc.size, gcc.location) == (SMALL[0].sha256, len(SMALL[0].body), SMALL[0].location)
    assert (gcc.repository, gcc.source, gcc.key, gcc.requires) == ("fedora", "gcc-15-1.src.rpm", "", ("glibc-devel",))
    repomd = (bench.home / "fedora/repodata/repomd.xml").read_bytes()
    assert lock.repositories == {"fedora": hashlib.sha256(repomd).hexdigest()}
    assert all(Store(bench.layout).rpm(rpm.sha256) for rpm in lock.rpms.values())


def test_a_second_run_reads_what_the_first_one_kept(bench: Bench) -> None:
    home = bench.repository(SMALL)
    first = bench.lock("gcc", "/usr/bin/ldd")
    for path in (home / "repodata").glob("*primary*"):
        path.unlink()
    for path in (home / "Packages").iterdir():
        path.unlink()
    assert bench.lock("gcc", "/usr/bin/ldd") == first


def test_what_was_kept_half_is_read_anew(bench: Bench) -> None:
    bench.repository(SMALL)
    first = bench.lock("gcc")
    (kept,) = (bench.layout.root / "store" / "repodata").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert bench.lock("gcc") == first


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("gcc", "gcc"),
        ("gcc >= 15", "gcc"),
        ("pkgconfig(c)", "glibc-devel"),
        ("/usr/bin/ldd", "glibc"),
        ("(nothing or annobin)", "annobin"),
    ],
)
def test_names_and_any_provide_are_answered(bench: Bench, request_: str, answer: str) -> None:
    bench.repository(SMALL)
    assert bench.lock(request_).answers == {request_: answer}


def test_the_closure_of_a_part_has_only_what_it_needs(bench: Bench) -> None:
    bench.repository(NEWER)
    lock = bench.lock("gcc", "cmake")
    assert [rpm.name for rpm in lock.closure(["cmake"])] == ["cmake", "glibc"]
    assert [rpm.name for rpm in lock.closure(["gcc"])] == ["gcc", "glibc", "glibc-devel"]


def test_a_condition_that_holds_in_the_lock_holds_in_every_part(bench: Bench) -> None:
    bench.repository([Fake(name="a", requires=["(b if c)", "(d if e)"]), *(Fake(name=name) for name in "bcd")])
    lock = bench.lock("a", "c")
    assert sorted(lock.rpms) == ["a", "b", "c"]
    assert [rpm.name for rpm in lock.closure(["a"])] == ["a", "b"]


@pytest.mark.parametrize("requirement", ["(b and c)", "(b or c)", "((b and c) if d)"])
def test_any_branch_of_a_rich_requirement_is_kept_where_it_is_locked(bench: Bench, requirement: str) -> None:
    bench.repository([Fake(name="a", requires=[requirement]), *(Fake(name=name) for name in "bcd")])
    assert bench.lock("a", "b", "c", "d").rpms["a"].requires == ("b", "c")


def test_what_a_scriptlet_requires_is_required(bench: Bench) -> None:
    bench.repository([Fake(name="a", requires=["b"], before=["c"]), Fake(name="b"), Fake(name="c")])
    assert bench.lock("a").rpms["a"].requires == ("b", "c")


def test_of_two_that_are_locked_the_one_that_is_called_so_satisfies_a_requirement(bench: Bench) -> None:
    bench.repository([Fake(name="a", requires=["mta"]), Fake(name="mta"), Fake(name="b", provides=["mta"])])
    assert bench.lock("a", "b", "mta").rpms["a"].requires == ("mta",)


def test_other_architectures_are_not_there(bench: Bench) -> None:
    bench.repository(
        [
            Fake(name="a", arch="i686", evr="2-1"),
            Fake(name="a", requires=["b"]),
            Fake(name="b", arch="noarch"),
            Fake(name="c", arch="i686"),
        ]
    )
    assert versions(bench.lock("a")) == {"a": "1-1.x86_64", "b": "1-1.noarch"}
    with pytest.raises(ConfigError, match="no repository has the RPM 'c'"):
        bench.lock("c")


def repositories(**tables: str) -> str:
    return "\n".join(f"[repositories.{name}]\ngpgcheck = false\n{text}" for name, text in tables.items())


def test_the_repository_with_the_lowest_number_wins(bench: Bench) -> None:
    old, new = bench.repository([Fake(name="a")]), bench.repository([Fake(name="a", evr="2-1")], "updates")
    text = {"fedora": f'baseurl = "{old.as_uri()}"', "updates": f'baseurl = "{new.as_uri()}"'}
    assert bench.lock("a", repositories=repositories(**text)).rpms["a"].repository == "updates"
    text["fedora"] += "\npriority = 10"
    assert bench.lock("a", repositories=repositories(**text)).rpms["a"].evra == "1-1.x86_64"


def test_what_is_excluded_is_not_taken(bench: Bench) -> None:
    home = bench.repository([Fake(name="a"), Fake(name="a", evr="2-1"), Fake(name="a-libs")])
    url = f'baseurl = "{home.as_uri()}"\n'
    assert versions(bench.lock("a", repositories=repositories(fedora=url + 'exclude = ["a-2*"]'))) == {
        "a": "1-1.x86_64"
    }
    with pytest.raises(ConfigError, match="'a-libs'"):
        bench.lock("a-libs", repositories=repositories(fedora=url + 'exclude = ["a-*"]'))


# What stays, what moves


def test_what_is_locked_stays_and_what_is_missing_is_added(bench: Bench) -> None:
    bench.repository(SMALL)
    old = bench.lock("gcc")
    bench.repository(NEWER)
    new = bench.lock("gcc", "cmake", old=old)
    assert versions(new) == versions(old) | {"cmake": "4-1.x86_64"}


def test_what_nobody_asks_for_any_more_is_dropped(bench: Bench) -> None:
    bench.repository(NEWER)
    assert sorted(bench.lock("cmake", old=bench.lock("gcc", "cmake")).rpms) == ["cmake", "glibc"]


def test_update_moves_all_or_some_with_their_siblings(bench: Bench) -> None:
    bench.repository(SMALL)
    old = bench.lock("gcc")
    bench.repository(NEWER)
    everything = {"gcc": "16-1.x86_64", "glibc": "3-1.x86_64", "glibc-devel": "3-1.x86_64"}
    assert versions(bench.lock("gcc", old=old, update=[EVERYTHING])) == everything
    assert versions(bench.lock("gcc", old=old, update=["glibc"])) == everything | {"gcc": "15-1.x86_64"}


def security(lock: Lock) -> Mapping[str, str]:
    return {name: rpm.security for name, rpm in lock.rpms.items() if rpm.security}


@pytest.mark.parametrize("packed", ["", ".gz", ".xz", ".zst"])
def test_what_an_advisory_says_of_a_locked_version_is_noted(bench: Bench, packed: str) -> None:
    fixed = [Fake(name="glibc", evr="2-1"), Fake(name="glibc-devel", evr="2-1"), Fake(name="other", evr="2-1")]
    said = updateinfo_xml(
        ("security", "F-1", fixed),
        ("security", "F-2", [Fake(name="glibc", evr="1:1-1"), Fake(name="glibc", evr="1-9")]),
        ("bugfix", "F-3", [Fake(name="gcc", evr="15-1")]),
        ("security", "no id", [Fake(name="gcc", evr="15-1")]),
    )
    bench.repository(SMALL, packed=packed, updateinfo=said)
    assert security(bench.lock("gcc")) == {"glibc": "2-1 F-1", "glibc-devel": "2-1 F-1"}


def test_a_note_stays_until_a_newer_advisory_comes_or_the_version_goes_back(bench: Bench) -> None:
    bench.repository(SMALL, updateinfo=updateinfo_xml(("security", "F-1", [Fake(name="glibc", evr="2-1")])))
    first = bench.lock("gcc")
    # Fedora drops what it said of a version that a newer one has replaced.
    bench.repository(NEWER)
    second = bench.lock("gcc", old=first, update=[EVERYTHING])
    assert versions(second)["glibc"] == "3-1.x86_64"
    assert security(second) == {"glibc": "2-1 F-1"}
    bench.repository(NEWER, updateinfo=updateinfo_xml(("security", "F-2", [Fake(name="glibc", evr="3-1")])))
    third = bench.lock("gcc", old=second)
    assert security(third) == {"glibc": "3-1 F-2"}
    bench.repository(SMALL)
    assert security(bench.lock("gcc", old=third, update=[EVERYTHING])) == {}


def test_advisories_that_are_not_those_that_are_named_are_refused(bench: Bench) -> None:
    home = bench.repository(SMALL, updateinfo=updateinfo_xml(), packed="")
    (home / "repodata" / "updateinfo.xml").write_text("<updates></updates>")
    with pytest.raises(FetchError, match="updateinfo"):
        bench.lock("gcc")
    bench.repository(SMALL, updateinfo="<updates>", packed="")
    with pytest.raises(FetchError, match=r"no updateinfo\.xml"):
        bench.lock("gcc")


def test_update_of_what_is_not_locked_suggests_what_is(bench: Bench) -> None:
    bench.repository(SMALL)
    with pytest.raises(UsageError, match="'glib' is not in the lock of f45; did you mean 'glibc'"):
        bench.lock("gcc", old=bench.lock("gcc"), update=["glib"])


def test_what_must_move_is_named(bench: Bench) -> None:
    bench.repository(SMALL)
    old = bench.lock("gcc")
    bench.repository(NEWER)
    with pytest.raises(ConfigError, match="without moving RPMs that are locked") as caught:
        bench.lock("gcc", "meson", old=old)
    assert caught.value.where.split("\n")[0] == "glibc-2-1.x86_64 -> 3-1.x86_64"
    assert caught.value.cure == "pybuild buildroot lock --update glibc glibc-devel"
    assert versions(bench.lock("gcc", "meson", old=old, update=["glibc", "glibc-devel"]))["meson"] == "1-1.x86_64"


def test_beside_what_stays_an_older_one_is_better_than_none(bench: Bench) -> None:
    bench.repository(SMALL)
    old = bench.lock("gcc")
    bench.repository([*NEWER, Fake(name="meson", evr="0-1", requires=["glibc"])])
    assert versions(bench.lock("gcc", "meson", old=old)) == versions(old) | {"meson": "0-1.x86_64"}


def test_a_provide_that_only_a_newer_one_has_must_move_too(bench: Bench) -> None:
    bench.repository([Fake(name="a")])
    old = bench.lock("a")
    bench.repository([Fake(name="a"), Fake(name="a", evr="2-1", provides=["new"])])
    with pytest.raises(ConfigError) as caught:
        bench.lock("a", "new", old=old)
    assert caught.value.cure.endswith("--update a")


# What is gone


def real_rpm(name: str, version: str, requires: Sequence[tuple[str, str]] = ()) -> bytes:
    builder = rpm_rs.PackageBuilder(name, version, "MIT", "x86_64")
    builder.release("1")
    for wanted, evr in requires:
        builder.requires(wanted, evr or None, rpm_rs.DependencyFlags.EQUAL if evr else None)
    builder.with_file_contents(b"", rpm_rs.FileOptions.new(f"/usr/bin/{name}"))
    return bytes(builder.build().to_bytes())


def test_an_rpm_that_vanished_stays_as_it_was_while_the_store_has_it(bench: Bench) -> None:
    gone = Fake(
        name="a",
        content=real_rpm("a", "1", [("b", "1-1"), ("c", ""), ("(d if c)", "")]),
        requires=["b = 1-1", "c", "(d if c)"],
        files=["/usr/bin/a"],
    )
    others = [Fake(name=name) for name in "bcd"]
    bench.repository([gone, *others])
    old = bench.lock("a")
    assert old.rpms["a"].requires == ("b", "c", "d")
    bench.repository([Fake(name="a", evr="2-1"), Fake(name="b", evr="2-1"), *others, Fake(name="x")])
    # With b free to move, only the version that a itself requires keeps it where it is.
    new = bench.lock("x", "/usr/bin/a", old=old, update=["b"])
    assert new.rpms["a"] == old.rpms["a"]
    assert versions(new) == versions(old) | {"x": "1-1.x86_64"}


def test_an_rpm_that_vanished_comes_from_the_archive(bench: Bench, tmp_path: Path) -> None:
    gone = Fake(name="a", content=real_rpm("a", "1"))
    home = bench.repository([gone])
    old = bench.lock("a")
    elsewhere = Bench(tmp_path / "elsewhere")
    kept = elsewhere.home / "archive/a/1/1/x86_64/a-1-1.x86_64.rpm"
    kept.parent.mkdir(parents=True)
    (home / gone.location).rename(kept)
    bench.repository([Fake(name="a", evr="2-1")])
    archive = f"{elsewhere.home.as_uri()}/archive/{{source}}/{{version}}/{{release}}/{{arch}}/{{file}}"
    text = repositories(fedora=f'baseurl = "{home.as_uri()}"\narchive = "{archive}"')
    assert elsewhere.lock("a", repositories=text, old=old).rpms["a"].sha256 == gone.sha256


def test_an_rpm_that_vanished_everywhere_says_how_to_relock(bench: Bench, tmp_path: Path) -> None:
    home = bench.repository([Fake(name="a")])
    old = bench.lock("a")
    (home / old.rpms["a"].location).unlink()
    bench.repository([Fake(name="a", evr="2-1")])
    text = repositories(fedora=f'baseurl = "{home.as_uri()}"')
    with pytest.raises(FetchError, match=r"a-1-1\.x86_64: there is no such file") as caught:
        Bench(tmp_path / "elsewhere").lock("a", repositories=text, old=old)
    assert caught.value.cure.endswith("pybuild buildroot lock --update a")


@pytest.mark.parametrize(
    ("status", "archived", "asked"),
    [
        (404, True, [1, 1, 1, 0, 0, 1]),
        (503, True, [2, 2, 2, 0, 0, 1]),
        (404, False, [1, 1, 1, 0, 0, 0]),
        (503, False, [2, 2, 5, 0, 0, 0]),
    ],
)
def test_few_mirrors_are_asked_for_an_rpm_and_the_archive_last(
    bench: Bench, tmp_path: Path, status: int, archived: bool, asked: list[int]
) -> None:
    home = bench.repository([Fake(name="a")])
    paths: list[str] = []

    def answer(path: str) -> int | None:
        if not path.endswith(".rpm"):
            return None
        paths.append(path)
        return None if path.startswith("/archive") else status

    for mirror in "12345":
        (tmp_path / mirror).symlink_to(home)
    (tmp_path / "archive").symlink_to(home / "Packages")
    with serve(tmp_path, answer) as url:
        mirrors = tmp_path / "mirrors"
        mirrors.write_text("".join(f"{url}/{mirror}\n" for mirror in "12345"))
        archive = f'archive = "{url}/archive/{{file}}"' if archived else ""
        text = repositories(fedora=f'mirrorlist = "{mirrors.as_uri()}"\n{archive}')
        with nullcontext() if archived else pytest.raises(FetchError, match="can't be had"):
            bench.lock("a", repositories=text)
    sources = [*"12345", "archive"]
    assert [sum(path.startswith(f"/{source}/") for path in paths) for source in sources] == asked


def test_the_archive_is_filed_by_source_as_koji_does(bench: Bench) -> None:
    bench.repository([Fake(name="glibc-devel", evr="1:2-1", source="glibc-2.42-3.fc45.src.rpm")])
    rpm = bench.lock("glibc-devel").rpms["glibc-devel"].model_copy(update={"key": "0123456789abcdef"})
    template = "https://k.example.org/{source}/{version}/{release}/data/signed/{key}/{arch}/{file}"
    assert archive_url(template, rpm) == (
        "https://k.example.org/glibc/2.42/3.fc45/data/signed/89abcdef/x86_64/glibc-devel-2-1.x86_64.rpm"
    )
    with pytest.raises(ConfigError, match="'nevra'") as caught:
        archive_url("https://k.example.org/{nevra}", rpm)
    assert "[repositories.fedora].archive" in caught.value.where and "{source}" in caught.value.cure


# What can't be


def test_an_unknown_rpm_is_reported_with_who_asks_and_near_names(bench: Bench) -> None:
    bench.repository(SMALL)
    more = [Request(rpm="glibc-dev", place="specs/x.toml:3:10 [system].build[0]")]
    with pytest.raises(ConfigError, match="no repository has these RPMs") as caught:
        bench.lock("gcc", "gc", more=more)
    assert "buildroots/f45.toml packages: 'gc'; did you mean 'gcc'" in caught.value.where
    assert "specs/x.toml:3:10 [system].build[0]: 'glibc-dev'; did you mean 'glibc-devel'" in caught.value.where


def test_an_unsolvable_set_is_explained_with_the_spec_that_asked(bench: Bench) -> None:
    bench.repository([*SMALL, Fake(name="zlib", conflicts=["zlib-ng"]), Fake(name="zlib-ng")])
    more = [Request(rpm="zlib-ng", place="specs/x.toml:3:10"), Request(rpm="zlib", place="specs/y.toml:4:10")]
    with pytest.raises(EngineError, match="can't be installed together") as caught:
        bench.lock("gcc", more=more)
    assert "package zlib-1-1.x86_64 conflicts with zlib-ng provided by zlib-ng-1-1.x86_64" in caught.value.where
    assert "asked for by specs/x.toml:3:10" in caught.value.where
    assert "asked for by specs/y.toml:4:10" in caught.value.where
    assert "buildroots/f45.toml" not in caught.value.where


def test_a_requirement_that_nothing_provides_is_named(bench: Bench) -> None:
    bench.repository([Fake(name="a", requires=["lost"])])
    with pytest.raises(EngineError) as caught:
        bench.lock("a")
    assert "nothing provides lost needed by a-1-1.x86_64" in caught.value.where
    assert "asked for by buildroots/f45.toml packages" in caught.value.where


def test_an_older_one_is_not_taken_where_the_newest_does_not_work(bench: Bench) -> None:
    bench.repository([Fake(name="a"), Fake(name="a", evr="2-1", requires=["lost"])])
    with pytest.raises(EngineError, match="can't be installed together"):
        bench.lock("a")


# What lies


def test_a_mirror_that_the_metalink_does_not_vouch_for_is_passed_over(bench: Bench) -> None:
    good = bench.repository(SMALL, "good")
    liar = bench.repository([Fake(name="gcc", evr="99-1")], "liar")
    metalink = bench.home / "metalink"
    metalink.write_bytes(metalink_xml([liar.as_uri(), good.as_uri()], (good / "repodata/repomd.xml").read_bytes()))
    text = repositories(fedora=f'metalink = "{metalink.as_uri()}"')
    assert bench.lock("gcc", repositories=text).rpms["gcc"].evra == "15-1.x86_64"
    metalink.write_bytes(metalink_xml([liar.as_uri()], b"something else"))
    with pytest.raises(FetchError, match="another digest than the metalink says") as caught:
        bench.lock("gcc", repositories=text)
    assert caught.value.where.startswith(liar.as_uri())


def test_mirrors_are_tried_in_turn(bench: Bench) -> None:
    good = bench.repository(SMALL)
    mirrors = bench.home / "mirrors"
    mirrors.write_text(f"{bench.home.as_uri()}/none\n{good.as_uri()}\n")
    text = repositories(fedora=f'mirrorlist = "{mirrors.as_uri()}"')
    assert "gcc" in bench.lock("gcc", repositories=text).rpms
    mirrors.write_text(f"{bench.home.as_uri()}/none\n{bench.home.as_uri()}/neither\n")
    with pytest.raises(FetchError, match="no mirror of the repository 'fedora' can be used") as caught:
        bench.lock("gcc", repositories=text)
    assert "/none/repodata" in caught.value.where and "/neither/repodata" in caught.value.where


def test_a_list_of_packages_that_is_not_the_one_named_is_refused(bench: Bench) -> None:
    (primary,) = (bench.repository(SMALL) / "repodata").glob("*primary*")
    primary.write_bytes(primary.read_bytes() + b"x")
    with pytest.raises(FetchError, match="sha256 mismatch"):
        bench.lock("gcc")
    assert not [*(bench.layout.root / "store").rglob("*.solv")]


@pytest.mark.parametrize("packed", [".gz", ".zst"])
def test_a_list_of_packages_that_is_none_is_refused(bench: Bench, packed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "primary_xml", lambda packages: "<metadata><package>")
    bench.repository(SMALL, packed=packed)
    with pytest.raises(FetchError, match="packages of 'fedora' can't be read"):
        bench.lock("gcc")


def test_a_truncated_rpm_is_refused_and_the_next_mirror_asked(bench: Bench) -> None:
    good = bench.repository(SMALL, "good")
    cut = bench.repository(SMALL, "cut")
    (cut / SMALL[0].location).write_bytes(SMALL[0].body[:-1])
    mirrors = bench.home / "mirrors"
    mirrors.write_text(f"{cut.as_uri()}\n{good.as_uri()}\n")
    text = repositories(fedora=f'mirrorlist = "{mirrors.as_uri()}"')
    assert "gcc" in bench.lock("gcc", repositories=text).rpms
    alone = repositories(fedora=f'baseurl = "{cut.as_uri()}"')
    with pytest.raises(FetchError, match=r"gcc-15-1\.x86_64: sha256 mismatch"):
        Bench(bench.home / "elsewhere").lock("gcc", repositories=alone)


def test_a_mirror_that_does_not_answer_is_passed_over(bench: Bench) -> None:
    home = bench.repository(SMALL)
    with serve(home) as dead:
        pass
    mirrors = bench.home / "mirrors"
    mirrors.write_text(f"{dead}\n{home.as_uri()}\n")
    text = repositories(fedora=f'mirrorlist = "{mirrors.as_uri()}"')
    assert "gcc" in bench.lock("gcc", repositories=text).rpms
    with pytest.raises(FetchError, match="fetching failed 5 times") as caught:
        bench.lock("gcc", repositories=repositories(fedora=f'baseurl = "{dead}"'))
    assert caught.value.where == f"{dead}/repodata/repomd.xml"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('href="Packages/gcc', 'href="../../gcc', "plain relative path"),
        ("gcc-15-1.src.rpm", "gcc", "no source RPM"),
        ("checksum", "digest", "no sha256 for annobin-1-1"),
    ],
)
def test_a_list_of_packages_that_lies_about_files_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, old: str, new: str, wanted: str
) -> None:
    def lying(packages: Sequence[Fake]) -> str:
        return honest(packages).replace(old, new)

    honest = fakes.primary_xml
    monkeypatch.setattr(fakes, "primary_xml", lying)
    bench.repository([*SMALL[1:], SMALL[0]])
    with pytest.raises(FetchError, match=wanted):
        bench.lock("annobin", "gcc")


def test_over_http(bench: Bench) -> None:
    home = bench.repository(SMALL, packed=".zst")
    with serve(home) as url:
        text = repositories(fedora=f'baseurl = "{url}"')
        found = bench.lock("gcc", repositories=text)
    assert sorted(found.rpms) == ["gcc", "glibc", "glibc-devel"]


# Who asks


def test_specs_ask_with_their_places_and_overrides_for_this_buildroot(bench: Bench) -> None:
    spec = parse_spec(
        """name = "x"
[system]
build = ["gcc"]
runtime = ["glibc"]
[[override]]
when = { buildroot = "f4*", versions = "<2" }
system.build = ["cmake"]
[[override]]
when = { buildroot = "centos-*" }
system.build = ["other"]
""",
        "specs/x.toml",
    )
    definition = bench.definition(["bash"]).model_copy(update={"runtime": ("glibc",)})
    assert [(each.rpm, each.place) for each in requests(definition, [spec])] == [
        ("bash", "buildroots/f45.toml packages"),
        ("glibc", "buildroots/f45.toml runtime"),
        ("gcc", "specs/x.toml:3:10 [system].build[0]"),
        ("glibc", "specs/x.toml:4:12 [system].runtime[0]"),
        ("cmake", "specs/x.toml:7:17 [[override]][0].system.build[0]"),
    ]
