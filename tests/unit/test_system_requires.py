"""What a wheel needs as RPMs, against a lock of a few."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

import pytest

from pybuilder.errors import EngineError
from pybuilder.lockfile import Lock, Rpm
from pybuilder.system_requires import Installation, SystemRequires, system_requires


def rpm(name: str, *requires: str) -> Rpm:
    return Rpm(
        name=name,
        evra=f"1-1.{name}.x86_64",
        sha256=f"{len(name):064x}",
        size=1,
        repository="fedora",
        location=f"{name}.rpm",
        source="",
        key="",
        requires=requires,
    )


RPMS = (
    rpm("glibc"),
    rpm("python3", "glibc", "zlib"),
    rpm("zlib", "glibc"),
    rpm("libxml2", "glibc", "zlib"),
    rpm("libxslt", "libxml2"),
    rpm("openblas", "openblas-threads"),
    rpm("openblas-threads", "glibc"),
    rpm("flexiblas", "glibc"),
    rpm("xz", "glibc"),
)
LOCK = Lock(
    buildroot="fedora-45",
    arch="x86_64",
    repositories={},
    answers={each.name: each.name for each in RPMS} | {"/usr/bin/xz": "xz"},
    rpms={each.name: each for each in RPMS},
)
PROVIDERS = {
    "libc.so.6()(64bit)": ("glibc",),
    "libc.so.6(GLIBC_2.34)(64bit)": ("glibc",),
    "libz.so.1()(64bit)": ("zlib",),
    "libxml2.so.2()(64bit)": ("libxml2",),
    "libxml2.so.2(LIBXML2_2.9)(64bit)": ("libxml2",),
    "libxslt.so.1()(64bit)": ("libxslt",),
    "libblas.so.3()(64bit)": ("flexiblas", "openblas-threads"),
}
ETREE = "lxml/etree.so"


def compare(
    needs: Iterable[str] | Mapping[str, tuple[str, ...]],
    *,
    declared: Iterable[str] = (),
    beside: Collection[str] = (),
    system: Collection[str] | None = None,
) -> SystemRequires:
    """Compare needs, of one file unless they say of which, with what is declared."""
    files = needs if isinstance(needs, Mapping) else dict.fromkeys(needs, (ETREE,))
    there = Installation(
        lock=LOCK, base=("python3",), system=tuple(declared) if system is None else system, beside=beside
    )
    return system_requires("lxml", files, declared=declared, providers=PROVIDERS, installation=there)


def test_each_rpm_with_what_is_needed_of_it_and_by_which_files() -> None:
    needs = {
        "libxslt.so.1()(64bit)": ("b.so",),
        "libxml2.so.2()(64bit)": ("a.so", "b.so"),
        "libxml2.so.2(LIBXML2_2.9)(64bit)": ("a.so",),
        "libc.so.6(GLIBC_2.34)(64bit)": ("a.so", "c.so"),
    }
    found = compare(needs, declared=["libxslt", "libxml2"])
    assert [(rpm.name, rpm.provides, rpm.files) for rpm in found.rpms] == [
        ("glibc", ("libc.so.6(GLIBC_2.34)(64bit)",), ("a.so", "c.so")),
        ("libxml2", ("libxml2.so.2()(64bit)", "libxml2.so.2(LIBXML2_2.9)(64bit)"), ("a.so", "b.so")),
        ("libxslt", ("libxslt.so.1()(64bit)",), ("b.so",)),
    ]
    assert (found.problems(), found.hints()) == ((), ())


def test_a_missing_rpm_is_named_with_the_library_and_the_file() -> None:
    found = compare(["libxslt.so.1()(64bit)", "libxml2.so.2()(64bit)", "libxml2.so.2(LIBXML2_2.9)(64bit)"])
    assert found.problems() == (
        "lxml needs libxml2.so.2 (lxml/etree.so), which the RPM libxml2 has: "
        "add it to [system] runtime in specs/lxml.toml",
        "lxml needs libxslt.so.1 (lxml/etree.so), which the RPM libxslt has: "
        "add it to [system] runtime in specs/lxml.toml",
    )


def test_what_the_definition_another_package_or_another_rpm_brings_is_not_missing() -> None:
    needs = ["libz.so.1()(64bit)", "libxml2.so.2()(64bit)"]
    assert compare(needs, declared=["libxslt"]).missing == ()
    assert compare(needs, system=["libxslt"]).missing == ()
    assert [rpm.name for rpm in compare(needs).missing] == ["libxml2"]


def test_what_nobody_has_is_named() -> None:
    needs = {
        "libfoo.so.2()(64bit)": ("a.so",),
        "libfoo.so.2(FOO_1)(64bit)": ("b.so",),
        "libc.so.6(GLIBC_2.99)(64bit)": tuple(f"{letter}.so" for letter in "abcde"),
        "libc.so.6()(64bit)": ("a.so",),
    }
    found = compare(needs)
    assert set(found.unprovided) == set(needs) - {"libc.so.6()(64bit)"}
    end = "which neither a wheel installed with it nor an RPM of the build has: add the RPM that has it to "
    end += "[system] runtime in specs/lxml.toml, or build without it"
    assert found.problems() == (
        f"lxml needs libc.so.6 with GLIBC_2.99 (a.so, b.so, c.so and 2 more), {end}",
        f"lxml needs libfoo.so.2 (a.so, b.so), {end}",
    )


def test_another_wheel_may_have_it() -> None:
    found = compare(["libarrow.so.24()(64bit)"], beside={"libarrow.so.24()(64bit)"})
    assert found.problems() == () and found.rpms == ()
    assert found.elf == ("libarrow.so.24()(64bit)",)


def test_of_several_rpms_the_one_that_is_there_counts() -> None:
    assert [rpm.name for rpm in compare(["libblas.so.3()(64bit)"]).missing] == ["flexiblas"]
    found = compare(["libblas.so.3()(64bit)"], declared=["openblas-threads"])
    assert [rpm.name for rpm in found.rpms] == ["openblas-threads"] and not found.missing


def test_what_nothing_is_linked_to_is_a_hint_only() -> None:
    needs = ["libblas.so.3()(64bit)", "libz.so.1()(64bit)", "libc.so.6()(64bit)"]
    found = compare(needs, declared=["openblas", "zlib", "/usr/bin/xz"])
    assert found.problems() == ()
    assert found.hints() == (
        "no file of lxml is linked to anything that '/usr/bin/xz' in [system] runtime brings; is it a program, or "
        "loaded by name?",
    )


def test_the_lock_must_answer_what_is_declared() -> None:
    with pytest.raises(EngineError, match="no RPM for nothing"):
        compare([], declared=["nothing"])


def test_what_is_published_is_the_same_for_the_same() -> None:
    needs = {"libxslt.so.1()(64bit)": (ETREE,), "libc.so.6()(64bit)": (ETREE,)}
    found = compare(needs, declared=["libxslt", "libxml2"])
    again = compare(dict(reversed(needs.items())), declared=["libxml2", "libxslt"])
    assert json.dumps(found.document(LOCK)) == json.dumps(again.document(LOCK))
    assert found.document(LOCK) == {
        "format": 1,
        "elf": ["libc.so.6()(64bit)", "libxslt.so.1()(64bit)"],
        "rpms": [
            {
                "name": name,
                "evra": f"1-1.{name}.x86_64",
                "sha256": f"{len(name):064x}",
                "provides": [need],
                "files": [ETREE],
            }
            for name, need in [("glibc", "libc.so.6()(64bit)"), ("libxslt", "libxslt.so.1()(64bit)")]
        ],
        "runtime": ["libxml2", "libxslt"],
    }
