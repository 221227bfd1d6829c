from __future__ import annotations

from typing import Any

import pytest

from pybuilder.errors import ConfigError, EngineError
from pybuilder.lockfile import Lock, Rpm, changes, format_lock, parse_lock


def rpm(name: str, evra: str = "1-1.x86_64", *requires: str, **values: Any) -> Rpm:
    return Rpm(
        **{
            "name": name,
            "evra": evra,
            "sha256": "ab" * 32,
            "size": 10,
            "repository": "fedora",
            "location": f"Packages/{name}-{evra}.rpm",
            "source": f"{name}-1-1.src.rpm",
            "key": "0123456789abcdef",
            "requires": requires,
            **values,
        }
    )


def lock(*rpms: Rpm, **answers: str) -> Lock:
    return Lock(
        buildroot="fedora-45",
        arch="x86_64",
        repositories={"fedora": "cd" * 32},
        answers=answers or {each.name: each.name for each in rpms},
        rpms={each.name: each for each in rpms},
    )


LOCK = lock(
    rpm("python3.14", "1:3.14.0-2.fc45.x86_64", "glibc"),
    rpm("glibc"),
    rpm("gcc-c++", "15-1.x86_64", "gcc", "glibc"),
    rpm("gcc", "15-1.x86_64", "glibc"),
    **{"pkgconfig(x) >= 1": "glibc", "/usr/bin/g++": "gcc-c++"},
)


def test_what_is_written_is_read_again() -> None:
    again = parse_lock(format_lock(LOCK), "buildroots/fedora-45.lock")
    assert again == LOCK
    assert (again.rpms["gcc-c++"].nevra, again.rpms["gcc-c++"].arch) == ("gcc-c++-15-1.x86_64", "x86_64")
    assert again.rpms["gcc"].file == "gcc-15-1.x86_64.rpm"


def test_a_note_of_an_advisory_is_kept_and_takes_no_room_where_there_is_none() -> None:
    noted = lock(rpm("glibc", "1:2-1.x86_64", security="1:2-0 FEDORA-2026-1"), rpm("gcc"))
    again = parse_lock(format_lock(noted), "x.lock")
    assert again == noted
    assert [line.count("security") for line in format_lock(noted).splitlines()[-2:]] == [0, 1]


def test_a_lock_has_one_line_for_one_rpm_sorted_by_name() -> None:
    lines = format_lock(LOCK).partition("[rpms]\n")[2].splitlines()
    assert [line.partition(" = ")[0] for line in lines] == ['"gcc"', '"gcc-c++"', '"glibc"', '"python3.14"']
    shuffled = lock(*reversed(LOCK.rpms.values()), **LOCK.answers)
    assert format_lock(shuffled) == format_lock(LOCK)


def test_a_closure_has_all_that_is_needed_and_nothing_else() -> None:
    assert [each.name for each in LOCK.closure(["/usr/bin/g++"])] == ["gcc", "gcc-c++", "glibc"]
    assert [each.name for each in LOCK.closure(["pkgconfig(x) >= 1"])] == ["glibc"]
    assert LOCK.closure([]) == ()


def test_requirements_may_go_in_a_circle() -> None:
    circle = lock(rpm("a", "1-1.x86_64", "b"), rpm("b", "1-1.x86_64", "a"))
    assert [each.name for each in circle.closure(["b"])] == ["a", "b"]


def test_what_nobody_locked_is_named_with_the_cure() -> None:
    with pytest.raises(EngineError, match=r"no RPM for cmake, pkgconfig\(z\)") as caught:
        LOCK.closure(["pkgconfig(z)", "/usr/bin/g++", "cmake"])
    assert "buildroot lock fedora-45" in caught.value.cure


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('"gcc" = {', '"gcc" = { nevra = "x",', "unknown key 'nevra'"),
        ('evra = "1:3.14.0-2.fc45.x86_64"', 'evra = "3.14"', r"'3\.14' is no EVRA"),
        ("ab" * 32, "AB", "'AB' is no sha256"),
        ("gcc-1-1.src.rpm", "gcc.src.rpm", "'gcc.src.rpm' is no source RPM"),
        ("size = 10", "size = 10, security = 'FEDORA-1'", "'FEDORA-1' is no note of an advisory"),
        ("size = 10", "size = -1", "greater than or equal to 0"),
        ('"Packages/glibc', '"../Packages/glibc', "plain relative path"),
        ('requires = ["gcc", "glibc"]', 'requires = ["gcc", "glib"]', "requires 'glib', which is no RPM of this lock"),
        ('"/usr/bin/g++" = "gcc-c++"', '"/usr/bin/g++" = "g++"', r"'g\+\+' is no RPM of this lock"),
        ("format = 1", "format = 2", "expected 1, found the integer 2"),
        ("format = 1", "format = true", "expected 1, found true"),
        ("format = 1", "format = 1.0", r"expected 1, found the float 1\.0"),
        pytest.param("size = 10", f"size = 0x1{'0' * 5000}", "found a very great integer", id="great"),
        ('arch = "x86_64"\n', "", "the key 'arch' is missing"),
        ('[rpms]\n"gcc" =', '[rpms]\n<<<<<<< HEAD\n"gcc" =', "this is no TOML"),
        ('"gcc" = {', '"glibc" = {', "this is no TOML"),
    ],
)
def test_a_damaged_lock_says_where(old: str, new: str, wanted: str) -> None:
    text = format_lock(LOCK)
    assert old in text
    with pytest.raises(ConfigError, match=wanted) as caught:
        parse_lock(text.replace(old, new), "buildroots/fedora-45.lock")
    assert "buildroots/fedora-45.lock:" in caught.value.where


def test_changes_between_two_locks() -> None:
    old = lock(rpm("a"), rpm("b"), rpm("c"), rpm("d"))
    new = lock(
        rpm("a"),
        rpm("b", "2-1.x86_64", sha256="cd" * 32),
        rpm("c", sha256="ef" * 32),
        rpm("e", "1:1-1.noarch"),
    )
    assert [str(change) for change in changes(old.rpms, new.rpms)] == [
        "  b 1-1.x86_64 -> 2-1.x86_64",
        "  c 1-1.x86_64: another file of the same version",
        "- d 1-1.x86_64",
        "+ e 1:1-1.noarch",
    ]


def test_the_same_file_elsewhere_is_no_change() -> None:
    moved = rpm("a", location="updates/a-1-1.x86_64.rpm", repository="updates")
    assert changes(lock(rpm("a")).rpms, lock(moved).rpms) == ()
