from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from packaging.version import Version

from pybuilder.rebuild_requests import parse_requests

SOUND = '"lxml==5.4.0" = { requested = 2026-11-26T05:00:00Z, reason = "a broken gcc" }\n'


def test_a_request() -> None:
    [request], wrong = parse_requests(SOUND)
    assert not wrong
    assert (request.name, request.version, request.reason) == ("lxml", Version("5.4.0"), "a broken gcc")
    assert request.requested == datetime(2026, 11, 26, 5, tzinfo=UTC)
    assert request.place == "rebuild.toml:1:1 [lxml==5.4.0]"


def test_without_a_version_and_in_another_zone() -> None:
    [request], wrong = parse_requests('[Foo_Bar]\nrequested = 2026-11-26T05:00:00+02:00\nreason = "x"\n')
    assert not wrong
    assert (request.name, request.version) == ("foo-bar", None)
    assert request.requested == datetime(2026, 11, 26, 5, tzinfo=timezone(timedelta(hours=2)))


def test_nothing_is_asked_for() -> None:
    assert parse_requests("") == ((), ())


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ('six = { requested = 2026-11-26T05:00:00, reason = "x" }', "expected a time with its offset from UTC"),
        ('six = { requested = 2026-11-26, reason = "x" }', "expected a time with its offset"),
        ('six = { requested = "today", reason = "x" }', "found the string 'today'"),
        ("six = { requested = 2026-11-26T05:00:00Z }", "the key 'reason' is missing"),
        ('six = { requested = 2026-11-26T05:00:00Z, reason = " " }', "a reason is needed"),
        ('six = { reqested = 2026-11-26T05:00:00Z, reason = "x" }', "did you mean 'requested'"),
        ("six = true", "expected a table, found true"),
        ('"six>=1" = { requested = 2026-11-26T05:00:00Z, reason = "x" }', "'six>=1' names no package"),
        ('"six==one" = { requested = 2026-11-26T05:00:00Z, reason = "x" }', "write it as 'lxml' or 'lxml==5.4.0'"),
        ('"six==" = { requested = 2026-11-26T05:00:00Z, reason = "x" }', "names no package"),
    ],
)
def test_a_bad_entry_is_told_and_does_not_hold_back_the_others(entry: str, told: str) -> None:
    [request], wrong = parse_requests(f"{SOUND}{entry}\n")
    assert request.name == "lxml"
    assert wrong
    assert any(told in str(error) for error in wrong)
    assert all("rebuild.toml:2" in error.where for error in wrong)


def test_no_toml() -> None:
    found, [error] = parse_requests(f"{SOUND}six = \n")
    assert not found
    assert error.where.startswith("rebuild.toml:2")
