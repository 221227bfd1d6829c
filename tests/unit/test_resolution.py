from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from pybuilder import resolution
from pybuilder.errors import FetchError, ReviewError
from pybuilder.resolution import Wanted, applies, fewest, resolve, satisfied_by

MARKERS = {"python_version": "3.11", "python_full_version": "3.11.7", "sys_platform": "linux", "os_name": "posix"}


@dataclass
class Shelf:
    """A world out of a table: ``{"six": {"1.0": ["wheel"]}}``, newest version preferred."""

    table: dict[str, dict[str, list[str]]]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def versions(self, name: NormalizedName, specifiers: Sequence[SpecifierSet]) -> Sequence[Version]:
        if name not in self.table:
            raise ReviewError(f"nobody has accepted {name}", wanted=((name, name, ""),))
        versions = sorted(map(Version, self.table[name]), reverse=True)
        return [v for v in versions if all(s.contains(v, prereleases=True) for s in specifiers)]

    def requirements(self, name: NormalizedName, version: Version) -> Sequence[Requirement]:
        self.asked.append((name, str(version)))
        return [Requirement(text) for text in self.table[name][str(version)]]


def solve(table: dict[str, dict[str, list[str]]], *wanted: str) -> dict[str, str]:
    found = resolve([Wanted(Requirement(text), "") for text in wanted], Shelf(table), markers=MARKERS)
    return {
        f"{name}[{','.join(sorted(extras))}]" if extras else name: str(version)
        for name, (version, extras) in found.items()
    }


def test_nothing_wanted() -> None:
    assert solve({}) == {}


def test_the_preferred_version_and_what_it_requires() -> None:
    table = {"a": {"1": [], "2": ["B>=1"]}, "b": {"1": [], "1.5": []}}
    assert solve(table, "A") == {"a": "2", "b": "1.5"}


def test_going_back_to_an_older_one() -> None:
    table = {"a": {"1": ["b<2"], "2": ["b>=2"]}, "b": {"1": [], "2": []}, "c": {"1": ["b<2"]}}
    assert solve(table, "a", "c") == {"a": "1", "b": "1", "c": "1"}


def test_cycles_are_no_trouble() -> None:
    assert solve({"a": {"1": ["b"]}, "b": {"1": ["a>=1"]}}, "a") == {"a": "1", "b": "1"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a; sys_platform == 'win32'", {}),
        ("a; sys_platform == 'linux'", {"a": "1"}),
        ("a; python_version < '3.9'", {}),
        ("a; extra == 'test'", {}),
    ],
)
def test_markers(wanted: str, found: dict[str, str]) -> None:
    assert solve({"a": {"1": []}}, wanted) == found


def test_markers_of_what_is_required() -> None:
    table = {"a": {"1": ["w; os_name == 'nt'", "b; os_name == 'posix'"]}, "b": {"1": []}}
    assert solve(table, "a") == {"a": "1", "b": "1"}


class TestExtras:
    TABLE: ClassVar = {
        "a": {"1": ["b", "c; extra == 'Test_x'", "d; extra == 'docs'"], "2": ["b"]},
        "b": {"1": []},
        "c": {"1": ["a<2"]},
        "d": {"1": []},
    }

    def test_only_where_asked_for(self) -> None:
        assert solve(self.TABLE, "a==1") == {"a": "1", "b": "1"}
        assert solve(self.TABLE, "a[docs]==1") == {"a[docs]": "1", "b": "1", "d": "1"}

    def test_spelled_differently(self) -> None:
        assert solve(self.TABLE, "a[test.X]==1") == {"a[test-x]": "1", "b": "1", "c": "1"}

    def test_several_wishes_are_one_version(self) -> None:
        assert solve(self.TABLE, "a", "a[docs]<2", "a[test-x]") == {
            "a[docs,test-x]": "1",
            "b": "1",
            "c": "1",
            "d": "1",
        }

    def test_a_conflict_behind_an_extra(self) -> None:
        with pytest.raises(FetchError, match="a"):
            solve(self.TABLE, "a[docs]==1", "a==2")


class TestRefusals:
    def test_no_such_version(self) -> None:
        with pytest.raises(FetchError) as caught:
            solve({"a": {"1": []}}, "a>=2")
        assert caught.value.what == "no version satisfies: the command wants a>=2"
        assert caught.value.exit_code == 30

    def test_a_conflict_says_who_wants_what(self) -> None:
        table = {"a": {"1": ["c<2"]}, "b": {"1": ["c>=2"]}, "c": {"1": [], "2": []}}
        with pytest.raises(FetchError) as caught:
            solve(table, "a", "b")
        assert "a==1 wants c<2" in caught.value.what
        assert "b==1 wants c>=2" in caught.value.what
        assert caught.value.cure

    def test_who_wants_it_at_the_top(self) -> None:
        with pytest.raises(FetchError, match=r"six 1\.17\.0 wants a>=2"):
            resolve([Wanted(Requirement("a>=2"), "six 1.17.0")], Shelf({"a": {"1": []}}), markers=MARKERS)

    def test_nobody_has_accepted_it(self) -> None:
        with pytest.raises(ReviewError, match="nobody has accepted b"):
            solve({"a": {"1": ["b"]}}, "a")

    def test_endless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resolution, "MAX_ROUNDS", 3)
        table = {f"a{n}": {"1": [f"a{n + 1}"]} for n in range(10)}
        with pytest.raises(FetchError, match="no answer after 3 rounds"):
            solve(table, "a0")

    @pytest.mark.parametrize("marker", ["os_name ~= 'posix'", "sys_platform >= 'a' and os_name ~= 'x'"])
    def test_a_marker_without_meaning(self, marker: str) -> None:
        with pytest.raises(
            FetchError, match=r"a requirement of a 1 can't be met: the marker of 'b; .* means nothing"
        ) as caught:
            solve({"a": {"1": [f"b; {marker}"]}, "b": {"1": []}}, "a")
        assert "patches/a/" in caught.value.cure


def test_prereleases_are_the_worlds_business() -> None:
    assert solve({"a": {"1": [], "2rc1": []}}, "a>=1") == {"a": "2rc1"}


def test_requirements_are_asked_for_only_where_needed() -> None:
    shelf = Shelf({"a": {str(n): [] for n in range(50)}})
    resolve([Wanted(Requirement("a"), "")], shelf, markers=MARKERS)
    assert shelf.asked == [("a", "49")]


@pytest.mark.parametrize(
    ("text", "extras", "counts"),
    [
        ("a", frozenset(), True),
        ("a; extra == 'x'", frozenset(), False),
        ("a; extra == 'x'", frozenset({"x", "y"}), True),
        ("a; extra == 'x'", frozenset({"y"}), False),
        ("a; os_name == 'posix'", frozenset({"y"}), True),
    ],
)
def test_applies(text: str, extras: frozenset[str], counts: bool) -> None:
    assert applies(Requirement(text), MARKERS, extras) is counts


@pytest.mark.parametrize(
    ("text", "satisfied"),
    [
        ("A>=1", True),
        ("a>2", False),
        ("b", False),
        ("b; os_name == 'nt'", True),
        # What the extra needs may not be there.
        ("a[x]", False),
    ],
)
def test_satisfied_by(text: str, satisfied: bool) -> None:
    assert satisfied_by({"a": Version("2")}, [Requirement(text)], MARKERS) is satisfied


class TestFewest:
    @pytest.mark.parametrize(
        ("versions", "wants", "kept", "found"),
        [
            ("6 7", ["", "<7"], "", "6"),
            ("6 7", ["", ">6"], "", "7"),
            ("6 7", ["", ""], "", "7"),
            ("6 7", ["", "<7"], "7", "6 7"),
            ("6 7", ["", ">1"], "6", "6"),
            ("6 7 8", ["<7", ">7", ""], "", "6 8"),
            ("5 6 7 8", ["<7,>5", "<8", ">=8", ">7"], "", "6 8"),
            ("6", ["", ">9"], "", "6"),
            ("1rc1 2rc1", ["<2rc1", ""], "", "1rc1"),
            ("6 7", [], "", ""),
        ],
    )
    def test_as_few_as_serve_everybody(self, versions: str, wants: list[str], kept: str, found: str) -> None:
        some = [Version(version) for version in versions.split()]
        already = [Version(version) for version in kept.split()]
        assert fewest(some, [SpecifierSet(want) for want in wants], kept=already) == set(map(Version, found.split()))
