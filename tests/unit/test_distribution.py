"""Which distribution the tests of RPMs take, and what is said of it; the integration tests make it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuilder.buildroot import Buildroot, complete, parse_buildroot
from pybuilder.processes import run
from pybuilder.workspace import Workspace
from tests.support.distribution import BASE, CHECKOUT, Distribution, chosen, definition, dnf_repositories, real

DEBIAN = {"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"}
FEDORA = {"ID": "fedora", "PRETTY_NAME": "Fedora Linux", "REDHAT_BUGZILLA_PRODUCT": "Fedora"}
SHIPPED = [path.stem for path in (CHECKOUT / "buildroots").glob("fedora-*.toml")]
MADE = Distribution(
    release="test",
    python="3.11",
    repositories={"test": {"baseurl": "file:///made/repository", "gpgkey": ["keys/test.asc"]}},
    keys=(Path("/made/test.asc"),),
    directory=Path("/made/repository"),
)


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        (DEBIAN, "debian"),
        (FEDORA | {"VERSION_ID": "44", "REDHAT_SUPPORT_PRODUCT_VERSION": "44"}, "fedora-44"),
        (FEDORA | {"VERSION_ID": "45", "VARIANT_ID": "workstation"}, "fedora-45"),
        (FEDORA | {"VERSION_ID": "47", "REDHAT_SUPPORT_PRODUCT_VERSION": "rawhide"}, "fedora-rawhide"),
    ],
)
def test_what_a_machine_has(os_release: dict[str, str], expected: str) -> None:
    assert chosen(os_release) == expected


@pytest.mark.parametrize(
    ("os_release", "this"),
    [
        (FEDORA | {"VERSION_ID": "30", "PRETTY_NAME": "Fedora 30"}, "Fedora 30"),
        ({"ID": "ubuntu", "ID_LIKE": "debian", "PRETTY_NAME": "Ubuntu 24.04"}, "Ubuntu 24.04"),
        ({"ID": "centos", "ID_LIKE": "rhel fedora", "VERSION_ID": "10", "PRETTY_NAME": "CentOS"}, "CentOS"),
        ({}, "neither"),
    ],
)
def test_no_other_machine_has_one(os_release: dict[str, str], this: str) -> None:
    with pytest.raises(AssertionError, match=r"run on Debian, and on Fedora .*fedora-44, fedora-45") as caught:
        chosen(os_release)
    assert str(caught.value).endswith(f"this machine is {this}")


def parsed(text: str) -> Buildroot:
    return complete(parse_buildroot(text, "buildroots/fedora-test.toml"), python="3.0", arch="none")


@pytest.mark.parametrize("name", SHIPPED)
def test_fedora_s_own_repositories_with_the_tests_rpms(name: str) -> None:
    shipped, distribution = Workspace(root=CHECKOUT, run=run).buildroot(name), real(name)
    buildroot = parsed(definition(distribution))
    assert buildroot.repositories == shipped.repositories
    assert (buildroot.release, buildroot.pythons, buildroot.arch) == (shipped.release, shipped.pythons, shipped.arch)
    assert buildroot.packages == BASE
    named = {key for repository in shipped.repositories.values() for key in repository.gpgkey}
    assert {f"keys/{key.name}" for key in distribution.keys} == named
    assert all(key.is_file() for key in distribution.keys)


@pytest.mark.parametrize("distribution", [MADE, *map(real, SHIPPED)], ids=["made", *SHIPPED])
def test_a_repository_of_some_of_its_rpms(distribution: Distribution) -> None:
    buildroot = parsed(definition(distribution, packages=["bash"], baseurl="file:///some"))
    assert list(buildroot.repositories) == ["test"]
    assert buildroot.repositories["test"].baseurl == "file:///some"
    assert len(buildroot.repositories["test"].gpgkey) == len(distribution.keys)
    assert buildroot.packages == ("bash",)


def test_one_that_is_made() -> None:
    buildroot = parsed(definition(MADE, "fedora-test"))
    assert buildroot.pythons == ("3.11",)
    assert buildroot.repositories["test"].baseurl == "file:///made/repository"


def test_dnf_is_told_of_the_same_repositories() -> None:
    assert dnf_repositories(MADE) == (
        "[test]\nname=test\nbaseurl=file:///made/repository\ngpgcheck=1\ngpgkey=file:///made/test.asc\n"
    )
    told = dnf_repositories(real("fedora-45"))
    assert told.count("\nmetalink=https://") == 2 and "[updates]" in told
    assert f"gpgkey={(CHECKOUT / 'buildroots/keys/fedora-45.asc').as_uri()}\n" in told


def test_keys_lie_where_definitions_have_them(tmp_path: Path) -> None:
    real("fedora-rawhide").copy_keys(tmp_path)
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {f"fedora-{n}.asc" for n in (45, 46, 47)}
