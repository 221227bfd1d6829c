"""What a real git says about a workspace."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

from pybuilder.processes import run
from pybuilder.spec import Pin, parse_spec
from pybuilder.workspace import Workspace, init
from pybuilder.workspace.checkout import Revision

SPEC = f'name = "six"\n[versions]\n"1.16.0" = {{ file = "six-1.16.0.tar.gz", sha256 = "{"cd" * 32}" }}\n'


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=["", "packages/python"], ids=["top", "below the top"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root: Path = tmp_path / "repository" / request.param
    init(root)
    (root / "specs" / "six.toml").write_text(SPEC)
    (root / "patches" / "six").mkdir()
    (root / "patches" / "six" / "a.patch").write_text("patch")
    git(tmp_path / "repository", "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace.open(home, run=run)


def files(home: Path) -> list[Path]:
    return [home / "specs" / "six.toml", home / "patches" / "six" / "a.patch"]


def test_a_clean_workspace(home: Path, workspace: Workspace) -> None:
    assert workspace.commit_id() == git(home, "rev-parse", "HEAD").strip()
    assert not workspace.dirty(files(home))


def test_changes_in_files_that_were_not_read_do_not_count(home: Path, workspace: Workspace) -> None:
    (home / "specs" / "idna.toml").write_text('name = "idna"')
    assert not workspace.dirty(files(home))


def test_a_pin_that_pybuild_wrote_does_not_count(home: Path, workspace: Workspace) -> None:
    assert workspace.write_pin("six", Version("1.17.0"), Pin(file="six-1.17.0.tar.gz", sha256="ab" * 32))
    assert not workspace.dirty(files(home))
    git(home, "add", "-A")
    assert not workspace.dirty(files(home))


def test_a_wheels_pin_in_the_place_of_a_sources_does_not_count(home: Path, workspace: Workspace) -> None:
    """Pybuild writes it where the spec takes upstream's wheel, and takes it back where it no longer does."""
    pin = Pin(file="six-1.16.0-py3-none-any.whl", sha256="ab" * 32)
    assert workspace.write_pin("six", Version("1.16.0"), pin)
    assert pin.file in files(home)[0].read_text() and not workspace.dirty(files(home))
    git(home, "commit", "-qam", "two")
    files(home)[0].write_text(SPEC)
    assert not workspace.dirty(files(home))
    files(home)[0].write_text(SPEC.replace("six-1.16.0.tar.gz", pin.file))
    assert workspace.dirty(files(home))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("patches/six/a.patch", "patch", "other"),
        ("specs/six.toml", "[versions]", "[test]\nimports = ['six']\n[versions]"),
        ("specs/six.toml", "cdcd", "abab"),
        ("specs/six.toml", '"1.16.0"', '"1.15.0"'),
        ("specs/six.toml", 'name = "six"', "name = "),
    ],
    ids=["patch", "table", "pin changed", "pin taken away", "no toml"],
)
@pytest.mark.parametrize("staged", [False, True])
def test_any_other_change_counts(home: Path, workspace: Workspace, file: str, old: str, new: str, staged: bool) -> None:
    path = home / file
    path.write_text(path.read_text().replace(old, new, 1))
    if staged:
        git(home, "add", "-A")
    assert workspace.dirty(files(home))


@pytest.mark.parametrize("ignored", [False, True])
def test_a_file_that_git_does_not_know_counts(home: Path, workspace: Workspace, ignored: bool) -> None:
    if ignored:
        (home / ".gitignore").write_text("*.patch\n")
    new = home / "patches" / "six" / "b.patch"
    new.write_text("")
    assert workspace.dirty([*files(home), new])


def test_a_file_outside_counts(home: Path, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    assert workspace.dirty([tmp_path / "x"])


def test_looking_writes_nothing(home: Path, workspace: Workspace) -> None:
    index = Path(git(home, "rev-parse", "--absolute-git-dir").strip()) / "index"
    before = index.read_bytes()
    (home / "specs" / "six.toml").touch()
    workspace.dirty(files(home))
    assert index.read_bytes() == before


def test_the_variables_of_a_hook_do_not_lead_astray(
    home: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert workspace.commit_id() is not None


def test_before_the_first_commit_everything_is_dirty(tmp_path: Path) -> None:
    init(tmp_path)
    git(tmp_path, "init", "-q")
    workspace = Workspace.open(tmp_path, run=run)
    assert workspace.commit_id() is None
    assert workspace.dirty([tmp_path / "pybuild.toml"])


class TestRevision:
    """Which commit a build is made of, and whether that has all that its plan is made of."""

    @staticmethod
    def of(home: Path, spec: str = "") -> Revision:
        workspace, version = Workspace.open(home, run=run), Version("1.16.0")
        parsed = parse_spec(f'name = "six"\n{spec}', "specs/six.toml")
        patches = [patch.path for patch in workspace.patches("six", version, parsed)]
        return workspace.revision("six", version, parsed, patches=patches, beside=["setuptools"], buildroot="small")

    @pytest.fixture
    def home(self, home: Path) -> Path:
        files = {
            "buildroots/small.toml": 'name = "small"\nextends = "host"\nengine = "host"\n',
            "buildroots/small.lock": "lock",
            "specs/setuptools.toml": 'name = "setuptools"\n',
            "src/six/setup.py": "",
            ".gitignore": "*.pyc\n.pybuild/\n",
        }
        for name, text in files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text)
        git(home, "add", "-A")
        git(home, "commit", "-qm", "more")
        return home

    def test_the_commit_that_is_checked_out(self, home: Path) -> None:
        assert self.of(home) == Revision(commit=git(home, "rev-parse", "HEAD").strip(), state="clean")

    @pytest.mark.parametrize(
        ("file", "spec", "state"),
        [
            ("specs/six.toml", "", "dirty"),
            ("specs/setuptools.toml", "", "dirty"),
            ("buildroots/small.toml", "", "dirty"),
            ("buildroots/host.toml", "", "dirty"),
            ("buildroots/small.lock", "", "dirty"),
            ("patches/six/a.patch", "", "dirty"),
            ("patches/six/new.patch", "", "dirty"),
            ("src/six/setup.py", '[source]\ntype = "path"\npath = "src/{name}"', "dirty"),
            ("src/six/new.py", '[source]\ntype = "path"\npath = "src/{name}"', "dirty"),
            ("src/six/new.pyc", '[source]\ntype = "path"\npath = "src/{name}"', "clean"),
            ("src/six/setup.py", "", "clean"),
            ("specs/idna.toml", "", "clean"),
            ("patches/six/a.patch~", "", "clean"),
            ("patches/six/new.patch", "patches = []", "clean"),
            ("pybuild.toml", "", "clean"),
        ],
    )
    def test_what_counts_is_what_the_plan_read(self, home: Path, file: str, spec: str, state: str) -> None:
        with (home / file).open("a") as stream:
            stream.write("[test]\nimports = ['x']\n" if file.startswith("specs") else "# changed\n")
        assert self.of(home, spec).state == state

    def test_what_is_only_proposed_is_in_no_commit(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "spec").write_text(SPEC)
        workspace = Workspace(root=home, run=run, proposed={"specs/setuptools.toml": tmp_path / "spec"})
        spec = parse_spec('name = "six"\npatches = []\n', "specs/six.toml")
        for beside, state in ((["setuptools"], "dirty"), ([], "clean")):
            found = workspace.revision("six", Version("1"), spec, patches=[], beside=beside, buildroot="small")
            assert found.state == state

    def test_a_patch_that_is_gone_counts(self, home: Path) -> None:
        (home / "patches" / "six" / "a.patch").unlink()
        assert self.of(home).state == "dirty"
        assert self.of(home, "patches = []").state == "clean"
        (home / "patches" / "six").rmdir()
        assert self.of(home).state == "dirty"

    @pytest.mark.parametrize("kind", ["no repository", "no commit"])
    def test_without_a_commit_it_says_so(self, tmp_path: Path, kind: str) -> None:
        init(tmp_path)
        if kind == "no commit":
            git(tmp_path, "init", "-q")
        workspace, spec = Workspace.open(tmp_path, run=run), parse_spec('name = "six"\n', "specs/six.toml")
        found = workspace.revision("six", Version("1"), spec, patches=[], beside=[], buildroot="host")
        assert found == Revision(commit="", state="unversioned")
