"""What becomes of a source by what was found in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pybuilder.errors import PybuildError, ReviewError, ScreeningError
from pybuilder.screening.account import found_lines
from pybuilder.screening.found import Findings, Found
from pybuilder.screening.osv import Advisory
from pybuilder.screening.policy import Judged, Part, allowing, is_screening, judge
from pybuilder.settings import Screen, parse_settings

SOURCE, PATCH, LIBRARY, PACKED = "aa" * 32, "bb" * 32, "cc" * 32, "dd" * 32
LIB = Found(path="lib/x.so", kind="compiled", format="ELF", size=9, sha256=LIBRARY)
ZIP = Found(path="t/x.zip", kind="archive", format="zip", size=9, sha256=PACKED, note="it is refused")
ADVISORY = Advisory(id="GHSA-1", aliases=("CVE-1",), summary="It fails", fixed=("2.0",))


def judged(
    settings: str = "",
    *,
    files: tuple[Found, ...] = (LIB, ZIP),
    unlisted: Any = (),
    patch: tuple[Found, ...] = (),
    advisories: tuple[Advisory, ...] = (ADVISORY,),
    prebuilt: str = "",
) -> Judged:
    source = Part(sha256=SOURCE, findings=Findings(files=files, unlisted=dict(unlisted)), accepted=prebuilt)
    policy = parse_settings(f"[screen]\nadvisories = 'x'\n{settings}", "pybuild.toml").screen
    parts = [source, Part(sha256=PATCH, findings=Findings(files=patch, unlisted={}))]
    return judge("six", "1.0", parts=parts, advisories=advisories, dump="ee" * 32, policy=policy)


def stopped(settings: str = "", **found: Any) -> PybuildError:
    error = judged(settings, **found).stopped
    assert error
    return error


def exempt(**keys: Any) -> str:
    lines = [f"{key} = {value!r}" for key, value in {"package": "six", "reason": "read by me", **keys}.items()]
    return "\n".join(["", "[[screen.exceptions]]", *lines])


def as_written(error: PybuildError) -> str:
    """What the cure says to write."""
    return error.cure.partition("pybuild.toml:")[2].replace("\n       ", "\n").replace("…", "because")


def many() -> tuple[Found, ...]:
    return tuple(Found(path=f"{n}.so", kind="compiled", format="ELF", size=1, sha256=f"{n:064}") for n in range(20))


def test_by_default_all_is_let_through_and_told() -> None:
    result = judged()
    assert result.stopped is None
    assert [file["path"] for file in result.account["files"]] == ["lib/x.so", "t/x.zip"]
    assert result.account["files"][0]["accepted"] == ""
    assert result.account["advisories"][0]["id"] == "GHSA-1"
    assert result.account["dump_sha256"] == "ee" * 32
    assert judged(files=(), advisories=()).account["files"] == []


def test_a_refusal_names_path_and_digest_and_what_to_write() -> None:
    error = stopped("compiled = 'refuse'")
    assert isinstance(error, ScreeningError) and error.exit_code == 50
    assert error.what == "the source of six 1.0 is refused: it has 1 compiled object that nobody has accepted"
    assert error.where == f"lib/x.so: ELF, sha256 {LIBRARY}"
    assert judged(f"compiled = 'refuse'\n{as_written(error)}").stopped is None


def test_every_kind_has_its_own_policy() -> None:
    assert "1 archive that" in stopped("archive = 'refuse'").what
    error = stopped("advisory = 'refuse'")
    assert error.where == "GHSA-1 (CVE-1): It fails, fixed in 2.0"
    assert 'advisories = ["GHSA-1"]' in error.cure
    both = stopped("archive = 'refuse'\ncompiled = 'refuse'\nadvisory = 'refuse'")
    assert "1 compiled object, 1 archive, 1 advisory" in both.what


def test_a_review_is_asked_for_in_the_queues_words() -> None:
    error = stopped("compiled = 'review'")
    assert isinstance(error, ReviewError) and error.exit_code == 40
    [(name, requirement, wanted_by)] = error.wanted
    assert (name, requirement) == ("six", "six==1.0")
    assert is_screening(wanted_by) and f"lib/x.so: ELF, sha256 {LIBRARY}" in wanted_by
    assert not is_screening("the build of six 1.0")


def test_what_is_refused_comes_before_what_waits() -> None:
    assert isinstance(stopped("compiled = 'review'\narchive = 'refuse'"), ScreeningError)


class TestExceptions:
    @pytest.mark.parametrize("digest", [LIBRARY, SOURCE])
    def test_a_file_or_all_of_a_source_is_accepted_with_the_reason(self, digest: str) -> None:
        result = judged("compiled = 'refuse'" + exempt(sha256=[digest]))
        assert result.stopped is None
        assert result.account["files"][0]["accepted"] == "read by me"
        assert result.account["files"][1]["accepted"] == ("read by me" if digest == SOURCE else "")

    def test_a_source_is_not_its_patch(self) -> None:
        policy = "compiled = 'refuse'" + exempt(sha256=[SOURCE])
        assert judged(policy).stopped is None
        assert stopped(policy, patch=(LIB,)).where.startswith("lib/x.so")
        assert judged("compiled = 'refuse'" + exempt(sha256=[SOURCE, PATCH]), patch=(LIB,)).stopped is None

    @pytest.mark.parametrize("name", ["GHSA-1", "CVE-1"])
    def test_an_advisory_is_accepted_by_any_of_its_names(self, name: str) -> None:
        result = judged("advisory = 'refuse'" + exempt(advisories=[name]))
        assert result.stopped is None and result.account["advisories"][0]["accepted"] == "read by me"

    @pytest.mark.parametrize(
        "other", [exempt(package="seven", sha256=[LIBRARY]), exempt(sha256=[PACKED]), exempt(advisories=[LIBRARY])]
    )
    def test_what_is_not_named_is_not_accepted(self, other: str) -> None:
        assert stopped("compiled = 'refuse'" + other)

    @pytest.mark.parametrize("allowed", ["archive", "compiled"])
    def test_what_to_write_is_told_from_the_account_alone(self, allowed: str) -> None:
        policy = Screen(**{"compiled": "review", "archive": "refuse", allowed: "allow"})
        files = [
            {"path": "x.so", "kind": "compiled", "sha256": LIBRARY, "accepted": ""},
            {"path": "y.so", "kind": "compiled", "sha256": PATCH, "accepted": "looked at"},
            {"path": "z.zip", "kind": "archive", "sha256": PACKED, "accepted": ""},
        ]
        account = {"files": files, "unlisted": {"archive": 2}, "advisories": [{**ADVISORY.as_json, "accepted": ""}]}
        told = allowing("six", account, policy, sha256=SOURCE)
        digests = {"archive": [LIBRARY], "compiled": sorted([SOURCE, PACKED])}[allowed]
        assert f"sha256 = {json.dumps(digests)}" in told and "advisories" not in told
        assert allowing("six", account, Screen(), sha256=SOURCE) == ""
        told = allowing("six", account, Screen(advisory="review", advisories="osv.zip"), sha256=SOURCE)
        assert 'advisories = ["GHSA-1"]' in told and "sha256" not in told
        for exempted, held in ((exempt(sha256=[SOURCE]), False), (exempt(sha256=[LIBRARY, PACKED]), True)):
            text = f"[screen]\ncompiled = 'review'\narchive = 'refuse'\n{exempted}"
            assert bool(allowing("six", account, parse_settings(text, "p").screen, sha256=SOURCE)) is held
            assert allowing("other", account, parse_settings(text, "p").screen, sha256=SOURCE)
        whole = {**account, "files": [{**file, "accepted": "all of it"} for file in files]}
        assert allowing("six", whole, policy, sha256=SOURCE) == ""

    def test_what_is_not_listed_is_accepted_with_the_whole_only(self) -> None:
        many = {"files": (LIB,), "unlisted": {"compiled": 7}}
        error = stopped("compiled = 'refuse'" + exempt(sha256=[LIBRARY]), **many)
        assert "7 compiled objects" in error.what and SOURCE in error.where
        assert judged("compiled = 'refuse'" + exempt(sha256=[SOURCE]), **many).stopped is None

    def test_many_are_named_by_their_source(self) -> None:
        error = stopped("compiled = 'refuse'", files=many())
        assert "and 12 more: pybuild show six" in error.where
        assert f'sha256 = ["{SOURCE}"]' in error.cure

    @pytest.mark.parametrize("files", [(), (LIB,)], ids=["alone", "and the source"])
    def test_many_in_a_patch_are_named_by_the_patch(self, files: tuple[Found, ...]) -> None:
        error = stopped("compiled = 'refuse'", files=files, patch=many())
        assert judged("compiled = 'refuse'" + as_written(error), files=files, patch=many()).stopped is None
        assert (SOURCE in error.cure) == bool(files)

    def test_upstreams_wheel_has_been_accepted_with_its_code(self) -> None:
        result = judged("compiled = 'refuse'", prebuilt="upstream's wheel: no compiler")
        assert result.stopped is None
        assert {file["accepted"] for file in result.account["files"]} == {"upstream's wheel: no compiler"}


def test_an_account_as_lines() -> None:
    account = judged("compiled = 'refuse'" + exempt(sha256=[LIBRARY]), unlisted={"archive": 2}).account
    assert list(found_lines(account)) == [
        f"ELF lib/x.so  sha256 {LIBRARY}, accepted: read by me",
        f"zip t/x.zip  sha256 {PACKED}, not all of it was looked at: it is refused",
        "2 more that are of kind archive",
        "GHSA-1 CVE-1  It fails, fixed in 2.0",
    ]
    assert list(found_lines(None)) == []
