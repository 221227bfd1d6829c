"""Which advisories a version is affected by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder.screening.osv import Advisory, affecting, names_in

ALPHA = NormalizedName("alpha-x")


def record(
    identity: str = "PYSEC-1",
    *,
    events: Sequence[dict[str, str]] = (),
    versions: Sequence[str] = (),
    name: str = "Alpha.X",
    ecosystem: str = "PyPI",
    kind: str = "ECOSYSTEM",
    **more: Any,
) -> dict[str, Any]:
    ranges = [{"type": kind, "events": list(events)}] if events else []
    package = {"ecosystem": ecosystem, "name": name}
    return {"id": identity, "affected": [{"package": package, "ranges": ranges, "versions": list(versions)}], **more}


def ids(version: str, *records: dict[str, Any]) -> list[str]:
    return [each.id for each in affecting(records, ALPHA, Version(version))]


ALL = ({"introduced": "0"},)
MENDED = ({"introduced": "1.0"}, {"fixed": "1.5"}, {"introduced": "2.0"}, {"fixed": "2.1"})


class TestRanges:
    @pytest.mark.parametrize(
        ("events", "inside", "outside"),
        [
            (ALL, ["0.dev0", "0", "1.0a1", "99!1"], []),
            (MENDED, ["1.0", "1.4.9", "1.5rc1", "2.0.post1", "2.1.dev3"], ["0.9", "1.5", "1.9", "2.1", "3", "1.0rc1"]),
            (MENDED[::-1], ["1.0", "2.0"], ["0.9", "1.5", "2.1"]),
            (({"introduced": "0"}, {"last_affected": "1.2"}), ["1.2", "1.2.0", "0.1"], ["1.2.1", "1.2.post1", "2"]),
            (({"introduced": "0"}, {"limit": "2"}), ["1", "1.9"], ["2", "3"]),
            (({"introduced": "0"}, {"limit": "2"}, {"limit": "*"}), ["1", "3"], []),
            (({"introduced": "1"}, {"limit": "*"}), ["1", "3"], ["0.9"]),
            (({"introduced": "0"}, {"fixed": "1"}, {"limit": "3"}), ["0.5"], ["1", "2"]),
            (({"introduced": "1.10"},), ["1.10", "1.11"], ["1.9", "1.2"]),
        ],
        ids=str,
    )
    def test_inside_and_outside(self, events: Any, inside: list[str], outside: list[str]) -> None:
        assert [version for version in inside if not ids(version, record(events=events))] == []
        assert [version for version in outside if ids(version, record(events=events))] == []

    def test_a_local_label_is_the_packagers_own(self) -> None:
        assert ids("1.2+cu126", record(events=({"introduced": "0"}, {"last_affected": "1.2"})))
        assert ids("1.2+cu126", record(versions=["1.2"]))

    def test_ranges_of_commits_and_of_others_say_nothing(self) -> None:
        assert ids("1.0", record(events=ALL, kind="GIT")) == []
        assert ids("1.0", record(events=ALL, ecosystem="npm")) == []
        assert ids("1.0", record(events=ALL, name="alpha")) == []

    def test_what_is_no_version_is_told_unless_there_is_a_list(self) -> None:
        odd = ({"introduced": "0"}, {"fixed": "build-7"})
        assert ids("1.0", record(events=odd))
        assert ids("1.0", record(events=odd, versions=["0.9", "r12"])) == []
        assert ids("1.0", record(events=odd, versions=["0.9", "1.0.0"]))


class TestRecords:
    def test_a_listed_version_is_affected_outside_of_ranges_too(self) -> None:
        assert ids("3.0", record(events=MENDED, versions=["3.0.0"])) == ["PYSEC-1"]

    def test_what_was_withdrawn_says_nothing(self) -> None:
        gone = record(events=ALL, withdrawn="2024-01-01T00:00:00Z")
        assert ids("1.0", gone) == []
        assert names_in(gone) == frozenset()

    def test_names_are_normalised(self) -> None:
        assert names_in(record()) == {"alpha-x"}
        assert names_in(record(ecosystem="npm")) == frozenset()
        assert names_in({"id": "x"}) == frozenset()

    def test_records_about_the_same_are_one(self) -> None:
        records = [
            record("PYSEC-9", events=ALL, aliases=["CVE-1"]),
            record("GHSA-a", events=MENDED, aliases=["CVE-1", "CVE-2"], summary="It\nfails \x1b[1m"),
            record("MAL-3", events=ALL, aliases=["CVE-2"]),
            record("GHSA-z", events=ALL),
            record("GHSA-y", events=[{"introduced": "5"}], aliases=["GHSA-z"]),
        ]
        first, second = affecting(records, ALPHA, Version("1.0"))
        assert (first.id, first.aliases) == ("GHSA-a", ("CVE-1", "CVE-2", "MAL-3", "PYSEC-9"))
        assert (first.summary, first.fixed) == ("It fails \N{REPLACEMENT CHARACTER}[1m", ("1.5", "2.1"))
        assert (second.id, second.aliases, second.fixed, second.summary) == ("GHSA-z", (), (), "")
        assert Advisory.from_json(first.as_json) == first

    def test_two_that_a_third_joins_are_one(self) -> None:
        records = [record("A", events=ALL), record("B", events=ALL), record("C", events=ALL, aliases=["A", "B"])]
        assert ids("1.0", *records) == ["A"]
        assert ids("1.0", *records[::-1]) == ["A"]
