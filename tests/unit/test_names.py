from __future__ import annotations

import pytest
from packaging.version import Version

from pybuilder.errors import UsageError
from pybuilder.names import (
    BuildName,
    any_number,
    is_label,
    minor_version,
    normalize,
    numbered_version,
    split_number,
    upstream_key,
)


@pytest.mark.parametrize(
    ("name", "normal"),
    [("six", "six"), ("Jinja2", "jinja2"), ("ruamel.yaml", "ruamel-yaml"), ("a_-.b", "a-b"), ("7", "7")],
)
def test_normalize(name: str, normal: str) -> None:
    assert normalize(name) == normal


@pytest.mark.parametrize(
    "name", ["", "-six", "six-", "si x", "../six", "six/x", "six\n", "sıx", "six==1", ".", "six[extra]", "six\0"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        normalize(name)
    assert repr(name) in caught.value.what
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("label", "allowed"),
    [("pb", True), ("p2", True), ("", False), ("2p", False), ("p.b", False), ("PB", False), ("pb\n", False)],
)
def test_labels(label: str, allowed: bool) -> None:
    assert is_label(label) is allowed


@pytest.mark.parametrize(
    ("a", "b"), [("1.0", "1.0.0"), ("1.0", "1"), ("1.0a1", "1.0.alpha1"), ("1.0+cu126", "1+cu126")]
)
def test_spellings_of_one_release(a: str, b: str) -> None:
    assert upstream_key(Version(a)) == upstream_key(Version(b))


@pytest.mark.parametrize(
    ("version", "numbered"),
    [
        ("1.2.3", "1.2.3+pb.2"),
        ("1.2.3+cu126", "1.2.3+cu126.pb.2"),
        ("1!2.0rc1.post1.dev3", "1!2.0rc1.post1.dev3+pb.2"),
        ("2.0+pb.1", "2.0+pb.1.pb.2"),
    ],
)
def test_a_number_and_back(version: str, numbered: str) -> None:
    assert str(numbered_version(Version(version), "pb", 2)) == numbered
    assert split_number(Version(numbered), "pb") == (Version(version), 2)


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1.2.3+pb.2", (Version("1.2.3"), "pb", 2)),
        ("2.0+cu126.mine.7", (Version("2.0+cu126"), "mine", 7)),
        ("1.2.3", None),
        ("1.2.3+cu126", None),
        ("1.2.3+pb.x", None),
    ],
)
def test_a_number_under_any_label(version: str, found: tuple[Version, str, int] | None) -> None:
    assert any_number(Version(version)) == found


@pytest.mark.parametrize("version", ["1.2.3", "1.2.3+cu126", "1.2.3+pb", "1.2.3+pb.x", "1.2.3+xpb.2", "1.2.3+2"])
def test_versions_without_our_number(version: str) -> None:
    assert split_number(Version(version), "pb") is None


def test_numbers_sort_as_numbers() -> None:
    nine, ten = (numbered_version(Version("1"), "pb", n) for n in (9, 10))
    assert Version("1") < nine < ten < Version("1.0.1")


@pytest.mark.parametrize(
    ("text", "channel", "name", "version"),
    [
        ("six", "", "six", None),
        ("Six==1.17.0", "", "six", "1.17.0"),
        ("host/six==1.17.0+pb.2", "host", "six", "1.17.0+pb.2"),
        ("fedora-45-cuda/six", "fedora-45-cuda", "six", None),
    ],
)
def test_build_names(text: str, channel: str, name: str, version: str | None) -> None:
    parsed = BuildName.parse(text)
    assert (parsed.channel, parsed.name) == (channel, name)
    assert parsed.version == (Version(version) if version else None)


@pytest.mark.parametrize("text", ["", "host/", "six==", "six==x", "six===1", "six>=1", "==1", "six==1==2"])
def test_what_names_no_build(text: str) -> None:
    with pytest.raises(UsageError):
        BuildName.parse(text)


@pytest.mark.parametrize(("python", "minor"), [("3.14.2", "3.14"), ("3.9.0rc1", "3.9"), ("3.15", "3.15")])
def test_minor_versions_of_pythons(python: str, minor: str) -> None:
    assert minor_version(python) == minor
