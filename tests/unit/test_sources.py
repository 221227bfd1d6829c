from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pybuilder.errors import ConfigError, FetchError
from pybuilder.sources.git import git_environ, submodule_url
from pybuilder.sources.identity import check_identity
from pybuilder.sources.scm import scm_env, tell_versioningit
from pybuilder.sources.tree import directory_in
from tests.support.archives import Item, write
from tests.support.sdists import pkg_info

FOO = canonicalize_name("foo")
ONE = Version("1.0")


def test_scm_env() -> None:
    assert scm_env(canonicalize_name("foo.Bar"), Version("1.2.3rc1")) == {
        "SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3rc1",
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_FOO_BAR": "1.2.3rc1",
        "VCS_VERSIONING_PRETEND_VERSION": "1.2.3rc1",
        "VCS_VERSIONING_PRETEND_VERSION_FOR_FOO_BAR": "1.2.3rc1",
        "PDM_BUILD_SCM_VERSION": "1.2.3rc1",
    }


def test_versioningit_is_told_by_a_file_and_only_versioningit(tmp_path: Path) -> None:
    assert not tell_versioningit(tmp_path, FOO, ONE, [Requirement("hatchling")])
    assert tell_versioningit(tmp_path, FOO, ONE, [Requirement("hatchling"), Requirement("VersioningIt>=3")])
    assert (tmp_path / "PKG-INFO").read_text() == "Metadata-Version: 1.1\nName: foo\nVersion: 1.0\n"
    assert not tell_versioningit(tmp_path, FOO, Version("2"), [Requirement("versioningit")])


@pytest.mark.parametrize(
    ("parent", "url", "result"),
    [
        ("https://127.0.0.1/a/b.git", "../c.git", "https://127.0.0.1/a/c.git"),
        ("https://127.0.0.1/a/b.git", "./c.git", "https://127.0.0.1/a/b.git/c.git"),
        ("https://127.0.0.1/a/b.git", "https://127.0.0.2/c", "https://127.0.0.2/c"),
        ("https://127.0.0.1/a/b.git", "git@127.0.0.1:c/d.git", "git@127.0.0.1:c/d.git"),
        ("file:///a/b", "/c", "/c"),
        ("file:///a/b", "file:///c", "file:///c"),
    ],
)
def test_submodule_url(parent: str, url: str, result: str) -> None:
    assert submodule_url(parent, url) == result


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "/etc",
        "ext::sh -c id",
        "--upload-pack=id",
        "-x@y:z",
        "git@-oProxyCommand=id:/x",
        "https:x",
        "fd::3",
    ],
)
def test_submodule_urls_that_are_refused(url: str) -> None:
    with pytest.raises(FetchError, match="refused"):
        submodule_url("https://127.0.0.1/a/b.git", url)


def test_git_gets_proxies_and_nothing_else_from_outside() -> None:
    environ = {
        "PATH": "/bin",
        "HTTPS_PROXY": "p",
        "no_proxy": "n",
        "SSL_CERT_FILE": "c",
        "GIT_DIR": "x",
        "HOME": "/root",
    }
    found = git_environ(environ)
    assert (found["PATH"], found["HTTPS_PROXY"], found["no_proxy"], found["GIT_SSL_CAINFO"]) == ("/bin", "p", "n", "c")
    assert "GIT_DIR" not in found and found["HOME"] == "/nonexistent"


@pytest.mark.parametrize(
    ("items", "sdist"),
    [
        ([Item("Foo-1.0/PKG-INFO", pkg_info("Foo", "1.0.0"))], True),
        ([Item("whatever/PKG-INFO", pkg_info("foo", "1.0"))], True),
        ([Item("foo-1.0/setup.py")], True),
        ([Item("foo-v1.0/setup.py")], False),
    ],
)
def test_the_right_archive(tmp_path: Path, items: list[Item], sdist: bool) -> None:
    check_identity(write(tmp_path / "x", items), "foo-1.0.tar.gz", FOO, ONE, sdist=sdist)


@pytest.mark.parametrize(
    ("items", "sdist", "found"),
    [
        ([Item("foo-1.0/PKG-INFO", pkg_info("bar", "1.0"))], True, "bar 1.0"),
        ([Item("foo-1.0/PKG-INFO", pkg_info("foo", "1.1"))], True, "foo 1.1"),
        ([Item("foo-1.0/PKG-INFO", pkg_info("foo", "wild"))], True, "foo wild"),
        ([Item("foo-1.0/PKG-INFO", b"")], True, "nothing that has a name"),
        ([Item("foo-1.0/PKG-INFO", pkg_info("bar", "1.0"))], False, "bar 1.0"),
        ([Item("foo-1.1/setup.py")], True, "'foo-1.1'"),
        ([Item("bar-1.0/setup.py")], True, "'bar-1.0'"),
    ],
)
def test_the_wrong_archive(tmp_path: Path, items: list[Item], sdist: bool, found: str) -> None:
    with pytest.raises(FetchError, match="wrong name or version") as caught:
        check_identity(write(tmp_path / "x", items), "foo-1.0.tar.gz", FOO, ONE, sdist=sdist)
    assert found in caught.value.what and "foo 1.0" in caught.value.what


def test_directories_of_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "work" / "foo").mkdir(parents=True)
    (tmp_path / "work" / "out").symlink_to(tmp_path)
    assert directory_in(tmp_path / "work", "foo") == tmp_path / "work" / "foo"
    for path, why in [("..", "leads out"), ("out", "leads out"), ("none", "no directory"), ("/etc", "leads out")]:
        with pytest.raises(ConfigError, match=why) as caught:
            directory_in(tmp_path / "work", path)
        assert path in caught.value.what
