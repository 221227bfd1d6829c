from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import pytest
from packaging.version import Version

from pybuilder.candidates import Fate, Found, Judged, Rules, judge, version_of
from pybuilder.errors import ConfigError
from pybuilder.spec import parse_spec

NOW = datetime(2026, 1, 10, tzinfo=UTC)
OLD = NOW - timedelta(days=100)
ZEROS = "0" * 64


def rules(text: str = "", *, cooldown: timedelta = timedelta(0), now: datetime = NOW, **facts: Any) -> Rules:
    """The rules of a spec, of which ``text`` is all but the name."""
    spec = parse_spec(f'name = "six"\n{text}', "specs/six.toml")
    defaults: dict[str, Any] = {"buildroot": "host", "variant": "", "pythons": ("3.11.7",)}
    return Rules(spec=spec, cooldown=cooldown, now=now, **defaults | facts)


def nobody_asked(versions: Sequence[str]) -> Mapping[str, str]:
    raise AssertionError(versions)


def verdict(offers: Sequence[str | Found], text: str = "", *, pins: str = "", **facts: Any) -> Judged:
    """What becomes of versions that are a hundred days old."""
    found = [Found(text=one, uploaded=OLD) if isinstance(one, str) else one for one in offers]
    return judge(found, rules(text, **facts), pinned=[Version(pin) for pin in pins.split()], first_seen=nobody_asked)


def fates(judged: Judged) -> dict[str, Fate]:
    return {one.found.text: one.fate for one in judged.candidates}


def news(*offers: str | Found, text: str = "", pins: str = "") -> list[str]:
    return [str(version) for version in verdict(offers, text, pins=pins).news]


class TestVersionOf:
    """Select, strip, transform, parse."""

    @pytest.mark.parametrize(
        ("update", "text", "expected"),
        [
            ("", "1.0", "1.0"),
            ("", "v1.0", "1.0"),
            ("tag-prefix = 'rel-'", "rel-1.0", "1.0"),
            ("tag-prefix = 'rel-'", "1.0", "not selected"),
            ("tag-prefix = 'six/'\nstrip-prefix = 'v'\nstrip-suffix = '-final'", "six/v1.0-final", "1.0"),
            ("strip-prefix = 'release-'", "release-1.0", "1.0"),
            # What is not there need not be cut off.
            ("strip-prefix = 'release-'\nstrip-suffix = '.x'", "1.0", "1.0"),
            ("include = '^v'", "v1.0", "1.0"),
            ("include = '^v'", "1.0", "not selected"),
            ("exclude = 'post'", "1.0.post1", "not selected"),
            ("exclude = 'post'", "1.0", "1.0"),
            # Select sees what upstream writes, before anything is cut off.
            ("tag-prefix = 'rel-'\nexclude = '^rel-2'", "rel-2.0", "not selected"),
            ("transform = 's/_/./'", "1_2_3", "1.2.3"),
            (r"transform = 's/^(\d+)-(\d+)$/\1.\2/'", "1-2", "1.2"),
            (r"transform = 's/\//./'", "1/2", "1.2"),
            (r"transform = 's/-/\/x/'", "1-2", "no version"),
            # Transform sees what is left after stripping.
            ("strip-prefix = 'R'\ntransform = 's/^1/9/'", "R1.0", "9.0"),
            ("", "stable", "no version"),
            ("", "", "no version"),
            ("", "9" * 5000, "no version"),
            ("", "1." + "0." * 200 + "1", "no version"),
        ],
    )
    def test_in_this_order(self, update: str, text: str, expected: str) -> None:
        found = version_of(text, rules(f"[update]\n{update}\n").spec.update)
        assert (str(found) if isinstance(found, Version) else found[0]) == expected

    def test_a_page_has_been_searched_already(self) -> None:
        update = rules("[update]\nsource = 'url'\nid = 'http://x/'\ninclude = 'six-(.*).zip'\n").spec.update
        assert version_of("1.0", update) == Version("1.0")

    @pytest.mark.parametrize("transform", [r"s/a/\2/", r"s/a/\g<x>/", "s/(/x/", "s/a/b", "s//b/", "a/b/"])
    def test_a_transform_that_can_not_work_is_a_wrong_spec(self, transform: str) -> None:
        with pytest.raises(ConfigError, match=r"substitution|regular expression"):
            rules(f"[update]\ntransform = '{transform}'\n")


class TestFates:
    """Every candidate has one, for the first reason in the order of the rules."""

    @pytest.mark.parametrize(
        ("offer", "update", "fate", "why"),
        [
            ({}, "", "taken", "the newest"),
            ({}, "series = ['2.*']", "taken", "the newest of 2.*"),
            ({}, "tag-prefix = 'v'", "not selected", "it does not begin with 'v'"),
            ({}, "allow = '<2'", "not allowed", "allow is <2"),
            ({}, "series = ['1.*']", "not in series", "series are 1.*"),
            ({}, "ignore = ['2.0']", "ignored", "ignore has ==2.0"),
            ({}, "ignore = ['>1']", "ignored", "ignore has >1"),
            ({"lacks": "no sdist"}, "", "no source", "no sdist"),
            ({"requires_python": ">=3.12"}, "", "other Python", "it is for Python >=3.12, not 3.11.7"),
            ({"requires_python": ">=3.6.*"}, "", "taken", "the newest"),
            ({"yanked": "broken"}, "", "yanked", "upstream withdrew it: broken"),
            ({"yanked": ""}, "", "yanked", "upstream withdrew it"),
            ({"uploaded": NOW - timedelta(days=2)}, "cooldown = '3d'", "too young", "until 2026-01-11 00:00 UTC"),
            ({"uploaded": NOW - timedelta(days=3)}, "cooldown = '3d'", "taken", "the newest"),
            # Several at once: the first of the order.
            ({"yanked": "", "requires_python": ">=3.12"}, "allow = '<2'\nignore = ['2.0']", "not allowed", None),
            ({"yanked": "", "requires_python": ">=3.12"}, "ignore = ['2.0']", "ignored", None),
            ({"yanked": "", "requires_python": ">=3.12"}, "", "other Python", None),
            ({"yanked": "", "uploaded": NOW}, "cooldown = '3d'", "yanked", None),
        ],
    )
    def test_of_one(self, offer: dict[str, Any], update: str, fate: Fate, why: str | None) -> None:
        judged = verdict([Found(text="2.0", **{"uploaded": OLD} | offer)], f"[update]\n{update}\n")
        [candidate] = judged.candidates
        assert candidate.fate == fate
        assert why in (None, candidate.why)
        assert judged.news == ((Version("2.0"),) if fate == "taken" else ())

    def test_of_many(self) -> None:
        offers = ["1.0", "1.1", "v1.1", "3.0rc1", "2.0", "0.9", "main", "2.1"]
        judged = verdict(offers, "[update]\nallow = '<2.1'\n", pins="1.0")
        assert fates(judged) == {
            "3.0rc1": "not allowed",
            "2.1": "not allowed",
            "2.0": "taken",
            "1.1": "older",
            "1.0": "pinned",
            "0.9": "older",
            "v1.1": "duplicate",
            "main": "no version",
        }
        assert list(fates(judged)) == ["3.0rc1", "2.1", "2.0", "1.1", "1.0", "0.9", "v1.1", "main"]
        whys = {one.found.text: one.why for one in judged.candidates}
        assert (whys["1.1"], whys["0.9"], whys["v1.1"]) == (
            "2.0 is newer",
            "1.0 is pinned",
            "the same version as '1.1'",
        )

    def test_each_is_reached_here(self) -> None:
        """A fate that no test has is one that nobody has thought through."""
        reached = {mark for one in vars(TestFates).values() for mark in _params(one)}
        reached |= {"pinned", "older", "duplicate", "no version", "prerelease"}
        assert reached == set(get_args(Fate))

    def test_what_is_pinned_is_so_whatever_else_is_said_of_it(self) -> None:
        judged = verdict([Found(text="1.0", yanked="broken")], "[update]\nallow = '>1'\ncooldown = '3d'\n", pins="1.0")
        assert [(one.fate, one.why) for one in judged.candidates] == [("pinned", "in the spec; upstream withdrew it")]

    def test_what_is_taken_says_where_it_is(self) -> None:
        judged = verdict([Found(text="v2.0", ref="v2.0", commit="c" * 40), "1.0"])
        assert judged.taken(Version("2.0")).commit == "c" * 40
        with pytest.raises(KeyError):
            judged.taken(Version("1.0"))

    def test_any_of_the_pythons_will_do(self) -> None:
        offers = [Found(text="2.0", requires_python=">=3.12"), Found(text="3.0", requires_python=">=3.13")]
        judged = verdict(offers, pythons=("3.11.7", "3.12.99"))
        assert judged.news == (Version("2.0"),)
        assert judged.candidates[0].why == "it is for Python >=3.13, not 3.11.7, 3.12.99"


def _params(test: Any) -> list[str]:
    marks = getattr(test, "pytestmark", [])
    return [case[2] for mark in marks if mark.name == "parametrize" for case in mark.args[1]]


class TestNewest:
    def test_one_newest_of_all(self) -> None:
        assert news("1.0", "2.0", "3.0", pins="1.0") == ["3.0"]
        assert news("1.0", "2.0", pins="2.0") == []
        assert news("1.0", "2.0", pins="3.0") == []
        assert news("1.0", "2.0") == ["2.0"]
        assert news() == []

    def test_nothing_older_than_what_is_pinned_is_new(self) -> None:
        """1.5 came after 2.0, and nobody keeps 1.* alive."""
        assert news("1.0", "1.5", "2.0", pins="1.0 2.0") == []

    def test_one_of_each_live_series(self) -> None:
        series = "[update]\nseries = ['5.3.*', '5.4.*']\n"
        offers = ("5.2.9", "5.3.1", "5.3.2", "5.4.0", "5.4.1", "6.0")
        assert news(*offers, text=series, pins="5.3.1 5.4.1") == ["5.3.2"]
        assert news(*offers, text=series, pins="5.3.1 5.4.0") == ["5.4.1", "5.3.2"]
        assert news(*offers, text=series, pins="5.4.1") == ["5.3.2"]
        assert news(*offers, text=series, pins="5.3.2 5.4.1") == []

    def test_series_that_overlap(self) -> None:
        series = "[update]\nseries = ['5.*', '5.3.*']\n"
        assert news("5.3.1", "5.3.2", text=series, pins="5.3.1") == ["5.3.2"]
        assert news("5.3.2", "5.4.0", text=series, pins="5.3.1") == ["5.4.0", "5.3.2"]
        assert fates(verdict(["5.3.2", "5.4.0"], series, pins="5.4.0"))["5.3.2"] == "taken"


class TestPrereleases:
    """By PEP 440, and not by what is in the text."""

    @pytest.mark.parametrize("text", ["3.0rc1", "3.0a2", "3.0.dev4", "3.0beta", "v3.0-rc.1"])
    def test_are_not_taken_where_there_is_a_final(self, text: str) -> None:
        assert fates(verdict([text, "2.0"]))[text] == "prerelease"
        assert news(text, "2.0") == ["2.0"]
        assert news(text, pins="2.0") == []

    @pytest.mark.parametrize("text", ["3.0", "3.0.post1", "3.0+rc1", "3.0-1"])
    def test_what_only_looks_like_one(self, text: str) -> None:
        assert news(text, "2.0") == [str(Version(text))]

    @pytest.mark.parametrize("update", ["prereleases = true", "allow = '>=3.0rc1'"])
    def test_where_the_spec_says_so(self, update: str) -> None:
        assert news("3.0rc1", "2.0", text=f"[update]\n{update}\n", pins="2.0") == ["3.0rc1"]

    def test_where_there_is_nothing_else(self) -> None:
        assert news("3.0rc1", "3.0rc2") == ["3.0rc2"]
        assert news("3.0rc1", "3.0rc2", pins="3.0rc1") == ["3.0rc2"]
        assert news("3.0rc1", "2.0", text="[update]\nallow = '>2.5'\n") == ["3.0rc1"]

    def test_a_final_that_is_only_too_young_is_something_else(self) -> None:
        offers = [Found(text="3.0", uploaded=NOW), "3.0rc1"]
        judged = verdict(offers, "[update]\ncooldown = '3d'\n")
        assert (fates(judged), judged.news) == ({"3.0": "too young", "3.0rc1": "prerelease"}, ())


class TestCooldown:
    def sights(self, **seen: int) -> Any:
        """Versions and how many days ago they were first seen; the others are now."""
        return lambda versions: {
            version: (NOW - timedelta(days=seen.get(f"v{version}", 0))).isoformat() for version in versions
        }

    def test_the_workspaces_where_the_spec_has_none(self) -> None:
        offers = [Found(text="2.0", uploaded=NOW - timedelta(days=2))]
        assert verdict(offers, cooldown=timedelta(days=3)).news == ()
        assert verdict(offers, "[update]\ncooldown = '0d'\n", cooldown=timedelta(days=3)).news == (Version("2.0"),)

    def test_from_the_first_sight_where_upstream_does_not_say(self) -> None:
        found = [Found(text="3"), Found(text="2"), Found(text="1"), Found(text="0", uploaded=OLD)]
        judged = judge(
            found, rules("[update]\ncooldown = '3d'\n"), pinned=[Version("0")], first_seen=self.sights(v2=2, v1=4)
        )
        assert judged.news == (Version("1"),)
        assert judged.candidates[1].why == "until 2026-01-11 00:00 UTC, counted from when it was first seen"

    def test_nothing_is_remembered_where_no_age_counts(self) -> None:
        assert verdict([Found(text="2.0")]).news == (Version("2.0"),)
        assert verdict([Found(text="2.0", yanked="")], "[update]\ncooldown = '3d'\n").news == ()

    def test_beyond_all_dates_and_from_elsewhere(self) -> None:
        late = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
        judged = verdict([Found(text="2.0", uploaded=late)], "[update]\ncooldown = '999999w'\n")
        assert judged.candidates[0].why == "until 9999-12-31 23:59 UTC"


class TestOverrides:
    """``[[override]]`` may say other rules for some versions or targets."""

    def test_for_some_versions(self) -> None:
        text = "[[override]]\nwhen.versions = '>=3'\nupdate.cooldown = '30d'\n"
        young = NOW - timedelta(days=5)
        assert verdict([Found(text="3.0", uploaded=young), Found(text="2.0", uploaded=young)], text).news == (
            Version("2.0"),
        )

    def test_for_some_buildroots(self) -> None:
        text = "[[override]]\nwhen.buildroot = 'fedora-*'\nupdate.allow = '<3'\n"
        assert verdict(["3.0", "2.0"], text).news == (Version("3.0"),)
        assert verdict(["3.0", "2.0"], text, buildroot="fedora-45").news == (Version("2.0"),)
