"""What a person is shown of a package that waits, and in which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.cli.reviewed import dossier_json, dossier_lines, queue_lines
from pybuilder.dossier import Alike, Dossier, Needed, Offering, Release
from pybuilder.guess import Guess
from pybuilder.metadata import parse_metadata
from pybuilder.new import Findings
from pybuilder.rejections import Rejection
from pybuilder.review_queue import Waiting
from pybuilder.spec import Pin
from pybuilder.upstream.files import File
from pybuilder.uptake import PatchNews, Prepared

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ONE = Waiting(name="six", requirement="six>=1", wanted_by="alpha 1.0", first_seen="2026-02-28T23:00:00.000006Z")
TWO = Waiting(name="six", requirement="six<3", wanted_by="the build of beta 1.0", first_seen="2026-02-10T00:00:00Z")
UPDATE = Waiting(name="lxml", requirement="lxml==6.0", wanted_by="update", first_seen="2025-01-01T00:00:00Z")
NOTHING: Any = {"files": [], "unlisted": {}, "advisories": [], "dump_sha256": "d"}
EMPTY = Dossier(
    name=NormalizedName("six"),
    standing="waiting",
    waiting=(ONE, TWO),
    rejection=None,
    why=(),
    alike=(),
    upstream=None,
    about=None,
    findings=None,
    needs=(),
    screened=None,
    stopped="",
    allowing="",
    prepared=None,
    notes=(),
)
SDIST = File(
    filename="six-1.0.tar.gz",
    url="",
    sha256=None,
    size=1_234_567,
    requires_python="",
    yanked=False,
    yanked_reason="",
    upload_time=None,
    has_metadata=False,
    metadata_sha256=None,
)
GUESS = Guess(build=(), runtime=(), remove_requires=(), vendor="", why={}, notes=())
FINDINGS = Findings(
    summary="Bridges",
    licence="MIT",
    project_urls={"Source": "https://localhost/six"},
    requires_python=">=3.8",
    unpacked=999,
    guess=GUESS,
    requires=(Requirement("flit-core"),),
    requires_dist=(),
    notes=("look here",),
)


def release(
    version: str, days: int | None, *, yanked: str | None = None, sdist: bool = True, wheels: int = 0
) -> Release:
    released = None if days is None else NOW - timedelta(days=days)
    return Release(version=Version(version), released=released, yanked=yanked, sdist=sdist, wheels=wheels)


def offering(
    *releases: Release, status: str = "", sdist: File | None = SDIST, wheels: tuple[str, ...] = ()
) -> Offering:
    return Offering(
        status=status, releases=releases, version=releases[0].version if releases else None, sdist=sdist, wheels=wheels
    )


def lines(**changes: Any) -> list[str]:
    return dossier_lines(replace(EMPTY, **changes), NOW)


def test_the_queue_by_package_the_oldest_first() -> None:
    assert queue_lines([UPDATE, TWO, ONE], NOW) == [
        "lxml",
        "  lxml==6.0, a new version, since 2025-01-01, 14 months ago",
        "six",
        "  six<3, wanted by the build of beta 1.0, since 2026-02-10, 19 days ago",
        "  six>=1, wanted by alpha 1.0, since 2026-02-28, today",
    ]


def test_a_package_of_which_nothing_is_known() -> None:
    assert lines(notes=("what upstream has of it could not be found out: it is\ndown",)) == [
        "six: upstream's summary is not known",
        "six>=1, wanted by alpha 1.0, since 2026-02-28, today",
        "six<3, wanted by the build of beta 1.0, since 2026-02-10, 19 days ago",
        "licence: not stated",
        "look: what upstream has of it could not be found out: it is down",
        "do: pybuild review approve six, or: pybuild review reject six --reason TEXT",
    ]
    document = dossier_json(EMPTY)
    unknown = (
        "version",
        "releases",
        "first_release",
        "sdist",
        "unpacked",
        "wheels",
        "compiled",
        "guessed",
        "screening",
    )
    assert all(document[key] is None for key in unknown)


def test_a_package_of_which_all_is_known() -> None:
    told = lines(
        upstream=offering(
            release("1.0", 10), release("0.9", 4000, yanked="bad"), release("0.8", None, sdist=False, wheels=3)
        ),
        findings=FINDINGS,
        needs=(Needed(requirement="flit-core", needed_to="build", standing="accepted"),),
        screened=NOTHING,
        why=("six 1.0 is installed", "  asked for as six"),
    )
    assert told[0] == "six: Bridges (looked at: 1.0)"
    assert told[3:] == [
        "  in the last plan: six 1.0 is installed",
        "  in the last plan:   asked for as six",
        "licence: MIT; for Python >=3.8",
        "link: Source: https://localhost/six",
        "releases: 3, the first on 2015-03-19, 10 years ago",
        "  2026-02-19  1.0              source",
        "  2015-03-19  0.9              source  YANKED: bad",
        "  no date     0.8              no source, 3 wheels",
        "source: six-1.0.tar.gz, 1.2 MB, unpacked 999 bytes",
        "built from source it is pure Python",
        "needs flit-core to build: accepted",
        "screening found nothing",
        "look: look here",
        "do: pybuild review approve six, or: pybuild review reject six --reason TEXT",
    ]


def test_many_releases_are_told_as_a_number() -> None:
    many = [release(f"{n}.0", n) for n in range(20, 0, -1)]
    told = lines(upstream=offering(*many))
    assert "releases: 20, the first on 2026-02-09, 20 days ago" in told and "  and 12 older" in told
    assert sum(line.endswith(" source") for line in told) == 8
    assert len(dossier_json(replace(EMPTY, upstream=offering(*many)))["releases"]) == 20


def test_a_project_that_has_only_wheels() -> None:
    wheels = ("six-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "six-1.0-cp312-cp312-win_amd64.whl")
    about = parse_metadata(
        b"Metadata-Version: 2.1\nName: six\nVersion: 1.0\nSummary: Told by a wheel\nHome-page: https://h\n"
    )
    told = lines(upstream=offering(release("1.0", 3), sdist=None, wheels=wheels), about=about)
    assert told[0] == "six: Told by a wheel (looked at: 1.0)"
    assert "link: Homepage: https://h" in told
    assert "source: upstream has none of 1.0, only wheels; it can't be built from an sdist" in told
    kinds = "cp311-manylinux2014_x86_64 cp311-manylinux_2_17_x86_64, cp312-win_amd64"
    assert f"upstream's wheels: 2, for {kinds}" in told
    assert dossier_json(replace(EMPTY, upstream=offering(release("1.0", 3), sdist=None, wheels=wheels)))["compiled"]


def test_what_is_compiled_says_why() -> None:
    guess = replace(GUESS, build=("gcc",), why={"gcc": "there is x.c"})
    known = replace(EMPTY, upstream=offering(release("1.0", 3)), findings=replace(FINDINGS, guess=guess))
    assert "built from source it is compiled (gcc: there is x.c)" in dossier_lines(known, NOW)
    assert dossier_json(known)["compiled"] is True


def test_what_should_make_a_person_look_twice() -> None:
    told = lines(
        alike=(
            Alike(name="sixx", how="one letter differs", standing="accepted"),
            Alike(name="s-ix", how="the same but for separators", standing="waiting"),
        ),
        upstream=offering(release("1.0", 1), status="quarantined: malware"),
    )
    assert "LOOK CLOSELY: its name is near to sixx, which is accepted: one letter differs" in told
    assert "LOOK CLOSELY: its name is near to s-ix, which is in the queue: the same but for separators" in told
    assert "LOOK CLOSELY: upstream says of the project that it is quarantined: malware" in told


def test_what_screening_found_and_how_to_allow_it() -> None:
    file = {"path": "x.so", "kind": "compiled", "format": "ELF", "size": 1, "sha256": "ab", "note": "", "accepted": ""}
    account = {**NOTHING, "files": [file], "dump_sha256": None}
    told = lines(screened=account, stopped="the source of six 1.0 waits for review", allowing="write:\n  [[screen]]")
    assert "found: ELF x.so  sha256 ab" in told
    assert "advisories were not looked up: no dump is configured ([screen] advisories)" in told
    assert told[-4:-1] == ["the source of six 1.0 waits for review", "do: write:", "  [[screen]]"]


def test_nothing_is_found_where_nobody_looked_for_advisories() -> None:
    told = lines(screened={**NOTHING, "dump_sha256": None})
    assert told[-3:-1] == [
        "screening found nothing",
        "advisories were not looked up: no dump is configured ([screen] advisories)",
    ]


def test_a_new_version_with_a_patch_that_does_not_apply() -> None:
    prepared = Prepared(
        name=NormalizedName("six"),
        version=Version("2.0"),
        old=Version("1.0"),
        pin=Pin(file="six-2.0.tar.gz", sha256="ab" * 32),
        review="the patch 0001.patch does not apply",
        changes=(),
        patches=(PatchNews(file="0001.patch", fate="rejected", rejects=("@@ -1 +1 @@", "-old", "+new\x1b")),),
        requirements=(),
        notes=("its build system has changed",),
        needed_by=2,
    )
    told = lines(standing="accepted", waiting=(replace(UPDATE, name="six", requirement="six==2.0"),), prepared=prepared)
    assert told[-9:-2] == [
        "in place of 1.0:",
        "  patch 0001.patch: does not apply, nor can it be rebased",
        "    @@ -1 +1 @@",
        "    -old",
        "    +new\N{REPLACEMENT CHARACTER}",
        "  look: its build system has changed",
        "  2 packages need it",
    ]
    assert "it can't be taken in as it is: the patch 0001.patch does not apply" in told
    assert dossier_json(replace(EMPTY, prepared=prepared))["update"]["patches"][0]["fate"] == "rejected"
    plain = replace(prepared, review="", patches=(), notes=(), needed_by=0)
    assert "in place of 1.0; nothing else changes" in lines(standing="accepted", prepared=plain)
    assert "in place of 1.0" in lines(standing="accepted", prepared=replace(plain, review="it is the same"))


def test_what_screening_holds_of_an_accepted_one() -> None:
    entry = replace(ONE, wanted_by="the screening of its source, which has 1 archive: x.zip")
    told = lines(standing="accepted", waiting=(entry,))
    assert told[1].startswith("six>=1, wanted by the screening of its source")
    assert told[-1].startswith("do: nothing holds its source any more") and "approve" not in told[-1]
    told = lines(standing="accepted", waiting=(entry,), screened=NOTHING, allowing="write it")
    assert told[-1] == "do: write it"


def test_a_rejected_one() -> None:
    rejection = Rejection(reason="no", by="Ada", when=NOW)
    told = lines(standing="rejected", waiting=(), rejection=rejection)
    assert told[1] == "rejected on 2026-03-01 by Ada: no"
    assert told[-1] == "do: to take it in after all: pybuild review approve six"


def test_an_accepted_one_of_which_nothing_waits() -> None:
    assert lines(standing="accepted", waiting=())[1:] == [
        "it has a spec, and nothing of it waits",
        "licence: not stated",
    ]


@pytest.mark.parametrize("nasty", ["\x1b[31mred", "a\u202eb", "\ud800"])
def test_a_stranger_s_text_is_only_text(nasty: str) -> None:
    findings = replace(FINDINGS, summary=nasty, licence=nasty, project_urls={nasty: nasty}, notes=(nasty,))
    told = "\n".join(
        lines(findings=findings, notes=(nasty,), waiting=(replace(ONE, requirement=nasty, wanted_by=nasty),))
    )
    assert nasty not in told
    assert all(letter.isprintable() or letter == "\n" for letter in told)
