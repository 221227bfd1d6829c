from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from pybuilder import joint
from pybuilder.errors import EngineError, FetchError
from pybuilder.joint import Offer, explain, pages, uv
from pybuilder.joint.view import View
from tests.support.worlds import MARKERS, PYTHON, TableWorld

FOO_BAR = canonicalize_name("Foo.Bar")
FOO = canonicalize_name("foo")


def page(*offers: Offer) -> list[dict[str, object]]:
    found = json.loads(pages.project_page(FOO_BAR, offers, PYTHON))
    assert found["meta"] == {"api-version": "1.1"} and found["name"] == "foo-bar"
    files: list[dict[str, object]] = found["files"]
    return files


def metadata(*requirements: str) -> list[str]:
    text = pages.metadata_file(FOO, Version("1"), [Requirement(text) for text in requirements], MARKERS).decode()
    head, body = text[: text.index("Version: 1\n") + 11], text.removesuffix("\n\n").splitlines()[3:]
    assert head == "Metadata-Version: 2.1\nName: foo\nVersion: 1\n"
    return body


@pytest.mark.parametrize("version", ["1.0", "1!2.0rc1", "1.2+cu126.pb.3", "2.0.post1.dev2"])
def test_stand_in_names(version: str) -> None:
    (file,) = page(Offer(version=Version(version)))
    filename, url = str(file["filename"]), str(file["url"])
    assert parse_wheel_filename(filename)[:2] == ("foo-bar", Version(version))
    assert unquote(url) == filename
    assert not set("+!") & set(url)
    assert file["core-metadata"] is True
    assert pages.version_of(f"{filename}.metadata") == Version(version)


@pytest.mark.parametrize(
    "name", ["foo-1.0-py3-none-any.whl", "foo-1.0.metadata", "foo-x-py3-none-any.whl.metadata", ""]
)
def test_what_is_no_metadata_file(name: str) -> None:
    assert pages.version_of(name) is None


def test_yanked_is_marked_and_upload_times_are_utc() -> None:
    files = page(
        Offer(version=Version("1"), yanked=True, yanked_reason="broken"),
        Offer(version=Version("2"), yanked=True),
        Offer(version=Version("3"), upload_time=datetime.fromisoformat("2024-05-01T02:00:00+02:00")),
        Offer(version=Version("4"), upload_time=datetime(2024, 5, 1, tzinfo=UTC)),
    )
    assert [file.get("yanked") for file in files] == ["broken", True, None, None]
    assert [file.get("upload-time") for file in files][2:] == ["2024-05-01T00:00:00.000000Z"] * 2


@pytest.mark.parametrize(
    ("requires_python", "fits"),
    [
        ("", True),
        (">=3.8", True),
        (">=3.13", False),
        ("<3.12", False),
        ("!=3.12.*", False),
        ("==3.12.*", True),
        ("~=3.11", True),
        (">=3.6.*", True),  # no specifier
        ("nonsense", True),
    ],
)
def test_requires_python_is_judged_for_the_target(requires_python: str, fits: bool) -> None:
    (file,) = page(Offer(version=Version("1"), requires_python=requires_python))
    assert file.get("requires-python") == (None if fits else pages.NO_PYTHON)


def test_markers_are_judged_for_the_target() -> None:
    assert metadata(
        "a>=1 ; sys_platform == 'plan9'",
        "b ; sys_platform == 'linux'",
        "C.c[z,y] (>=1,<2)",
        "d ; extra == 'Socks_5'",
        "e ; extra == 'x' and python_version < '3.13'",
        "f ; extra == 'x' and python_version >= '3.13'",
        "g ; extra == 'x' or extra == 'y' or python_version < '3'",
        "h ; 'x' == extra",
        "i ; extra == 'x' or python_version >= '3.12'",
    ) == [
        "Requires-Dist: a>=1",
        "Requires-Dist: C.c[y,z]<2,>=1",
        "Requires-Dist: d ; extra == 'socks-5'",
        "Requires-Dist: e ; extra == 'x'",
        "Requires-Dist: g ; extra == 'x'",
        "Requires-Dist: g ; extra == 'y'",
        "Requires-Dist: h ; extra == 'x'",
        "Requires-Dist: i",
        "Provides-Extra: socks-5",
        "Provides-Extra: x",
        "Provides-Extra: y",
    ]


@pytest.mark.parametrize("text", ["a @ https://example.org/a.whl", "a===one", "a ; sys_platform ~= 'x'"])
def test_requirements_that_mean_nothing(text: str) -> None:
    with pytest.raises(FetchError) as caught:
        metadata(text)
    assert caught.value.what.startswith("a requirement of foo 1 can't be met: ")
    assert repr(str(Requirement(text))) in caught.value.what
    assert "patches/foo/" in caught.value.cure


def test_the_view_answers_names_as_they_are_spelled_and_notes_what_is_lacking() -> None:
    world = TableWorld()
    world.add("foo-bar", "1.0", "six", requires_python="<3")
    world.add("foo-bar", "1.1", requires_python="<3")
    world.add_unknown("foo-bar", "2.0")
    world.add_failing("foo-bar", "3.0", FetchError("no such archive"))
    world.project("empty")
    view = View(world, markers=MARKERS, python=PYTHON)
    assert view.answer("Foo_Bar/") == view.answer("foo-bar/") is not None
    assert b"Requires-Dist: six\n" in (view.answer("foo-bar/foo_bar-1.0-py3-none-any.whl.metadata") or b"")
    for version in ("2.0", "3.0"):
        answer = view.answer(f"foo-bar/foo_bar-{version}-py3-none-any.whl.metadata")
        assert answer is not None and b"Requires-Dist" not in answer
    assert view.answer("foo-bar/foo_bar-1.0-py3-none-any.whl") is None
    assert view.answer("gone/") is None
    assert json.loads(view.answer("empty/") or b"")["files"] == []
    assert (view.missing, view.empty) == ({"gone"}, {"empty"})
    assert view.unknown == {("foo-bar", Version("2.0"))}
    assert {package: error.what for package, error in view.failed.items()} == {
        ("foo-bar", Version("3.0")): "no such archive"
    }
    assert view.other_pythons == {"foo-bar": {"<3": Version("1.1")}}


def test_what_uv_chose() -> None:
    assert uv.parse_chosen("# by uv\nfoo-bar==1.2+pb.3\n\nreq[other, Socks_5]==1\n") == {
        "foo-bar": (Version("1.2+pb.3"), frozenset()),
        "req": (Version("1"), frozenset({"other", "socks-5"})),
    }
    with pytest.raises(EngineError, match="foo>=1"):
        uv.parse_chosen("foo>=1\n")


@pytest.mark.parametrize(
    ("versions", "runs"),
    [
        ([], []),
        (["2", "1"], [["2", "1"]]),
        (["1", "2"], [["1"], ["2"]]),
        (["1", "3", "2", "4"], [["1"], ["3", "2"], ["4"]]),
    ],
)
def test_preferred_versions_are_tried_in_runs(versions: list[str], runs: list[list[str]]) -> None:
    found = joint.descending_runs([Version(version) for version in versions])
    assert [[str(version) for version in run] for run in found] == runs


def test_nothing_wanted_asks_nobody(tmp_path: Path) -> None:
    world = TableWorld()
    wanted = [Requirement("foo ; sys_platform == 'linux'")]
    assert joint.resolve_jointly(wanted, world, markers=MARKERS, python=PYTHON, preferred={}, cache=tmp_path) == {}
    assert world.asked == []


def seen_view() -> View:
    """A view of which uv has seen all that the texts below speak of."""
    world = TableWorld()
    world.project("wheels")
    world.add("old", "1.0", requires_python="<3.12")
    world.add("mixed", "1.0", requires_python="<3.12")
    world.add("mixed", "2.0", requires_python=">=3.13")
    view = View(world, markers=MARKERS, python=PYTHON)
    for name in ("missing", "wheels", "old", "mixed"):
        view.answer(f"{name}/")
    return view


PYTHON_SAYS = "the current Python version (3.11.7) does not satisfy Python>=1000"
SO = ", we can conclude that"
END = f"{SO} your requirements are unsatisfiable."


@pytest.mark.parametrize(
    ("said", "what", "cure"),
    [
        (
            f"Because you require foo<1.1 and foo>1.1{END}",
            "the command wants foo<1.1 and foo>1.1",
            "widen",
        ),
        (
            f"Because missing was not found in the package registry and you require missing{END}",
            "missing does not exist upstream and the command wants missing",
            "'missing' is spelled",
        ),
        (
            f"Because there are no versions of wheels and you require wheels{END}",
            "wheels has no version with a source and the command wants wheels",
            "specs/wheels.toml",
        ),
        (
            f"Because there is no version of foo==7 and you require foo==7{END}",
            "foo==7 can't be had and the command wants foo==7",
            "widen",
        ),
        (
            f"Because {PYTHON_SAYS} and all versions of old depend on Python>=1000{SO} all versions of old cannot be "
            f"used.\nAnd because you require old{END}\n\nhint: The `--python-version` value (>=3.12.4) includes …",
            "no versions go together: the target's Python is 3.12.4 and every version of old wants Python <3.12, so no "
            "version of old can be used; and the command wants old",
            "another Python",
        ),
        (
            f"Because {PYTHON_SAYS},<1001 and mixed>=1.0 depends on Python>=1000{SO} mixed>=1.0 cannot be used.\n"
            f"And because you require mixed{END}",
            "no versions go together: the target's Python is 3.12.4 and mixed>=1.0 wants another Python, as 2.0 does "
            "(>=3.13), so mixed>=1.0 cannot be used; and the command wants mixed",
            "another Python",
        ),
        (
            f"Because y==1.1 was yanked (reason: bad) and all versions of needy depend on y==1.1{SO} all versions of "
            f"needy cannot be used.\nAnd because you require needy{END}",
            "no versions go together: y==1.1 was yanked (reason: bad) and every version of needy wants y==1.1, so no "
            "version of needy can be used; and the command wants needy",
            "the yanked one",
        ),
        (
            "Because nm<=1 depends on a and only the following versions of nm are available:\n    nm<=1\n    nm>=2\n"
            f"{SO[2:]} nm<2 cannot be used. (1)\n\nBecause nm>=2 depends on b>3{SO} nm>=2 cannot be used.\n"
            f"And because we know from (1) that nm<2 cannot be used{SO} all versions of nm cannot be used.\n"
            f"And because you require nm{END}",
            "no versions go together: nm<=1 wants a and only the following versions of nm can be had: nm<=1, nm>=2, so "
            "nm<2 cannot be used (1); nm>=2 wants b>3, so nm>=2 cannot be used; by (1) nm<2 cannot be used, so no "
            "version of nm can be used; and the command wants nm",
            "widen",
        ),
    ],
)
def test_conflicts_in_our_words(said: str, what: str, cure: str) -> None:
    stderr = printed(said)
    assert explain.is_conflict(stderr)
    error = explain.conflict(stderr, seen_view(), [])
    assert error.what == what
    assert cure in error.cure


def printed(said: str) -> str:
    """How uv prints an explanation."""
    text = "\n         ".join(said.splitlines()).replace("         hint:", "hint:")
    return f"error: No solution found when resolving dependencies\n  cause: {text}\n"


def test_constraints_that_play_a_role_are_named() -> None:
    said = (
        f"Because all versions of bad1 depend on foo<1.1 and foo>1.1{SO} all versions of bad1 cannot be used.\n"
        f"And because you require bad1{END}"
    )
    constraints = [Requirement("Foo>1.1"), Requirement("food<1")]
    assert explain.conflict(printed(said), seen_view(), constraints).what == (
        "no versions go together: every version of bad1 wants foo<1.1 and foo>1.1, so no version of bad1 can be used; "
        "and the command wants bad1; the constraints are Foo>1.1"
    )


def test_a_missing_uv_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(EngineError, match="uv is missing") as caught:
        uv.find_uv()
    assert "-m pip install 'uv>=0.13'" in caught.value.cure
