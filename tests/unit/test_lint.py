"""Everything wrong in a workspace is found at once, and what is right is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pybuilder.errors import ConfigError, UsageError
from pybuilder.lint import Notice, lint, notices
from pybuilder.workspace import Workspace, init

SHA = "ab" * 32
PIN = f'[versions]\n"1.0" = {{ file = "a-1.0.tar.gz", sha256 = "{SHA}" }}\n'


def no_process(argv: Sequence[str], **_: Any) -> Any:
    raise AssertionError(f"lint started {argv}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    init(tmp_path)
    return tmp_path


def write(home: Path, file: str, text: str) -> None:
    path = home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(home: Path, *names: str) -> list[str]:
    problems = lint(Workspace.open(home, run=no_process), names)
    assert all(isinstance(problem, ConfigError) and problem.cure for problem in problems)
    return [f"{problem.where} {problem.what}" for problem in problems]


def test_a_sound_workspace(home: Path) -> None:
    write(home, "specs/a.toml", f'name = "a"\n[[patches]]\nfile = "x.patch"\n{PIN}')
    write(home, "specs/b.toml", 'name = "b"\n')
    write(home, "patches/a/x.patch", "")
    write(home, "patches/a/README", "why")
    write(home, "patches/b/y.patch", "")
    assert found(home) == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("pybuild.toml", "labels = 3\n", ["pybuild.toml:1", "did you mean 'label'"]),
        ("pybuild.toml", 'buildroot = "fedora-9"\n', ["pybuild.toml", "'fedora-9'"]),
        ("buildroots/f.toml", 'name = "f"\nengine = "podman"\n', ["buildroots/f.toml", "'distribution'"]),
        ("buildroots/f.toml", 'name = "f"\nextends = "g"\n', ["buildroots/f.toml:2", "'g'"]),
        ("specs/a.toml", "name = 'b'\n", ["specs/a.toml:1", "'b'"]),
        ("specs/a.toml", "name = 'a'\n[update]\nsource = 'github'\n", ["specs/a.toml:2", "no project on github.com"]),
        ("specs/A_b.toml", "name = 'a-b'\n", ["specs/A_b.toml", "normalised"]),
        ("specs/a.toml", "name = ", ["specs/a.toml:1", "no TOML"]),
        ("specs/a.toml", f'name = "a"\n[versions]\none = {{ file = "a", sha256 = "{SHA}" }}\n', [":3", "'one'"]),
        ("specs/a.toml", 'name = "a"\n[[patches]]\nfile = "no.patch"\n', ["specs/a.toml:3", "patches/a/no.patch"]),
        (
            "specs/a.toml",
            'name = "a"\n[[patches]]\nfile = "no.patch"\nversions = ">9"\n',
            ["specs/a.toml:3", "patches/a/no.patch"],
        ),
        (
            "specs/a.toml",
            'name = "a"\n[[override]]\nwhen.python = "2.*"\npatches = [{ file = "no.patch" }]\n',
            ["specs/a.toml:4", "patches/a/no.patch"],
        ),
        ("patches/lost/x.patch", "", ["patches/lost", "belongs to no spec"]),
        ("patches/x.patch", "", ["patches/x.patch", "no package's directory"]),
    ],
)
def test_one_problem(home: Path, file: str, text: str, words: list[str]) -> None:
    write(home, file, text)
    (problem,) = found(home)
    for word in words:
        assert word in problem


def test_packages_that_are_rejected(home: Path) -> None:
    write(home, "specs/a.toml", 'name = "a"\n')
    write(home, "specs/rejected.toml", "[packages.b]\n")
    assert found(home) == []
    write(home, "specs/rejected.toml", "[packages.b]\n[packages.a]\n")
    assert found(home) == ["specs/rejected.toml [packages].a a has a spec and is rejected; the spec counts"]
    assert found(home, "a") == []
    write(home, "specs/rejected.toml", "[packages.b]\nwhy = 'x'\n")
    [problem] = found(home)
    assert problem.startswith("specs/rejected.toml:2:1 [packages].b.why unknown key 'why'")


def test_a_patch_that_a_list_leaves_out(home: Path) -> None:
    write(home, "specs/a.toml", 'name = "a"\n[[patches]]\nfile = "x.patch"\n')
    write(home, "patches/a/x.patch", "")
    write(home, "patches/a/y.patch", "")
    assert found(home) == ["patches/a/y.patch patches/a/y.patch is never applied"]


def test_a_patch_that_leads_out(home: Path) -> None:
    write(home, "specs/a.toml", 'name = "a"\n')
    write(home, "patches/a/x.patch", "")
    (home / "patches/a/x.patch").unlink()
    (home / "patches/a/x.patch").symlink_to("/etc/passwd")
    (problem,) = found(home)
    assert "leads out" in problem


OVERRIDES = """
name = "a"
[source]
type = "git"
url = "https://example.org/a"
tag = "v{version}"
[[override]]
when.versions = "<2"
source.tag = ""
source.commit = "0123456789012345678901234567890123456789"
[[override]]
when.python = ">=3"
source.tag = "w{version}"
"""


def test_overrides_that_contradict_each_other_for_a_pinned_version(home: Path) -> None:
    write(home, "specs/a.toml", f"{OVERRIDES}{PIN}")
    (problem,) = found(home)
    assert "specs/a.toml" in problem and "'tag' and 'commit'" in problem


def test_all_problems_of_all_files_at_once(home: Path) -> None:
    write(home, "pybuild.toml", "jobs = 0\n")
    write(home, "specs/a.toml", 'name = "a"\n[biuld]\n[source]\ntype = "svn"\n')
    write(home, "specs/b.toml", 'name = "b"\n[[patches]]\nfile = "x.patch"\n[[patches]]\nfile = "y.patch"\n')
    write(home, "patches/c/z.patch", "")
    problems = found(home)
    assert len(problems) == 6
    for word in ("pybuild.toml:1", "a.toml:2", "a.toml:4", "patches/b/x.patch", "patches/b/y.patch", "patches/c"):
        assert any(word in problem for problem in problems), word


def test_named_specs_alone(home: Path) -> None:
    write(home, "pybuild.toml", "jobs = 0\n")
    write(home, "specs/a.toml", 'name = "a"\n[biuld]\n')
    write(home, "specs/b.toml", 'name = "b"\n')
    assert found(home, "b") == []
    assert len(found(home, "a", "b")) == 1


def test_a_name_that_has_no_spec(home: Path) -> None:
    write(home, "specs/requests.toml", 'name = "requests"\n')
    with pytest.raises(UsageError, match="request has no spec") as caught:
        found(home, "request")
    assert "requests" in caught.value.cure
    with pytest.raises(UsageError) as caught:
        found(home, "zzz")
    assert caught.value.cure == "write one: pybuild new zzz"


def test_what_is_prebuilt_is_told_and_is_no_problem(home: Path) -> None:
    write(home, "specs/a.toml", 'name = "a"\n[prebuilt]\nreason = """it\nneeds itself"""\n')
    write(home, "specs/b.toml", 'name = "b"\n[[override]]\nwhen.python = "3.9"\nprebuilt.reason = "old"\n')
    write(home, "specs/c.toml", 'name = "c"\n')
    write(home, "specs/d.toml", 'name = "d"\n[prebuilt]\n')
    workspace = Workspace.open(home, run=no_process)
    first = Notice(
        where="specs/a.toml:3:1 [prebuilt].reason", what="a is prebuilt, upstream's wheel is used: it needs itself"
    )
    one, other = notices(workspace)
    assert one == first
    assert other.where.startswith("specs/b.toml:4") and other.what.endswith("upstream's wheel is used: old")
    assert notices(workspace, ["c"]) == () and notices(workspace, ["a"]) == (first,)
    assert len(found(home)) == 1
