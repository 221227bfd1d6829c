from __future__ import annotations

from dataclasses import replace

import pytest
import tomli
from packaging.pylock import PackageSdist, Pylock, PylockSelectError

from pybuilder.errors import FetchError, UsageError
from pybuilder.pylock import format_pylock, pylock
from pybuilder.tree import Archive, Tree
from tests.support.planned import CIRCLE, LANGCHAIN, REQUESTS, planned

MARKERS = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.7",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "6.1",
    "platform_system": "Linux",
    "platform_version": "#1",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def locked(tree: Tree) -> Pylock:
    return pylock(tree, unlearned=(), markers=MARKERS, channel="fedora-45", path=path)


def path(archive: Archive) -> str:
    return f"sources/{archive.sha256}/{archive.file}"


def with_source(file: str, url: str, *, prebuilt: bool = False) -> Tree:
    """One package, ``a 1.0``, from this source."""
    tree = planned("a", "a 1.0")
    (node,) = tree
    source = Archive(file=file, url=url, sha256="ab" * 32, size=7)
    return replace(tree, nodes={node.package: replace(node, source=source, prebuilt=prebuilt)})


@pytest.mark.parametrize("tree", [REQUESTS, LANGCHAIN, CIRCLE], ids=lambda tree: tree.tops[0].requirement)
def test_a_lock_is_what_is_installed_and_can_be_read_again(tree: Tree) -> None:
    text = format_pylock(locked(tree))
    again = Pylock.from_dict(tomli.loads(text))
    assert again == locked(tree)
    assert [(each.name, each.version) for each in again.packages] == sorted(tree.installed)
    for each in again.packages:
        source = tree.nodes[each.name, each.version].source  # type: ignore[index]
        assert source is not None
        assert isinstance(each.sdist, PackageSdist)
        assert (each.sdist.name, each.sdist.url, each.sdist.size) == (source.file, source.url, source.size)
        assert each.sdist.hashes == {"sha256": source.sha256}
    assert text.endswith("\n")


def test_a_lock_names_its_target_its_maker_and_each_package_s_dependencies() -> None:
    lock = tomli.loads(format_pylock(locked(REQUESTS)))
    assert (lock["lock-version"], lock["created-by"], lock["requires-python"]) == ("1.0", "pybuild", "==3.11.*")
    assert lock["tool"] == {"pybuild": {"target": "cp311-linux_x86_64", "channel": "fedora-45"}}
    packages = {each["name"]: each for each in lock["packages"]}
    assert [each["name"] for each in packages["requests"]["dependencies"]] == [
        "certifi",
        "charset-normalizer",
        "idna",
        "pysocks",
        "urllib3",
    ]
    assert "dependencies" not in packages["idna"]
    assert "marker" not in packages["pysocks"]


def test_an_installer_on_the_target_takes_everything_and_elsewhere_refuses() -> None:
    taken = list(locked(REQUESTS).select(environment=MARKERS, tags=[]))  # type: ignore[arg-type]
    assert len(taken) == 6
    elsewhere = {**MARKERS, "sys_platform": "darwin"}
    with pytest.raises(PylockSelectError, match="environments"):
        list(locked(REQUESTS).select(environment=elsewhere, tags=[]))  # type: ignore[arg-type]


def test_the_members_of_a_circle_name_each_other() -> None:
    packages = {each.name: each for each in locked(CIRCLE).packages}
    assert {"name": "sphinx"} in (packages["sphinxcontrib-htmlhelp"].dependencies or [])  # type: ignore[index]


@pytest.mark.parametrize(
    ("file", "url", "wanted"),
    [
        (
            "a-1.0.tar.gz",
            "https://e.org/x/a-1.0.tar.gz",
            {"sdist": {"name": "a-1.0.tar.gz", "url": "https://e.org/x/a-1.0.tar.gz"}},
        ),
        ("a-1.0.tar.gz", "", {"sdist": {"name": "a-1.0.tar.gz", "path": f"sources/{'ab' * 32}/a-1.0.tar.gz"}}),
        # What pybuild packed from a repository or a directory is no sdist, and the repository's URL gives other bytes.
        ("a-1.0.tar", "https://git.example/a.git 0123abc", {"archive": {"path": f"sources/{'ab' * 32}/a-1.0.tar"}}),
        ("a-1.0.tar", "", {"archive": {"path": f"sources/{'ab' * 32}/a-1.0.tar"}}),
        ("v1.zip", "https://e.org/v1.zip", {"archive": {"url": "https://e.org/v1.zip"}}),
        ("a b.zip", "https://e.org/a%20b.zip#x", {"archive": {"url": "https://e.org/a%20b.zip#x"}}),
        # The name of another version, as a project's own mistake.
        ("a-2.0.tar.gz", "https://e.org/a-2.0.tar.gz", {"archive": {"url": "https://e.org/a-2.0.tar.gz"}}),
    ],
)
def test_a_source_is_where_an_installer_can_get_it(file: str, url: str, wanted: dict[str, dict[str, str]]) -> None:
    (package,) = tomli.loads(format_pylock(locked(with_source(file, url))))["packages"]
    (kind,) = package.keys() & {"sdist", "archive", "wheels", "vcs", "directory"}
    source = dict(package[kind])
    assert (source.pop("hashes"), source.pop("size")) == ({"sha256": "ab" * 32}, 7)
    assert {kind: source} == wanted


def test_upstream_s_wheel_is_a_wheel() -> None:
    tree = with_source("a-1.0-py3-none-any.whl", "https://e.org/a-1.0-py3-none-any.whl", prebuilt=True)
    (package,) = locked(tree).packages
    assert package.wheels is not None
    assert package.wheels[0].filename == "a-1.0-py3-none-any.whl"
    assert package.sdist is None


def test_two_versions_of_a_package_are_refused() -> None:
    tree = planned("a==1; a==2", "a 1\na 2")
    with pytest.raises(UsageError, match=r"a==1 and a==2, and a pylock\.toml holds one version"):
        locked(tree)


def test_two_versions_of_what_only_builds_are_no_matter() -> None:
    assert {each.name for each in locked(LANGCHAIN).packages}.isdisjoint({"cython", "setuptools"})


def test_a_package_without_a_source_can_t_be_locked() -> None:
    tree = planned("a", "a 1.0")
    (node,) = tree
    with pytest.raises(FetchError, match=r"a==1\.0 can't be built from a source"):
        locked(replace(tree, nodes={node.package: replace(node, source=None)}))


def test_a_python_requirement_that_is_none_is_left_out() -> None:
    tree = planned("a", "a 1.0")
    (node,) = tree
    (package,) = locked(replace(tree, nodes={node.package: replace(node, requires_python=">=3.6.*")})).packages
    assert package.requires_python is None


def test_words_of_strangers_stay_words() -> None:
    url = 'https://e.org/"]\n[tool.x]\nа=\x7f\\/a-1.0.tar.gz'
    text = format_pylock(locked(with_source("a-1.0.tar.gz", url)))
    data = tomli.loads(text)
    assert data["packages"][0]["sdist"]["url"] == url
    assert data["tool"].keys() == {"pybuild"}


def test_a_tree_of_nothing_is_a_lock_of_nothing() -> None:
    tree = Tree(target="cp311-linux_x86_64", python="3.11.7", tops=(), nodes={})
    assert tomli.loads(format_pylock(locked(tree)))["packages"] == []
