from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from packaging.version import Version

from pybuilder.candidates import Rules
from pybuilder.live_versions import live_versions
from pybuilder.spec import parse_spec

PINS = ["5.3.1", "5.3.2", "5.4.0", "6.0rc1", "6.1"]


def live(rules: str, pins: list[str] = PINS) -> list[str]:
    spec = parse_spec(f'name = "six"\n[update]\n{rules}\n', "specs/six.toml")
    judging = Rules(
        spec=spec, buildroot="host", variant="", pythons=("3.12.1",), cooldown=timedelta(days=9), now=datetime.now(UTC)
    )
    return [str(version) for version in live_versions([Version(pin) for pin in pins], judging)]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("", ["6.1"]),
        ('allow = "<6"', ["5.4.0"]),
        ('ignore = ["6.1", ">=5.4"]', ["5.3.2"]),
        ('series = ["5.3.*", "5.4.*", "7.*"]', ["5.4.0", "5.3.2"]),
        ('series = ["5.3.*", "5.*"]', ["5.4.0", "5.3.2"]),
        ('series = ["5.3.*"]\nignore = ["5.3.2"]', ["5.3.1"]),
        ('allow = "<5"', []),
    ],
)
def test_the_newest_of_each_series_that_the_rules_allow(rules: str, expected: list[str]) -> None:
    assert live(rules) == expected


def test_a_prerelease_counts_where_it_is_asked_for_or_alone() -> None:
    pins = ["1.0", "2.0rc1"]
    assert live("", pins) == ["1.0"]
    assert live("prereleases = true", pins) == ["2.0rc1"]
    assert live("", ["2.0rc1"]) == ["2.0rc1"]
