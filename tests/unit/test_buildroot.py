"""Buildroot definitions, and what extending them makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder.buildroot import HOST, Buildroot, complete, extend, parse_buildroot
from pybuilder.errors import ConfigError

FEDORA = """
name = "fedora-45"
distribution = "fedora"
release = "45"
arch = "x86_64"
pythons = ["3.14", "3.13"]
packages = ["bash", "gcc"]
runtime = ["bash"]
[repositories.fedora]
metalink = "https://mirrors.example.org/metalink?repo=fedora-45"
gpgkey = ["keys/fedora-45.asc"]
exclude = ["python3.13*"]
[env]
A = "1"
[macros]
"%dist" = ".fc45"
"""


def whole(text: str, name: str = "fedora-45") -> Buildroot:
    return complete(parse_buildroot(text, f"buildroots/{name}.toml"), python="3.11", arch="x86_64")


def refused(text: str, name: str = "fedora-45") -> str:
    with pytest.raises(ConfigError) as caught:
        whole(text, name)
    return str(caught.value)


def test_a_whole_definition() -> None:
    root = whole(FEDORA)
    assert (root.engine, root.pythons, root.packages) == ("podman", ("3.14", "3.13"), ("bash", "gcc"))
    assert root.repositories["fedora"].gpgcheck and root.repositories["fedora"].priority == 99
    assert root.env == {"A": "1"}


def test_the_host_needs_nothing_and_takes_the_running_python() -> None:
    root = whole(HOST, "host")
    assert (root.engine, root.pythons, root.arch) == ("host", ("3.11",), "x86_64")


def test_a_host_may_name_its_pythons() -> None:
    assert whole('name = "host"\nengine = "host"\npythons = ["3.12"]', "host").pythons == ("3.12",)


def test_the_definition_that_ships_is_the_one_that_init_writes() -> None:
    assert (Path(__file__).parents[2] / "buildroots" / "host.toml").read_text() == HOST


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('release = "45"', "release = 45", "4:1 release§expected a string, found the integer 45"),
        ('arch = "x86_64"', "", "needs the keys 'arch'§1:1"),
        ('packages = ["bash", "gcc"]', "package = []", "7:1 package§did you mean 'packages'?"),
        ('"3.14", "3.13"', '"python3"', "6:12 pythons[0]§is no Python"),
        ("[repositories.fedora]", "[repositories.fedora]\nprio = 1", "fedora.prio§did you mean 'priority'?"),
        ('metalink = "https', 'metalink = "gopher', "[repositories].fedora.metalink§is no URL"),
        ('gpgkey = ["keys/fedora-45.asc"]', "", "the repository 'fedora' needs the key 'gpgkey'§"),
        ('gpgkey = ["keys/', 'gpgkey = ["../', "gpgkey[0]§plain relative path"),
        ("repo=fedora-45", "repo=$release", "10:1 [repositories].fedora.metalink§variable $release; there are"),
        ("repo=fedora-45", "repo=${releasever:-45}", "variable $releasever:-45;§$releasever, $basearch, $arch"),
        ("keys/fedora-45", "keys/fedora-$stream", "11:11 [repositories].fedora.gpgkey[0]§variable $stream;"),
        ("exclude =", 'archive = "https://k.example.org/$source"\nexclude =', "fedora.archive§variable $source;"),
        ("[env]", 'baseurl = "file:///srv"\n[env]', "needs one of the keys 'metalink', 'mirrorlist' and 'baseurl'§"),
        ('A = "1"', 'HOME = "/"', "[env].HOME§pybuild's own"),
        ('"%dist"', '"dist x"', "is no name of an RPM macro§"),
        ('name = "fedora-45"', 'name = "fedora-44"', "2:1 name§must be the file's, which is 'fedora-45'"),
        ('name = "fedora-45"', 'name = "fedora-45"\nextends = "../x"', "3:1 extends§is no buildroot's name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(old: str, new: str, words: str) -> None:
    assert old in FEDORA
    message = refused(FEDORA.replace(old, new, 1))
    assert "buildroots/fedora-45.toml" in message
    for part in words.split("§"):
        assert part in message


def test_a_child_goes_over_its_parent() -> None:
    child = parse_buildroot(
        """
name = "fedora-45-clang"
extends = "fedora-45"
packages = ["clang"]
env.B = "2"
repositories.fedora.baseurl = "file:///srv/fedora"
repositories.fedora.priority = 10
""",
        "buildroots/fedora-45-clang.toml",
    )
    definition = extend(child, parse_buildroot(FEDORA, "buildroots/fedora-45.toml"))
    assert definition.extends == ""
    root = complete(definition, python="3.11", arch="x86_64")
    assert (root.name, root.packages, root.runtime) == ("fedora-45-clang", ("clang",), ("bash",))
    assert root.env == {"A": "1", "B": "2"}
    repository = root.repositories["fedora"]
    assert (repository.metalink, repository.baseurl) == (None, "file:///srv/fedora")
    assert repository.gpgkey == ("keys/fedora-45.asc",)


VARIABLES = FEDORA.replace("repo=fedora-45", "repo=fedora-$releasever&arch=${basearch}").replace(
    '["keys/fedora-45.asc"]',
    '["keys/$releasever.asc", "keys/both.asc"]\narchive = "https://k.example.org/{source}/{arch}/$arch/{file}"',
)


def test_variables_have_the_values_of_the_definition() -> None:
    repository = whole(VARIABLES).repositories["fedora"]
    assert repository.metalink == "https://mirrors.example.org/metalink?repo=fedora-45&arch=x86_64"
    assert repository.gpgkey == ("keys/45.asc", "keys/both.asc")
    assert repository.archive == "https://k.example.org/{source}/{arch}/x86_64/{file}"


def test_variables_of_the_parent_have_the_values_of_the_child() -> None:
    child = parse_buildroot(
        'name = "f46"\nextends = "fedora-45"\nrelease = "46"\narch = "aarch64"', "buildroots/f46.toml"
    )
    definition = extend(child, parse_buildroot(VARIABLES, "buildroots/fedora-45.toml"))
    repository = complete(definition, python="3.11", arch="x86_64").repositories["fedora"]
    assert repository.metalink == "https://mirrors.example.org/metalink?repo=fedora-46&arch=aarch64"
    assert repository.gpgkey == ("keys/46.asc", "keys/both.asc")


def test_a_dollar_that_begins_no_variable_stays() -> None:
    root = whole(FEDORA.replace("repo=fedora-45", "repo=$-$"))
    assert root.repositories["fedora"].metalink == "https://mirrors.example.org/metalink?repo=$-$"


def test_a_value_leads_no_key_out_of_its_directory() -> None:
    assert "plain relative path" in refused(VARIABLES.replace('release = "45"', 'release = "../.."'))


def test_extending_goes_on_with_the_parents_parent() -> None:
    child = parse_buildroot('name = "a"\nextends = "b"', "buildroots/a.toml")
    parent = parse_buildroot('name = "b"\nextends = "c"', "buildroots/b.toml")
    assert extend(child, parent).extends == "c"
