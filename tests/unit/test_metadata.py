from __future__ import annotations

import pytest
import tomli

from pybuilder.errors import BuildError
from pybuilder.metadata import build_system, parse_metadata, static_requirements, supports_python

FULL = b"""Metadata-Version: 2.4
Name: Foo.Bar
Version: 1.0
Summary: A thing
License-Expression: MIT OR Apache-2.0
Requires-Python: >=3.9
Requires-Dist: six>=1.0
Requires-Dist: idna (>=2) ; extra == "net"
Provides-Extra: Net_Work
Dynamic: Description
Dynamic: version
Project-URL: Source, https://127.0.0.1/src

Requires-Dist: not-a-header
"""


def lines(text: str) -> bytes:
    return f"Name: foo\nVersion: 1\n{text}\n".encode()


def test_parse_metadata() -> None:
    found = parse_metadata(FULL)
    assert (found.name, found.version, found.metadata_version) == ("Foo.Bar", "1.0", "2.4")
    assert [str(item) for item in found.requires_dist] == ["six>=1.0", 'idna>=2; extra == "net"']
    assert found.provides_extra == ("net-work",)
    assert found.dynamic == {"description", "version"}
    assert (found.licence, found.summary, found.requires_python) == ("MIT OR Apache-2.0", "A thing", ">=3.9")
    assert dict(found.project_urls) == {"Source": "https://127.0.0.1/src"}
    assert found.unreadable == () and found.requirements_are_static


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\xff\xfe\x00", b"Name: a\nName: b\n"])
def test_rubbish_is_reported_not_raised(data: bytes) -> None:
    assert parse_metadata(data).version == ""


@pytest.mark.parametrize(
    "line",
    [
        "Requires-Dist: six >=",
        "Requires-Dist: six>=1.0.*b",
        "Unheard-Of: x",
        "Requires-Python: >=3\nRequires-Python: 2",
    ],
)
def test_what_does_not_parse_is_reported(line: str) -> None:
    (problem,) = parse_metadata(lines(f"Requires-Dist: idna\n{line}")).unreadable
    assert line.split(":")[0].lower() in problem.lower()
    assert [item.name for item in parse_metadata(lines(f"Requires-Dist: idna\n{line}")).requires_dist] == ["idna"]


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("License: MIT", "MIT"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("License: line\n        another", ""),
        ("License: BSD\nLicense-Expression: MIT", "MIT"),
        ("", ""),
    ],
)
def test_licence(text: str, licence: str) -> None:
    assert parse_metadata(lines(text)).licence == licence


@pytest.mark.parametrize(
    ("pkg_info", "pyproject", "expected"),
    [
        (None, None, None),
        ("Metadata-Version: 2.1\nRequires-Dist: six", None, None),
        ("Requires-Dist: six", None, None),
        ("Metadata-Version: x\nRequires-Dist: six", None, None),
        ("Metadata-Version: 2.2\nRequires-Dist: six", None, ["six"]),
        ("Metadata-Version: 2.4", None, []),
        ("Metadata-Version: 2.10\nRequires-Dist: six", None, ["six"]),
        ("Metadata-Version: 2.2\nDynamic: requires-dist\nRequires-Dist: six", None, None),
        ("Metadata-Version: 2.2\nRequires-Dist: six >=", None, None),
        ("Metadata-Version: 2.2\nRequires-Dist: six", "[tool.x]", ["six"]),
        (None, "[tool.x]", None),
        (None, '[project]\nname = "foo"', []),
        (None, '[project]\ndependencies = ["six>1"]', ["six>1"]),
        ("Metadata-Version: 2.2\nRequires-Dist: six", '[project]\ndependencies = ["idna"]', ["idna"]),
        ("Metadata-Version: 2.2\nRequires-Dist: six", '[project]\ndynamic = ["dependencies"]', None),
        (None, '[project]\ndynamic = ["optional-dependencies"]\ndependencies = ["six"]', None),
        (None, '[project]\ndynamic = ["version"]\ndependencies = ["six"]', ["six"]),
        (None, '[project]\ndependencies = ["six >="]', None),
        (None, '[project]\ndependencies = "six"', None),
        (None, "[project.optional-dependencies]\nx = 1", None),
        (None, '[project.optional-dependencies]\nA_b = ["six"]', ['six; extra == "a-b"']),
        (
            None,
            "[project.optional-dependencies]\nx = [\"six; os_name == 'nt' or os_name == 'os2'\"]",
            ['six; (os_name == "nt" or os_name == "os2") and extra == "x"'],
        ),
        (
            None,
            '[project.optional-dependencies]\nx = ["six @ https://127.0.0.1/six.zip"]',
            ['six @ https://127.0.0.1/six.zip ; extra == "x"'],
        ),
    ],
)
def test_static_requirements(pkg_info: str | None, pyproject: str | None, expected: list[str] | None) -> None:
    found = static_requirements(
        None if pkg_info is None else lines(pkg_info), None if pyproject is None else tomli.loads(pyproject)
    )
    assert (None if found is None else [str(item) for item in found]) == expected


@pytest.mark.parametrize(
    ("text", "requires", "backend", "path"),
    [
        (None, ["setuptools>=40.8.0"], "setuptools.build_meta:__legacy__", ()),
        ("[project]\nname = 'x'", ["setuptools>=40.8.0"], "setuptools.build_meta:__legacy__", ()),
        (
            "[build-system]\nrequires = ['flit_core >=3']\nbuild-backend = 'flit_core.buildapi'",
            ["flit_core>=3"],
            "flit_core.buildapi",
            (),
        ),
        (
            "[build-system]\nrequires = ['setuptools>=61', 'wheel']",
            ["setuptools>=61", "wheel"],
            "setuptools.build_meta:__legacy__",
            (),
        ),
        (
            "[build-system]\nrequires = ['wheel']",
            ["wheel", "setuptools>=40.8.0"],
            "setuptools.build_meta:__legacy__",
            (),
        ),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'back.end:object'\nbackend-path = ['.', 'src/x']",
            [],
            "back.end:object",
            (".", "src/x"),
        ),
    ],
)
def test_build_system(text: str | None, requires: list[str], backend: str, path: tuple[str, ...]) -> None:
    found = build_system(text)
    assert [str(item) for item in found.requires] == requires
    assert (found.backend, found.backend_path) == (backend, path)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("[build-system", "pyproject.toml", "end of document"),
        ("build-system = 1", "[build-system]", "no table"),
        ("[build-system]", "[build-system].requires", "missing"),
        ("[build-system]\nrequires = 'x'", "[build-system].requires", "array of strings"),
        ("[build-system]\nrequires = ['x >=']", "[build-system].requires", "'x >='"),
        ("[build-system]\nrequires = []\nbuild-backend = 3", "[build-system].build-backend", "3"),
        ("[build-system]\nrequires = []\nbuild-backend = 'a b; c'", "[build-system].build-backend", "a b; c"),
        ("[build-system]\nrequires = []\nbackend-path = ['../x']", "[build-system].backend-path", "leads out"),
    ],
)
def test_a_wrong_build_system(text: str, where: str, what: str) -> None:
    with pytest.raises(BuildError) as caught:
        build_system(text)
    assert where in caught.value.where and what in caught.value.what and "pyproject.toml" in caught.value.what


@pytest.mark.parametrize(
    ("requires_python", "expected"),
    [("", True), (">=3.8", True), ("==3.11.*", True), (">=3.12", False), ("<3.11.7", False), (">=3.6.*", None)],
)
def test_whether_something_is_for_a_python(requires_python: str, expected: bool | None) -> None:
    assert supports_python(requires_python, "3.11.7") is expected
